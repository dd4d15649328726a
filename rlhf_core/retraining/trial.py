"""A trial: what a policy does on given start states."""

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from rlhf_core.acting import Act, reset
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.environments.spaces import encode
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.finite import check_arrays
from rlhf_core.policies import PolicyState
from rlhf_core.seeding import integer
from rlhf_core.threads import limited
from rlhf_core.types import Value, expect

MOST_FEATURES = 64
"""Features of an observation that are recorded, evenly spaced where there are more."""


@dataclass(frozen=True, eq=False)
class Trial(Value):
    """True returns of a policy, and what it saw."""

    evaluation: Evaluation
    observations: Float[np.ndarray, "E features"]
    """One observation an episode, at a step drawn uniformly from it, so that rows are independent.
    """

    def _check(self) -> None:
        count = len(self.evaluation.returns)
        expect(len(self.observations) == count, self, f"{count} rows", len(self.observations))


@dataclass(frozen=True, eq=False)
class Player:
    """A policy, and how it acts."""

    experiment: Experiment
    """By which it was trained: its optimiser, and whether it is measured deterministically."""
    policy: PolicyState


def environment_of(experiment: Experiment) -> Environment:
    """The environment in which policies of an experiment are compared.

    Raises:
        ConfigurationError: its true reward is hidden, so that returns are unknown.
    """
    environment = experiment.evaluation.environment or experiment.environment
    if not environment.true_reward:
        raise ConfigurationError(
            "environment.true_reward: expected true, since champion and challenger are compared by "
            "their true returns, actual: false; give evaluation.environment, in which it is known"
        )
    return environment


def play_trial(player: Player, environment: Environment, episodes: int, seed: int) -> Trial:
    """Play one episode from each start state.

    Two policies with the same seed begin in the same states and draw the same numbers afterwards
    (common random numbers: Glasserman and Yao 1992, https://doi.org/10.1287/mnsc.38.6.884).

    Args:
        player: who plays.
        environment: where.
        episodes: E, how many start states.
        seed: of the start states, drawn anew for each gate so that no policy is fitted to them.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    seeds, acting, watching = episode_seeds(rng, episodes), integer(rng), integer(rng)
    known = environment.spaces()
    optimiser, settings = player.experiment.optimiser, player.experiment.evaluation
    with limited(player.experiment.threads):
        act = optimiser.act(player.policy, known, settings.deterministic, acting)
        observer = Observer(act, known.observation, np.random.default_rng(watching))
        vector = environment.make_vector(episodes)
        try:
            evaluation = evaluate(vector, observer, seeds)
        finally:
            vector.close()
    hint = "the rewards of an episode are too large to be added up"
    check_arrays({"returns": evaluation.returns}, "trial", hint)
    return Trial(evaluation, observer.sampled())


class Observer:
    """A policy of which one observation an episode is kept, each step with the same probability."""

    def __init__(self, act: Act, space: spaces.Space[object], rng: np.random.Generator) -> None:
        self._act, self._space, self._rng = act, space, rng
        self._steps = 0
        self._begun = False
        self._running = np.ones(0, dtype=bool)
        self._kept: np.ndarray | None = None

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Act, and keep the observation of step t with probability 1 / t."""
        self._steps += 1
        keep = self._running & (self._rng.random(len(observations)) * self._steps < 1)
        if self._kept is None:
            self._kept = np.array(observations)
        else:
            self._kept[keep] = observations[keep]
        return self._act(observations)

    def reset(self, copies: np.ndarray) -> None:
        """The first call begins the episodes, later ones end those of these copies (a mask)."""
        self._running = self._running & ~copies if self._begun else copies.copy()
        self._begun = True
        reset(self._act, copies)

    def sampled(self) -> Float[np.ndarray, "E features"]:
        """The kept observations as features."""
        assert self._kept is not None, "sampled() comes after an episode"
        features = encode(self._space, self._kept)
        width = features.shape[1]
        if width > MOST_FEATURES:
            features = features[:, np.linspace(0, width - 1, MOST_FEATURES).astype(np.int64)]
        return features.astype(np.float64)
