"""The base of Stable-Baselines3's on-policy algorithms: each rollout is used for one update."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
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
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from rlhf_core.stable_baselines.on_policy import Network

ROW = 20
"""Bytes of a step in Stable-Baselines3's buffer, besides its observation and action."""


class ActorCritic(Optimiser):
    """A policy and its value function, improved on rollouts of the policy.

    The learner never receives the environment's reward. A complete rollout is labelled with the
    given reward in one batch, truncated episodes are bootstrapped with the value of the final
    observation, and advantages are computed anew.
    """

    stochastic: ClassVar[bool] = True
    learning_rate: PositiveFloat = 2e-3
    """Step size at the start."""
    learning_rate_schedule: Literal["constant", "linear"] = "linear"
    """`linear` decays the step size with the steps that are left of the run."""
    steps: PositiveInt = 128
    """Steps of each environment copy in one rollout."""
    discount: float = Field(0.99, ge=0, le=1)
    """Weight of a reward relative to the one a step earlier."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Bias against variance in the generalised advantage estimate."""
    hidden: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers, for the policy and for the value function."""
    normalise_observations: bool = False
    """Bring observations to mean 0 and standard deviation 1 by the moments of all earlier rollouts;
    for states whose numbers differ much in size, as those of robots do. The first rollout and
    categories are not normalised."""
    normalise_returns: bool = True
    """Divide rewards by the standard deviation of discounted returns over the rollouts of the round
    so far. Otherwise, where episodes are long or rewards that were rare when the reward was scaled
    become common, the gradient of the value loss dominates the policy's."""
    stagger: bool = False
    """Cut the first episodes of a round at times evenly spaced over the copies, so that every
    rollout contains all parts of an episode. For episodes of one length and rollouts shorter than
    that: otherwise each rollout contains only one part of them."""
    initial_deviation: float = Field(1.0, ge=1e-3, le=1e2)
    """Standard deviation of continuous actions in the untrained policy. Actions that are clipped to
    [-1, 1] are explored evenly, and not at their bounds alone, with less than 1. Discrete actions
    have none."""

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return the bytes of actor and critic in training, and of one rollout and its buffer."""
        spaces = environment.spaces()
        inputs, outputs = features(spaces.observation), features(spaces.action)
        lstm = self._lstm_size() or 0
        needed = {"lstm_size": 2 * 4 * lstm * (inputs + lstm) * TRAINED} if lstm else {}
        first = lstm or inputs
        actor, critic = (parameters([first, *self.hidden, last]) for last in (outputs, 1))
        row = row_bytes(spaces) + 4 * inputs + ROW
        return {
            **needed,
            "hidden": (actor + critic) * TRAINED,
            "steps": self.steps * environment.count * row,
        }

    @abstractmethod
    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        """Return Stable-Baselines3's class, and the arguments that other algorithms lack."""

    @abstractmethod
    def _lstm_size(self) -> int | None:
        """Return the width of the policy's LSTM, or None if it has none."""

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Return weights as Stable-Baselines3 draws them."""
        from rlhf_core.seeding import isolated
        from rlhf_core.stable_baselines import on_policy as sb3

        with isolated(seed):
            policy = sb3.make_policy(spaces, self._network(), self.learning_rate)
        return PolicyState(*sb3.weights(policy))

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
        """Take whole rollouts until `steps` are taken, with one update after each."""
        from rlhf_core.seeding import isolated
        from rlhf_core.stable_baselines import on_policy as sb3

        def learning_rate(remaining: float) -> float:
            """Return the step size for a rollout after which this fraction of the steps remains."""
            # Counted from the start of the rollout: at its end, the last step size would be 0.
            begun = steps * (1 - remaining) - self.rollout_steps(environment)
            done = (state.steps + max(begun, 0.0)) / max(total_steps, 1)
            linear = self.learning_rate_schedule == "linear"
            return self.learning_rate * (max(1 - done, 0.0) if linear else 1.0)

        algorithm, own = self._algorithm()
        arguments: dict[str, Any] = {
            "learning_rate": learning_rate,
            "n_steps": self.steps,
            "gamma": self.discount,
            "gae_lambda": self.gae_lambda,
            **own,
        }
        with isolated(seed):
            return sb3.learn(
                algorithm, arguments, self._network(), state, environment, reward, steps,
                np.random.default_rng(seed), self.normalise_returns, self.stagger,
                context.report,
            )  # fmt: skip

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> Cloned:
        """Train the actor, and not the value function, on the demonstrations."""
        from rlhf_core.stable_baselines import on_policy as sb3

        return sb3.clone(state, spaces, self._network(), cloning, seed)

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """Return the policy; random actions are drawn from a generator of their own."""
        from rlhf_core.stable_baselines import on_policy as sb3

        return sb3.act(state, spaces, self._network(), deterministic, seed)

    def _network(self) -> "Network":
        from rlhf_core.stable_baselines.on_policy import Network

        return Network(
            self.hidden, self.normalise_observations, self.initial_deviation, self._lstm_size()
        )


def whole_batches(optimiser: ActorCritic, batch_size: int, environment: Environment) -> int:
    """Return the steps of a rollout.

    Raises:
        ValueError: they are not a multiple of the batch size.
    """
    rollout = optimiser.steps * environment.count
    if rollout % batch_size:
        raise ValueError(
            f"optimiser.batch_size: expected a divisor of the rollout ({optimiser.steps} steps of "
            f"{environment.count} copies = {rollout}), actual: {batch_size}"
        )
    return rollout
