"""A policy as data, and what every optimiser of one is."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.executor import Spread
from rlhf_core.plugin import Plugin
from rlhf_core.rewards import Reward
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value

Report = Callable[[int], None]
"""Told how many environment steps were just taken."""


@dataclass(frozen=True, eq=False)
class PolicyState(Value):
    """A policy as arrays, with all that the optimiser needs to go on from there."""

    parameters: Mapping[str, np.ndarray]
    """Weights of the policy (and of its value function)."""
    optimiser: Mapping[str, np.ndarray]
    """What the optimiser remembers, such as Adam's moments."""
    steps: int = 0
    """Environment steps spent on this policy."""


@dataclass(frozen=True, eq=False)
class Optimised:
    """What one call of `Optimiser.optimise` gave."""

    state: PolicyState
    rollouts: Rollouts
    """The policy's own trajectories, oldest first: the next queries are taken from them."""
    rewards: RolloutRewards
    """Their true rewards, for synthetic annotators and diagnostics alone."""
    metrics: Metrics
    reward: Reward
    """What was maximised; one that observes has learned."""


@runtime_checkable
class Checkpoints(Protocol):
    """Where a long optimisation writes down how far it has come."""

    def load(self) -> Value | None:
        """What was saved last, or None."""
        ...

    def save(self, value: Value) -> None:
        """Remember this; it replaces what was saved before."""
        ...


class NoCheckpoints:
    """An optimisation that is not interrupted, or starts again if it is."""

    def load(self) -> None:
        """Nothing."""

    def save(self, value: Value) -> None:
        """Forget it."""


class Optimiser(Plugin):
    """Improves a policy on a reward."""

    family: ClassVar[str] = "rlhf_core.optimisers"
    stochastic: ClassVar[bool]
    """Whether its policies give actions a probability."""

    @abstractmethod
    def check_spaces(self, spaces: Spaces) -> None:
        """Look at what it would have to see and do, before anything is run.

        Raises:
            ConfigurationError: it cannot learn there.
        """

    @abstractmethod
    def rollout_steps(self, environment: Environment) -> int:
        """Environment steps of one rollout, at the most; `optimise` takes whole rollouts.

        Raises:
            ValueError: the optimiser's own fields do not fit such a rollout.
        """

    @abstractmethod
    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """A fresh policy."""

    @abstractmethod
    def optimise(
        self,
        state: PolicyState,
        environment: Environment,
        reward: Reward,
        steps: int,
        total_steps: int,
        seed: int,
        report: Report = lambda steps: None,
        checkpoints: Checkpoints = NoCheckpoints(),  # noqa: B008 - it keeps nothing
        spread: Spread | None = None,
    ) -> Optimised:
        """Go on from a policy for a number of environment steps.

        The environments start afresh, so that the outcome depends on the arguments alone.

        Args:
            state: the policy so far.
            environment: what to act in.
            reward: what to maximise.
            steps: environment steps to take, a multiple of `rollout_steps`; fewer are taken
                where rollouts turn out shorter and another one might be too long.
            total_steps: the whole run's, for schedules that decay.
            seed: of the environments, the actions and the minibatches.
            report: progress.
            checkpoints: where a long call writes down how far it has come; called again with the
                same arguments after an interruption it goes on from there.
            spread: where work is done that can be done apart; None leaves it to the optimiser.
        """

    @abstractmethod
    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> PolicyState:
        """The policy after it was taught to act as the demonstrations do."""

    @abstractmethod
    def expert(self) -> "Optimiser":
        """How an expert for the same task is trained, with few steps on the true reward.

        Its policy acts by what it sees and remembers nothing.
        """

    @abstractmethod
    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """The policy as a function of a batch of observations."""
