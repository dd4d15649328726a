"""The references that a run is shown beside: true return after training on the true reward.

    python benchmarks/references.py

Reads the finished runs of `benchmarks/asking.sh` and writes `flows/experiments/references.json`.
"""

import json
from pathlib import Path

import numpy as np

from flows.experiments.references import FILE
from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

RESULTS = Path(__file__).with_name("results")
SOURCES = {
    "acrobot-preference": "acrobot-preference",
    "cartpole-evolving": "cartpole-evolving",
    "cartpole-imitation": "cartpole-imitation",
    "cartpole-preference": "cartpole-preference",
    "halfcheetah-preference": "halfcheetah-preference",
    "pendulum-evolution": "pendulum-evolution",
    "pendulum-preference": "pendulum-200",
}
"""Presets that are trained differently, and the file of their runs."""


def main() -> None:
    """Write the references."""
    references = {}
    for preset, name in SOURCES.items():
        path, table = RESULTS / f"{name}.jsonl", RESULTS / f"{name}.md"
        if not table.exists():
            continue  # Not finished yet.
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        returns = [row["eval/true_return_iqm"] for row in rows if row["strategy"] == "true_reward"]
        low, high = bootstrap_interval(np.array(returns), np.random.default_rng(0))
        references[preset] = {
            "iqm": round(interquartile_mean(np.array(returns)), 1),
            "low": round(low, 1),
            "high": round(high, 1),
            "seeds": len(returns),
            "measured": table.read_text().split("\n")[2][:10],
        }
    FILE.write_text(json.dumps(references, indent=2) + "\n")


if __name__ == "__main__":
    main()
