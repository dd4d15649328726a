"""What all on-policy algorithms of Stable-Baselines3 share: rollouts, each learned from once."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.policies import (
    DEFAULT_CONTEXT,
    OptimisationContext,
    Optimised,
    Optimiser,
    PolicyState,
)
from rlhf_core.rewards import Reward

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from rlhf_core.stable_baselines.on_policy import Network


class ActorCritic(Optimiser):
    """A policy and its value function, improved on rollouts of the policy.

    The environment's reward never reaches the learner: when a rollout is complete it is labelled
    with the reward in one batch, time limits are bootstrapped with the value of the final
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
    """Bring observations to mean 0 and deviation 1 by all rollouts that were learned from so far,
    the first one as it is; for states whose numbers differ much in size, as those of robots do.
    Categories stay as they are."""
    normalise_returns: bool = False
    """Divide rewards by the deviation of discounted returns over the rollouts of the round so far:
    rewards that were rare when the reward was scaled and became common make returns so large that
    the gradients of the value function drown the policy's."""
    stagger: bool = False
    """Cut the first episodes of a round at times evenly spread over the copies, so that every
    rollout sees all parts of an episode; for episodes of one length and rollouts shorter than
    that, which else see one part after the other."""
    initial_deviation: float = Field(1.0, ge=1e-3, le=1e2)
    """Standard deviation of continuous actions before anything is learned. Where actions are cut
    off at 1, less than 1 explores all of them and not their bounds alone. Discrete actions have
    none."""

    @abstractmethod
    def _algorithm(self) -> "tuple[type[OnPolicyAlgorithm], dict[str, Any]]":
        """Stable-Baselines3's class, and its arguments beside those that all share."""

    @abstractmethod
    def _memory(self) -> int | None:
        """Numbers that the policy remembers of an episode, if it does."""

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Weights as Stable-Baselines3 draws them."""
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
        """Whole rollouts until `steps` are taken, then the policy and what it did."""
        from rlhf_core.seeding import isolated
        from rlhf_core.stable_baselines import on_policy as sb3

        def learning_rate(remaining: float) -> float:
            """Step size for a rollout after which this fraction of the call's steps remains."""
            # Counted from the rollout's beginning, or the last one would teach nothing.
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

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> PolicyState:
        """Maximum likelihood of the demonstrated actions; the value function stays as it is."""
        from rlhf_core.stable_baselines import on_policy as sb3

        return sb3.clone(state, spaces, self._network(), cloning, seed)

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """The policy network; random actions are drawn from a generator of their own."""
        from rlhf_core.stable_baselines import on_policy as sb3

        return sb3.act(state, spaces, self._network(), deterministic, seed)

    def _network(self) -> "Network":
        from rlhf_core.stable_baselines.on_policy import Network

        return Network(
            self.hidden, self.normalise_observations, self.initial_deviation, self._memory()
        )


def whole_batches(optimiser: ActorCritic, batch_size: int, environment: Environment) -> int:
    """Steps of a rollout; raises `ValueError` unless they are a multiple of the batch size."""
    rollout = optimiser.steps * environment.count
    if rollout % batch_size:
        raise ValueError(
            f"optimiser.batch_size: expected a divisor of the rollout ({optimiser.steps} steps of "
            f"{environment.count} copies = {rollout}), actual: {batch_size}"
        )
    return rollout
