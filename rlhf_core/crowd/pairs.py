"""One round of comparisons by a simulated crowd: gold questions first, then all others."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.crowd.assignment import (
    assign_evenly,
    consensus,
    dismissals,
    pick_distinct,
    pick_next,
)
from rlhf_core.crowd.settings import CrowdSettings
from rlhf_core.crowd.workers import CrowdState, compare, honest_probability, longest_seconds

PARTS = (0.1, 0.2, 0.4, 1.0)
"""Share of the pairs that has been asked about at the end of each part of an adaptive round."""


class PairJudgements(NamedTuple):
    """Judgements of pairs by workers in one round, in the order in which they were made."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    right: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]

    def duration(self, since: int = 0) -> float:
        """Seconds that the judgements from number `since` on took, with all workers in parallel."""
        return longest_seconds(self.worker[since:], self.seconds[since:])


def judge_pairs(
    crowd: CrowdState,
    advantage: Float[np.ndarray, " N"],
    gold: Int[np.ndarray, " G"],
    expert_seconds: float,
    settings: CrowdSettings,
    rng: np.random.Generator,
) -> tuple[CrowdState, PairJudgements, float]:
    """Let the workers judge every pair.

    Args:
        crowd: the workers.
        advantage: return of the right clip less that of the left one, in standard deviations.
        gold: pairs that the expert answers as well.
        expert_seconds: time that the expert takes.
        settings: how workers judge and are asked.
        rng: the source of randomness.

    Returns:
        The crowd afterwards, its judgements, and the seconds that the round took.
    """
    known = np.full(len(advantage), np.nan)
    known[gold] = 0.5 + 0.5 * np.sign(advantage[gold])
    nothing = np.empty(0, dtype=np.int64)
    judgements = PairJudgements(nothing, nothing, nothing, np.empty(0))
    place, worker = assign_evenly(
        len(gold), settings.redundancy, crowd.active, crowd.gold_answered, rng
    )
    crowd, judgements = _ask(crowd, judgements, gold[place], worker, advantage, settings, rng)
    gold_seconds = max(judgements.duration(), expert_seconds)
    others = np.flatnonzero(np.isnan(known))
    if settings.adaptive:
        crowd = _count_gold(crowd, judgements, known, settings)
        crowd, judgements, waited = _ask_until_clear(
            crowd, judgements, others, known, advantage, settings, rng
        )
        return crowd, judgements, gold_seconds + waited
    place, worker = pick_distinct(len(others), settings.redundancy, crowd.active, rng)
    before = len(judgements.query)
    crowd, judgements = _ask(crowd, judgements, others[place], worker, advantage, settings, rng)
    return crowd, judgements, gold_seconds + judgements.duration(before)


def _ask(
    crowd: CrowdState,
    judgements: PairJudgements,
    query: Int[np.ndarray, " R"],
    worker: Int[np.ndarray, " R"],
    advantage: Float[np.ndarray, " N"],
    settings: CrowdSettings,
    rng: np.random.Generator,
) -> tuple[CrowdState, PairJudgements]:
    """Let workers judge pairs in parallel, and append their judgements."""
    honest = honest_probability(crowd, worker, 1, settings.half_life)
    utility = settings.beta * advantage[query]
    right = compare(crowd.role[worker], honest, utility, settings.position_bias, rng)
    new = (query, worker, right, settings.draw_seconds(len(query), rng))
    joined = (np.concatenate(columns) for columns in zip(judgements, new, strict=True))
    return crowd.after(worker), PairJudgements(*joined)


def _count_gold(
    crowd: CrowdState,
    judgements: PairJudgements,
    known: Float[np.ndarray, " N"],
    settings: CrowdSettings,
) -> CrowdState:
    """Count gold answers and dismiss workers who fail; gold questions that tie do not count."""
    strict = known[judgements.query] != 0.5
    worker, passed = (
        judgements.worker[strict],
        (judgements.right == known[judgements.query])[strict],
    )
    count = len(crowd.role)
    answered = crowd.gold_answered + np.bincount(worker, minlength=count)
    right = crowd.gold_right + np.bincount(worker[passed], minlength=count)
    dismissed = dismissals(crowd.dismissed, right, answered, settings.threshold, settings.dismissal)
    return replace(crowd, gold_answered=answered, gold_right=right, dismissed=dismissed)


def _ask_until_clear(
    crowd: CrowdState,
    judgements: PairJudgements,
    others: Int[np.ndarray, " Q"],
    known: Float[np.ndarray, " N"],
    advantage: Float[np.ndarray, " N"],
    settings: CrowdSettings,
    rng: np.random.Generator,
) -> tuple[CrowdState, PairJudgements, float]:
    """Ask about each pair that is not clear yet, one judgement of each pair in a wave.

    The pairs are asked about in parts, so that most are assigned when more is known of the workers.
    """
    active = crowd.active
    asked = np.zeros((len(others), len(active)), dtype=bool)
    most = min(settings.redundancy, len(active))
    waited = 0.0
    start = (crowd.right, crowd.wrong)
    belief, (right, wrong) = consensus(
        judgements.query, judgements.worker, judgements.right, known, start
    )
    for part in PARTS:
        until = round(part * len(others))
        for _ in range(most):
            side = belief[others[:until]]
            unclear = np.maximum(side, 1 - side) < settings.confidence
            open_ = np.flatnonzero(unclear & (asked[:until].sum(axis=1) < most))
            if not len(open_):
                break
            chosen = pick_next(asked[open_], right[active], wrong[active], settings.threshold, rng)
            asked[open_, chosen] = True
            before = len(judgements.query)
            crowd, judgements = _ask(
                crowd, judgements, others[open_], active[chosen], advantage, settings, rng
            )
            waited += judgements.duration(before)
            belief, (right, wrong) = consensus(
                judgements.query, judgements.worker, judgements.right, known, start
            )
    return replace(crowd, right=right, wrong=wrong), judgements, waited
