"""From raw judgements to what a fit is given: evidence gathered, workers weighed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rlhf_core.aggregation import Aggregated, Aggregator
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.crowd.agreement import krippendorff_alpha
from rlhf_core.feedback_forms import FeedbackForm, form_of
from rlhf_core.judgements import EXPERT, Choice, concatenate
from rlhf_core.labels import Evidence, LabelSet, Preferences, Workers
from rlhf_core.questions import Queries, Request, no_queries
from rlhf_core.types import Metrics


def gathered(evidence: Evidence | None, request: Request, answers: Answers) -> Evidence:
    """All evidence, with this round's behind it; the positions of the new part move on."""
    # The request in the store has what its clips can be shown from.
    segments = replace(request.segments, replays=None)
    if answers.segments is not None:
        segments = concatenate(segments, replace(answers.segments, replays=None))
    if evidence is None:
        return Evidence(segments, request.queries, answers.judgements)
    clips = len(evidence.segments)
    queries = dict(evidence.queries)
    for form, new in sorted(request.queries.items()):
        known = queries.get(form)
        moved_on = replace(new, items=new.items + clips)
        queries[form] = moved_on if known is None else known.joined(new, clips)
    judgements = dict(evidence.judgements)
    for form, answered in sorted(answers.judgements.items()):
        asked = evidence.queries.get(form)
        moved = answered.moved(clips, 0 if asked is None else len(asked))
        before = judgements.get(form)
        judgements[form] = moved if before is None else before.joined(moved)
    return Evidence(concatenate(evidence.segments, segments), queries, judgements)


def labelled(
    evidence: Evidence,
    forms: Sequence[FeedbackForm],
    aggregator: Aggregator,
    earlier: Mapping[str, LabelSet] | None = None,
) -> tuple[dict[str, LabelSet], Workers]:
    """Labels made of all judgements, by form, and what is estimated of the workers.

    The pairs that rankings put in order are judgements too: together with the comparisons they tell
    what a worker is worth, and a ranking counts by how far its worker is above chance.

    Args:
        evidence: all judgements.
        forms: the strategy's own forms with their settings; annotators may answer in others.
        aggregator: makes one label of several judgements of a pair.
        earlier: labels of earlier judgements.
    """
    queries, comparisons = evidence.comparisons or (no_queries(), no_comparisons())
    known = (earlier or {}).get("comparison")
    assert known is None or isinstance(known, Preferences)
    aggregated = aggregator.aggregate(queries, comparisons, known)
    workers = _worth_of_workers(aggregator, evidence, queries, comparisons)
    labels: dict[str, LabelSet] = {}
    for kind, judgements in sorted(evidence.judgements.items()):
        made = form_of(kind, forms).label(judgements, aggregated.preferences, workers)
        if made is not None and len(made):
            labels[kind] = made
    return labels, aggregated.workers if workers is None else workers


def _worth_of_workers(
    aggregator: Aggregator, evidence: Evidence, queries: Queries, comparisons: Comparisons
) -> Workers | None:
    """What comparisons and stated orders together tell of the workers; None where there are no
    such orders, or fewer than two people.
    """
    stated = [
        orders
        for _, judgements in sorted(evidence.judgements.items())
        if (orders := judgements.orders()) is not None
    ]
    if not stated:
        return None
    worker, better, worse = (
        np.concatenate([getattr(orders, name) for orders in stated])
        for name in ("worker", "better", "worse")
    )
    people = np.unique(np.concatenate([comparisons.worker, worker]))
    if (people != EXPERT).sum() < 2:
        return None
    pairs = np.stack([np.minimum(better, worse), np.maximum(better, worse)], axis=1)
    pairs, query = np.unique(pairs, axis=0, return_inverse=True)
    choice = np.where(better > worse, Choice.RIGHT, Choice.LEFT)
    nothing = np.zeros(len(worker))
    opinions = Comparisons(query.ravel() + len(queries), worker, choice, nothing, nothing)
    aggregated: Aggregated = aggregator.aggregate(
        queries.joined(Queries(pairs)), concatenate(comparisons, opinions)
    )
    return aggregated.workers


def no_comparisons() -> Comparisons:
    """No judgement of a pair."""
    nothing, none = np.empty(0, dtype=np.int64), np.empty(0)
    return Comparisons(nothing, nothing, nothing, none, none)


def worker_metrics(evidence: Evidence, workers: Workers) -> Metrics:
    """What a round tells of the people who answered; nothing where there was one alone."""
    if len(workers) < 2:
        return {}
    alpha = np.nan
    if evidence.comparisons is not None:
        comparisons = evidence.comparisons[1]
        alpha = krippendorff_alpha(comparisons.query, comparisons.worker, comparisons.choice)
    metrics = {"feedback/worker_competence": float(workers.competence.mean())}
    if np.isfinite(alpha):
        metrics["feedback/krippendorff_alpha"] = alpha
    metrics["feedback/answers_per_worker"] = float(workers.judgements.mean())
    if np.isfinite(workers.sign_log_odds):
        metrics["feedback/sign_log_odds"] = workers.sign_log_odds
    return metrics


def total_asked(before: Mapping[str, int], request: Request) -> dict[str, int]:
    """Labels asked for by form, with those of a request."""
    total = Counter(before)
    for form, queries in request.queries.items():
        total[form] += queries.labels
    return dict(sorted(total.items()))
