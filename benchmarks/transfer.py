"""A reward learned in one maze and optimised from scratch in another, beside policies moved there.

    python benchmarks/transfer.py --seeds 5

The point maze of Fu et al. 2018 (section 7.1, https://arxiv.org/abs/1710.11248): demonstrations
come from the layout whose barrier is open on the left, policies are tried where it is open on the
right. Each finished seed is appended to a JSON-lines file, so an interrupted benchmark goes on
where it stopped; at the end a Markdown table is written beside it: mean, IQM and 95 % interval over
seeds of the true return (IQM over the evaluation episodes of each seed).
"""

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_core import seeding
from rlhf_core.acting import Act
from rlhf_core.cloning_settings import CloningSettings, cloning_of
from rlhf_core.environments import Environment
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean
from rlhf_core.inverse_rl.adversarial import initial
from rlhf_core.inverse_rl.model import Discriminator, Method
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.policies import PolicyState
from rlhf_core.rewards import EnvironmentReward, Reward, RewardFunction
from rlhf_core.rewards.model import Input
from rlhf_core.teachers.demonstrator import demonstrate
from rlhf_core.types import Transitions

RESULTS = Path(__file__).with_name("results")
LEFT, RIGHT = "rlhf/PointMazeLeft-v0", "rlhf/PointMazeRight-v0"
SHORT = 20
"""Steps of an episode in which a reward is learned: it must see the ways there, not rest at the
target."""
SHOWN = Environment(id=LEFT, time_limit=SHORT, options={"anywhere": True})
ELSEWHERE = Environment(id=RIGHT, options={"anywhere": True})
"""Where rewards are learned, and where they are optimised; policies are tried from the start."""
STEPS = 200_000
"""Of every optimisation: the expert's, each discriminator's, each one in the other layout."""
DEMONSTRATIONS, EPISODES = 500, 40
ADVERSARIES: dict[str, tuple[Method, tuple[Input, ...]]] = {
    "state-only AIRL": ("airl", ("observation",)),
    "state-action AIRL": ("airl", ("observation", "action")),
    "GAIL": ("gail", ("observation", "action")),
}


def ppo(entropy_coefficient: float) -> PPO:
    """The same optimiser for everything."""
    return PPO(
        learning_rate=1e-3,
        learning_rate_schedule="constant",
        stagger=True,
        entropy_coefficient=entropy_coefficient,
    )


EXPERT, OPTIMISER = ppo(0.1), ppo(0.02)


@dataclass(frozen=True)
class Standard:
    """A learned reward that learns no more, with mean 0 and deviation 1 over demonstrations."""

    reward: RewardFunction
    shown: Transitions

    @cached_property
    def _moments(self) -> tuple[float, float]:
        paid = self.reward(*self.shown)
        return float(paid.mean()), float(paid.std())

    def __call__(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        terminated: np.ndarray,
    ) -> np.ndarray:
        """Of each transition."""
        mean, deviation = self._moments
        paid = self.reward(observation, action, next_observation, terminated)
        return ((paid - mean) / deviation).astype(np.float32)


def optimised(optimiser: PPO, environment: Environment, reward: Reward, seed: int) -> Any:
    """From scratch."""
    rollout = optimiser.rollout_steps(environment)
    steps = -(-STEPS // rollout) * rollout
    start = optimiser.initial(environment.spaces(), seed)
    return optimiser.optimise(start, environment, reward, steps, steps, seed + 1)


def imitated(
    method: Method, inputs: tuple[Input, ...], shown: Transitions, seed: int
) -> tuple[PolicyState, Any]:
    """The policy that a discriminator taught, and the discriminator."""
    airl = method == "airl"
    model = Discriminator(inputs=inputs, updates=20, gradient_penalty=0.05, entropy_weight=1.0)
    fresh = initial(method, model, SHOWN.spaces(), shown, np.random.default_rng(seed))
    # With that weight what AIRL pays holds the entropy already.
    done = optimised(ppo(0.0) if airl else ppo(0.01), SHOWN, fresh, seed)
    return done.state, done.reward


def returns(id: str, act: Act, seed: int) -> float:
    """IQM of the true return from the usual start."""
    environment = Environment(id=id).make_vector(EPISODES)
    try:
        seeds = episode_seeds(np.random.default_rng(seed), EPISODES)
        return interquartile_mean(evaluate(environment, act, seeds).returns)
    finally:
        environment.close()


def play(seed: int) -> dict[str, Any]:
    """Every method with the demonstrations of one expert; process time is of one core."""
    began = time.process_time()
    draw = np.random.default_rng(seed)
    spaces = SHOWN.spaces()
    found: dict[str, tuple[float, float]] = {}

    def tried(optimiser: PPO, state: PolicyState) -> tuple[float, float]:
        act = optimiser.act(state, spaces, deterministic=True)
        return returns(LEFT, act, seed), returns(RIGHT, act, seed)

    expert = optimised(EXPERT, SHOWN, EnvironmentReward(), seeding.integer(draw)).state
    found["expert's policy"] = tried(EXPERT, expert)
    showing = EXPERT.act(expert, spaces, deterministic=False, seed=seed)
    demonstrated = demonstrate(SHOWN, showing, DEMONSTRATIONS, draw).episodes
    shown = demonstrated.transitions()
    cloning = cloning_of(demonstrated, CloningSettings(), only=True)
    fresh = EXPERT.initial(spaces, seeding.integer(draw))
    cloned = EXPERT.clone(fresh, spaces, cloning, seeding.integer(draw)).state
    found["behaviour cloning's policy"] = tried(EXPERT, cloned)
    for name, (method, inputs) in ADVERSARIES.items():
        policy, reward = imitated(method, inputs, shown, seeding.integer(draw))
        found[f"{name}'s policy"] = tried(OPTIMISER, policy)
        kept = Standard(replace(reward, transferable=True), shown)
        again = optimised(OPTIMISER, ELSEWHERE, kept, seeding.integer(draw)).state
        found[f"{name}'s reward"] = tried(OPTIMISER, again)
    truth = optimised(OPTIMISER, ELSEWHERE, EnvironmentReward(), seeding.integer(draw)).state
    found["true reward"] = tried(OPTIMISER, truth)
    rng = np.random.default_rng(seed)

    def chance(observations: np.ndarray) -> np.ndarray:
        return rng.uniform(-1, 1, size=(len(observations), 2)).astype(np.float32)

    found["random policy"] = returns(LEFT, chance, seed), returns(RIGHT, chance, seed)
    seconds = round(time.process_time() - began, 1)
    rounded = {name: [round(value, 2) for value in pair] for name, pair in found.items()}
    return {"seed": seed, "cpu_seconds": seconds, "returns": rounded}


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table of the finished seeds."""
    lines = [
        "| | left: IQM | right: mean | right: IQM | 95 % interval | worst seed |",
        "|---|---|---|---|---|---|",
    ]
    for name in rows[0]["returns"]:
        left, right = np.array([row["returns"][name] for row in rows]).T
        low, high = bootstrap_interval(right, np.random.default_rng(0))
        lines.append(
            f"| {name} | {interquartile_mean(left):.1f} | {right.mean():.1f} | "
            f"{interquartile_mean(right):.1f} | {low:.1f} to {high:.1f} | {right.min():.1f} |"
        )
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    seconds = np.median([row["cpu_seconds"] for row in rows])
    return (
        f"# Reward transfer in the point maze\n\n{datetime.now(UTC):%Y-%m-%d}, {where}, one "
        f"thread, {len(rows)} seeds of {seconds:.0f} CPU s.\n\n" + "\n".join(lines) + "\n"
    )


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "transfer.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished = {row["seed"] for row in done}
    wanted = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for seed in (one for one in wanted if one not in finished):
        result = play(seed)
        done.append(result)
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)
    path.with_suffix(".md").write_text(table(done))
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
