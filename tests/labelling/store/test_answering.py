"""Answers: stored once, the newest revision counts, and nobody answers for another."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.store import LabelStore, Submission, open_store
from tests.labelling.store.examples import (
    EQUAL,
    LEFT,
    RIGHT,
    SKIP,
    Clock,
    opened,
    people,
    say,
)


def newest(store: LabelStore, campaign_id: int) -> list[dict[str, str]]:
    return [dict(row.answer) for row in store.answers(campaign_id)]


def test_the_same_key_again_returns_the_first_receipt(store: LabelStore, url: str) -> None:
    campaign, _ = opened(store)
    (annotator,) = people(store, campaign, 1)
    first, second = store.offer(annotator, 2).items
    sent = Submission("a-key-of-mine", first.id, 0, LEFT, 1.5, ((10.0, "play"),), "v1")
    receipt = store.submit(annotator, sent)
    assert (receipt.counted, receipt.late, receipt.repeated) == (True, False, False)
    assert store.submit(annotator, sent) == replace(receipt, repeated=True)
    # The content of a repetition does not matter, and another process gives the same receipt.
    other = open_store(url)
    assert other.submit(annotator, replace(sent, answer=RIGHT)) == replace(receipt, repeated=True)
    other.close()
    assert newest(store, campaign.id) == [LEFT]
    with pytest.raises(LabellingError, match="belongs to an answer to another item") as caught:
        store.submit(annotator, replace(sent, assignment=second.id))
    assert caught.value.reason == "conflict"


def test_keys_of_different_annotators_have_nothing_in_common(store: LabelStore) -> None:
    campaign, _ = opened(store)
    first, second = people(store, campaign, 2)
    for annotator, answer in ((first, LEFT), (second, RIGHT)):
        (item,) = store.offer(annotator, 1).items
        assert not say(store, annotator, item, answer, key="the-same-key").repeated
    assert newest(store, campaign.id) == [LEFT, RIGHT]


def test_many_attempts_at_once_store_one_answer(store: LabelStore) -> None:
    campaign, _ = opened(store)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    sent = Submission("a-key-of-mine", item.id, 0, LEFT)
    with ThreadPoolExecutor(8) as threads:
        receipts = list(threads.map(lambda _: store.submit(annotator, sent), range(16)))
    assert len({receipt.id for receipt in receipts}) == 1
    assert sum(not receipt.repeated for receipt in receipts) == 1


def test_the_highest_sequence_counts_whatever_the_order_of_arrival(store: LabelStore) -> None:
    campaign, batch = opened(store, count=1)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    assert say(store, annotator, item, RIGHT, sequence=5).counted
    assert not say(store, annotator, item, LEFT, sequence=3).counted
    assert newest(store, campaign.id) == [RIGHT]
    assert say(store, annotator, item, EQUAL, sequence=6).counted
    assert store.assignment(annotator, item.id).answer == EQUAL
    assert store.assignment(annotator, item.id).sequence == 6
    (taken,) = store.collect(batch)
    assert taken.answer == EQUAL


def test_an_undone_answer_may_become_a_skip_and_the_reverse(store: LabelStore) -> None:
    campaign, batch = opened(store, count=1)
    first, second = people(store, campaign, 2)
    (item,) = store.offer(first, 1).items
    say(store, first, item, LEFT, sequence=1)
    assert store.assignment(first, item.id).state == "answered"
    assert store.offer(second, 1).items == ()
    say(store, first, item, SKIP, sequence=2)
    assert store.assignment(first, item.id).state == "skipped"
    # With a skip alone, the question goes on to somebody else.
    (other,) = store.offer(second, 1).items
    say(store, first, item, RIGHT, sequence=3)
    assert not say(store, second, other, LEFT).counted
    assert [dict(one.answer) for one in store.collect(batch)] == [RIGHT]


def test_nobody_answers_anothers_item(store: LabelStore) -> None:
    campaign, batch = opened(store)
    first, second = people(store, campaign, 2)
    (item,) = store.offer(first, 1).items
    with pytest.raises(LabellingError, match="no such item among yours") as caught:
        say(store, second, item, LEFT)
    assert caught.value.reason == "unknown"
    assert store.progress(batch).answers == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": {"choice": "up"}}, r"answer\.choice: expected one of left, right, equal, skip"),
        ({"answer": {"choice": ["left"]}}, r"answer\.choice: expected one of"),
        ({"answer": {}}, r"answer\.choice: expected a value"),
        ({"answer": {"choice": "left", "x": 1}}, "the field 'choice' alone"),
        ({"answer": {"value": 1}}, "answer.choice: expected a value"),
        ({"key": "short"}, "key: expected 8 to 64"),
        ({"key": "k" * 65}, "key: expected 8 to 64"),
        ({"key": "key with blanks"}, "key: expected 8 to 64"),
        ({"sequence": -1}, "sequence: expected 0 to"),
        ({"sequence": 2**53}, "sequence: expected 0 to"),
        ({"seconds": -0.1}, "seconds: expected 0 to"),
        ({"seconds": float("nan")}, "seconds: expected 0 to"),
        ({"seconds": float("inf")}, "seconds: expected 0 to"),
        ({"events": ((1.0, "x"),) * 1001}, "events: expected 1000 at most"),
        ({"events": ((float("nan"), "x"),)}, "events: expected finite times"),
        ({"events": ((1.0, "x\0"),)}, "events: expected names"),
        ({"page_version": "v" * 65}, "page_version: expected 64"),
    ],
)
def test_a_bad_answer_is_refused_and_nothing_is_stored(
    store: LabelStore, change: dict[str, Any], message: str
) -> None:
    campaign, batch = opened(store)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    with pytest.raises(ConfigurationError, match=message):
        say(store, annotator, item, **change)
    assert store.answers(campaign.id) == []
    assert store.progress(batch).answers == 0


def test_an_answer_names_an_episode_that_was_played_for_its_item(
    store: LabelStore, clock: Clock
) -> None:
    from rlhf_core.labelling.store import CampaignSettings
    from tests.core.examples import asking, segments
    from tests.labelling.store.examples import publish

    campaign = store.open_campaign("run-1", "t", CampaignSettings(), "")
    batch = publish(store, campaign, asking(segments([[1.0, 2.0]]), demonstration=2))
    (annotator,) = people(store, campaign, 1)
    first, second = store.offer(annotator, 2).items
    store.add_episode(annotator, first.id, "episode-1", b"content")
    with pytest.raises(ConfigurationError, match=r"answer\.episode: expected an episode that was"):
        say(store, annotator, second, {"episode": "episode-1"})
    with pytest.raises(ConfigurationError, match=r"answer\.episode: expected the name"):
        say(store, annotator, first, {"episode": "../etc"})
    say(store, annotator, first, {"episode": "episode-1"})
    say(store, annotator, second, {"skip": True})
    played, skipped = store.collect(batch)
    assert (played.episode, skipped.episode) == (b"content", None)
    assert "content" not in repr(played)
