"""Agreement between annotators who answered the same questions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Int

from rlhf_core.labelling.forms import opinions
from rlhf_core.labelling.store import AnswerRow
from rlhf_core.plugin import Config

Votes = Mapping[int, str]
"""Of one thing: by the annotator's number, the category."""


class Agreement(Config):
    """Agreement of all annotators of a campaign."""

    pairs: int
    """Pairs of opinions of two annotators on the same thing."""
    share: float | None
    """Share of the pairs that agree; None without a pair."""
    kappa: float | None
    """Agreement beyond chance: Cohen's where two annotators have opinions on the same things,
    Fleiss' where there are more; None where it is not defined."""
    fleiss: float | None
    """Fleiss' kappa; None where it is not defined."""


def votes(rows: Sequence[AnswerRow]) -> dict[tuple[int, str], dict[int, str]]:
    """Opinions on each thing: a comparison's pair, or each pair whose order a ranking states.

    Skips, values and episodes hold no opinion. Training, gold, and annotators who were set inactive
    are left out.
    """
    found: dict[tuple[int, str], dict[int, str]] = {}
    for row in rows:
        if row.stage == "work" and row.active:
            for about, category in opinions(row.form, row.answer):
                found.setdefault((row.question_id, about), {})[row.annotator] = category
    return found


def agreement(things: Sequence[Votes]) -> Agreement:
    """Agreement on things of which each has the opinions of some annotators."""
    shared = [thing for thing in things if len(thing) > 1]
    pairs = agreeing = 0
    for thing in shared:
        count = len(thing)
        pairs += count * (count - 1) // 2
        agreeing += sum(n * (n - 1) // 2 for n in Counter(thing.values()).values())
    categories = sorted({category for thing in shared for category in thing.values()})
    place = {category: number for number, category in enumerate(categories)}
    table = np.zeros((len(shared), len(categories)), dtype=np.int64)
    for row, thing in enumerate(shared):
        for category in thing.values():
            table[row, place[category]] += 1
    fleiss = kappa = fleiss_kappa(table)
    people = sorted({annotator for thing in shared for annotator in thing})
    if len(people) == 2:
        first, second = (
            np.array([place[thing[one]] for thing in shared], dtype=np.int64) for one in people
        )
        kappa = cohen_kappa(first, second)
    return Agreement(
        pairs=pairs,
        share=agreeing / pairs if pairs else None,
        kappa=_known(kappa),
        fleiss=_known(fleiss),
    )


def agreement_with_others(things: Sequence[Votes]) -> dict[int, float]:
    """By annotator, the share of the opinions of others, on the same things, that are the same."""
    pairs: Counter[int] = Counter()
    agreeing: Counter[int] = Counter()
    for thing in things:
        for first, second in combinations(thing, 2):
            for one in (first, second):
                pairs[one] += 1
                agreeing[one] += thing[first] == thing[second]
    return {one: agreeing[one] / count for one, count in pairs.items()}


def cohen_kappa(first: Int[np.ndarray, " N"], second: Int[np.ndarray, " N"]) -> float:
    """Cohen's kappa of two annotators.

        kappa = (p_o - p_e) / (1 - p_e),  p_e = sum over categories of p_1 p_2

    p_o is the share of equal answers, and p_1 and p_2 are the shares of a category among the
    answers of each. Cohen 1960, https://doi.org/10.1177/001316446002000104.

    Args:
        first: category of each answer of one annotator, >= 0.
        second: likewise, of the other one.

    Returns:
        kappa; NaN without an answer, or where both always give the same one.
    """
    if not len(first):
        return float("nan")
    size = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(one, minlength=size) / len(first) for one in (first, second)]
    expected = float((shares[0] * shares[1]).sum())
    observed = float((first == second).mean())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def fleiss_kappa(table: Int[np.ndarray, "N C"]) -> float:
    """Fleiss' kappa of any number of annotators, who need not be the same for each thing.

        kappa = (P - P_e) / (1 - P_e),  P_i = sum_j n_ij (n_ij - 1) / (n_i (n_i - 1))

    P is the mean of P_i, the share of agreeing pairs of thing i, and P_e the sum of the squared
    shares of the categories among all answers. Fleiss 1971, https://doi.org/10.1037/h0031619.

    Args:
        table: n_ij, how many annotators put thing i into category j. Things with less than two
            answers are left out.

    Returns:
        kappa; NaN without a thing, or where all answers are equal.
    """
    table = table[table.sum(axis=1) >= 2]
    if not len(table):
        return float("nan")
    answers = table.sum(axis=1)
    observed = float(((table * (table - 1)).sum(axis=1) / (answers * (answers - 1))).mean())
    expected = float(((table.sum(axis=0) / answers.sum()) ** 2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
