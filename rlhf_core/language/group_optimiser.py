"""The base of optimisers that compare several completions of one prompt."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.policies import DEFAULT_CONTEXT, OptimisationContext, Optimised, PolicyState
from rlhf_core.rewards import Reward

if TYPE_CHECKING:
    from rlhf_core.language.on_policy import GroupUpdate


class GroupOptimiser(LanguageOptimiser):
    """A policy gradient on groups of completions of one prompt.

    A rollout is one text of every copy of the environment.
    """

    group_size: int = Field(8, ge=2)
    """G, completions of one prompt, a divisor of the copies of the environment."""
    batch_size: PositiveInt = 32
    """Texts a gradient step, a divisor of the copies of the environment."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of one text of each copy in which no text ends early."""
        for field, size in (("group_size", self.group_size), ("batch_size", self.batch_size)):
            if environment.count % size:
                raise ValueError(
                    f"optimiser.{field}: expected a divisor of the {environment.count} copies of "
                    f"the environment, actual: {size}"
                )
        return environment.count * environment.horizon()

    @abstractmethod
    def update(self) -> "GroupUpdate":
        """Return advantages and loss."""

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
        """Write groups of completions and take gradient steps, until `steps` are used up."""
        from rlhf_core.language.on_policy import learn

        return learn(self, self.update(), state, environment, reward, steps, seed, context)
