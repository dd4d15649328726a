"""The quality of each annotator: gold questions, time, position bias, agreement with the others."""

from collections.abc import Mapping, Sequence
from statistics import median

from rlhf_core.comparison.statistics.wilson import wilson_interval
from rlhf_core.labelling.forms import is_correct
from rlhf_core.labelling.quality.agreement import agreement_with_others, votes
from rlhf_core.labelling.quality.pace import answers_an_hour
from rlhf_core.labelling.store import Annotator, AnswerRow
from rlhf_core.plugin import Config

LEVEL = 0.01
"""p below which left and right are not chosen alike."""


class AnnotatorQuality(Config):
    """What is known of an annotator. Training is left out of everything."""

    number: int
    name: str
    active: bool
    """Whether the answers count."""
    answers: int
    """Answers that are no skips, gold included."""
    skips: int
    gold_correct: int
    """Gold questions that were answered correctly."""
    gold: int
    """Gold questions that were answered; a skip is not correct."""
    gold_low: float | None
    """Wilson's 95 % interval of the accuracy; None without a gold question."""
    gold_high: float | None
    median_seconds: float | None
    """Of answers that are no skips."""
    left_share: float | None
    """Share of left among the comparisons that were answered with left or right."""
    left_p: float | None
    """p of as uneven a share where both sides are equally likely."""
    position_bias: bool
    """Whether that p is below 0.01."""
    agreement: float | None
    """Share of the opinions of others on the same things that are the same."""
    answers_an_hour: float | None
    """Breaks of more than half an hour left out."""
    last_answer: float | None
    """Unix time, in seconds."""


def quality_of(
    annotators: Sequence[Annotator], rows: Sequence[AnswerRow]
) -> list[AnnotatorQuality]:
    """The quality of each annotator.

    Args:
        annotators: of a campaign.
        rows: all answers of the campaign, as `LabelStore.answers` gives them.
    """
    shares = agreement_with_others(list(votes(rows).values()))
    by_number: dict[int, list[AnswerRow]] = {}
    for row in rows:
        if row.stage != "training":
            by_number.setdefault(row.annotator, []).append(row)
    return [_quality(one, by_number.get(one.number, []), shares) for one in annotators]


def position_bias(left: int, right: int) -> float | None:
    """p of the exact two-sided binomial test that left and right are equally likely.

    Clips are shown on a random side, so that an honest annotator chooses both alike.

    Args:
        left: how often left was chosen.
        right: how often right was.

    Returns:
        p, in [0, 1]; None without a choice.
    """
    from scipy.stats import binomtest

    return float(binomtest(left, left + right, 0.5).pvalue) if left + right else None


def _quality(
    annotator: Annotator, rows: Sequence[AnswerRow], shares: Mapping[int, float]
) -> AnnotatorQuality:
    given = [row for row in rows if not row.skipped]
    gold = [row for row in rows if row.known is not None]
    correct = sum(is_correct(row.known, row.answer) for row in gold if row.known is not None)
    interval = wilson_interval(correct, len(gold)) if gold else None
    choices = [row.answer["choice"] for row in given if row.form == "comparison"]
    left, right = choices.count("left"), choices.count("right")
    p = position_bias(left, right)
    times = [row.received_at for row in rows]
    return AnnotatorQuality(
        number=annotator.number,
        name=annotator.name,
        active=annotator.active,
        answers=len(given),
        skips=len(rows) - len(given),
        gold_correct=correct,
        gold=len(gold),
        gold_low=None if interval is None else interval.low,
        gold_high=None if interval is None else interval.high,
        median_seconds=median(row.seconds for row in given) if given else None,
        left_share=left / (left + right) if left + right else None,
        left_p=p,
        position_bias=p is not None and p < LEVEL,
        agreement=shares.get(annotator.number),
        answers_an_hour=answers_an_hour(times),
        last_answer=max(times, default=None),
    )
