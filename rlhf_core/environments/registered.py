"""Vector environments that somebody registered with Gymnasium beside the single one."""

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv


def registered_vector(
    env: gymnasium.Env[Any, Any], count: int, limit: int | None, options: dict[str, Any]
) -> VectorEnv[Any, Any, Any] | None:
    """`count` copies by the environment's own `vector_entry_point`; None where it is not usable.

    It is used where it does what single environments side by side would do: it shows the same
    spaces, resets in the step in which an episode ends and hands over the final observation, gives
    each copy a seed of its own, keeps the time limit, and starts some copies afresh while the
    others go on. That is tried on two copies, since nothing but its behaviour says so.

    Args:
        env: the single environment as a policy sees it, wrappers included.
        count: copies.
        limit: steps after which an episode is cut off.
        options: arguments of the constructor.
    """
    spec = env.spec
    if spec is None or spec.vector_entry_point is None or limit is None:
        return None
    plain = gymnasium.spec(spec.id)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not _is_right(_made(plain, 2, 2, options), env):
                return None
            return _made(plain, count, limit, options)
    except Exception as error:
        # It is somebody else's and may raise anything; single environments do the same work.
        warnings.warn(
            f"{spec.id}: its vector_entry_point is passed over, copies are stepped one by one "
            f"({type(error).__name__}: {error})",
            stacklevel=2,
        )
        return None


def _made(
    spec: gymnasium.envs.registration.EnvSpec, count: int, limit: int, options: dict[str, Any]
) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(
        spec,
        num_envs=count,
        vectorization_mode="vector_entry_point",
        max_episode_steps=limit,
        **options,
    )


def _is_right(two: VectorEnv[Any, Any, Any], env: gymnasium.Env[Any, Any]) -> bool:
    """Whether two copies with a limit of two steps behave as single environments would."""
    try:
        if two.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            return False
        if two.single_observation_space != env.observation_space:
            return False
        if two.single_action_space != env.action_space:
            return False
        return _seeds_each(two) and _ends_each(two)
    finally:
        two.close()


def _seeds_each(two: VectorEnv[Any, Any, Any]) -> bool:
    seen, swapped = (two.reset(seed=seeds)[0] for seeds in ([1, 2], [2, 1]))  # type: ignore[arg-type]
    return np.array_equal(seen, swapped[::-1])


def _ends_each(two: VectorEnv[Any, Any, Any]) -> bool:
    two.action_space.seed(0)
    seen, _, terminated, truncated, _ = two.step(two.action_space.sample())
    if (terminated | truncated).any():
        return False
    again, _ = two.reset(options={"reset_mask": np.array([True, False])})
    if not np.array_equal(again[1], seen[1]):
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
