"""The words of a dialogue: what the system and the user say, by act."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

SLOTS: Mapping[str, tuple[str, ...]] = {
    "food": ("Italian", "Indian", "Thai", "Greek"),
    "area": ("centre", "north", "south", "harbour"),
    "price": ("cheap", "moderate", "expensive", "any"),
}
"""What a table is chosen by, and the values that a user may want."""
VALUES = 4
NAMES = tuple(SLOTS)
MOODS = ("cheerful", "calm", "hurried")


class Act(IntEnum):
    """What a user does in a turn."""

    NONE = 0
    INFORM = 1
    YES = 2
    NO = 3
    COMPLAINT = 4
    ACCEPT = 5
    HANG_UP = 6


QUESTIONS = ("What food would you like?", "In which area?", "In which price range?")
INFORMS = ("{}, please, that would be lovely.", "{}, please.", "{}.")
"""By mood, as the following ones."""
AGREES = ("Yes, exactly!", "Yes.", "Yes, yes.")
REFUSES = ("No, sorry, I meant {}.", "No, {}.", "No! {}, I said.")
COMPLAINS = ("Sorry, I have not told you that yet.", "I have not said that.", "I never said that!")
ACCEPTS = ("Wonderful, thank you!", "Good, I take it. Thank you.", "Fine. Bye.")
HANGS_UP = "(hangs up)"


def opening(mood: int, goal: Sequence[int]) -> list[str]:
    """Describe the user: mood, and the value wanted of each slot."""
    wanted = ", ".join(f"{name} {value(slot, goal[slot])}" for slot, name in enumerate(NAMES))
    return [f"A {MOODS[mood]} user wants: {wanted}"]


def system_line(action: int, heard: Sequence[int]) -> str:
    """Say what the system says.

    Args:
        action: 0-2 ask, 3-5 confirm, 6 offer.
        heard: value of each slot as the system knows it; -1: none.
    """
    slots = len(NAMES)
    if action < slots:
        return f"System: {QUESTIONS[action]}"
    if action < 2 * slots:
        slot = action - slots
        return f"System: {NAMES[slot].capitalize()}: {value(slot, heard[slot])}. Is that right?"
    chosen = ", ".join(f"{name} {value(slot, heard[slot])}" for slot, name in enumerate(NAMES))
    return f"System: I can offer you a table: {chosen}."


def user_line(act: Act, mood: int, told: Sequence[int], goal: Sequence[int]) -> str:
    """Say what the user says.

    Args:
        act: of the user.
        mood: 0 to 2.
        told: slots whose value is told.
        goal: value wanted of each slot.
    """
    values = " and ".join(value(slot, goal[slot]) for slot in told)
    sentences = {
        Act.NONE: "",
        Act.INFORM: INFORMS[mood].format(values),
        Act.YES: AGREES[mood],
        Act.NO: REFUSES[mood].format(values),
        Act.COMPLAINT: COMPLAINS[mood],
        Act.ACCEPT: ACCEPTS[mood],
        Act.HANG_UP: HANGS_UP,
    }
    return f"User: {sentences[act]}"


def heard_line(slot: int, heard: int, confidence: float) -> str:
    """Say what the recogniser understood."""
    return f"  [{NAMES[slot]} understood as {value(slot, heard)}, confidence {confidence:.0%}]"


def value(slot: int, number: int) -> str:
    """Name a value of a slot; `?` where none was heard."""
    return SLOTS[NAMES[slot]][number] if number >= 0 else "?"
