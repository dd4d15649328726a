"""Corrections: a better clip is brought, and the reward learns that it is better."""

import numpy as np

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.feedback_forms.correction import Correction, Corrections
from rlhf_core.labels import RankingLabels, Workers
from rlhf_core.questions import Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Truth
from tests.core.examples import segments

SHOWN = np.array([[0.0], [9.0], [2.0]])
OTHERS = np.array([[1.0], [3.0], [5.0]])


def corrected(form: Correction, seed: int = 0) -> tuple[Corrections, np.ndarray]:
    """Corrections of clips that return 0, 9 and 2, out of others that return 1, 3 and 5."""
    clips, reference = segments(SHOWN), segments(OTHERS)
    queries = form.compose(np.arange(3)[:, None], clips, Likelihoods(), np.random.default_rng(0))
    request = Request(clips, reference, {"correction": queries})
    truth, rng = Truth(SHOWN, OTHERS, np.zeros(0)), np.random.default_rng(seed)
    _, answers = Synthetic(cost=2, seconds=3).answer(AnnotatorState(), request, truth, rng)
    judgements = answers.judgements["correction"]
    assert isinstance(judgements, Corrections)
    assert answers.segments is not None
    return judgements, answers.segments.observations[:, 0, 0]


def test_an_oracle_brings_the_best_of_what_it_looks_through() -> None:
    judged, brought = corrected(Correction(alternatives=50))
    # Nothing is better than the clip that returns 9, so its correction is a skip.
    assert judged.clip.tolist() == [0, 1, 2]
    assert judged.better.tolist() == [3, 1, 4]
    assert brought.tolist() == [5, 5]
    assert (judged.labels, judged.skipped) == (2, 1)
    assert (judged.cost.tolist(), judged.seconds.tolist()) == ([2, 2, 2], [3, 3, 3])


def test_with_one_alternative_it_is_brought_if_it_is_better() -> None:
    for seed in range(20):
        judged, brought = corrected(Correction(alternatives=1), seed)
        positions = judged.better[judged.better != judged.clip]
        assert positions.tolist() == list(range(3, 3 + len(brought)))
        shown = SHOWN[judged.clip[judged.better != judged.clip], 0]
        assert (brought > shown).all()


def test_a_correction_is_a_ranking_of_two_and_a_skip_is_none() -> None:
    judged, _ = corrected(Correction(alternatives=50))
    made = Correction().label(judged, None, None)
    assert isinstance(made, RankingLabels)
    assert made.rankings.items.tolist() == [[3, 0], [4, 2]]
    assert made.weight.tolist() == [1, 1]
    moved = judged.moved(10, 2)
    assert moved.better.tolist() == [13, 11, 14]
    assert moved.orders().better.tolist() == [13, 14]
    assert moved.orders().worse.tolist() == [10, 12]


def test_a_worker_below_chance_counts_for_nothing() -> None:
    judged, _ = corrected(Correction(alternatives=50))
    one = np.ones(1)
    workers = Workers(np.array([0]), np.array([3]), 0.4 * one, one)
    assert Correction().label(judged, None, workers).weight.tolist() == [0, 0]


def test_entries_name_the_clip_and_what_was_brought() -> None:
    judged, _ = corrected(Correction(alternatives=50))
    entries = judged.entries(None)
    assert entries.questions == ["0", "1", "2"]
    assert entries.answers == ["3", "1", "4"]
    assert judged.agreement(None, np.zeros(3)) == (0, 0)
