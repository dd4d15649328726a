"""A telephone dialogue that books a table, with a user who has an agenda and loses patience."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from gymnasium import spaces

from rlhf_core.environments.batched import dialogue_texts as texts
from rlhf_core.environments.batched.chance import draw_keys, uniforms
from rlhf_core.environments.batched.dialogue_texts import SLOTS, VALUES, Act
from rlhf_core.environments.batched.text import TextDynamics, TextEnv
from rlhf_core.implicit.signs import SignColumns

TURNS = 20
PATIENCE = np.array([8.0, 6.0, 4.5])
"""At first, of a cheerful, a calm and a hurried user."""
VOLUNTEERS = np.array([0.4, 0.2, 0.1])
"""Probability that a user who is asked for a slot tells the next one too, by mood."""
MISHEARS = np.array([0.15, 0.2, 0.3])
"""Probability that the recogniser takes a value for another one, by mood."""
NEW, REPEATED, CHECKED, BAFFLED, WRONG_OFFER = 0.5, 1.5, 0.75, 2.0, 2.0
"""Patience that is lost: a slot asked for the first time, one asked or confirmed again, one
confirmed, a confirmation of what was never said, an offer that does not fit."""
TURN_COST, SUCCESS_REWARD, HANG_UP_COST = 0.02, 1.0, 0.5
ANNOYED = 1.0
"""Patience below which the user sounds annoyed."""
DRAWS = 3 * len(SLOTS) + 1
"""Of each slot whether it is misheard, as what, and how confidently; and for volunteering."""


class Outcome(IntEnum):
    """How a dialogue stands."""

    RUNNING = 0
    SUCCESS = 1
    HUNG_UP = 2


class Dialogue(TextDynamics):
    """`DialogueEnv`. State: key and number of the turn, mood, patience, the user's last act, the
    outcome; and of each slot the goal, the value heard (-1: none), its confidence, whether it was
    confirmed, and whether the user told it in this turn.
    """

    def __init__(self) -> None:
        size = 3 * len(SLOTS) + len(Act) + 2
        self.observation_space = spaces.Box(0.0, 1.0, (size,), dtype=np.float32)
        self.action_space = spaces.Discrete(2 * len(SLOTS) + 1)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw users with a mood and a goal."""
        state = np.zeros((count, LENGTH))
        state[:, KEY] = draw_keys(rng, count)
        state[:, MOOD] = rng.integers(len(PATIENCE), size=count)
        state[:, GOAL] = rng.integers(VALUES, size=(count, len(SLOTS)))
        state[:, LEFT] = PATIENCE[state[:, MOOD].astype(np.int64)]
        state[:, HEARD] = -1.0
        return state

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Return what was heard, the user's last act, the tone, and the share of turns taken."""
        slots = len(SLOTS)
        observations = np.zeros((state.shape[1], self.observation_space.shape[0]), dtype=np.float32)
        observations[:, :slots] = (state[HEARD] >= 0).T
        observations[:, slots : 2 * slots] = state[CONFIDENCE].T
        observations[:, 2 * slots : 3 * slots] = state[CONFIRMED].T
        acts = state[ACT].astype(np.int64)
        observations[np.arange(len(acts)), 3 * slots + acts] = 1.0
        observations[:, -2] = state[LEFT] < ANNOYED
        observations[:, -1] = state[TURN] / TURNS
        return observations

    def step(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Say something and hear the answer."""
        mood = state[MOOD].astype(np.int64)
        draws = uniforms(state[KEY], state[TURN], DRAWS)
        act, told, lost = _user_turn(state, actions, draws[-1] < VOLUNTEERS[mood])
        after = state.copy()
        after[TURN] += 1
        after[LEFT] = state[LEFT] - lost
        success = act == Act.ACCEPT
        leaves = ~success & (after[LEFT] <= 0)
        told &= ~leaves
        _recognise(after, told, draws[:-1].reshape(3, len(SLOTS), -1), MISHEARS[mood])
        agreed = (act == Act.YES) & _slot_is(actions)
        after[CONFIRMED] = np.where(agreed, 1.0, np.where(told, 0.0, state[CONFIRMED]))
        after[ACT] = np.where(leaves, Act.HANG_UP, act)
        after[OUTCOME] = np.where(success, Outcome.SUCCESS, np.where(leaves, Outcome.HUNG_UP, 0))
        rewards = success * SUCCESS_REWARD - leaves * HANG_UP_COST - TURN_COST
        return after, rewards, success | leaves

    def opening(self, state: np.ndarray) -> Sequence[str]:
        """Tell mood and goal, which the system does not know."""
        return texts.opening(int(state[MOOD]), state[GOAL].astype(int).tolist())

    def lines(self, before: np.ndarray, action: Any, after: np.ndarray) -> Sequence[str]:
        """Write both turns, and what the recogniser made of the user's."""
        told = np.flatnonzero(after[TOLD]).tolist()
        return [
            texts.system_line(int(action), before[HEARD].astype(int).tolist()),
            texts.user_line(
                Act(int(after[ACT])), int(after[MOOD]), told, after[GOAL].astype(int).tolist()
            ),
            *(
                texts.heard_line(slot, int(after[HEARD][slot]), float(after[CONFIDENCE][slot]))
                for slot in told
            ),
        ]

    def infos(self, state: np.ndarray) -> Mapping[str, np.ndarray]:
        """Tell whether the table is booked."""
        return {"success": state[OUTCOME] == Outcome.SUCCESS}


class DialogueEnv(TextEnv):
    """Book a table by telephone: an agenda-based user (Schatzmann et al. 2007,
    https://aclanthology.org/N07-2038) who wants a food, an area and a price, 4 values each.

    ===========  ===================================================================
    observation  of each of 3 slots whether a value was heard, its confidence, and
                 whether it was confirmed; the user's last act (none, inform, yes, no,
                 complaint, accept, hang-up), 1 for each; 1 if the user sounds
                 annoyed (patience below 1); turns taken / 20
    action       0-2 ask for a slot; 3-5 confirm what was heard; 6 offer a table
    reward       1 for an offer that the user accepts, -0.5 where the user hangs up,
                 -0.02 a turn
    start        mood and goal at random, nothing heard
    end          terminated at acceptance or hanging up; truncated after 20 turns
    info         `success`: whether the user accepted
    ===========  ===================================================================

    A user who is asked for a slot tells it and, with probability 0.4, 0.2 or 0.1 (cheerful, calm,
    hurried), the next one on the agenda. The recogniser takes a value for another one with
    probability 0.15, 0.2 or 0.3; its confidence is 0.4 + 0.6 sqrt(u) where it is right and
    0.2 + 0.6 u^2 where it is wrong, with u uniform in [0, 1]. A user who is asked to confirm a
    wrong value, or offered a table that does not fit, says no and tells a slot again. Patience is
    8, 6 or 4.5 at first; a new question costs 0.5, a repeated one 1.5, a confirmation 0.75 (again:
    1.5), one of what was never said 2, a wrong offer 2. At 0 the user hangs up.
    """

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(Dialogue(), render_mode)

    def sign_columns(self) -> SignColumns:
        """Where the user's acts stand, and what the system has been told."""
        slots = len(SLOTS)
        acts = {act.name.lower(): 3 * slots + act for act in Act if act is not Act.NONE}
        over = np.array([acts["accept"], acts["hang_up"]])
        # A question asks again for what was heard, a confirmation for what was confirmed.
        known = np.array([*range(slots), *range(2 * slots, 3 * slots), -1])
        return SignColumns(acts, over, known)


KEY, TURN, MOOD, LEFT, ACT, OUTCOME = range(6)
GOAL, HEARD, CONFIDENCE, CONFIRMED, TOLD = (
    slice(6 + i * len(SLOTS), 6 + (i + 1) * len(SLOTS)) for i in range(5)
)
LENGTH = TOLD.stop


def _slot_is(actions: np.ndarray) -> np.ndarray:
    """Whether an action is about each slot (slots, count); an offer is about none."""
    about: np.ndarray = (np.arange(len(SLOTS))[:, None] == actions % len(SLOTS)) & (
        actions < 2 * len(SLOTS)
    )
    return about


def _first(event: np.ndarray) -> np.ndarray:
    """The first true entry of each column alone (slots, count)."""
    before = np.zeros_like(event)
    before[1:] = np.logical_or.accumulate(event[:-1], axis=0)
    return event & ~before


def _user_turn(
    state: np.ndarray, actions: np.ndarray, volunteers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What users answer: their act (count,), the slots they tell (slots, count), patience lost."""
    known, right = state[HEARD] >= 0, state[HEARD] == state[GOAL]
    about = _slot_is(actions)
    asks, offers = actions < len(SLOTS), actions >= 2 * len(SLOTS)
    confirms = ~asks & ~offers
    slot_known, slot_right = (about & known).any(axis=0), (about & right).any(axis=0)
    slot_confirmed = (about & (state[CONFIRMED] > 0)).any(axis=0)
    accepts = offers & right.all(axis=0)
    refuses = (confirms & slot_known & ~slot_right) | (offers & ~accepts)
    baffled = confirms & ~slot_known
    agenda = _first(~known & ~about)
    told = (
        (about & (asks | refuses))
        | (agenda & asks & volunteers)
        | (_first(~right) & offers & ~accepts)
    )
    act = np.full(len(actions), Act.INFORM)
    act[confirms & slot_right] = Act.YES
    act[refuses] = Act.NO
    act[baffled] = Act.COMPLAINT
    act[accepts] = Act.ACCEPT
    lost = np.where(slot_known, REPEATED, NEW)
    lost = np.where(confirms, np.where(slot_confirmed, REPEATED, CHECKED), lost)
    lost = np.where(baffled, BAFFLED, lost)
    lost = np.where(offers, np.where(accepts, 0.0, WRONG_OFFER), lost)
    return act, told, lost


def _recognise(
    state: np.ndarray, told: np.ndarray, draws: np.ndarray, mishears: np.ndarray
) -> None:
    """Write what the recogniser makes of the slots told into the states.

    Args:
        state: (D, count), written to.
        told: slots that the user tells (slots, count).
        draws: uniform (3, slots, count): whether misheard, as what, how confidently.
        mishears: probability that a value is misheard (count,).
    """
    wrong = draws[0] < mishears
    other = (state[GOAL] + 1 + np.floor(draws[1] * (VALUES - 1))) % VALUES
    confidence = np.where(wrong, 0.2 + 0.6 * draws[2] ** 2, 0.4 + 0.6 * np.sqrt(draws[2]))
    state[HEARD] = np.where(told, np.where(wrong, other, state[GOAL]), state[HEARD])
    state[CONFIDENCE] = np.where(told, confidence, state[CONFIDENCE])
    state[TOLD] = told
