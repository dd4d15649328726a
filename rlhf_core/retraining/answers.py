"""The distribution of annotators' answers, and its change between two runs."""

from collections.abc import Mapping

import numpy as np

from rlhf_core.answers import Comparisons, Ratings
from rlhf_core.comparison.statistics.holm import holm_adjusted
from rlhf_core.feedback_forms.click import Clicks
from rlhf_core.labels import Evidence
from rlhf_core.retraining.drift import (
    Drift,
    category_drift,
    feature_drift,
    population_stability_index,
)

AnswerValues = Mapping[str, np.ndarray]
"""One number an answer, by form of feedback: integers are categories, floats are numbers."""


def answer_values(evidence: Evidence | None) -> AnswerValues:
    """Choices of comparisons, values of ratings, and whether a position was clicked.

    Rankings, demonstrations and corrections have no such number.
    """
    values: dict[str, np.ndarray] = {}
    for form, judgements in sorted((evidence.judgements if evidence else {}).items()):
        if isinstance(judgements, Comparisons):
            values[form] = judgements.choice
        elif isinstance(judgements, Ratings):
            values[form] = judgements.value
        elif isinstance(judgements, Clicks):
            values[form] = judgements.clicked.astype(np.int64)
    return values


def answer_drift(reference: AnswerValues, sample: AnswerValues) -> Drift:
    """Compare the answers of two runs, form by form, in those that both have.

    Categories by the chi-squared test, numbers by that of Kolmogorov and Smirnov, adjusted together
    by Holm's method (`rlhf_core.retraining.drift`).
    """
    names = sorted(n for n in {*reference} & {*sample} if len(reference[n]) and len(sample[n]))
    stability, p = np.zeros(len(names)), np.ones(len(names))
    for place, name in enumerate(names):
        before, after = reference[name], sample[name]
        if before.dtype.kind == "f" or after.dtype.kind == "f":
            found = feature_drift(before[:, None], after[:, None])
            stability[place], p[place] = found.stability[0], found.p[0]
        else:
            categories = int(max(before.max(), after.max())) + 1
            counts = [np.bincount(side, minlength=categories) for side in (before, after)]
            stability[place] = population_stability_index(*counts)
            p[place] = category_drift(*counts)
    return Drift(tuple(names), stability, holm_adjusted(p))
