"""Answers of people, by form of feedback: which are valid, right, or alike.

==============================  ====================================================================
form                            answer
==============================  ====================================================================
comparison                      `{"choice": "left" | "right" | "equal" | "skip"}`
rating, signal                  `{"value": number}`
best_of, ranking                `{"order": [positions of clips, best first], "places": n}`
click                           `{"clicked": [positions of clips]}`
demonstration                   `{"episode": name of a played episode}`
==============================  ====================================================================

All but the comparison may also be `{"skip": true}`. Positions count the clips of the question.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback_forms import AnyForm, FeedbackForm
from rlhf_core.judgements import Choice
from rlhf_core.texts import shortened_repr

SKIP = {"skip": True}
SPARE = 2
"""Annotators who are asked in addition where all have skipped a question."""
LARGEST_VALUE = 1e6
"""Absolute value of a rating."""
EPISODE = 64
"""Characters of an episode's name."""


def parsed(form: str, settings: str) -> FeedbackForm:
    """A form with its settings. Raises `ConfigurationError` where they are none of that form."""
    try:
        made: FeedbackForm = TypeAdapter(AnyForm).validate_json(settings)
    except ValidationError as error:
        raise ConfigurationError(
            f"form '{form}': expected its settings as JSON, actual: {error.error_count()} problems"
        ) from None
    if made.kind != form:
        raise ConfigurationError(f"form: expected '{form}', actual: '{made.kind}'")
    return made


def check_askable(form: str, settings: str, clips: int) -> None:
    """Raise `ConfigurationError` where people cannot answer questions of a form.

    Args:
        form: its kind.
        settings: the form with its settings, as JSON.
        clips: K, clips in a question.
    """
    if form not in CHECKS:
        raise ConfigurationError(
            f"form '{form}': people cannot answer it here; expected one of "
            f"{', '.join(sorted(CHECKS))}"
        )
    expected = parsed(form, settings).size()
    if clips != expected:
        raise ConfigurationError(f"form '{form}': expected {expected} clips, actual: {clips}")


def check_answer(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str = "answer"
) -> dict[str, Any]:
    """An answer in its standard form.

    Args:
        form: its kind.
        settings: the form with its settings, as JSON.
        clips: K, clips in the question.
        answer: as it was sent.
        where: what messages begin with.

    Raises:
        ConfigurationError: names the field, what was expected and what came.
    """
    if form not in CHECKS:
        raise ConfigurationError(f"{where}: form '{form}' has no answers of people")
    if not isinstance(answer, Mapping):
        _refuse(where, "an object", answer)
    if form != "comparison" and "skip" in answer:
        if answer["skip"] is not True or len(answer) > 1:
            _refuse(f"{where}.skip", "true, and no other field", dict(answer))
        return dict(SKIP)
    field, check = CHECKS[form]
    unknown = set(answer) - {field, "places"} if field == "order" else set(answer) - {field}
    if field not in answer:
        _refuse(f"{where}.{field}", "a value", "none")
    if unknown:
        _refuse(where, f"the field '{field}' alone", sorted(map(str, unknown)))
    return check(form, settings, clips, answer, where)


def is_skip(answer: Mapping[str, Any]) -> bool:
    """Whether the annotator passed."""
    return answer.get("skip") is True or answer.get("choice") == "skip"


def is_correct(known: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether an answer is the known one.

    Of an order the known places count; of clicks the set; a value may differ by the known
    answer's `tolerance`, which is 0 where it is not given.
    """
    if is_skip(answer):
        return False
    if "value" in known:
        return abs(answer["value"] - known["value"]) <= known.get("tolerance", 0.0) + 1e-9
    if "order" in known:
        places = known.get("places", len(known["order"]) - 1)
        return list(answer["order"][:places]) == list(known["order"][:places])
    if "clicked" in known:
        return set(answer["clicked"]) == set(known["clicked"])
    return all(answer.get(name) == value for name, value in known.items())


class Opinion(NamedTuple):
    """What an answer says about one thing, so that two annotators can be compared."""

    about: str
    """The same text for the same thing of a question."""
    category: str


def opinions(form: str, answer: Mapping[str, Any]) -> list[Opinion]:
    """What an answer says, in categories.

    A comparison is its choice; an order is who wins each pair whose order is stated; of clicks each
    position is clicked or not by the caller's count of clips. Skips, values and episodes have no
    categories.
    """
    if is_skip(answer):
        return []
    if form == "comparison":
        return [Opinion("pair", answer["choice"])]
    if "order" in answer:
        order, places = answer["order"], answer["places"]
        made = []
        for place, better in enumerate(order[:places]):
            for worse in order[place + 1 :]:
                first, second = min(better, worse), max(better, worse)
                winner = "first" if better == first else "second"
                made.append(Opinion(f"{first} {second}", winner))
        return made
    if "clicked" in answer:
        return [Opinion("clicked", " ".join(map(str, sorted(answer["clicked"]))))]
    return []


Check = Callable[[str, str, int, Mapping[str, Any], str], dict[str, Any]]


def _refuse(where: str, expected: str, actual: object) -> None:
    raise ConfigurationError(f"{where}: expected {expected}, actual: {shortened_repr(actual)}")


def _choice(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str
) -> dict[str, Any]:
    choices = [choice.name.lower() for choice in Choice]
    if not isinstance(answer["choice"], str) or answer["choice"] not in choices:
        _refuse(f"{where}.choice", f"one of {', '.join(choices)}", answer["choice"])
    return {"choice": answer["choice"]}


def _value(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str
) -> dict[str, Any]:
    value = answer["value"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and abs(value) <= LARGEST_VALUE):
        _refuse(f"{where}.value", f"a number from -{LARGEST_VALUE:g} to {LARGEST_VALUE:g}", value)
    return {"value": float(value)}


def _positions(value: Any, clips: int, where: str) -> list[int]:
    expected = f"different positions from 0 to {clips - 1}"
    if not isinstance(value, list | tuple):
        _refuse(where, expected, value)
    for position in value:
        if isinstance(position, bool) or not isinstance(position, int):
            _refuse(where, expected, value)
        if not 0 <= position < clips:
            _refuse(where, expected, value)
    if len(set(value)) < len(value):
        _refuse(where, expected, value)
    return list(value)


def _order(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str
) -> dict[str, Any]:
    order = _positions(answer["order"], clips, f"{where}.order")
    named = parsed(form, settings).worth()
    places = answer.get("places", named)
    if isinstance(places, bool) or not isinstance(places, int) or not 1 <= places <= named:
        _refuse(f"{where}.places", f"1 to {named}", places)
    if len(order) < places:
        _refuse(f"{where}.order", f"at least {places} positions", order)
    # Those that were not put in order follow as they were shown.
    rest = [position for position in range(clips) if position not in order[:places]]
    return {"order": [*order[:places], *rest], "places": places}


def _clicked(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str
) -> dict[str, Any]:
    return {"clicked": sorted(_positions(answer["clicked"], clips, f"{where}.clicked"))}


def _episode(
    form: str, settings: str, clips: int, answer: Mapping[str, Any], where: str
) -> dict[str, Any]:
    name = answer["episode"]
    allowed = isinstance(name, str) and 0 < len(name) <= EPISODE and name.isascii()
    if not allowed or not name.replace("-", "").replace("_", "").isalnum():
        _refuse(f"{where}.episode", "the name of a played episode", name)
    return {"episode": name}


CHECKS: dict[str, tuple[str, Check]] = {
    "comparison": ("choice", _choice),
    "rating": ("value", _value),
    "signal": ("value", _value),
    "best_of": ("order", _order),
    "ranking": ("order", _order),
    "click": ("clicked", _clicked),
    "demonstration": ("episode", _episode),
}
"""By form: the field of its answer, and what checks it."""
