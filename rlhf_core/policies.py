"""A policy as arrays, and the base of all optimisers."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.executor import Executor
from rlhf_core.plugin import Plugin
from rlhf_core.rewards import Reward
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value

Report = Callable[[int], None]
"""Receives the number of environment steps that were just taken."""


@dataclass(frozen=True, eq=False)
class PolicyState(Value):
    """A policy as arrays, with the state of its optimiser."""

    parameters: Mapping[str, np.ndarray]
    """Weights of the policy (and of its value function)."""
    optimizer_state: Mapping[str, np.ndarray]
    """Everything else that the next call of `optimise` reads, such as Adam's moments."""
    steps: int = 0
    """Environment steps that this policy was optimised for."""


@dataclass(frozen=True, eq=False)
class Optimised:
    """Result of one call of `Optimiser.optimise`."""

    state: PolicyState
    rollouts: Rollouts
    """Trajectories of the policy, oldest first; the next queries are taken from them."""
    rewards: RolloutRewards
    """Their true rewards, for synthetic annotators and diagnostics alone."""
    metrics: Metrics
    reward: Reward
    """The reward after the call; it differs from the one before if it learns from rollouts."""


class Cloned(NamedTuple):
    """Result of one call of `Optimiser.clone`."""

    state: PolicyState
    metrics: Metrics
    """`cloning/updates` and `cloning/heldout_loss`."""


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


def check_parameters(policy: PolicyState, untrained: PolicyState, source: str) -> None:
    """Check that a policy has the parameters of another one.

    Args:
        policy: a policy that an optimiser is to train further.
        untrained: the first policy of that optimiser in its environment.
        source: where the policy comes from, for the message, such as `saved`.

    Raises:
        ConfigurationError: names or shapes differ; the message names the first that does.
    """
    theirs, ours = (
        {name: list(np.shape(value)) for name, value in state.parameters.items()}
        for state in (policy, untrained)
    )
    differing = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differing:
        name = differing[0]
        raise ConfigurationError(
            f"optimiser: expected one whose policy has the {source} parameters, '{name}' of shape "
            f"{theirs.get(name)}, actual: {ours.get(name)}"
        )


class Optimiser(Plugin):
    """Base of all optimisers: an algorithm that improves a policy on a reward."""

    family: ClassVar[str] = "rlhf_core.optimisers"
    stochastic: ClassVar[bool]
    """Whether its policies give actions a probability."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that its policies need in order to act, beyond those of every policy."""
    learns_from_pairs: ClassVar[bool] = False
    """Whether it learns from labelled pairs; it is then given a `LabelledReward`."""

    @abstractmethod
    def check_spaces(self, spaces: Spaces) -> None:
        """Check that the optimiser can learn in these spaces.

        Raises:
            ConfigurationError: it cannot.
        """

    @abstractmethod
    def rollout_steps(self, environment: Environment) -> int:
        """Return the largest number of environment steps of one rollout.

        `optimise` takes whole rollouts.

        Raises:
            ValueError: the optimiser's own fields do not fit such a rollout.
        """

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return the bytes that a run needs at the least, by the field that decides."""
        return {}

    @abstractmethod
    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Return an untrained policy."""

    def first_policy(self, environment: Environment, seed: int) -> PolicyState:
        """Return the policy that a run begins with: an untrained one."""
        return self.initial(environment.spaces(), seed)

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
        """Improve a policy for a number of environment steps.

        The environments are reset first, so the result depends on the arguments alone.

        Args:
            state: the policy before.
            environment: the environment that the policy acts in.
            reward: the reward to maximise.
            steps: environment steps to take, a multiple of `rollout_steps`. Fewer are taken if
                rollouts end early and another whole one might exceed the number.
            total_steps: environment steps of the whole run, for schedules that decay.
            seed: seed of the environments, the actions and the minibatches.
            context: reports, checkpoints and the executor.
        """

    @abstractmethod
    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> Cloned:
        """Return the policy after behaviour cloning.

        Args:
            state: the policy before.
            spaces: of the environment.
            cloning: demonstrations, and when to stop.
            seed: of the order of the minibatches.
        """

    @abstractmethod
    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """Return the policy as a function of a batch of observations."""
