r"""How an environment describes its clips itself: as text, HTML, a grid or a slate of items.

An environment does so with a method of its own,

    class Dialogue(gymnasium.Env):
        def clip_view(self, observations, actions):
            return Text("\n".join(self.sentence(a) for a in actions))

or, where its class is not yours, with a function that is registered by its id:

    register_view("FrozenLake-v1", lambda observations, actions: Grid(...))

Both are given the clip's observations (steps + 1, ...) and its actions (steps, ...), without
padding, and return a `Text`, `Html`, `Grid` or `Slate`, or None to leave the clip to the film or
the plot. What is registered goes first.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.clips.markup import plain_html
from rlhf_core.labelling.clips.media import View


@dataclass(frozen=True)
class Text:
    """A transcript, shown as it is written, with its line breaks."""

    text: str


@dataclass(frozen=True)
class Html:
    """Plain HTML: `markup.ELEMENTS` without attributes; everything else is taken out."""

    html: str


@dataclass(frozen=True)
class Grid:
    """A board of cells for each moment of the clip, played in step with the other clip."""

    frames: Sequence[Sequence[Sequence[str]]]
    """Of each moment the rows, of each row the cells: a letter or a short word."""
    legend: Mapping[str, str] = field(default_factory=dict)
    """What a cell means, by what stands in it."""


@dataclass(frozen=True)
class Item:
    """One entry of a slate."""

    title: str
    detail: str = ""
    chosen: bool = False
    """Whether it was chosen in the clip, such as clicked by a simulated visitor."""


@dataclass(frozen=True)
class Slate:
    """A list of items, as a recommender shows them."""

    items: Sequence[Item]


OwnView = Text | Html | Grid | Slate
ViewFunction = Callable[[np.ndarray, np.ndarray], OwnView | None]

_REGISTERED: dict[str, ViewFunction] = {}


def register_view(environment: str, function: ViewFunction) -> None:
    """Show clips of an environment, by its id, as a function says; a later one replaces it."""
    _REGISTERED[environment] = function


def unregister_view(environment: str) -> None:
    """Show clips of an environment as before `register_view`."""
    _REGISTERED.pop(environment, None)


def registered_view(environment: str) -> ViewFunction | None:
    """The function that was registered for an environment."""
    return _REGISTERED.get(environment)


def view_of(own: object) -> View:
    """The name of the page's module that shows it.

    Raises:
        ConfigurationError: it is none of the four.
    """
    names: dict[type, View] = {Text: "text", Html: "html", Grid: "grid", Slate: "slate"}
    name = names.get(type(own))
    if name is None:
        raise ConfigurationError(
            "clip_view: expected a Text, Html, Grid or Slate, or None, actual: "
            f"{type(own).__name__}"
        )
    return name


def moments(own: OwnView) -> int:
    """Frames that it plays through; 1 where it stands still."""
    return max(len(own.frames), 1) if isinstance(own, Grid) else 1


def content(own: OwnView) -> bytes:
    """What the page is sent, as JSON."""
    return json.dumps(_plain(own), ensure_ascii=False).encode()


def _plain(own: OwnView) -> dict[str, Any]:
    if isinstance(own, Text):
        return {"text": own.text}
    if isinstance(own, Html):
        return {"html": plain_html(own.html)}
    if isinstance(own, Grid):
        frames = [[[str(cell) for cell in row] for row in rows] for rows in own.frames]
        return {"frames": frames, "legend": dict(own.legend)}
    return {
        "items": [
            {"title": item.title, "detail": item.detail, "chosen": item.chosen}
            for item in own.items
        ]
    }
