"""Rewards that were learned in one physics and are optimised from scratch in another one.

For each task and seed a reward is learned from comparisons in the usual physics. In the extreme
physics of Packer et al. 2018 (https://arxiv.org/abs/1810.12282) then stand side by side: the
policy that was trained in the usual one, a fresh policy on the moved reward, a reward learned
there, and the true reward.

    python benchmarks/moved_rewards.py --out rewards.jsonl
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from flows.experiments import presets
from rlhf_core import in_process, seeding
from rlhf_core.configuration import override
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.generalisation.measuring import with_physics
from rlhf_core.policies import PolicyState
from rlhf_core.rewards import Reward

TASKS: dict[str, dict[str, Any]] = {
    "cartpole-preference": {
        "force": ((1, 5), (15, 20)),
        "length": ((0.05, 0.25), (0.75, 1.0)),
        "mass": ((0.01, 0.05), (0.5, 1.0)),
    },
    "pendulum-preference": {
        "length": ((0.5, 0.75), (1.25, 1.5)),
        "mass": ((0.5, 0.75), (1.25, 1.5)),
    },
}
"""Presets, and the extreme physics of their environments."""
EPISODES = 200


def true_return(experiment: Experiment, policy: PolicyState) -> float:
    """Mean true return of a policy in the environment of an experiment."""
    rng = seeding.generator(experiment.seed, 0, "evaluate")
    spaces = experiment.environment.spaces()
    act = experiment.optimiser.act(policy, spaces, deterministic=True)
    environment = experiment.environment.make_vector(EPISODES)
    try:
        returns = evaluate(environment, act, episode_seeds(rng, EPISODES)).returns
    finally:
        environment.close()
    return float(np.mean(returns))


def optimised(experiment: Experiment, reward: Reward) -> PolicyState:
    """A policy from scratch on a reward that learns no more."""
    start = experiment.optimiser.initial(experiment.environment.spaces(), experiment.seed)
    steps = experiment.total_steps
    done = experiment.optimiser.optimise(
        start, experiment.environment, reward, steps, steps, experiment.seed + 1
    )
    return done.state


def row(preset: str, seed: int) -> dict[str, float]:
    """True returns in the extreme physics by where policy and reward are from."""
    usual = presets.load(preset, (), seed)
    environment = with_physics(usual.environment, TASKS[preset])
    there = usual.model_copy(update={"environment": environment})
    learned = in_process.run(usual)
    moved = usual.feedback.reward(learned.feedback, environment.spaces())
    truth = override(there, {"feedback.kind": "true_reward"})
    return {
        "policy moved": true_return(there, learned.policy),
        "reward moved": true_return(there, optimised(there, moved)),
        "reward learned there": true_return(there, in_process.run(there).policy),
        "true reward": true_return(there, in_process.run(truth).policy),
    }


def main() -> None:
    """Append one JSON line for each task and seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--out", type=Path, default=Path("moved-rewards.jsonl"))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for preset in TASKS:
            returns = {name: round(value, 1) for name, value in row(preset, seed).items()}
            line = json.dumps({"task": preset, "seed": seed, **returns})
            print(line, flush=True)
            with arguments.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
