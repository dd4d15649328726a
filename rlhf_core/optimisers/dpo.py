"""Direct preference optimisation of language models."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from rlhf_core.environments.factory import Environment
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.policies import DEFAULT_CONTEXT, OptimisationContext, Optimised, PolicyState
from rlhf_core.rewards import Reward


class DPO(LanguageOptimiser):
    """DPO (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290) for environments of texts.

        r(text) = beta (log pi(text) - log pi_start(text))
        L = -mean of log sigmoid(r(preferred) - r(other))     over labelled pairs of one prompt

    It learns from the labels themselves and maximises no reward; the reward that is fitted beside
    it tells how it does. It needs feedback by comparison, and clips that are whole completions of
    one prompt (`feedback.same_start`). In every round the start policy is trained on all labels so
    far. Needs the extra `language`.
    """

    learns_from_pairs: ClassVar[bool] = True
    kind: Literal["dpo"] = "dpo"
    learning_rate: PositiveFloat = 1e-4
    """Adam's step size."""
    kl_coefficient: PositiveFloat = 0.1
    """beta, reward of the policy's own for a nat of divergence; smaller ones let it go further."""
    epochs: PositiveInt = 4
    """Passes over the labels in a round. With many of them the policy gets better at the labels and
    worse at the task."""
    batch_size: PositiveInt = 16
    """Labels a gradient step."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of one text of each copy in which no text ends early."""
        return environment.count * environment.horizon()

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
        """Train on all labelled pairs, then write texts until `steps` are used up."""
        from rlhf_core.language.dpo import learn

        return learn(self, state, environment, reward, steps, seed, context)
