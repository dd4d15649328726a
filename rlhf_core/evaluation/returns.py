"""Evaluation episodes and their true returns."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rlhf_core.acting import Act, reset
from rlhf_core.evaluation.outcome import Evaluation


def evaluate(environment: VectorEnv[Any, Any, Any], act: Act, seeds: list[int]) -> Evaluation:
    """Play one episode in each copy and return their true returns.

    Each copy counts with its first episode: taking the first `E` episodes that happen to end
    would favour short ones.

    Args:
        environment: E copies that reset in the step in which an episode ends.
        act: the policy.
        seeds: one reset seed a copy.
    """
    observation, _ = environment.reset(seed=seeds)  # type: ignore[arg-type]
    count = environment.num_envs
    returns, lengths = np.zeros(count), np.zeros(count, dtype=np.int64)
    succeeded, reported = np.zeros(count, dtype=bool), False
    running = np.ones(count, dtype=bool)
    reset(act, running)
    while running.any():
        observation, rewards, terminated, truncated, info = environment.step(act(observation))
        returns += np.where(running, rewards, 0.0)
        lengths += running
        reset(act, terminated | truncated)
        ended = running & (terminated | truncated)
        final = info.get("final_info", {})
        if "is_success" in final:
            reported = True
            succeeded |= ended & np.asarray(final["is_success"], dtype=bool)
        running &= ~ended
    return Evaluation(returns, lengths, succeeded if reported else None)
