"""The stop rule of the evolution strategies: 40 deterministic episodes, seen after a generation."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from measure import EPISODES, EVALUATION_SEED, report

HIDDEN = 16
POPULATION = 64


@dataclass(frozen=True)
class Target:
    """The mean return to reach, and the best return that one episode can have."""

    mean: float
    best: float


TARGETS = {"CartPole-v1": Target(475.0, 500.0), "Pendulum-v1": Target(-250.0, 0.0)}

Act = Callable[[np.ndarray], Any]
"""Gives the action for one observation."""


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Returns the options that all evolution strategies have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", choices=sorted(TARGETS), default="CartPole-v1")
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds of learning")
    return parser


def evaluate(task: str, seed: int, act: Act, *, give_up: bool) -> list[float]:
    """Plays the evaluation episodes, or gives up once the target cannot be reached any more."""
    target = TARGETS[task]
    environment = gymnasium.make(task)
    returns: list[float] = []
    for episode in range(EPISODES):
        hoped = sum(returns) + (EPISODES - len(returns)) * target.best
        if give_up and hoped < EPISODES * target.mean:
            break
        observation, _ = environment.reset(seed=EVALUATION_SEED * (seed + 1) + episode)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = environment.step(act(observation))
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    return returns


def search(
    *,
    peer: str,
    label: str,
    options: argparse.Namespace,
    import_cpu_seconds: float,
    build: Callable[[], tuple[Callable[[], None], Callable[[], Act], Callable[[], int]]],
) -> None:
    """Runs generations until the target or the limit, whose clock stops during evaluation.

    The builder makes the search and returns three functions: one generation, the policy of the
    present centre, and the environment steps used so far.
    """
    target = TARGETS[options.task]
    began = time.process_time()
    generation, policy, env_steps = build()
    cpu_seconds = time.process_time() - began
    generations, reached = 0, False
    while not reached and cpu_seconds < options.limit:
        began = time.process_time()
        generation()
        cpu_seconds += time.process_time() - began
        generations += 1
        returns = evaluate(options.task, options.seed, policy(), give_up=True)
        reached = len(returns) == EPISODES and sum(returns) >= EPISODES * target.mean
    returns = evaluate(options.task, options.seed, policy(), give_up=False)
    report(
        peer=peer,
        task=f"{options.task}/{label}",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=env_steps(),
        returns=returns,
        extra={
            "target": target.mean,
            "reached": reached,
            "generations": generations,
            "population": POPULATION,
            "steps_per_second": round(env_steps() / cpu_seconds),
        },
    )
