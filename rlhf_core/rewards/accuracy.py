"""How well a reward predicts labels: accuracy and calibration of the orders that they state."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rlhf_core.rewards.network import RewardEnsemble
from rlhf_core.rewards.terms import Term
from rlhf_core.types import Metrics, Segments

CALIBRATION_BINS = 10


def credited_sums(
    rewards: Float[Tensor, "M n K L"], credit: Float[Tensor, "n L"] | None
) -> Float[Tensor, "M n K"]:
    """Scores of segments: their rewards summed up, each step counted by its credit."""
    return rewards.sum(dim=3) if credit is None else (rewards * credit[:, None]).sum(dim=3)


def ordered_correctly(
    ensemble: RewardEnsemble, segments: Segments, terms: Sequence[Term]
) -> tuple[float, float]:
    """How many answered questions the ensemble's mean orders as the labels do, of how many.

    A question that puts several clips in order counts once, by the share of its orders; two
    ratings count as one, since one alone orders nothing. So they can be taken for trials.
    """
    correct, trials = 0.0, 0.0
    rewards = torch.from_numpy(ensemble.segment_rewards(segments))
    scale = torch.tensor(np.array(ensemble.state.member_scale))[:, None, None]
    mean = (rewards / scale).mean(dim=0, keepdim=True)
    for term in terms:
        margins, stated = term.margins(credited_sums(mean[:, term.items], term.credit))
        counted = torch.minimum(term.weight[stated[:, 0]], term.weight[stated[:, 1]]).double()
        of = term.question[stated[:, 0]]
        total = torch.zeros(term.questions).double().index_add(0, of, counted)
        same = torch.zeros(term.questions).double().index_add(0, of, counted * (margins[0] > 0))
        some = total > 0
        correct += term.trials * float((same[some] / total[some]).sum())
        trials += term.trials * float(some.sum())
    return correct, trials


def heldout_orders(
    terms: Sequence[Term], scores: Sequence[Tensor], heldout: Sequence[Tensor]
) -> Metrics:
    """Accuracy and calibration on labels that a member was not trained on; empty without any.

    Ratings and clicks order few of their pairs surely, so the number of held-out answers, and of
    those that agree with the reward, is that of the other forms.

    Args:
        terms: the labels.
        scores: (M, N, K) of each term.
        heldout: weights (M, N) of each term, 0 where a member was trained on the label.
    """
    correct, confidence, weights = [], [], []
    answers, agreeing = 0.0, 0.0
    for term, score, unseen_weight in zip(terms, scores, heldout, strict=True):
        margins, stated = term.margins(score)
        # Two ratings make a held-out order only where both were held out.
        weight = torch.minimum(unseen_weight[:, stated[:, 0]], unseen_weight[:, stated[:, 1]])
        # Each form counts by its observations, however many pairs it puts in order.
        share = unseen_weight.sum() / weight.sum().clamp(min=1e-9)
        correct.append((margins > 0).float().ravel())
        confidence.append(torch.sigmoid(margins.abs()).ravel())
        weights.append((weight * share).ravel())
        if term.calibrated and float(weight.sum()) > 0:
            count = term.trials * float((unseen_weight.sum(dim=0) > 0).sum())
            answers += count
            exact = weight.double()
            agreeing += count * float((exact * (margins > 0)).sum() / exact.sum())
    right, weight = torch.cat(correct), torch.cat(weights)
    if not float(weight.sum()) > 0:
        return {}
    metrics = {
        "reward/heldout_accuracy": float((right * weight).sum() / weight.sum()),
        "reward/heldout_answers": answers,
        "reward/heldout_agreeing": agreeing,
    }
    sure = [index for index, term in enumerate(terms) if term.calibrated]
    counted = sum(float(weights[index].sum()) for index in sure)
    if counted > 0:
        parts = ([part[index] for index in sure] for part in (correct, confidence, weights))
        metrics["reward/calibration_error"] = calibration_error(*map(torch.cat, parts))
    return metrics


def calibration_error(
    correct: Float[Tensor, " P"], confidence: Float[Tensor, " P"], weight: Float[Tensor, " P"]
) -> float:
    """Expected calibration error: |accuracy - confidence| over bins of confidence, weighted.

    Naeini et al. 2015; the confidence of the likelier order lies in [1/2, 1].
    """
    bins = ((confidence - 0.5) * 2 * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    gap = torch.zeros(CALIBRATION_BINS).index_add(0, bins, weight * (correct - confidence))
    return float(gap.abs().sum() / weight.sum())
