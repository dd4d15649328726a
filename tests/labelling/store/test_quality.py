"""Numbers of the owner's page, against tables computed by hand and in papers."""

import json
from typing import Any

import numpy as np
import pytest

from rlhf_core.errors import LabellingError
from rlhf_core.feedback_forms import form_of
from rlhf_core.labelling.quality import (
    agreement,
    answers_an_hour,
    answers_by_hour,
    campaign_overview,
    campaign_summaries,
    cohen_kappa,
    estimated_end,
    fleiss_kappa,
    position_bias,
)
from rlhf_core.labelling.quality.agreement import agreement_with_others
from rlhf_core.labelling.store import CampaignSettings, Gold, LabelStore
from tests.labelling.store.examples import (
    EQUAL,
    LEFT,
    RIGHT,
    SKIP,
    Clock,
    comparisons,
    opened,
    people,
    publish,
    say,
)


def test_fleiss_kappa_of_the_table_of_ten_subjects() -> None:
    """The worked example of 14 raters: P = 0.378, P_e = 0.213, kappa = 0.210."""
    table = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    assert fleiss_kappa(table) == pytest.approx(0.20993, abs=1e-5)
    # A thing that one annotator saw says nothing.
    lonely = np.concatenate([table, [[1, 0, 0, 0, 0]]])
    assert fleiss_kappa(lonely) == fleiss_kappa(table)
    assert np.isnan(fleiss_kappa(np.array([[2, 0], [3, 0]])))
    assert np.isnan(fleiss_kappa(np.zeros((0, 2), dtype=np.int64)))


def test_cohen_kappa_of_a_table_of_fifty() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_o = 0.7, p_e = 0.5, kappa = 0.4."""
    first = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    second = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(np.array([0, 1]), np.array([1, 0])) == -1
    assert np.isnan(cohen_kappa(np.array([1, 1]), np.array([1, 1])))
    assert np.isnan(cohen_kappa(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)))


def test_agreement_counts_pairs_of_annotators() -> None:
    things = [{0: "left", 1: "left", 2: "right"}, {0: "left", 1: "left"}, {2: "right"}]
    made = agreement(things)
    assert (made.pairs, made.share) == (4, 0.5)
    # P = (1/3 + 1) / 2, P_e = (16 + 1) / 25 of the five opinions that can be compared.
    assert made.kappa == made.fleiss == pytest.approx((2 / 3 - 17 / 25) / (1 - 17 / 25))
    assert agreement_with_others(things) == {0: 2 / 3, 1: 2 / 3, 2: 0}
    two = agreement([{0: "left", 4: "right"}, {0: "right", 4: "left"}])
    assert (two.kappa, two.fleiss) == (-1, -1)
    none = agreement([{0: "left"}])
    assert (none.pairs, none.share, none.kappa, none.fleiss) == (0, None, None, None)


@pytest.mark.parametrize(
    ("left", "right", "p"),
    [(0, 0, None), (5, 5, 1.0), (10, 0, 2 / 1024), (0, 10, 2 / 1024), (8, 2, 112 / 1024)],
)
def test_position_bias_is_an_exact_binomial_test(left: int, right: int, p: float | None) -> None:
    assert position_bias(left, right) == (None if p is None else pytest.approx(p))


def test_the_end_is_estimated_from_the_last_answers() -> None:
    # Three answers in 20 s: one each 10 s.
    assert estimated_end([100, 120, 110], left=6, now=120) == 180
    # While nobody answers, the pace falls.
    assert estimated_end([100, 120, 110], left=6, now=200) == 500
    for times, left in (([], 5), ([1.0], 5), ([1.0, 2.0], 0)):
        assert estimated_end(times, left, now=10.0) is None
    # Of 60 answers the last 50 count: those of the first second are forgotten.
    assert estimated_end([0.5] * 10 + [100.0 + i for i in range(50)], 10, 149.0) == 159


def test_answers_an_hour_leave_breaks_out() -> None:
    assert answers_an_hour([0, 30, 60, 10_000, 10_030]) == 120
    assert answers_an_hour([5.0]) is None
    assert answers_an_hour([5.0, 50_000.0]) is None


def test_answers_are_counted_by_hour_until_now() -> None:
    counts = answers_by_hour([7200.0, 7201.0, 14_400.0], now=18_001.0)
    assert [(one.hour, one.answers) for one in counts] == [
        (7200, 2), (10_800, 0), (14_400, 1), (18_000, 0),
    ]  # fmt: skip
    assert answers_by_hour([], now=5.0) == []
    assert len(answers_by_hour([0.0], now=3600.0 * 1000)) == 168


def test_an_overview_has_every_number_of_the_page(store: LabelStore, clock: Clock) -> None:
    settings = CampaignSettings(answers_per_question=2, price=0.25, gold_share=0.5)
    campaign = store.open_campaign("run-1", "Pendulum", settings, "")
    form = form_of("comparison", ()).model_dump_json()
    gold = [Gold("comparison", form, (0, 1), RIGHT), Gold("comparison", form, (2, 3), LEFT)]
    batch = publish(store, campaign, comparisons(4), gold=gold, deadline=clock.now + 900)
    ada, grace = people(store, campaign, 2)
    said: dict[str, list[Any]] = {
        "ada": [LEFT, LEFT, EQUAL, SKIP],
        "grace": [LEFT, RIGHT, EQUAL, LEFT],
    }
    for annotator, name in ((ada, "ada"), (grace, "grace")):
        while items := store.offer(annotator, 1).items:
            (item,) = items
            row = item.question.row
            clock.now += 10
            work = item.question.stage == "work"
            answer = said[name][row] if work else RIGHT
            say(store, annotator, item, answer, seconds=float(row + 1))
    detail = campaign_overview(store, campaign.id)
    content = detail.model_dump(mode="json")
    json.dumps(content, allow_nan=False)
    assert {name: content[name] for name in ("id", "title", "status", "questions", "complete")} == {
        "id": campaign.id, "title": "Pendulum", "status": "open", "questions": 4, "complete": 4,
    }  # fmt: skip
    assert (content["answers"], content["cost"], content["created"]) == (8, 2.0, 1_000_000)
    assert content["estimated_end"] is None
    (round,) = content["batches"]
    assert (round["questions"], round["complete"], round["deadline"], round["collected"]) == (
        4, 4, 1_000_900, False,
    )  # fmt: skip
    # Questions 0, 1 and 2 have two opinions: same, different, same.
    agreed = content["agreement"]
    assert (agreed["pairs"], agreed["share"]) == (3, 2 / 3)
    # p_o = 2/3; ada: left 2, equal 1; grace: left, right, equal: p_e = 2/9 + 1/9.
    assert agreed["kappa"] == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))
    first, second = content["annotators"]
    assert (first["number"], first["name"], first["active"]) == (0, "annotator 0", True)
    assert (first["gold_correct"], first["gold"]) == (1, 2)
    assert (first["gold_low"], first["gold_high"]) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    assert (first["answers"], first["skips"]) == (5, 1)
    # Left twice; right for both gold questions.
    assert (first["left_share"], first["left_p"], first["position_bias"]) == (0.5, 1.0, False)
    assert (first["agreement"], second["agreement"]) == (2 / 3, 2 / 3)
    assert first["answers_an_hour"] == 360
    assert first["last_answer"] == 1_000_060
    # Of 1, 2 and 3 s for work, and 1 and 2 s for gold.
    assert first["median_seconds"] == 2
    (dispute,) = content["disagreements"]
    assert (dispute["form"], dispute["clips"], dispute["batch_id"]) == (
        "comparison",
        [2, 3],
        batch.id,
    )
    assert dispute["question"] == comparisons(4).ids("comparison")[1]
    assert dispute["answers"] == [
        {"annotator": 0, "answer": LEFT},
        {"annotator": 1, "answer": RIGHT},
    ]
    assert [(one["name"], one["uses"], one["used"]) for one in content["invites"]] == [
        ("all", None, 2)
    ]
    assert sum(hour["answers"] for hour in content["answers_by_hour"]) == 8
    (summary,) = campaign_summaries(store)
    listed = summary.model_dump(mode="json")
    assert listed.pop("annotators") == 2
    assert listed == {name: content[name] for name in listed}
    # Without one of them, nothing can be compared any more.
    store.set_active(campaign.id, 1, False)
    content = campaign_overview(store, campaign.id).model_dump(mode="json")
    assert (content["agreement"]["pairs"], content["disagreements"]) == (0, [])
    # Four answers are missing again; eight came in 110 s up to now.
    times = [row.received_at for row in store.answers(campaign.id) if row.stage == "work"]
    assert content["estimated_end"] == pytest.approx(clock.now + 4 * (clock.now - min(times)) / 7)


def test_a_campaign_without_answers_has_an_overview(store: LabelStore) -> None:
    assert campaign_summaries(store) == []
    campaign, _ = opened(store)
    content = campaign_overview(store, campaign.id).model_dump(mode="json")
    assert (content["answers"], content["annotators"], content["estimated_end"]) == (0, [], None)
    people(store, campaign, 1)
    (person,) = campaign_overview(store, campaign.id).annotators
    assert (person.answers, person.gold_low, person.left_p, person.median_seconds) == (
        0, None, None, None,
    )  # fmt: skip
    with pytest.raises(LabellingError, match="there is no campaign 99"):
        campaign_overview(store, 99)
