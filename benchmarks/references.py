"""The references that a run is shown beside: true return after training on the true reward.

    benchmarks/compare.sh references
    python benchmarks/references.py

Writes `flows/experiments/references.json`.
"""

import json
import time
from pathlib import Path

from flows.experiments.references import FILE

RESULT = Path(__file__).with_name("results") / "references.json"


def main() -> None:
    """Write the references."""
    rows = json.loads(RESULT.read_text(encoding="utf-8"))["table"]
    measured = time.strftime("%Y-%m-%d", time.localtime(RESULT.stat().st_mtime))
    references = {
        row["task"]: {
            "iqm": float(f"{row['iqm']:.4g}"),
            "low": float(f"{row['ci_low']:.4g}"),
            "high": float(f"{row['ci_high']:.4g}"),
            "seeds": row["seeds"],
            "measured": measured,
        }
        for row in sorted(rows, key=lambda row: row["task"])
    }
    FILE.write_text(json.dumps(references, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
