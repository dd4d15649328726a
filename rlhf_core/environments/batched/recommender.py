"""A recommender whose users click on bait and stay for what satisfies them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from rlhf_core.clicks.log import LogColumns
from rlhf_core.clicks.models import CLICK_MODELS, Clicks, Users
from rlhf_core.environments.batched.chance import draw_keys, uniforms
from rlhf_core.environments.batched.text import TextDynamics, TextEnv
from rlhf_core.errors import ConfigurationError

TOPICS = ("news", "sports", "music", "science")
POSITIONS, VISITS = 3, 20
EXAMINATION: Mapping[str, tuple[float, ...]] = {
    "position": (1.0, 0.6, 0.35),
    "cascade": (1.0, 1.0, 1.0),
    "dynamic_bayesian": (1.0, 0.8, 0.8),
}
"""Continuation of the click models: see `rlhf_core.clicks.models.Users`."""
BAIT_ATTRACTION, BAIT_SATISFACTION = 0.9, 0.05
LEAST_ATTRACTION, MOST_ATTRACTION = 0.1, 0.8
LEAST_SATISFACTION, MOST_SATISFACTION = 0.1, 0.95
"""Of a solid item, to users whom its topic interests not at all, and fully."""
BOREDOM_KEPT, BOREDOM_ADDED, MOST_BOREDOM = 0.7, 0.06, 0.9
FIRST_MOOD, MOOD_RATE = 0.5, 0.5
EXPECTATION = (0.15, 0.25)
DRAWS = 4
"""For examination, click, satisfaction and dwell, at each position."""
SATISFIED_MINUTES, SATISFIED_MORE = 0.5, 1.5


class Recommender(TextDynamics):
    """`RecommenderEnv`. State: key and number of the visit, interests, boredom, mood, expectation,
    presence, clicks, dwell (min).
    """

    def __init__(self, clicks: str = "position") -> None:
        if clicks not in CLICK_MODELS:
            raise ConfigurationError(
                f"environment.options: expected clicks to be one of {list(CLICK_MODELS)}, actual: "
                f"'{clicks}'"
            )
        topics = len(TOPICS)
        high = np.ones(topics + 1 + 2 * POSITIONS, dtype=np.float32)
        high[-POSITIONS:] = SATISFIED_MINUTES + SATISFIED_MORE
        self.observation_space = spaces.Box(np.zeros_like(high), high, dtype=np.float32)
        self.action_space = spaces.MultiDiscrete([2 * topics] * POSITIONS)
        self._click_model = CLICK_MODELS[clicks]
        self._examination = np.array(EXAMINATION[clicks])

    @property
    def examination(self) -> np.ndarray:
        """True propensities of the positions (K,), where they depend on the position alone."""
        return self._examination

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw users: interests from [0, 1], expectations, nobody bored, nothing clicked yet."""
        state = np.zeros((count, LENGTH))
        state[:, KEY] = draw_keys(rng, count)
        state[:, INTERESTS] = rng.random((count, len(TOPICS)))
        state[:, MOOD], state[:, PRESENT] = FIRST_MOOD, 1.0
        state[:, EXPECTED] = rng.uniform(*EXPECTATION, size=count)
        return state

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return what is wanted now, presence, and clicks and dwell of the last slate."""
        observations = np.empty((state.shape[1], self.observation_space.shape[0]), dtype=np.float32)
        observations[:, : len(TOPICS)] = wanted(state).T
        observations[:, len(TOPICS) :] = state[LOGGED].T
        return observations

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Show a slate."""
        items, present = actions.T.astype(np.int64), state[PRESENT]
        attraction, satisfaction = appeal(state, items)
        rewards = present * _mean(attraction * satisfaction)
        draws = uniforms(state[KEY], state[VISIT], DRAWS * POSITIONS)
        draws = draws.reshape(DRAWS, POSITIONS, -1)
        users = Users(attraction, satisfaction, self._examination, draws[:3])
        clicks = self._click_model(users)
        after = state.copy()
        after[VISIT] += 1
        after[BOREDOM] = _boredom(state[BOREDOM], items, present)
        after[MOOD] = np.minimum(
            state[MOOD] + present * MOOD_RATE * (rewards - state[EXPECTED]), 1.0
        )
        after[PRESENT] = present * (after[MOOD] > 0)
        after[CLICKED] = clicks.clicked * present
        after[MINUTES] = _dwell(clicks, draws[3]) * present
        return after, rewards, np.zeros(len(rewards), dtype=bool)

    def opening(self, state: np.ndarray) -> Sequence[str]:
        """Name the user's interests."""
        interests = state[INTERESTS]
        best = np.argsort(-interests)
        return ["User's interests: " + ", ".join(f"{TOPICS[i]} {interests[i]:.0%}" for i in best)]

    def lines(self, before: np.ndarray, action: Any, after: np.ndarray) -> Sequence[str]:
        """List the slate, each item with the dwell after a click on it."""
        if not before[PRESENT]:
            return [f"Visit {before[VISIT] + 1:.0f}: the user has left."]
        shown = []
        for position, item in enumerate(np.asarray(action).tolist()):
            seconds = 60 * after[MINUTES][position]
            clicked = f" *{seconds:.0f} s*" if after[CLICKED][position] else ""
            shown.append(f"{position + 1} {item_name(item)}{clicked}")
        told = [f"Visit {before[VISIT] + 1:.0f}: " + ", ".join(shown)]
        return told if after[PRESENT] else [*told, "The user leaves."]

    def infos(self, state: np.ndarray) -> Mapping[str, np.ndarray]:
        """Tell nothing beyond the reward."""
        return {}


class RecommenderEnv(TextEnv):
    """A user of a recommender, who comes back up to 20 times to a slate of 3 items out of 8.

    ===========  ===================================================================
    observation  of each of 4 topics how much it is wanted now, from 0 to 1; 1 while
                 the user is there; of the last slate whether each position was
                 clicked, and the minutes that the user stayed after it (dwell)
    action       the item at each of 3 positions: of topic i a solid one (2 i) or
                 bait (2 i + 1); an item may stand twice
    reward       satisfaction: mean over the slate of attraction x satisfaction,
                 from 0 to 0.76; 0 when the user has left
    start        interests uniform in [0, 1], no boredom, mood 0.5
    end          truncated after 20 visits; a user whose mood falls to 0 leaves and
                 does not come back
    ===========  ===================================================================

    With w = interest x (1 - boredom), which is observed, a solid item attracts with probability
    0.1 + 0.7 w and, once clicked, satisfies with probability 0.1 + 0.85 w; bait attracts with 0.9
    and satisfies with 0.05. Solid items bore: boredom becomes 0.7 boredom + 0.06 for each one of
    the topic, at most 0.9. Mood rises by half of what satisfaction is above the user's expectation,
    which is hidden and uniform in [0.15, 0.25]. Sooner or later the user gets to know all items of
    a slate, and each counts alike; clicks are made at first sight, in which position k is examined
    with probability 1, 0.6, 0.35 (`clicks: position`), or as in `cascade` or `dynamic_bayesian`. A
    click that satisfies has a dwell of 30 to 120 seconds, another one less than 30.
    """

    def __init__(self, clicks: str = "position", render_mode: str | None = None) -> None:
        super().__init__(Recommender(clicks), render_mode)

    def log_columns(self) -> LogColumns:
        """Where clicks and dwell stand in the next observation."""
        topics = len(TOPICS)
        positions = np.arange(POSITIONS)
        return LogColumns(
            context=np.arange(topics),
            present=topics,
            clicks=topics + 1 + positions,
            minutes=topics + 1 + POSITIONS + positions,
        )

    def item_count(self) -> int:
        """A solid item and bait of each topic."""
        return 2 * len(TOPICS)


KEY, VISIT = 0, 1
INTERESTS = slice(2, 2 + len(TOPICS))
BOREDOM = slice(INTERESTS.stop, INTERESTS.stop + len(TOPICS))
PRESENT = BOREDOM.stop
CLICKED = slice(PRESENT + 1, PRESENT + 1 + POSITIONS)
MINUTES = slice(CLICKED.stop, CLICKED.stop + POSITIONS)
LOGGED = slice(PRESENT, MINUTES.stop)
MOOD, EXPECTED = MINUTES.stop, MINUTES.stop + 1
LENGTH = EXPECTED + 1


def item_name(item: int) -> str:
    """Name an item, such as `music` or `music!` for bait."""
    return TOPICS[item // 2] + "!" * (item % 2)


def wanted(state: np.ndarray) -> np.ndarray:
    """Compute how much each topic is wanted now (topics, count): interest x (1 - boredom)."""
    return state[INTERESTS] * (1 - state[BOREDOM])


def appeal(state: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute attraction and satisfaction (K, count) of items (K, count) to these users."""
    interest = np.take_along_axis(wanted(state), items // 2, axis=0)
    bait = items % 2 == 1
    attraction = LEAST_ATTRACTION + (MOST_ATTRACTION - LEAST_ATTRACTION) * interest
    satisfaction = LEAST_SATISFACTION + (MOST_SATISFACTION - LEAST_SATISFACTION) * interest
    return (
        np.where(bait, BAIT_ATTRACTION, attraction),
        np.where(bait, BAIT_SATISFACTION, satisfaction),
    )


def _mean(numbers: np.ndarray) -> np.ndarray:
    """Mean over positions, added in one order whatever the number of copies."""
    total = numbers[0]
    for row in numbers[1:]:
        total = total + row
    return total / len(numbers)


def _boredom(boredom: np.ndarray, items: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Boredom after a slate; it does not change while the user is away."""
    solid = items[None] == 2 * np.arange(len(TOPICS))[:, None, None]
    bored = BOREDOM_KEPT * boredom + BOREDOM_ADDED * solid.sum(axis=1)
    return np.where(present > 0, np.minimum(bored, MOST_BOREDOM), boredom)


def _dwell(clicks: Clicks, draws: np.ndarray) -> np.ndarray:
    """Minutes after each click (K, count)."""
    long = SATISFIED_MINUTES + SATISFIED_MORE * draws
    return clicks.clicked * np.where(clicks.satisfied, long, SATISFIED_MINUTES * draws)
