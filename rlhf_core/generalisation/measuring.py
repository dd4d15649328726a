"""A trained policy measured in another physics."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlhf_core import seeding
from rlhf_core.environments.contexts import ContextRange
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.generalisation.success import ObservationWatch, Success
from rlhf_core.policies import PolicyState

AT_ONCE = 250
"""Episodes that are played as one batch."""

Physics = Mapping[str, ContextRange]


@dataclass(frozen=True)
class Measured:
    """What a policy reached in a physics."""

    success_rate: float
    """Share of the episodes that are a success."""
    mean_return: float
    """Mean true return."""


def with_physics(environment: Environment, physics: Physics) -> Environment:
    """Return an environment whose contexts are drawn from a physics."""
    return environment.model_copy(update={"contexts": dict(physics)})


def measure(
    experiment: Experiment,
    policy: PolicyState,
    physics: Physics,
    success: Success,
    episodes: int,
) -> Measured:
    """Play a policy in a physics.

    Every policy of a seed plays the same episodes' seeds.

    Args:
        experiment: with which the policy was trained; its seed is the source of randomness.
        policy: the trained policy.
        physics: ranges of the contexts, one of which is drawn for every episode.
        success: when an episode counts.
        episodes: how many.
    """
    rng = seeding.generator(experiment.seed, 0, "generalise")
    environment = with_physics(experiment.environment, physics)
    size = experiment.environment.spaces().observation.shape or (1,)
    if success.observation_at_least is not None and success.observation >= size[0]:
        raise ConfigurationError(
            f"success.observation: expected less than {size[0]}, the numbers that are observed, "
            f"actual: {success.observation}"
        )
    returns, successes = [], []
    for first in range(0, episodes, AT_ONCE):
        count = min(AT_ONCE, episodes - first)
        act = experiment.optimiser.act(
            policy,
            experiment.environment.spaces(),
            experiment.evaluation.deterministic,
            seeding.integer(rng),
        )
        watch = ObservationWatch(act, success, count)
        copies = environment.make_vector(count)
        try:
            evaluation = evaluate(copies, watch, episode_seeds(rng, count))
        finally:
            copies.close()
        returns.append(evaluation.returns)
        successes.append(success.of(evaluation.returns, evaluation.lengths, watch.steps_above))
    return Measured(float(np.concatenate(successes).mean()), float(np.concatenate(returns).mean()))
