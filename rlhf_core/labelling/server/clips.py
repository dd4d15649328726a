"""Clips for the pages: described at once, drawn once, cached by what they are drawn from."""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from rlhf_core.errors import StoreError
from rlhf_core.labelling.clips import Cache, ClipView
from rlhf_core.labelling.server.clip_source import ClipSource
from rlhf_core.labelling.server.drawing import LATER, NOW, DrawingPool
from rlhf_core.labelling.store import Batch, Question
from rlhf_core.questions import Request
from rlhf_core.store import Store

log = logging.getLogger("rlhf.labelling")

DRAWING = 1
"""Version of the drawings; a new one draws them again."""
REQUESTS = 8
"""Loaded requests that are kept."""
VIEWS = 20_000
"""Descriptions that are kept."""
LOST = ClipView("film", 1, 0.0, 0.0, "This clip is no longer there.")


class LostClipError(StoreError):
    """What a clip is drawn from is no longer there."""


@dataclass(frozen=True)
class Clip:
    """What a clip is drawn from."""

    experiment: str
    """Of the run, as YAML."""
    batch: Batch
    position: int
    """In the request's segments."""

    @property
    def key(self) -> str:
        """Digest of it; the reference of the request is a digest itself."""
        digest = hashlib.sha256(f"{DRAWING} {self.batch.ref} {self.position} ".encode())
        digest.update(self.experiment.encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Drawn:
    """A drawn clip as it is sent."""

    content_type: str
    content: bytes


class Clips:
    """The clips of all campaigns."""

    def __init__(self, source: ClipSource, cache: Cache, threads: int) -> None:
        self._source, self._cache = source, cache
        self._pool: DrawingPool[Drawn] = DrawingPool(threads)
        self._requests: Recent[Request] = Recent(REQUESTS)
        self._views: Recent[ClipView] = Recent(VIEWS)

    def view(self, clip: Clip) -> ClipView:
        """What is known of a clip; of a lost one, that it is lost."""
        try:
            return self._views.get(clip.key, lambda: self._described(clip))
        except LostClipError:
            return LOST

    def drawn(self, clip: Clip) -> Future[Drawn]:
        """A drawn clip, for somebody who waits. It raises `LostClipError` where it is lost."""
        return self._pool.draw(clip.key, lambda: self._draw(clip), NOW)

    def prepare(self, clip: Clip) -> None:
        """Draw a clip for later, unless it is drawn."""
        self._pool.draw(clip.key, lambda: self._draw(clip), LATER)

    def close(self) -> None:
        """Draw nothing any more."""
        self._pool.close()

    def _described(self, clip: Clip) -> ClipView:
        return self._source.describe(clip.experiment, self._request(clip), clip.position)

    def _draw(self, clip: Clip) -> Drawn:
        cached = self._cache.get(clip.key)
        if cached is not None:
            kind, _, content = cached.partition(b"\n")
            return Drawn(kind.decode(), content)
        media = self._source.render(clip.experiment, self._request(clip), clip.position)
        try:
            self._cache.put(clip.key, media.content_type.encode() + b"\n" + media.content)
        except StoreError as error:
            # A full disk makes clips slow, but shows them.
            log.warning("%s", error)
        return Drawn(media.content_type, media.content)

    def _request(self, clip: Clip) -> Request:
        artifacts, ref = clip.batch.artifacts, clip.batch.ref
        try:
            return self._requests.get(
                f"{ref} {artifacts}", lambda: Store(artifacts).get(ref, Request)
            )
        except StoreError as error:
            log.warning("the request of batch %s is lost: %s", clip.batch.id, error)
            raise LostClipError(str(error)) from error


def clip_of(question: Question, batch: Batch, experiment: str, place: int) -> Clip | None:
    """The clip at a place of a question; None where it has fewer."""
    if not 0 <= place < len(question.clips):
        return None
    return Clip(experiment, batch, question.clips[place])


Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """Values by key, made once; those that were used longest ago are let go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, Kept] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Kept]) -> Kept:
        """The value of a key. What `make` raises is raised, and nothing is kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
        return value
