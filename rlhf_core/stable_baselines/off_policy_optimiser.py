"""The base of Stable-Baselines3's off-policy algorithms: a replay buffer that is relabelled."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import UnsupportedSpaceError
from rlhf_core.policies import (
    DEFAULT_CONTEXT,
    Cloned,
    OptimisationContext,
    Optimised,
    Optimiser,
    PolicyState,
)
from rlhf_core.rewards import Reward
from rlhf_core.sizes import TRAINED, features, parameters, row_bytes

if TYPE_CHECKING:
    from rlhf_core.stable_baselines.off_policy_state import Algorithm


class OffPolicy(Optimiser):
    """A policy improved on the transitions of a replay buffer.

    The learner never receives the environment's reward. Whenever the reward has changed, the whole
    buffer is labelled with it anew, as in PEBBLE (Lee et al. 2021,
    https://arxiv.org/abs/2106.05091). The buffer is part of the policy's state.
    """

    learning_rate: PositiveFloat = 1e-3
    """Adam's step size at the start."""
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    """`linear` decays the step size with the steps that are left of the run."""
    train_every: PositiveInt = 1
    """Steps of each environment copy in one rollout, after which gradient steps are taken."""
    updates_per_step: PositiveFloat = 0.5
    """Gradient steps for each environment step."""
    batch_size: int = Field(256, ge=2)
    """Transitions a gradient step."""
    buffer_size: PositiveInt = 100_000
    """Transitions in the replay buffer; new ones replace the oldest."""
    warmup_steps: NonNegativeInt = 1000
    """Transitions of random actions that are stored before the first gradient step."""
    observe_steps: PositiveInt = 2048
    """Environment steps after which a reward that learns from rollouts is updated and the buffer
    labelled anew."""
    discount: float = Field(0.99, ge=0, le=1)
    """Weight of a reward relative to the one a step earlier."""
    hidden: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers, for the policy and for the value functions."""

    @abstractmethod
    def _algorithm(self) -> "Algorithm":
        """Return Stable-Baselines3's class, and the settings that other algorithms lack."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of all copies together.

        Raises:
            ValueError: the replay buffer has no room for them.
        """
        rollout = self.train_every * environment.count
        if rollout > self.buffer_size:
            raise ValueError(
                f"optimiser.buffer_size: expected room for a rollout ({self.train_every} steps "
                f"of {environment.count} copies = {rollout}), actual: {self.buffer_size}"
            )
        return rollout

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return the bytes of a network in training, of the buffer, a batch and a rollout."""
        spaces = environment.spaces()
        row, inputs = row_bytes(spaces), features(spaces.observation)
        widths = [inputs, *self.hidden, features(spaces.action)]
        return {
            "hidden": parameters(widths) * (TRAINED + 4),
            "buffer_size": self.buffer_size * row,
            "batch_size": self.batch_size * 8 * inputs,
            "train_every": self.train_every * environment.count * row,
        }

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Return weights as Stable-Baselines3 draws them, and an empty buffer."""
        from rlhf_core.seeding import isolated
        from rlhf_core.stable_baselines import off_policy_state as sb3

        with isolated(seed):
            policy = sb3.make_policy(self._algorithm(), spaces, self.hidden)
        return PolicyState(sb3.arrays(policy), {})

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
        """Take rollouts, with gradient steps after each, until `steps` are taken."""
        from rlhf_core.seeding import isolated
        from rlhf_core.stable_baselines import off_policy as sb3

        rollout = self.rollout_steps(environment)
        arguments = {
            "buffer_size": self.buffer_size,
            "learning_starts": self.warmup_steps,
            "batch_size": self.batch_size,
            "train_freq": self.train_every,
            "gradient_steps": max(1, round(self.updates_per_step * rollout)),
            "gamma": self.discount,
        }
        with isolated(seed):
            return sb3.learn(
                self._algorithm(), arguments, self.hidden, self._learning_rate, self.observe_steps,
                state, environment, reward, steps, total_steps, np.random.default_rng(seed),
                context.report,
            )  # fmt: skip

    def _learning_rate(self, done: float) -> float:
        """Return the step size when this fraction of the run's steps is done."""
        linear = self.learning_rate_schedule == "linear"
        return self.learning_rate * (max(1 - done, 0.0) if linear else 1.0)

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> Cloned:
        """Train the greedy actions, and not the critics, on the demonstrations."""
        from rlhf_core.stable_baselines import off_policy_acting as sb3

        return sb3.clone(self._algorithm(), self.hidden, state, spaces, cloning, seed)

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """Return the policy, with the exploration of its training unless it is deterministic."""
        from rlhf_core.stable_baselines import off_policy_acting as sb3

        return sb3.act(self._algorithm(), self.hidden, state, spaces, deterministic, seed)


def expect_actions(kind: str, expected: str, spaces: Spaces) -> None:
    """Raise `UnsupportedSpaceError` unless actions are of this type of space."""
    actual = type(spaces.action).__name__
    if actual != expected:
        raise UnsupportedSpaceError(
            f"optimiser.kind: '{kind}' expected actions of {expected}, actual: {actual}; "
            "ppo, a2c and the evolution strategies learn on every action space"
        )
