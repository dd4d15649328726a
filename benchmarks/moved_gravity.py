"""What an earlier run is worth under another gravity: fresh runs beside runs that begin with it.

For each seed a run is played at the usual gravity (by another seed); then, at 14 m/s^2, fresh runs
and runs that take over its policy, reward and labels, as `rlhf train --from RUN_ID` does.

    python benchmarks/moved_gravity.py --out gravity.jsonl
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from flows.experiments import presets
from rlhf_core import in_process, stages
from rlhf_core.configuration import override
from rlhf_core.driver import Start
from rlhf_core.experiment import Experiment

FORMER = 100
"""Added to a seed: that of the earlier run."""
GRAVITY = 14.0
FRESH, MOVED = (20, 50), (10, 25)
"""Labels that are asked for at the new gravity."""


def true_return(experiment: Experiment, start: Start | None = None) -> float:
    """Mean true return of the policy at the end of a run."""
    evaluation = in_process.run(experiment, start=start).evaluation
    if evaluation is None:
        raise RuntimeError("the run was not evaluated")
    return float(evaluation.mean)


def row(seed: int) -> dict[str, float]:
    """True returns at the new gravity by what they were learned from."""
    usual = presets.load("pendulum-preference", (), seed)
    former = in_process.run(override(usual, {"seed": seed + FORMER}))
    there = override(usual, {"environment.options": {"g": GRAVITY}})
    untrained = stages.initial_policy(there)
    start = Start(replace(untrained, parameters=former.policy.parameters), former.feedback)
    returns = {"true reward": true_return(override(there, {"feedback.kind": "true_reward"}))}
    for labels in FRESH:
        returns[f"fresh, {labels} labels"] = true_return(override(there, {"budget.labels": labels}))
    for labels in MOVED:
        experiment = override(there, {"budget.labels": labels})
        returns[f"moved, {labels} labels"] = true_return(experiment, start)
    return returns


def main() -> None:
    """Append one JSON line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--out", type=Path, default=Path("moved-gravity.jsonl"))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        line = json.dumps({"seed": seed, **{name: round(v, 1) for name, v in row(seed).items()}})
        print(line, flush=True)
        with arguments.out.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
