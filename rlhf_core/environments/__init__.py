"""Environments: any Gymnasium id, batched, seeded and checked."""

from typing import Any

import gymnasium

from rlhf_core.environments.factory import Batching, Environment
from rlhf_core.environments.fixed_horizon import HorizonForm
from rlhf_core.errors import ConfigurationError


def GymEnv(  # noqa: N802 - reads as the constructor that it is
    id: str | gymnasium.Env[Any, Any],
    count: int = 32,
    time_limit: int | None = None,
    fixed_horizon: int | None = None,
    horizon_form: HorizonForm = "absorbing",
    observation_bound: float | None = None,
    batching: Batching = "auto",
    frames: int | None = None,
    **options: bool | int | float | str | None,
) -> Environment:
    """An environment by its Gymnasium id, such as `CartPole-v1` or `my_module:MyEnv-v0`.

    Args:
        id: Gymnasium id; or what `gymnasium.make` returned, of which the id, the time limit and the
            arguments count: copies are made anew.
        count: copies stepped together as one batch.
        time_limit: steps after which an episode is cut off; None keeps the environment's own.
        fixed_horizon: let every episode last this many steps.
        horizon_form: what comes after an early end: an absorbing state, or its own dynamics.
        observation_bound: clip observations to [-bound, bound], in the environment's own units.
        batching: how copies are stepped together: as arrays where possible, one by one, or by
            EnvPool.
        frames: width in pixels of frames that are recorded with every observation.
        options: arguments for the environment's own constructor, such as `g=9.81`.

    Raises:
        ConfigurationError: the environment cannot be made.
        UnsupportedSpaceError: its spaces are not ones that the loop learns on.
    """
    if not isinstance(id, str):
        spec = _remade(id)
        id, options = spec.id, {**spec.kwargs, **options}
        options.pop("render_mode", None)
        if spec.max_episode_steps != gymnasium.spec(id).max_episode_steps:
            time_limit = time_limit or spec.max_episode_steps
    environment = Environment(
        id=id,
        count=count,
        time_limit=time_limit,
        fixed_horizon=fixed_horizon,
        horizon_form=horizon_form,
        observation_bound=observation_bound,
        batching=batching,
        frames=frames,
        options=options,
    )
    environment.spaces()
    return environment


def _remade(env: object) -> gymnasium.envs.registration.EnvSpec:
    """Return what an instance was made from; copies of it can be made of that alone."""
    expected = (
        "expected a Gymnasium id, or an environment that gymnasium.make(id) returned, so that "
        "copies can be made of it"
    )
    spec = getattr(env, "spec", None)
    if not isinstance(env, gymnasium.Env):
        raise ConfigurationError(f"environment: {expected}, actual: {type(env).__name__}")
    if spec is None:
        raise ConfigurationError(
            f"environment: {expected}, actual: {env}, which was made without an id; register its "
            "class with gymnasium.register(id, entry_point) and give the id"
        )
    if spec.additional_wrappers:
        names = ", ".join(wrapper.name for wrapper in spec.additional_wrappers)
        raise ConfigurationError(
            f"environment: {expected}, actual: {spec.id} in the wrappers {names}; register a "
            "function that makes the wrapped environment with gymnasium.register(id, entry_point) "
            "and give the id"
        )
    return spec


__all__ = ["Environment", "GymEnv"]
