"""One round of comparisons by a crowd: tried on gold, then asked at once or in waves."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.crowd.assignment import (
    consensus,
    dismissals,
    pick_distinct,
    pick_next,
    spread_evenly,
)
from rlhf_core.crowd.workers import Crew, compare, honesty, longest

PARTS = (0.1, 0.2, 0.4, 1.0)
"""Shares of the pairs that are asked about by the end of each part of an adaptive round."""


class Rules(NamedTuple):
    """How people of this crowd work, and how they are asked; the fields of `Crowd`."""

    beta: float
    position_bias: float
    half_life: float | None
    times: Callable[[int, np.random.Generator], np.ndarray]
    """Draws the seconds of so many judgements."""
    most: int
    """Judgements a pair; with `adaptive` the most."""
    adaptive: bool
    confidence: float
    threshold: float
    dismissal: float


class Log(NamedTuple):
    """Judgements of pairs by workers in one round, in the order in which they were asked for."""

    query: Int[np.ndarray, " R"]
    worker: Int[np.ndarray, " R"]
    right: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]

    def lasted(self, since: int = 0) -> float:
        """Seconds that the judgements from one on took, workers side by side."""
        return longest(self.worker[since:], self.seconds[since:])


def judge_pairs(
    crew: Crew,
    advantage: Float[np.ndarray, " N"],
    gold: Int[np.ndarray, " G"],
    expert_seconds: float,
    rules: Rules,
    rng: np.random.Generator,
) -> tuple[Crew, Log, float]:
    """Have every pair judged.

    Args:
        crew: the workers.
        advantage: return of the right clip less that of the left one, in spreads of returns.
        gold: pairs that the expert answers, while the workers answer them too.
        expert_seconds: how long the expert takes.
        rules: how they are asked.
        rng: the source of randomness.

    Returns:
        The crew afterwards, its judgements, and the seconds that the round took.
    """
    known = np.full(len(advantage), np.nan)
    known[gold] = 0.5 + 0.5 * np.sign(advantage[gold])
    nothing = np.empty(0, dtype=np.int64)
    log = Log(nothing, nothing, nothing, np.empty(0))
    place, worker = spread_evenly(len(gold), rules.most, crew.active, crew.gold_seen, rng)
    crew, log = _ask(crew, log, gold[place], worker, advantage, rules, rng)
    tried = max(log.lasted(), expert_seconds)
    others = np.flatnonzero(np.isnan(known))
    if rules.adaptive:
        crew = _try(crew, log, known, rules)
        crew, log, waited = _until_clear(crew, log, others, known, advantage, rules, rng)
        return crew, log, tried + waited
    place, worker = pick_distinct(len(others), rules.most, crew.active, rng)
    before = len(log.query)
    crew, log = _ask(crew, log, others[place], worker, advantage, rules, rng)
    return crew, log, tried + log.lasted(before)


def _ask(
    crew: Crew,
    log: Log,
    query: Int[np.ndarray, " R"],
    worker: Int[np.ndarray, " R"],
    advantage: Float[np.ndarray, " N"],
    rules: Rules,
    rng: np.random.Generator,
) -> tuple[Crew, Log]:
    """Let workers judge pairs side by side."""
    honest = honesty(crew, worker, 1, rules.half_life)
    seen = rules.beta * advantage[query]
    right = compare(crew.role[worker], honest, seen, rules.position_bias, rng)
    new = (query, worker, right, rules.times(len(query), rng))
    both = (np.concatenate(pair) for pair in zip(log, new, strict=True))
    return crew.worked(worker), Log(*both)


def _try(crew: Crew, log: Log, known: Float[np.ndarray, " N"], rules: Rules) -> Crew:
    """Count gold answers, and dismiss who fails; a gold question that ties tries nobody."""
    strict = known[log.query] != 0.5
    worker, passed = log.worker[strict], (log.right == known[log.query])[strict]
    people = len(crew.role)
    seen = crew.gold_seen + np.bincount(worker, minlength=people)
    right = crew.gold_right + np.bincount(worker[passed], minlength=people)
    gone = dismissals(crew.dismissed, right, seen, rules.threshold, rules.dismissal)
    return replace(crew, gold_seen=seen, gold_right=right, dismissed=gone)


def _until_clear(
    crew: Crew,
    log: Log,
    others: Int[np.ndarray, " Q"],
    known: Float[np.ndarray, " N"],
    advantage: Float[np.ndarray, " N"],
    rules: Rules,
    rng: np.random.Generator,
) -> tuple[Crew, Log, float]:
    """One judgement a wave for each pair that is not clear yet.

    A part of the pairs goes first, so that most are asked when the workers are known.
    """
    active = crew.active
    asked = np.zeros((len(others), len(active)), dtype=bool)
    most = min(rules.most, len(active))
    waited = 0.0
    start = (crew.right, crew.wrong)
    belief, (right, wrong) = consensus(log.query, log.worker, log.right, known, start)
    for part in PARTS:
        until = round(part * len(others))
        for _ in range(most):
            side = belief[others[:until]]
            unclear = np.maximum(side, 1 - side) < rules.confidence
            open_ = np.flatnonzero(unclear & (asked[:until].sum(axis=1) < most))
            if not len(open_):
                break
            who = pick_next(asked[open_], right[active], wrong[active], rules.threshold, rng)
            asked[open_, who] = True
            before = len(log.query)
            crew, log = _ask(crew, log, others[open_], active[who], advantage, rules, rng)
            waited += log.lasted(before)
            belief, (right, wrong) = consensus(log.query, log.worker, log.right, known, start)
    return replace(crew, right=right, wrong=wrong), log, waited
