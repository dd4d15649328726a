"""Six retrainings of one model in a row: better ones, poisoned labels, a changed environment.

1. few environment steps: the first champion
2. the whole budget
3. warm, with more labels of the same label set
4. warm, with annotators of whose answers 90 % are wrong
5. warm once more
6. warm, where gravity has changed from 10 to 14

    python benchmarks/retrainings.py --home FOLDER
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = "optimiser.learning_rate=5.0e-4"
RUNS: tuple[tuple[str, ...], ...] = (
    ("--set", "budget.env_steps=49152"),
    (),
    ("--warm", "--set", SMALL),
    ("--warm", "--set", SMALL, "--set", "annotator.mistake=0.9"),
    ("--warm", "--set", SMALL),
    ("--warm", "--set", SMALL, "--set", "environment.options.g=14.0"),
)
"""What each retraining has of its own."""


def rlhf(home: Path, *arguments: str) -> dict[str, Any]:
    """Call the command with `--json`; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.command", *arguments, "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: status {done.returncode}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Print a row a retraining, then the champion after a rollback."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    print("| run | outcome | champion | challenger's return | champion's | probability | reasons |")
    print("|---|---|---|---|---|---|---|")
    for place, own in enumerate(RUNS, start=1):
        done = rlhf(
            home,
            "retrain",
            "pendulum-preference",
            "--model",
            "pendulum",
            "--label-set",
            "people",
            *own,
        )
        numbers = ["gate/true_return_iqm", "gate/champion_true_return_iqm", "gate/probability"]
        cells = [
            f"{done['metrics'][name]:.4g}" if name in done["metrics"] else "-" for name in numbers
        ]
        reasons = "; ".join(done["reasons"])
        row = [place, done["outcome"], done["champion"], *cells, reasons]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    back = rlhf(home, "rollback", "--model", "pendulum", "--reason", "tried")
    print(f"\nrolled back: champion {back['champion']}, before {back['champion_before']}")


if __name__ == "__main__":
    main()
