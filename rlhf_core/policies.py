"""A policy as data, and what every optimiser of one is."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.executor import Executor
from rlhf_core.plugin import Plugin
from rlhf_core.rewards import Reward
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value

Report = Callable[[int], None]
"""Receives the number of environment steps that were just taken."""


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
    """Storage for the progress of a long optimisation."""

    def load(self) -> Value | None:
        """Return the last saved value, or None."""
        ...

    def save(self, value: Value) -> None:
        """Save a value in place of the last one."""
        ...


class NoCheckpoints:
    """Checkpoints that store nothing: an interrupted optimisation starts again."""

    def load(self) -> None:
        """Return None."""

    def save(self, value: Value) -> None:
        """Discard the value."""


def ignore_steps(steps: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class OptimisationContext:
    """What surrounds one call of `Optimiser.optimise`; it does not change the numbers."""

    report: Report = ignore_steps
    """Called with the environment steps of each rollout or generation."""
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    """Progress of a long call; the same call made again after an interruption resumes there."""
    executor: Executor | None = None
    """Runs independent jobs of the optimiser; None: the optimiser's own processes."""


DEFAULT_CONTEXT = OptimisationContext()
"""No reports, no checkpoints, and the optimiser's own processes."""


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
        context: OptimisationContext = DEFAULT_CONTEXT,
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
            context: reports, checkpoints and the executor.
        """

    @abstractmethod
    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> PolicyState:
        """The policy after it was taught to act as the demonstrations do."""

    @abstractmethod
    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """The policy as a function of a batch of observations."""
