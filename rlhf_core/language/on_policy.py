"""Policy gradients on groups of completions of one prompt."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rlhf_core.environments.factory import Environment
from rlhf_core.language.fine_tuning import minibatches
from rlhf_core.language.learner import Learner
from rlhf_core.language.likelihood import token_log_probs
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.language.tokens import Texts
from rlhf_core.policies import OptimisationContext, Optimised, PolicyState
from rlhf_core.rewards import ObservingReward, Reward


@dataclass(frozen=True)
class Batch:
    """B texts of one rollout, and what the gradient of their L = T - 1 later tokens needs."""

    texts: Texts
    log_probs: Float[Tensor, "B L"]
    """Of the chosen tokens, under the policy that wrote them; 0 elsewhere."""
    start_log_probs: Float[Tensor, "B L"]
    """The same under the start policy."""
    advantages: Float[Tensor, " B"]

    @property
    def chosen(self) -> Float[Tensor, "B L"]:
        """1 for the tokens that the policy chose, else 0."""
        return torch.from_numpy(self.texts.chosen).float()

    def take(self, rows: np.ndarray) -> "Batch":
        """Return the texts at these positions."""
        texts, index = self.texts.take(rows), torch.from_numpy(rows)
        width = texts.chosen.shape[1]
        return Batch(
            texts,
            self.log_probs[index, :width],
            self.start_log_probs[index, :width],
            self.advantages[index],
        )


@dataclass(frozen=True)
class GroupUpdate:
    """What distinguishes one policy gradient from another."""

    group_size: int
    """G, completions of one prompt."""
    epochs: int
    """Passes over a rollout."""
    batch_size: int
    """Texts a gradient step."""
    advantages: Callable[[Float[Tensor, "groups G"], Float[Tensor, "groups G"]], Tensor]
    """Of returns and of log pi(text) - log pi_start(text), the advantages (groups, G)."""
    loss: Callable[[Float[Tensor, "B L"], Batch], Tensor]
    """Of the log-probabilities of the tokens now, and the batch."""


def learn(
    optimiser: LanguageOptimiser,
    update: GroupUpdate,
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    seed: int,
    context: OptimisationContext,
) -> Optimised:
    """Write and learn while another rollout is sure to fit into `steps`, and at least once."""
    rng = np.random.default_rng(seed)
    learner = Learner(optimiser, state, environment, rng)
    largest = optimiser.rollout_steps(environment)
    means: list[float] = []
    vector = environment.make_vector()
    try:
        while not means or learner.steps + largest <= steps:
            before = learner.steps
            written = learner.write(vector, update.group_size)
            context.report(learner.steps - before)
            if isinstance(reward, ObservingReward):
                reward = reward.observe(written.observed_transitions(), None, rng)
            returns, mean = written.fitness(reward)
            means.append(mean)
            texts = learner.texts(written)
            _update(learner, update, texts, returns, rng)
    finally:
        vector.close()
    metrics = learner.metrics(texts, returns, means)
    rollouts, rewards = learner.rollouts()
    return Optimised(learner.state(), rollouts, rewards, metrics, reward)


def _update(
    learner: Learner,
    update: GroupUpdate,
    texts: Texts,
    returns: Float[np.ndarray, " B"],
    rng: np.random.Generator,
) -> None:
    """Take the gradient steps of one rollout."""
    whole = texts.take(np.arange(len(texts.tokens)))
    with torch.no_grad():
        ours, start = (
            token_log_probs(model, whole, learner.vocabulary)
            for model in (learner.model, learner.start)
        )
    groups = (-1, update.group_size)
    by_group = torch.from_numpy(returns.astype(np.float32)).reshape(groups)
    ratio = (ours - start).sum(dim=1).reshape(groups)
    batch = Batch(whole, ours, start, update.advantages(by_group, ratio).reshape(-1))
    for _ in range(update.epochs):
        for rows in minibatches(len(returns), update.batch_size, rng):
            part = batch.take(rows)
            learner.descend(
                update.loss(token_log_probs(learner.model, part.texts, learner.vocabulary), part)
            )
