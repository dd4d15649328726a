"""Labels and judgements as CSV, row by row."""

import csv
import io
from dataclasses import replace

import numpy as np

from rlhf_core.answers import Answers
from rlhf_core.demonstrations import demonstrations
from rlhf_core.feedback.inverse_rl import InverseState
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.judgements import EMPTY, EXPERT, WHOLE, Choice
from rlhf_core.labels import Evidence, Preferences, RankingLabels, RatingLabels, Workers
from rlhf_core.reward_learning.evidence import gathered
from tasks import tables
from tests.core.examples import (
    annotations,
    answers,
    evidence,
    rankings,
    ratings,
    request,
    segments,
    trajectory,
)

CLIPS = segments(np.zeros((6, 1)))


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


STATE = FeedbackState(
    evidence=evidence(
        CLIPS, [[0, 1], [2, 3]], annotations([0], [Choice.LEFT]),
        rankings([[4, 2, EMPTY], [5, 1, 0]], places=[1, 2], worker=[3, EXPERT]),
        ratings([1, 2], [0.25, -1.5], worker=[0, 3]),
    ),
    labels={
        "comparison": Preferences(
            np.array([[0, 1], [2, 3]]), np.array([0.25, 0.5]), np.array([1.0, 0.75])
        ),
        "ranking": RankingLabels(
            rankings([[4, 2, EMPTY], [5, 1, 0]], places=[1, 2], worker=[3, EXPERT]),
            np.array([0.5, 1.0]),
        ),
        "signal": RatingLabels(
            ratings([1, 2], [0.25, -1.5], step=[WHOLE, 7], worker=[0, 3]), np.ones(2)
        ),
    },
    workers=Workers(
        np.array([0, 3]), np.array([4, 9]), np.array([0.5, 0.875]), np.array([np.nan, 0.75])
    ),
)  # fmt: skip


def test_demonstrations_are_listed_episode_by_episode() -> None:
    episodes = demonstrations([trajectory(3, terminated=True), trajectory(2)], 60.0, 0.5)
    known = Evidence(CLIPS, {}, {"demonstration": episodes})
    state = InverseState(evidence=known)
    assert rows(tables.labels(state)["labels/demonstrations.csv"]) == [
        ["episode", "steps", "terminated", "seconds", "cost"],
        ["0", "3", "True", "60.0", "0.5"],
        ["1", "2", "False", "60.0", "0.5"],
    ]
    assert tables.profile(state) == {"demonstrations": 2}


def test_labels_are_one_table_a_form() -> None:
    files = tables.labels(STATE)
    assert {name: rows(content) for name, content in files.items()} == {
        "labels/comparison.csv": [
            ["left_segment", "right_segment", "probability_right", "weight"],
            ["0", "1", "0.25", "1.0"],
            ["2", "3", "0.5", "0.75"],
        ],
        "labels/ranking.csv": [
            ["places", "worker", "segments_best_first", "weight"],
            ["1", "3", "4 2", "0.5"],
            ["2", "-1", "5 1 0", "1.0"],
        ],
        "labels/signal.csv": [
            ["segment", "step", "value", "worker", "weight"],
            ["1", "-1", "0.25", "0", "1.0"],
            ["2", "7", "-1.5", "3", "1.0"],
        ],
        "labels/workers.csv": [
            ["worker", "judgements", "competence", "agreement"],
            ["0", "4", "0.5", ""],
            ["3", "9", "0.875", "0.75"],
        ],
    }


def test_forms_without_a_label_have_no_table() -> None:
    assert tables.labels(FeedbackState()) == {}
    none = Preferences(np.empty((0, 2), dtype=np.int64), np.empty(0), np.empty(0))
    rated = RatingLabels(ratings([0], [1.0]), np.ones(1))
    known = FeedbackState(labels={"comparison": none, "rating": rated})
    assert set(tables.labels(known)) == {"labels/rating.csv"}


def test_a_worker_alone_is_not_tabled() -> None:
    alone = Workers(np.array([0]), np.array([4]), np.array([0.5]), np.array([1.0]))
    assert "labels/workers.csv" not in tables.labels(replace(STATE, workers=alone))


def test_the_profile_counts_labels_by_form() -> None:
    assert tables.profile(STATE) == {"comparison": 2, "ties": 1, "ranking": 2, "signal": 2}
    assert tables.profile(FeedbackState()) == {}


def priced(given: Answers) -> Answers:
    """The same with a price and a time for each judgement."""
    return replace(
        given,
        judgements={
            form: replace(made, seconds=np.full(len(made), 2.0), cost=np.full(len(made), 0.5))  # type: ignore[type-var]
            for form, made in given.judgements.items()
        },
    )


def ledger(*rounds: Answers) -> list[list[str]]:
    asked = request(np.zeros((6, 1)), [[0, 1], [3, 2]])
    known = None
    for given in rounds:
        known = gathered(known, asked, given)
    assert known is not None
    head, *lines = rows(tables.judgements(list(enumerate(rounds)), known))
    assert head == ["round", "form", "question", "answer", "worker", "seconds", "cost"]
    return lines


def test_the_ledger_has_a_line_for_each_judgement() -> None:
    first = answers(
        annotations([1, 0], [Choice.SKIP, Choice.RIGHT], worker=[2, EXPERT]),
        rankings([[5, 3, 4], [2, 0, 1]], places=[1, 2], worker=[1, 1]),
    )
    second = answers(
        annotations([0], [Choice.LEFT], worker=[3]),
        ratings=ratings([3], [0.5], worker=[0]),
        signal=ratings([3], [0.25], step=[6], worker=[4]),
    )
    # The second round's clips are numbered on after the six of the first.
    assert ledger(priced(first), priced(second)) == [
        ["1", "comparison", "3 2", "skip", "2", "2.0", "0.5"],
        ["1", "comparison", "0 1", "right", "-1", "2.0", "0.5"],
        ["1", "ranking", "3 4 5", "5", "1", "2.0", "0.5"],
        ["1", "ranking", "0 1 2", "2 0", "1", "2.0", "0.5"],
        ["2", "comparison", "6 7", "left", "3", "2.0", "0.5"],
        ["2", "rating", "9", "0.5", "0", "2.0", "0.5"],
        ["2", "signal", "9@6", "0.25", "4", "2.0", "0.5"],
    ]


def test_nobody_is_no_part_of_a_question() -> None:
    (line,) = ledger(priced(answers(rankings=rankings([[5, 0, 1, EMPTY]], places=[1]))))
    assert line[:4] == ["1", "ranking", "0 1 5", "5"]


def test_the_ledger_adds_up_to_the_cost() -> None:
    given = priced(answers(annotations([0, 1], [Choice.LEFT] * 2), ratings=ratings([1], [0.1])))
    assert sum(float(line[-1]) for line in ledger(given)) == given.cost == 1.5


def test_an_empty_ledger_is_its_head() -> None:
    assert ledger(Answers({})) == []
