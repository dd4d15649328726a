"""A new task from 10 or 20 comparisons: by a bank of earlier rewards, and from nothing.

Sixteen earlier tasks of `rlhf/PointRobot-v0`, goals 22.5 degrees apart, are learned from 400
comparisons each. Then a goal is drawn for each seed and learned from a few comparisons, in five
rounds: from nothing, by mixtures of the earlier rewards (`feedback.reward_model.family: bank`), by
the same with shuffled answers, and on the true reward.

    python benchmarks/few_shot.py --out few-shot.jsonl
"""

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_core import in_process
from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.configuration import from_mapping, override
from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean
from rlhf_core.experiment import Experiment
from rlhf_core.loop import Progress

FORMER = 100
"""Added to the number of an earlier task: its seed."""
LABELS = (10, 20)
TASK: dict[str, Any] = {
    "name": "point-robot",
    "environment": {"id": "rlhf/PointRobot-v0", "count": 16},
    "feedback": {
        "kind": "preference",
        "segment_steps": 10,
        "queries": {"kind": "information_gain"},
        "reward_model": {"family": "auto", "inputs": ["next_observation"]},
    },
    "optimiser": {
        "kind": "ppo", "learning_rate": 2e-3, "steps": 20, "batch_size": 80, "discount": 0.9
    },
    "budget": {"env_steps": 32000, "labels": 20, "rounds": 5, "initial_steps": 1600},
    "evaluation": {"episodes": 50},
}  # fmt: skip
LEARNED_WELL = {
    "budget.labels": 400,
    "budget.rounds": 8,
    "feedback.queries": {"kind": "disagreement"},
    "feedback.reward_model.family": "network",
}
"""What the earlier tasks had."""


def task(goal: float, seed: int, changes: dict[str, Any]) -> Experiment:
    """The experiment of one goal (rad)."""
    environment = {**TASK["environment"], "options": {"goal": goal}}
    return override(from_mapping({**TASK, "environment": environment, "seed": seed}), changes)


def true_return(progress: Progress[Any]) -> float:
    """Mean true return of the policy at the end of a run."""
    if progress.evaluation is None:
        raise RuntimeError("the run was not evaluated")
    return float(progress.evaluation.mean)


def write_bank(folder: Path, count: int) -> None:
    """Learn so many earlier tasks, their goals evenly on the circle, and save their rewards."""
    for number in range(count):
        experiment = task(2 * math.pi * number / count, FORMER + number, LEARNED_WELL)
        learned = in_process.run(experiment)
        print(f"earlier task {number}: {true_return(learned):.1f}", flush=True)
        spaces = experiment.environment.spaces()
        reward = LearnedReward(experiment.feedback, learned.feedback, spaces)
        reward.save(folder / f"{number:02}.safetensors")


def row(seed: int, bank: Path, rounds: int) -> dict[str, float]:
    """True returns of a new task by what they were learned from."""
    goal = float(np.random.default_rng([7, seed]).uniform(0, 2 * math.pi))
    true_reward = {"feedback.kind": "true_reward"}
    mixed = {"feedback.reward_model": {"family": "bank", "bank": str(bank)}}
    shuffled = {**mixed, "feedback.kind": "shuffled_labels"}

    def learned(changes: dict[str, Any]) -> float:
        return true_return(in_process.run(task(goal, seed, {"budget.rounds": rounds, **changes})))

    returns = {"goal": goal, "true reward": learned(true_reward)}
    for labels in LABELS:
        few = {"budget.labels": labels}
        returns[f"nothing, {labels} comparisons"] = learned(few)
        returns[f"bank, {labels} comparisons"] = learned({**few, **mixed})
        returns[f"bank, {labels} shuffled"] = learned({**few, **shuffled})
    return returns


def summary(rows: list[dict[str, float]]) -> str:
    """The mean of each column, its IQM and their interval over seeds."""
    lines = []
    for name in rows[0]:
        if name not in ("seed", "goal"):
            returns = np.array([row[name] for row in rows])
            low, high = bootstrap_interval(returns, np.random.default_rng(0))
            lines.append(
                f"{name}: mean {returns.mean():.1f}, IQM {interquartile_mean(returns):.1f} "
                f"({low:.1f} to {high:.1f})"
            )
    return "\n".join(lines)


def main() -> None:
    """Append one JSON line for each seed, and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=range(10))
    parser.add_argument("--earlier", type=int, default=16, help="tasks of the bank")
    parser.add_argument("--rounds", type=int, default=5, help="of the new task")
    parser.add_argument("--out", type=Path, default=Path("few-shot.jsonl"))
    arguments = parser.parse_args()
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        write_bank(Path(folder), arguments.earlier)
        for seed in arguments.seeds:
            returns = row(seed, Path(folder), arguments.rounds)
            rows.append({"seed": seed, **{name: round(v, 2) for name, v in returns.items()}})
            line = json.dumps(rows[-1])
            print(line, flush=True)
            with arguments.out.open("a") as file:
                file.write(line + "\n")
    print(summary(rows))


if __name__ == "__main__":
    main()
