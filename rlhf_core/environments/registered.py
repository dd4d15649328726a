"""Vector environments that are registered with Gymnasium beside a single environment."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rlhf_core.environments.spaces import Spaces

T = TypeVar("T")
Options = Mapping[str, bool | int | float | str | None]


def is_usable(id: str, spaces: Spaces, limit: int, options: Options) -> bool:
    """Whether the environment's own `vector_entry_point` replaces single environments.

    It must do what single environments side by side would do: have the same spaces, reset in the
    step in which an episode ends and return the final observation, give each copy a seed of its
    own, keep the time limit, and reset some copies while the others go on. That is tried on two
    copies.

    Args:
        id: of the single environment.
        spaces: of the single environment as a policy reads it, wrappers included.
        limit: steps after which an episode is cut off.
        options: arguments of the constructor.
    """
    return bool(_attempt(id, lambda: _is_right(_made(id, 2, 2, options), spaces)))


def registered_vector(
    id: str, count: int, limit: int, options: Options
) -> VectorEnv[Any, Any, Any] | None:
    """`count` copies by the environment's own `vector_entry_point`; None where it raises."""
    return _attempt(id, lambda: _made(id, count, limit, options))


def _attempt(id: str, make: Callable[[], T]) -> T | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()
    except Exception as error:
        # Foreign code may raise any exception; single environments do the same work.
        warnings.warn(
            f"{id}: its vector_entry_point is passed over, copies are stepped one by one "
            f"({type(error).__name__}: {error})",
            stacklevel=2,
        )
        return None


def _made(id: str, count: int, limit: int, options: Options) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(
        id,
        num_envs=count,
        vectorization_mode="vector_entry_point",
        max_episode_steps=limit,
        **dict[str, Any](options),
    )


def _is_right(two: VectorEnv[Any, Any, Any], spaces: Spaces) -> bool:
    """Whether two copies with a limit of two steps behave as single environments would."""
    try:
        if two.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            return False
        if two.single_observation_space != spaces.observation:
            return False
        if two.single_action_space != spaces.action:
            return False
        return _seeds_each(two) and _ends_each(two)
    finally:
        two.close()


def _seeds_each(two: VectorEnv[Any, Any, Any]) -> bool:
    first, swapped = (two.reset(seed=seeds)[0] for seeds in ([1, 2], [2, 1]))  # type: ignore[arg-type]
    return np.array_equal(first, swapped[::-1])


def _ends_each(two: VectorEnv[Any, Any, Any]) -> bool:
    two.action_space.seed(0)
    first, _, terminated, truncated, _ = two.step(two.action_space.sample())
    if (terminated | truncated).any():
        return False
    again, _ = two.reset(options={"reset_mask": np.array([True, False])})
    if not np.array_equal(again[1], first[1]):
        return False
    _, _, terminated, truncated, info = two.step(two.action_space.sample())
    # Only the copy that went on is at its limit.
    ended = np.array([False, True])
    final = np.stack(list(info["final_obs"][ended]))
    return (
        np.array_equal(truncated, ended)
        and not terminated[0]
        and np.array_equal(info["_final_obs"], ended)
        and final.shape == again[ended].shape
    )
