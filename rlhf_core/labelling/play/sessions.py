"""Episodes that people are playing now, each by a name that cannot be guessed.

They live in the memory of one process. A trajectory is handed out by `end`, whoever stores it; an
episode that is lost with the process is played again.
"""

import secrets
import threading
import time
from dataclasses import dataclass, field

from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import RunError
from rlhf_core.labelling.play.episode import PlayedEpisode

IDLE_SECONDS = 900.0
"""Time after which an episode that nobody steps is given up."""
MOST = 64
"""Episodes at a time."""


@dataclass
class _Session:
    owner: str
    episode: PlayedEpisode
    begun: float
    touched: float
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class PlayState:
    """How an episode stands."""

    session: str
    steps: int
    done: bool


class PlaySessions:
    """The episodes that are being played."""

    def __init__(self, most: int = MOST, idle_seconds: float = IDLE_SECONDS) -> None:
        """Nobody plays yet.

        Args:
            most: episodes at a time.
            idle_seconds: after which an episode is given up.
        """
        self._most, self._idle = most, idle_seconds
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def start(self, environment: Environment, owner: str) -> tuple[str, PlayedEpisode]:
        """Begin an episode and return its name; an earlier one of the same owner is given up.

        Args:
            environment: to play in.
            owner: who plays, such as an assignment; nobody else can step it.

        Raises:
            RunError: too many people play at this moment.
            ConfigurationError: the environment cannot be played.
        """
        now = time.monotonic()
        with self._lock:
            over = [
                name
                for name, session in self._sessions.items()
                if session.owner == owner or now - session.touched > self._idle
            ]
            ended = [self._sessions.pop(name) for name in over]
            full = len(self._sessions) >= self._most
        for session in ended:
            _close(session)
        if full:
            raise RunError(f"{self._most} people play at this moment; try again in a minute")
        episode = PlayedEpisode(environment, secrets.randbelow(2**31))
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._sessions[name] = _Session(owner, episode, now, now)
        return name, episode

    def step(self, name: str, owner: str, action: int) -> PlayState:
        """Take an action.

        Raises:
            RunError: there is no such episode of this owner.
            ConfigurationError: there is no such action.
        """
        session = self._of(name, owner)
        with session.lock:
            session.touched = time.monotonic()
            session.episode.step(action)
            return PlayState(name, session.episode.steps, session.episode.done)

    def frame(self, name: str, owner: str) -> bytes:
        """The episode now, as a WebP picture. Raises `RunError` where it is not this owner's."""
        session = self._of(name, owner)
        with session.lock:
            return session.episode.frame()

    def end(self, name: str, owner: str, cost: float = 0.0) -> Demonstrations:
        """End an episode and return it as one demonstration, with the time that it took.

        Raises:
            RunError: there is no such episode of this owner.
            ConfigurationError: no step was taken; the episode goes on.
        """
        session = self._of(name, owner)
        with session.lock:
            trajectory = session.episode.trajectory()
        with self._lock:
            self._sessions.pop(name, None)
        _close(session)
        return demonstrations([trajectory], time.monotonic() - session.begun, cost)

    def end_idle(self) -> None:
        """Give up the episodes that nobody has stepped for a while."""
        now = time.monotonic()
        with self._lock:
            over = [n for n, one in self._sessions.items() if now - one.touched > self._idle]
            ended = [self._sessions.pop(name) for name in over]
        for session in ended:
            _close(session)

    def close(self) -> None:
        """Give up all episodes."""
        with self._lock:
            ended = [*self._sessions.values()]
            self._sessions.clear()
        for session in ended:
            _close(session)

    def _of(self, name: str, owner: str) -> _Session:
        with self._lock:
            session = self._sessions.get(name)
        if session is None or session.owner != owner:
            raise RunError("this episode is over; begin it again")
        return session


def _close(session: _Session) -> None:
    with session.lock:
        session.episode.close()
