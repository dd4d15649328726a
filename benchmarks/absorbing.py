"""Absorbing states counted, beside absorbing states played: environment steps to the same return.

Both forms have the same settings, questions and seeds. The played form may take `FACTOR` times the
environment steps of the other. After every round the policy is evaluated; a row tells the
environment steps after which its mean true return first reached the level, where the run ends.

    python benchmarks/absorbing.py [--seeds 3] [--feedback true_reward preference constant]
"""

import argparse
import json
import sys
from typing import Any

from rlhf_core.configuration import from_mapping
from rlhf_core.in_process import InProcess
from rlhf_core.loop import play

TASKS: dict[str, tuple[dict[str, Any], float]] = {
    "InvertedPendulum-v5": ({"fixed_horizon": 1000}, 950),
    "CartPole-v1": ({"fixed_horizon": 500}, 475),
    "Hopper-v5": ({"fixed_horizon": 1000}, 300),
}
"""Environment settings, and the level of the true return. 300 is far from Hopper's best: it is what
can be reached within the steps here."""
STEPS, ROUNDS, LABELS, FACTOR = 131_072, 16, 300, 5


def curve(task: str, form: str, feedback: str, seed: int) -> dict[str, Any]:
    """Play one run and return when it reached the level, and where it ended."""
    settings, level = TASKS[task]
    factor = FACTOR if form == "played" else 1
    experiment = from_mapping(
        {
            "name": "absorbing",
            "environment": {"id": task, "horizon_form": form, **settings},
            "feedback": {"kind": feedback},
            "budget": {"env_steps": STEPS * factor, "rounds": ROUNDS * factor, "labels": LABELS},
            "evaluation": {"episodes": 20},
            "seed": seed,
        }
    )
    reached, last = None, float("nan")
    for progress in play(experiment, InProcess(experiment)):
        last = progress.metrics["eval/true_return_mean"]
        if reached is None and last >= level:
            reached = progress.policy.steps
            break
    names = ("task", "form", "feedback", "seed", "level", "env_steps", "last", "most")
    row = (task, form, feedback, seed, level, reached, round(last, 1), STEPS * factor)
    return dict(zip(names, row, strict=True))


def main() -> None:
    """Print a row of JSON for each run, as it ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--feedback", nargs="*", default=["true_reward", "preference", "constant"])
    chosen = parser.parse_args()
    for task in chosen.tasks:
        for feedback in chosen.feedback:
            for seed in range(chosen.seeds):
                for form in ("absorbing", "played"):
                    if form == "played" and feedback == "constant":
                        continue  # A control: it is to learn nothing in the new form.
                    print(json.dumps(curve(task, form, feedback, seed)))
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
