"""Leases: they expire, nobody has a question twice, no question is with more than wanted."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from rlhf_core.errors import LabellingError
from rlhf_core.feedback_forms import form_of
from rlhf_core.labelling.store import CampaignSettings, Gold, LabelStore
from tests.labelling.store.examples import (
    LEFT,
    RIGHT,
    SKIP,
    Clock,
    answer_all,
    comparisons,
    opened,
    people,
    publish,
    say,
)


def test_a_question_is_leased_to_one_and_goes_to_another_when_the_lease_ends(
    store: LabelStore, clock: Clock
) -> None:
    campaign, batch = opened(store, count=2, lease_seconds=100)
    first, second = people(store, campaign, 2)
    (item,) = store.offer(first, 1).items
    assert (item.index, item.state, item.lease_until) == (0, "open", clock.now + 100)
    others = store.offer(second, 5)
    assert [one.question.row for one in others.items] == [1]
    clock.now += 99
    # Asking again brings the same item, and its lease begins again.
    (again,) = store.offer(first, 1).items
    assert (again.id, again.lease_until) == (item.id, clock.now + 100)
    clock.now += 100
    assert {one.question.row for one in store.offer(second, 5).items} == {0, 1}
    offer = store.offer(first, 5)
    assert (offer.items, offer.waiting) == ((), True)
    # Whoever lost the lease may still send the answer. The first one counts.
    assert say(store, first, item, RIGHT).counted
    late = next(one for one in store.offer(second, 5).items if one.question.row == 1)
    assert say(store, second, late).counted
    assert store.progress(batch).done
    assert store.progress(batch).answers == 2


def test_an_answer_beyond_those_wanted_is_kept_and_does_not_count(
    store: LabelStore, clock: Clock
) -> None:
    campaign, batch = opened(store, count=1, lease_seconds=10)
    first, second = people(store, campaign, 2)
    (slow,) = store.offer(first, 1).items
    clock.now += 11
    (quick,) = store.offer(second, 1).items
    assert say(store, second, quick, RIGHT).counted
    assert not say(store, first, slow, LEFT).counted
    assert store.progress(batch).answers == 1
    assert [(row.annotator, row.counted) for row in store.answers(campaign.id)] == [
        (0, False),
        (1, True),
    ]
    # Where the other one no longer counts, it does.
    store.set_active(campaign.id, 1, False)
    (taken,) = store.collect(batch)
    assert (taken.annotator, taken.answer) == (0, LEFT)


def test_nobody_has_a_question_twice(store: LabelStore, clock: Clock) -> None:
    campaign, _ = opened(store, count=4, answers_per_question=3, lease_seconds=10)
    first, second, third, _ = people(store, campaign, 4)
    for annotator in (first, second, third, first):
        clock.now += 1
        answer_all(store, annotator)
    rows = store.answers(campaign.id)
    assert Counter(row.annotator for row in rows) == {0: 4, 1: 4, 2: 4}
    assert len({(row.annotator, row.question) for row in rows}) == 12


@pytest.mark.parametrize("wanted", [1, 3])
def test_threads_that_ask_at_once_get_no_question_more_often_than_wanted(
    store: LabelStore, wanted: int
) -> None:
    campaign, _ = opened(store, count=20, answers_per_question=wanted)
    annotators = people(store, campaign, 16)
    with ThreadPoolExecutor(16) as threads:
        offers = list(threads.map(lambda one: store.offer(one, 5).items, annotators))
    given = Counter(item.question.id for items in offers for item in items)
    assert max(given.values()) <= wanted
    assert sum(given.values()) == min(20 * wanted, 16 * 5)
    assert len({item.id for items in offers for item in items}) == sum(given.values())


def test_two_tabs_of_one_annotator_get_the_same_items(store: LabelStore) -> None:
    campaign, _ = opened(store, count=20)
    (annotator,) = people(store, campaign, 1)
    with ThreadPoolExecutor(8) as threads:
        offers = list(threads.map(lambda _: store.offer(annotator, 3), range(8)))
    assert len({item.id for offer in offers for item in offer.items}) == 3


def test_items_are_numbered_in_the_order_in_which_they_were_given(store: LabelStore) -> None:
    campaign, _ = opened(store, count=5)
    (annotator,) = people(store, campaign, 1)
    assert answer_all(store, annotator, [LEFT, SKIP], most=3) == 3
    open_items = store.offer(annotator, 1).items
    progress = store.annotator_progress(annotator)
    assert (progress.done, progress.skipped, progress.remaining) == (3, 1, 2)
    assert [(index, state) for _, index, state in progress.items] == [
        (0, "answered"),
        (1, "skipped"),
        (2, "answered"),
        (3, "open"),
    ]
    assert progress.seconds_per_answer == 2.0
    assert store.assignment(annotator, open_items[0].id) == open_items[0]


def test_anothers_item_looks_like_none(store: LabelStore) -> None:
    campaign, _ = opened(store)
    first, second = people(store, campaign, 2)
    (item,) = store.offer(first, 1).items
    messages = set()
    for name in (item.id, "0" * 32, "nothing"):
        with pytest.raises(LabellingError) as caught:
            store.assignment(second, name)
        messages.add(str(caught.value))
    assert messages == {"there is no such item among yours"}
    identifier = item.question.identifier
    assert store.question(identifier, campaign.id, first.id) == item.question
    assert store.question(identifier, campaign.id, second.id) is None
    assert store.question(identifier, campaign.id + 1, None) is None


def gold_of(answer: dict[str, str], clips: tuple[int, int]) -> Gold:
    form = form_of("comparison", ()).model_dump_json()
    return Gold("comparison", form, clips, answer, "Higher is better.")


def test_training_comes_first_and_gold_is_hidden_among_the_work(store: LabelStore) -> None:
    settings = CampaignSettings(training=2, gold_share=0.25)
    campaign = store.open_campaign("run-1", "t", settings, "")
    gold = [gold_of(RIGHT, (a, a + 1)) for a in range(4)]
    batch = publish(store, campaign, comparisons(12), gold=gold)
    (annotator,) = people(store, campaign, 1)
    stages = []
    while items := store.offer(annotator, 1).items:
        receipt = say(store, annotator, items[0], [RIGHT, LEFT][len(stages) % 2])
        stage = items[0].question.stage
        stages.append(stage)
        if stage == "training":
            assert receipt.correct == (len(stages) == 1)
            assert receipt.explanation == "Higher is better."
        else:
            assert (receipt.correct, receipt.explanation) == (None, "")
    assert stages[:2] == ["training", "training"]
    assert Counter(stages) == {"training": 2, "gold": 2, "work": 12}
    # Never more than a quarter of the items so far are gold.
    for end in range(3, len(stages) + 1):
        assert stages[2:end].count("gold") <= 0.25 * (end - 2)
    progress = store.annotator_progress(annotator)
    assert (progress.training_done, progress.training_total, progress.done) == (2, 2, 14)
    assert store.progress(batch).questions == 12
    assert len(store.collect(batch)) == 12


def test_a_question_that_all_skip_goes_to_two_more(store: LabelStore) -> None:
    campaign, batch = opened(store, count=1)
    annotators = people(store, campaign, 5)
    given = [answer_all(store, one, [SKIP]) for one in annotators]
    assert given == [1, 1, 1, 0, 0]
    assert store.progress(batch).done
    assert store.progress(batch).answers == 3


def test_a_skip_counts_and_an_answer_ends_the_search(store: LabelStore) -> None:
    campaign, batch = opened(store, count=1)
    annotators = people(store, campaign, 4)
    assert answer_all(store, annotators[0], [SKIP]) == 1
    assert store.progress(batch).done
    assert answer_all(store, annotators[1], [RIGHT]) == 1
    assert answer_all(store, annotators[2]) == 0
    assert [dict(one.answer) for one in store.collect(batch)] == [SKIP, RIGHT]


def test_questions_without_an_answer_come_before_those_with_skips_alone(
    store: LabelStore,
) -> None:
    campaign, _ = opened(store, count=2)
    first, second = people(store, campaign, 2)
    (item,) = store.offer(first, 1).items
    say(store, first, item, SKIP)
    assert [one.question.row for one in store.offer(second, 2).items] == [1, 0]


def test_nothing_is_offered_of_a_batch_that_was_collected(store: LabelStore) -> None:
    campaign, batch = opened(store, count=3)
    first, second = people(store, campaign, 2)
    store.offer(first, 1)
    store.collect(batch)
    assert store.offer(first, 3).items == ()
    assert store.offer(second, 3) == store.offer(second, 3)
    assert store.annotator_progress(first).remaining == 0
    publish(store, campaign, comparisons(1, first=50), round=1)
    assert len(store.offer(first, 3).items) == 1
