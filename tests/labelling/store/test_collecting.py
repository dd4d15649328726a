"""Collections: frozen, the same on each day, and late answers are in the next one exactly once."""

from dataclasses import replace

from rlhf_core.labelling.store import LabelStore, open_store
from tests.labelling.store.examples import (
    EQUAL,
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


def test_a_collection_is_written_once(store: LabelStore, url: str, clock: Clock) -> None:
    campaign, batch = opened(store, count=3, answers_per_question=2, price=0.25)
    first, second = people(store, campaign, 2)
    answer_all(store, second, [RIGHT])
    clock.now += 10
    answer_all(store, first, [LEFT], most=2)
    taken = store.collect(batch)
    # By question, then by annotator, whoever was first.
    assert [(one.row, one.annotator, dict(one.answer)) for one in taken] == [
        (0, 0, LEFT),
        (0, 1, RIGHT),
        (1, 0, LEFT),
        (1, 1, RIGHT),
        (2, 1, RIGHT),
    ]
    assert {one.price for one in taken} == {0.25}
    assert {one.seconds for one in taken} == {2.0}
    assert [one.received_at - clock.now for one in taken] == [0, -10, 0, -10, -10]
    assert [one.question for one in taken[::2]] == comparisons(3).ids("comparison")
    assert not any(one.late for one in taken)
    assert store.collect(batch) == taken
    other = open_store(url)
    assert other.collect(batch) == taken
    assert other.progress(batch).collected
    other.close()


def test_revisions_after_the_collection_change_no_round(store: LabelStore) -> None:
    campaign, batch = opened(store, count=1)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    say(store, annotator, item, LEFT, sequence=1, key="first-answer")
    taken = store.collect(batch)
    revised = say(store, annotator, item, RIGHT, sequence=2)
    assert (revised.late, revised.counted) == (True, False)
    assert store.collect(batch) == taken
    later = publish(store, campaign, comparisons(1, first=50), round=1)
    assert store.collect(later) == ()
    # A repetition of what was sent before the collection has its first receipt, not a late one.
    again = say(store, annotator, item, LEFT, sequence=1, key="first-answer")
    assert (again.late, again.counted, again.repeated) == (False, True, True)
    # The newest revision is kept.
    assert [dict(row.answer) for row in store.answers(campaign.id)] == [RIGHT]


def test_late_answers_go_to_the_next_collection_exactly_once(store: LabelStore) -> None:
    campaign, first = opened(store, count=2)
    ada, grace = people(store, campaign, 2)
    slow = store.offer(ada, 2).items
    say(store, ada, slow[0], LEFT)
    assert len(store.collect(first)) == 1
    second = publish(store, campaign, comparisons(1, first=50), round=1)
    late = say(store, ada, slow[1], RIGHT)
    assert (late.counted, late.late) == (True, True)
    answer_all(store, grace, [EQUAL])
    taken = store.collect(second)
    assert [(one.batch.round, one.late, one.row, one.annotator) for one in taken] == [
        (0, True, 1, 0),
        (1, False, 0, 1),
    ]
    assert [dict(one.answer) for one in taken] == [RIGHT, EQUAL]
    third = publish(store, campaign, comparisons(1, first=90), round=2)
    assert store.collect(third) == ()
    assert store.collect(second) == taken
    assert len(store.collect(first)) == 1


def test_answers_of_batches_that_nobody_collected_are_not_late(store: LabelStore) -> None:
    campaign, first = opened(store, count=1)
    part = store.publish(campaign, 0, 1, comparisons(1, first=50), "a", "b")
    (annotator,) = people(store, campaign, 1)
    answer_all(store, annotator)
    assert [one.batch for one in store.collect(part)] == [part]
    assert [one.batch for one in store.collect(first)] == [first]


def test_campaigns_do_not_take_each_others_late_answers(store: LabelStore) -> None:
    campaign, first = opened(store, count=1)
    (annotator,) = people(store, campaign, 1)
    (item,) = store.offer(annotator, 1).items
    store.collect(first)
    say(store, annotator, item, LEFT)
    other, batch = opened(store, count=1, key="run-2")
    assert other.id != campaign.id
    assert store.collect(batch) == ()


def test_an_episode_of_two_rounds_is_killed_between_any_two_steps(
    store: LabelStore, url: str
) -> None:
    """Each step of a run is done twice, as after a kill, by a process of its own."""
    campaign, batch = opened(store, count=2)
    (annotator,) = people(store, campaign, 1)
    answer_all(store, annotator, most=1)
    for _ in range(2):
        again = open_store(url)
        assert again.open_campaign("run-1", "t", campaign.settings, "name: x") == campaign
        assert publish(again, campaign, comparisons(2)) == batch
        assert [one.row for one in again.collect(batch)] == [0]
        later = publish(again, campaign, comparisons(2, first=50), round=1)
        assert again.progress(replace(later)).questions == 2
        again.close()
    assert len(store.batches(campaign.id)) == 2
