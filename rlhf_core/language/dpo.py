"""Direct preference optimisation: from labelled pairs to a policy, without a reward between them.

Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.language.fine_tuning import minibatches
from rlhf_core.language.learner import Learner
from rlhf_core.language.likelihood import token_log_probs
from rlhf_core.language.model import START, with_prefix
from rlhf_core.language.tokens import Texts, clip_texts
from rlhf_core.policies import OptimisationContext, Optimised, PolicyState
from rlhf_core.reward_learning.labelled import LabelledReward
from rlhf_core.rewards import Reward

if TYPE_CHECKING:
    from rlhf_core.optimisers.dpo import DPO


def dpo_loss(
    left: Float[Tensor, " B"],
    right: Float[Tensor, " B"],
    target: Float[Tensor, " B"],
    weight: Float[Tensor, " B"],
    kl_coefficient: float,
) -> Tensor:
    """Compute the loss of labelled pairs, which are Bradley-Terry in the policy's own reward.

        r(text) = beta (log pi(text) - log pi_start(text)),   d = r(right) - r(left)
        L = -mean over pairs of w (p log sigmoid(d) + (1 - p) log sigmoid(-d))

    Args:
        left: log pi - log pi_start of the left text.
        right: the same of the right one.
        target: p, probability that the right one is preferred.
        weight: w, how much the label counts.
        kl_coefficient: beta.
    """
    margin = kl_coefficient * (right - left)
    losses = target * logsigmoid(margin) + (1 - target) * logsigmoid(-margin)
    return -(weight * losses).mean()


class Pairs:
    """Labelled pairs of whole completions of one prompt."""

    def __init__(self, reward: LabelledReward, padding: int) -> None:
        """Choose the pairs that can be learned from.

        Raises:
            ConfigurationError: there are labels, and none is about two completions of one prompt.
        """
        labels, segments = reward.preferences, reward.segments
        self.texts, whole = clip_texts(segments, padding)
        prompts = segments.observations[:, 0]
        left, right = labels.pair.T
        alike = (prompts[left] == prompts[right]).all(axis=1)
        usable = np.flatnonzero(alike & whole[left] & whole[right] & (labels.weight > 0))
        if len(labels) and not len(usable):
            raise ConfigurationError(
                f"optimiser.kind: 'dpo' expected pairs of whole completions of one prompt, actual: "
                f"none of {len(labels)} labels; set feedback.same_start and let "
                "feedback.segment_steps be the longest episode"
            )
        self.pair = labels.pair[usable]
        self.target, self.weight = (
            torch.from_numpy(column[usable].astype(np.float32))
            for column in (labels.target, labels.weight)
        )

    def sides(self, rows: np.ndarray) -> Texts:
        """Return the left texts of some pairs, then the right ones."""
        return self.texts.take(self.pair[rows].T.ravel())


def learn(
    optimiser: "DPO",
    state: PolicyState,
    environment: Environment,
    reward: Reward,
    steps: int,
    seed: int,
    context: OptimisationContext,
) -> Optimised:
    """Train the start policy on all labelled pairs, then write texts for the next questions."""
    if not isinstance(reward, LabelledReward):
        raise ConfigurationError(
            "optimiser.kind: 'dpo' expected a reward with the labelled pairs that it was fitted "
            f"to, actual: {type(reward).__name__}; use feedback kind 'preference'"
        )
    rng = np.random.default_rng(seed)
    pairs = Pairs(reward, optimiser.vocabulary(environment.spaces()).size)
    if len(pairs.pair):
        # Every round is a fresh fit to all labels, so that `epochs` has one meaning.
        start = with_prefix(state.optimizer_state, START)
        fixed = {n: a for n, a in state.optimizer_state.items() if not n.startswith("adam/")}
        state = replace(state, parameters=start, optimizer_state=fixed)
    learner = Learner(optimiser, state, environment, rng)
    loss = _fit(learner, optimiser, pairs, rng) if len(pairs.pair) else None
    largest, means = optimiser.rollout_steps(environment), list[float]()
    vector = environment.make_vector()
    try:
        while not means or learner.steps + largest <= steps:
            before = learner.steps
            written = learner.write(vector, 1)
            context.report(learner.steps - before)
            returns, mean = written.fitness(reward)
            means.append(mean)
    finally:
        vector.close()
    rollouts, rewards = learner.rollouts()
    metrics = {
        **learner.metrics(learner.texts(written), returns, means),
        "policy/pairs": float(len(pairs.pair)),
        **({} if loss is None else {"policy/pair_loss": loss}),
    }
    return Optimised(learner.state(), rollouts, rewards, metrics, reward)


def _fit(learner: Learner, optimiser: "DPO", pairs: Pairs, rng: np.random.Generator) -> float:
    """Pass over the pairs; return the mean loss of the last pass."""
    losses: list[float] = []
    for _ in range(optimiser.epochs):
        losses = []
        for rows in minibatches(len(pairs.pair), optimiser.batch_size, rng):
            texts = pairs.sides(rows)
            ours = token_log_probs(learner.model, texts, learner.vocabulary)
            with torch.no_grad():
                start = token_log_probs(learner.start, texts, learner.vocabulary)
            left, right = (ours - start).sum(dim=1).reshape(2, -1)
            loss = dpo_loss(
                left, right, pairs.target[rows], pairs.weight[rows], optimiser.kl_coefficient
            )
            learner.descend(loss)
            losses.append(float(loss.detach()))
    return float(np.mean(losses))
