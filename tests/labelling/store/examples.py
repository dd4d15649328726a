"""Campaigns of a few questions, and what annotators do in them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlhf_core.feedback_forms import form_of
from rlhf_core.labelling.store import (
    Annotator,
    Assignment,
    Batch,
    Campaign,
    CampaignSettings,
    LabelStore,
    Receipt,
    Submission,
)
from rlhf_core.questions import Queries, Request
from tests.core.examples import segments

LEFT, RIGHT, EQUAL, SKIP = ({"choice": name} for name in ("left", "right", "equal", "skip"))
_keys = itertools.count()


class Clock:
    """Unix time that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now


def comparisons(count: int, first: int = 0) -> Request:
    """So many comparisons of clips that show first, first + 1, ..., two new clips each."""
    clips = segments(first + np.arange(2.0 * count)[:, None] * np.ones((1, 2)))
    form = form_of("comparison", ())
    items = np.arange(2 * count).reshape(count, 2)
    asked = Queries(items, None, form.worth(), form.model_dump_json())
    return Request(clips, clips, {"comparison": asked})


def opened(
    store: LabelStore, count: int = 3, first: int = 0, key: str = "run-1", **settings: Any
) -> tuple[Campaign, Batch]:
    """A campaign with a batch of comparisons."""
    campaign = store.open_campaign(key, "Pendulum", CampaignSettings(**settings), "name: x")
    return campaign, publish(store, campaign, comparisons(count, first))


def publish(
    store: LabelStore, campaign: Campaign, request: Request, round: int = 0, **more: Any
) -> Batch:
    """Publish a request."""
    return store.publish(campaign, round, 0, request, "file:///artifacts", "0" * 64, **more)


def people(store: LabelStore, campaign: Campaign, count: int) -> list[Annotator]:
    """So many annotators who joined by one link."""
    _, token = store.invite(campaign.id, "all", uses=None)
    return [store.join(token, f"annotator {number}")[0] for number in range(count)]


def say(
    store: LabelStore, annotator: Annotator, item: Assignment | str, answer: Any = LEFT, **more: Any
) -> Receipt:
    """Answer an item under a new key."""
    name = item if isinstance(item, str) else item.id
    sent = {"key": f"key-{next(_keys):08d}", "sequence": 0, "seconds": 2.0, **more}
    return store.submit(annotator, Submission(assignment=name, answer=answer, **sent))


def answer_all(
    store: LabelStore, annotator: Annotator, answers: Sequence[Any] = (LEFT,), most: int = 1000
) -> int:
    """Answer what is offered, at most so many; returns the number of answers."""
    given = 0
    while given < most:
        offer = store.offer(annotator, min(3, most - given))
        if not offer.items:
            break
        for item in offer.items:
            say(store, annotator, item, answers[given % len(answers)])
            given += 1
    return given
