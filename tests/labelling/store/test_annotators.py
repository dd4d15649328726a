"""Invites, sessions, and annotators whose answers no longer count."""

import pytest

from rlhf_core.errors import ConfigurationError, LabellingError
from rlhf_core.labelling.store import LabelStore
from tests.labelling.store.examples import Clock, answer_all, opened, people


def refused(store: LabelStore, token: str) -> str:
    with pytest.raises(LabellingError) as caught:
        store.join(token, "Somebody")
    return f"{caught.value.reason}: {caught.value}"


def test_an_invite_for_one_is_used_up_by_the_first(store: LabelStore) -> None:
    campaign, _ = opened(store)
    invite, token = store.invite(campaign.id, "Ada")
    assert (invite.uses, invite.used, invite.expires, invite.revoked) == (1, 0, None, False)
    annotator, session = store.join(token, "  Ada Lovelace ")
    assert (annotator.number, annotator.name, annotator.active) == (0, "Ada Lovelace", True)
    assert refused(store, token).startswith("gone: this invitation was used already")
    # Whoever has joined opens the link again: nothing happens.
    assert store.join(token, "Ada", known=annotator) == (annotator, None)
    assert session is not None
    assert store.annotator_of_session(session) == annotator
    assert [one.used for one in store.invites(campaign.id)] == [1]


def test_a_shared_invite_numbers_those_who_join(store: LabelStore) -> None:
    campaign, _ = opened(store)
    other, _ = opened(store, key="run-2")
    annotators = people(store, campaign, 4)
    assert [one.number for one in annotators] == [0, 1, 2, 3]
    assert store.annotators(campaign.id) == annotators
    (elsewhere,) = people(store, other, 1)
    assert elsewhere.number == 0
    # A session of another campaign is none here.
    _, token = store.invite(campaign.id, "more", uses=2)
    joined, session = store.join(token, "x", known=elsewhere)
    assert (joined.campaign_id, joined.number) == (campaign.id, 4)
    assert session is not None


def test_an_invite_expires_is_revoked_or_is_unknown(store: LabelStore, clock: Clock) -> None:
    campaign, _ = opened(store)
    invite, token = store.invite(campaign.id, "Ada", uses=None, hours=1)
    assert invite.expires == clock.now + 3600
    clock.now += 3599
    store.join(token, "In time")
    clock.now += 1
    assert refused(store, token).startswith("gone: this invitation has expired")
    second, shared = store.invite(campaign.id, "Ada", uses=None)
    store.join(shared, "One")
    store.revoke(campaign.id, second.id)
    assert refused(store, shared).startswith("gone: this invitation was revoked")
    assert [one.revoked for one in store.invites(campaign.id)] == [False, True]
    for forged in ("", "x", token + "x", "\0", "\ud800", "é" * 500):
        assert refused(store, forged) == "unknown: this invitation does not exist"
    other, _ = opened(store, key="run-2")
    with pytest.raises(LabellingError, match=f"campaign {other.id} has no invite"):
        store.revoke(other.id, second.id)


def test_only_digests_of_tokens_are_stored(store: LabelStore) -> None:
    campaign, _ = opened(store)
    _, token = store.invite(campaign.id, "Ada")
    _, session = store.join(token, "Ada")
    owner = store.begin_owner_session(60)
    from sqlalchemy import select

    from rlhf_core.labelling.store.tables import metadata

    with store.database.reading() as connection:
        content = str([connection.execute(select(t)).all() for t in metadata.sorted_tables])
    assert "Ada" in content
    assert session is not None
    for secret in (token, session, owner):
        assert secret not in content


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 61, "\x1b[31m", "\0"])
def test_a_name_that_cannot_be_shown_uses_no_invite_up(store: LabelStore, name: str) -> None:
    campaign, _ = opened(store)
    _, token = store.invite(campaign.id, "Ada")
    with pytest.raises(ConfigurationError, match="name: expected 1 to 60 printable characters"):
        store.join(token, name)
    assert store.join(token, "<b>Ada</b> Łoś 李")[0].name == "<b>Ada</b> Łoś 李"


@pytest.mark.parametrize(
    ("uses", "hours", "message"),
    [(0, 1.0, "uses"), (-1, 1.0, "uses"), (1, 0.0, "seconds"), (1, float("nan"), "seconds")],
)
def test_a_bad_invite_is_refused(store: LabelStore, uses: int, hours: float, message: str) -> None:
    campaign, _ = opened(store)
    with pytest.raises(ConfigurationError, match=f"{message}: expected"):
        store.invite(campaign.id, "Ada", uses=uses, hours=hours)
    assert store.invites(campaign.id) == []


def test_sessions_end_and_expire(store: LabelStore, clock: Clock) -> None:
    campaign, _ = opened(store)
    _, token = store.invite(campaign.id, "all", uses=None)
    annotator, first = store.join(token, "Ada")
    _, second = store.join(token, "Grace")
    assert first is not None
    assert second is not None
    assert not store.is_owner_session(first)
    owner = store.begin_owner_session(60)
    assert store.is_owner_session(owner)
    assert store.annotator_of_session(owner) is None
    store.end_session(first)
    assert store.annotator_of_session(first) is None
    clock.now += 59
    assert store.is_owner_session(owner)
    clock.now += 1
    assert not store.is_owner_session(owner)
    assert store.annotator_of_session(second) is not None
    clock.now += 90 * 24 * 3600
    assert store.annotator_of_session(second) is None
    for forged in ("", "\0", "\ud800", annotator.name):
        assert store.annotator_of_session(forged) is None
        assert not store.is_owner_session(forged)


def test_answers_of_an_inactive_annotator_do_not_count_and_are_asked_again(
    store: LabelStore,
) -> None:
    campaign, batch = opened(store, count=3)
    first, second = people(store, campaign, 2)
    assert answer_all(store, first) == 3
    assert store.offer(second, 3).items == ()
    assert not store.set_active(campaign.id, 0, False).active
    assert store.progress(batch).answers == 0
    assert store.offer(first, 3).items == ()
    assert answer_all(store, second, most=2) == 2
    # Active again: the earlier answers count, as they came first.
    store.set_active(campaign.id, 0, True)
    assert (store.progress(batch).complete, store.progress(batch).answers) == (3, 3)
    assert {answer.annotator for answer in store.collect(batch)} == {0}
    # What a round has taken stays taken.
    store.set_active(campaign.id, 0, False)
    assert len(store.collect(batch)) == 3
