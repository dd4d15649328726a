"""Evaluation episodes and their true returns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool

from rlhf_core.acting import Act, reset
from rlhf_core.evaluation.outcome import Evaluation

SUCCESS_KEYS = ("is_success", "success")
"""Keys of `info` that tell success, the first that is there: Gymnasium-Robotics and
Stable-Baselines3 write `is_success`, Meta-World `success`."""


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
        success = _success(info.get("final_info", {}), count)
        if success is not None:
            reported = True
            succeeded |= ended & success
        running &= ~ended
    return Evaluation(returns, lengths, succeeded if reported else None)


def _success(final: Mapping[str, Any], count: int) -> Bool[np.ndarray, " count"] | None:
    """Read from the last infos which copies succeeded; None: they do not tell.

    Args:
        final: the batched `final_info` of a step.
        count: copies.
    """
    for key in SUCCESS_KEYS:
        # Under a name as common as `success` an environment may tell something else: a text, say.
        values = np.asarray(final.get(key, ()))
        if values.shape == (count,) and values.dtype.kind in "bif":
            return values.astype(bool)
    return None
