"""Campaigns and batches: made once, whoever asks how often; paused, extended, closed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.feedback_forms import form_of
from rlhf_core.labelling.store import CampaignSettings, Gold, LabelStore
from rlhf_core.questions import Queries, Request
from tests.core.examples import segments
from tests.labelling.store.examples import (
    LEFT,
    RIGHT,
    Clock,
    answer_all,
    comparisons,
    opened,
    people,
    publish,
    say,
)


def test_a_campaign_is_opened_once(store: LabelStore) -> None:
    settings = CampaignSettings(answers_per_question=2, instructions="Look.")
    first = store.open_campaign("run-1", "Pendulum", settings, "name: x")
    assert store.open_campaign("run-1", "Pendulum", settings, "name: x") == first
    assert (first.status, first.settings, first.created) == ("open", settings, 1_000_000.0)
    assert store.campaign_of_run("run-1") == store.campaign(first.id) == first
    # A later round may ask in other forms, of which people read something else.
    other = settings.model_copy(update={"instructions": "Listen."})
    assert store.open_campaign("run-1", "Pendulum", other, "name: x") == first
    second = store.open_campaign("run-2", "Again", settings, "name: x")
    assert store.campaigns() == [second, first]
    with pytest.raises(ConfigurationError, match=r"run-1: expected the settings .*actual"):
        store.open_campaign("run-1", "Pendulum", CampaignSettings(), "name: x")
    with pytest.raises(ConfigurationError, match="key: expected 1 to 200"):
        store.open_campaign("", "Pendulum", settings, "name: x")


@pytest.mark.parametrize("number", [77, -1, 2**31, 10**30])
def test_what_is_not_there_is_unknown(store: LabelStore, number: int) -> None:
    campaign, _ = opened(store)
    (annotator,) = people(store, campaign, 1)
    for attempt in (
        lambda: store.campaign(number),
        lambda: store.batch(number),
        lambda: store.set_status(number, "closed"),
        lambda: store.extend(number, 1.0),
        lambda: store.invite(number, "x"),
        lambda: store.revoke(campaign.id, number),
        lambda: store.set_active(campaign.id, number, False),
        lambda: store.answers(number),
        lambda: store.audit(number),
        lambda: store.assignment(annotator, str(number)),
        lambda: store.assignment(annotator, "\0"),
        lambda: store.assignment(annotator, "\ud800"),
    ):
        with pytest.raises(LabellingError) as caught:
            attempt()
        assert caught.value.reason == "unknown"
    assert store.question("\0", None, None) is None
    assert store.question("\ud800", campaign.id, annotator.id) is None


def test_a_batch_is_published_once(store: LabelStore) -> None:
    campaign, batch = opened(store, count=3)
    assert publish(store, campaign, comparisons(3)) == batch
    assert store.progress(batch).questions == 3
    request = comparisons(3)
    question = store.question(request.ids("comparison")[1], campaign.id, None)
    assert question is not None
    assert (question.clips, question.row, question.form) == ((2, 3), 1, "comparison")
    assert store.batches(campaign.id) == [batch]
    # A store that was moved is found at its new place.
    moved = store.publish(campaign, 0, 0, comparisons(3), "file:///elsewhere", "1" * 64)
    assert moved == replace(batch, artifacts="file:///elsewhere", ref="1" * 64)
    with pytest.raises(ConfigurationError, match=r"round 0, part 0: expected the 3 questions .* 2"):
        publish(store, campaign, comparisons(2))
    with pytest.raises(ConfigurationError, match="actual: 3, of which 0 are the same"):
        publish(store, campaign, comparisons(3, first=50))
    assert store.progress(batch).questions == 3


def test_two_parts_and_rounds_are_batches_of_their_own(store: LabelStore) -> None:
    campaign, first = opened(store)
    later = publish(store, campaign, comparisons(2, first=50), round=1)
    part = store.publish(campaign, 0, 1, comparisons(4, first=100), "a", "b")
    assert [(one.round, one.part) for one in store.batches(campaign.id)] == [
        (0, 0),
        (0, 1),
        (1, 0),
    ]
    assert [store.progress(b).questions for b in (first, part, later)] == [3, 4, 2]
    assert store.batch(part.id) == part


def test_forms_that_people_cannot_answer_are_refused(store: LabelStore) -> None:
    campaign, _ = opened(store)
    form = form_of("correction", ())
    clips = segments([[1.0, 2.0]])
    asked = Queries(np.array([[0]]), None, 1, form.model_dump_json())
    with pytest.raises(ConfigurationError, match="'correction': people cannot answer it here"):
        publish(store, campaign, Request(clips, clips, {"correction": asked}), round=1)
    short = Queries(np.array([[0]]), None, 1, form_of("comparison", ()).model_dump_json())
    with pytest.raises(ConfigurationError, match="'comparison': expected 2 clips, actual: 1"):
        publish(store, campaign, Request(clips, clips, {"comparison": short}), round=1)
    assert len(store.batches(campaign.id)) == 1


def test_a_known_answer_must_be_one(store: LabelStore) -> None:
    campaign, _ = opened(store)
    form = form_of("comparison", ()).model_dump_json()
    gold = Gold("comparison", form, (0, 1), {"choice": "up"})
    with pytest.raises(ConfigurationError, match=r"gold question 0\.choice: expected one of left"):
        publish(store, campaign, comparisons(1, first=9), round=1, gold=[gold])


def test_progress_says_when_a_batch_is_done(store: LabelStore) -> None:
    campaign, batch = opened(store, count=2, answers_per_question=2)
    first, second = people(store, campaign, 2)
    assert answer_all(store, first) == 2
    progress = store.progress(batch)
    assert (progress.questions, progress.complete, progress.answers) == (2, 0, 2)
    assert not progress.done
    assert answer_all(store, second, most=1) == 1
    assert (store.progress(batch).complete, store.progress(batch).answers) == (1, 3)
    answer_all(store, second)
    assert store.progress(batch).complete == 2
    assert store.progress(batch).done
    assert not store.progress(batch).collected
    store.collect(batch)
    assert store.progress(batch).collected


def test_a_paused_or_closed_campaign_offers_nothing_and_takes_what_is_out(
    store: LabelStore,
) -> None:
    campaign, batch = opened(store)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    for status in ("paused", "closed"):
        assert store.set_status(campaign.id, status).status == status
        offer = store.offer(annotator, 3)
        assert (offer.items, offer.waiting) == ((), False)
        assert store.progress(batch).closed == (status == "closed")
        assert say(store, annotator, item, LEFT, sequence=len(status)).counted
    store.set_status(campaign.id, "open")
    assert len(store.offer(annotator, 3).items) == 2


def test_deadlines_move_and_a_past_one_counts_from_now(store: LabelStore, clock: Clock) -> None:
    campaign = store.open_campaign("run-1", "t", CampaignSettings(), "")
    soon = publish(store, campaign, comparisons(1), deadline=clock.now + 100)
    never = publish(store, campaign, comparisons(1, 10), round=1)
    past = publish(store, campaign, comparisons(1, 20), round=2, deadline=clock.now - 5000)
    taken = publish(store, campaign, comparisons(1, 30), round=3, deadline=clock.now + 7)
    store.collect(taken)
    store.extend(campaign.id, 2.0)
    deadlines = [store.batch(one.id).deadline for one in (soon, never, past, taken)]
    assert deadlines == [clock.now + 7300, None, clock.now + 7200, clock.now + 7]
    assert store.progress(soon).deadline == clock.now + 7300
    for hours in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigurationError, match="hours: expected more than 0"):
            store.extend(campaign.id, hours)
    with pytest.raises(ConfigurationError, match="deadline: expected a finite number"):
        publish(store, campaign, comparisons(1, 40), round=4, deadline=math.nan)


def test_the_audit_says_who_did_what(store: LabelStore, clock: Clock) -> None:
    campaign, batch = opened(store)
    invite, token = store.invite(campaign.id, "Ada", uses=1)
    annotator, session = store.join(token, "Ada")
    clock.now += 5
    answer_all(store, annotator, [LEFT, RIGHT])
    store.set_active(campaign.id, 0, False)
    store.set_active(campaign.id, 0, False)
    store.revoke(campaign.id, invite.id)
    store.set_status(campaign.id, "paused", actor="owner Grace")
    store.set_status(campaign.id, "paused")
    store.extend(campaign.id, 1)
    store.collect(batch)
    store.collect(batch)
    entries = store.audit(campaign.id)
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("run", "campaign opened"),
        ("run", "batch published"),
        ("owner", "invite made"),
        ("annotator 0", "joined"),
        ("owner", "annotator inactive"),
        ("owner", "invite revoked"),
        ("owner Grace", "campaign paused"),
        ("owner", "deadline extended"),
        ("run", "answers collected"),
    ]
    assert [entry["at"] - 1_000_000 for entry in entries] == [0] * 4 + [5] * 5
    assert entries[1]["details"] == {"round": 0, "part": 0, "questions": 3}
    assert entries[-1]["details"]["answers"] == 0
    assert token not in str(entries)
    assert session is not None
    assert session not in str(entries)
