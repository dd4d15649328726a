"""Environments: any Gymnasium id, batched, seeded and checked."""

from rlhf_core.environments.factory import Batching, Environment
from rlhf_core.environments.fixed_horizon import HorizonForm


def GymEnv(  # noqa: N802 - reads as the constructor that it is
    id: str,
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
        id: Gymnasium id.
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


__all__ = ["Environment", "GymEnv"]
