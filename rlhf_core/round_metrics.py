"""Metrics of a round: put together from its stages, with running totals."""

from collections.abc import Mapping, Sequence

from rlhf_core.answers import Answers
from rlhf_core.questions import Request
from rlhf_core.types import Metrics, Truth

TOTALS = {
    "feedback/queries": "feedback/queries_total",
    "feedback/labels": "feedback/labels_total",
    "feedback/judgements": "feedback/judgements_total",
    "feedback/cost": "feedback/cost_total",
    "feedback/seconds": "feedback/seconds_total",
}
"""Metrics that are counted a round, and the running total of each."""
AGREEMENT = ("feedback/agreement_correct", "feedback/agreement_ordered")
"""Answers in the true order, and answers in all that order clips, of a round."""
ROUND_COUNTS = (*TOTALS, *AGREEMENT)
"""Metrics that make up running numbers and are of no interest by themselves."""
COUNTS = (*ROUND_COUNTS, "feedback/skipped")
"""Metrics that add up."""


def agreement(request: Request, answers: Answers, truth: Truth) -> Metrics:
    """How far the answers agree with the true returns of the clips; empty where nothing orders any.

    The share is the ceiling of what a reward fitted to these answers can reach.
    """
    returns = truth.segments.sum(axis=1)
    counts = [
        judgements.agreement(request.queries.get(form), returns)
        for form, judgements in answers.judgements.items()
    ]
    correct, ordered = (sum(count[side] for count in counts) for side in (0, 1))
    if not ordered:
        return {}
    return {
        "feedback/agreement": correct / ordered,
        AGREEMENT[0]: correct,
        AGREEMENT[1]: ordered,
    }


def merge_metrics(first: Metrics, second: Metrics) -> dict[str, float]:
    """Metrics of two parts of a round: counts and seconds add up, of the rest the later ones stand.

    Of a round that asked twice the accuracy on fresh clips is that of the first time: the second
    batch was asked because of it.
    """
    shared = first.keys() & second.keys()
    sums = {n: first[n] + second[n] for n in shared if n in COUNTS or n.startswith("time/")}
    fresh = ("reward/fresh_accuracy", "reward/fresh_pairs")
    unchanged = {name: first[name] for name in fresh if name in first}
    merged = {**first, **second, **sums, **unchanged}
    if merged.get(AGREEMENT[1]):
        merged["feedback/agreement"] = merged[AGREEMENT[0]] / merged[AGREEMENT[1]]
    return merged


def with_totals(metrics: Mapping[str, float], history: Sequence[Metrics]) -> Metrics:
    """A round's metrics with the running totals, and the share of all answers in the true order."""
    totals = {
        total: metrics[counted] + (history[-1][total] if history else 0.0)
        for counted, total in TOTALS.items()
    }
    rounds = [m for m in (*history, metrics) if AGREEMENT[1] in m]
    correct, ordered = (sum(m[name] for m in rounds) for name in AGREEMENT)
    if ordered:
        totals["reward/accuracy_ceiling"] = correct / ordered
    return {**metrics, **totals}
