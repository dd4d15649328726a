"""Episodes that annotators play, stored before they are acknowledged.

Each annotator plays one at a time, always on the same thread, since some drawing libraries belong
to the thread that began with them.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from rlhf_core.environments.factory import Environment
from rlhf_core.errors import RunError
from rlhf_core.labelling.play import PlayedEpisode, PlaySessions, PlayState
from rlhf_core.labelling.store import Annotator, LabelStore
from rlhf_core.packing import pack

THREADS = 4
REMEMBERED = 1000
"""Episodes that were handed in and may be handed in again, where the receipt was lost."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Play:
    annotator: int
    assignment: str
    ended: bytes | None = None
    """The packed episode between its end and its storing."""
    stored: bool = False


class Plays:
    """The episodes that are being played."""

    def __init__(self, store: LabelStore, most: int, idle_seconds: float) -> None:
        self._store = store
        self._sessions = PlaySessions(most, idle_seconds)
        self._plays: OrderedDict[str, _Play] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = [ThreadPoolExecutor(1, f"play-{n}") for n in range(THREADS)]

    def start(
        self, annotator: Annotator, assignment: str, environment: Environment
    ) -> tuple[str, PlayedEpisode]:
        """Begin an episode for an item; an earlier one of the annotator is given up."""
        begin = lambda: self._sessions.start(environment, _owner(annotator))  # noqa: E731
        name, episode = self._on_thread(annotator, begin)
        self._note(name, _Play(annotator.id, assignment))
        return name, episode

    def step(self, annotator: Annotator, name: str, action: int) -> PlayState:
        """Take an action. Raises `RunError` where the episode is over, or another's."""
        return self._on_thread(
            annotator, lambda: self._sessions.step(name, _owner(annotator), action)
        )

    def frame(self, annotator: Annotator, name: str) -> bytes:
        """The episode now, as a WebP picture."""
        return self._on_thread(annotator, lambda: self._sessions.frame(name, _owner(annotator)))

    def end(self, annotator: Annotator, name: str, price: float) -> None:
        """End an episode and store it; the second time nothing happens.

        Raises:
            RunError: there is no such episode of this annotator.
            ConfigurationError: no step was taken; the episode goes on.
        """
        with self._lock:
            play = self._plays.get(name)
        if play is None or play.annotator != annotator.id:
            raise RunError("this episode is over; begin it again")
        self._on_thread(annotator, lambda: self._hand_in(annotator, name, price))

    def end_idle(self) -> None:
        """Give up episodes that nobody steps any more."""
        self._sessions.end_idle()

    def close(self) -> None:
        """Give up all episodes."""
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)
        self._sessions.close()

    def _on_thread(self, annotator: Annotator, action: Callable[[], Result]) -> Result:
        return self._threads[annotator.id % THREADS].submit(action).result()

    def _hand_in(self, annotator: Annotator, name: str, price: float) -> None:
        with self._lock:
            play = self._plays[name]
        if play.stored:
            return
        if play.ended is None:
            played = self._sessions.end(name, _owner(annotator), price)
            play = replace(play, ended=pack(played))
            # It is kept until it is stored: the store may fail, and the page tries again.
            self._note(name, play)
        assert play.ended is not None, "set above"
        self._store.add_episode(annotator, play.assignment, name, play.ended)
        self._note(name, replace(play, ended=None, stored=True))

    def _note(self, name: str, play: _Play) -> None:
        with self._lock:
            self._plays[name] = play
            while len(self._plays) > REMEMBERED:
                self._plays.popitem(last=False)


def _owner(annotator: Annotator) -> str:
    return f"annotator {annotator.id}"
