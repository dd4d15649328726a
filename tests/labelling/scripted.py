"""A scripted annotator: joins by a link, asks for questions, and answers them over HTTP."""

import secrets
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from sqlalchemy import select

from rlhf_core.labelling.exchange import stored_request
from rlhf_core.labelling.store import LabelStore
from rlhf_core.labelling.store.tables import assignments, questions
from rlhf_core.questions import Request
from rlhf_core.types import Segments

Judge = Callable[[Mapping[str, Any]], dict[str, Any]]
"""An item, as the server gives it, to an answer."""
PATIENCE_SECONDS = 120.0
"""How long a server may be away."""


class ScriptedAnnotator:
    """One person, with a session on the server."""

    def __init__(self, link: str, name: str) -> None:
        """Join.

        Args:
            link: of an invite.
            name: shown to the owner.
        """
        parts = urlsplit(link)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._client = httpx.Client(base_url=self._base, headers={"Origin": self._base}, timeout=30)
        token = parts.path.rpartition("/")[2]
        self._csrf: dict[str, str] = {}
        joined = self._post("/api/join", {"token": token, "name": name})
        assert joined.status_code == 200, joined.text
        self._csrf = {"X-CSRF-Token": joined.json()["csrf"]}

    def items(self, count: int = 10) -> list[dict[str, Any]]:
        """What there is to do now."""
        answer = self._post("/api/next", {"count": count})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def look(self, item: Mapping[str, Any]) -> None:
        """Fetch the clips of an item."""
        for clip in item["clips"]:
            assert self._client.get(clip["url"]).status_code == 200

    def answer(self, item: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        """Send an answer; returns the receipt."""
        body = {
            "key": secrets.token_hex(16), "assignment": item["assignment"],
            "sequence": time.time_ns() // 1_000_000, "answer": answer, "seconds": 1.5,
            "events": [], "page_version": "scripted",
        }  # fmt: skip
        sent = self._post("/api/answers", body)
        assert sent.status_code in (200, 201), sent.text
        receipt: dict[str, Any] = sent.json()
        return receipt

    def work(self, judge: Judge, most: int) -> int:
        """Answer at most so many questions, training left out; returns how many there were."""
        done = 0
        while done < most:
            items = self.items(min(10, most - done) or 1)
            if not items:
                return done
            for item in items:
                self.answer(item, judge(item))
                done += item["stage"] == "work"
        return done

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send, and again while no server is there, as the page does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._client.post(path, json=body, headers=self._csrf)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """Leave."""
        self._client.close()


def pendulum_returns(segments: Segments) -> np.ndarray:
    """True returns of clips of Pendulum-v1, from what they show.

    r = -(angle^2 + 0.1 speed^2 + 0.001 torque^2)
    """
    observations, actions = segments.observations[:, :-1], segments.actions
    angle = np.arctan2(observations[..., 1], observations[..., 0])
    torque = np.clip(2 * actions[..., 0] if np.abs(actions).max() <= 1 else actions[..., 0], -2, 2)
    reward = -(angle**2 + 0.1 * observations[..., 2] ** 2 + 0.001 * torque**2)
    returns: np.ndarray = np.where(segments.mask, reward, 0.0).sum(axis=1)
    return returns


class PendulumJudge:
    """Compares clips by their true returns, which it computes from what they show."""

    def __init__(self, store: LabelStore) -> None:
        """A judge of the campaigns of a label store."""
        self._store = store
        self._returns = lru_cache(maxsize=32)(self._of_batch)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The choice of an item."""
        query = (
            select(questions.c.batch_id, questions.c.clips)
            .join(assignments, assignments.c.question_id == questions.c.id)
            .where(assignments.c.id == item["assignment"])
        )
        with self._store.database.reading() as connection:
            batch_id, clips = connection.execute(query).one()
        left, right = (self._returns(batch_id)[clip] for clip in clips)
        return {"choice": "left" if left > right else "right"}

    def _of_batch(self, batch_id: int) -> np.ndarray:
        request: Request = stored_request(self._store.batch(batch_id))
        return pendulum_returns(request.segments)
