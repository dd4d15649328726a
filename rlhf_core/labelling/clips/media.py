"""What a clip looks like before and after it is drawn."""

from dataclasses import dataclass
from typing import Literal

View = Literal["film", "plot", "text", "html", "slate", "grid"]
"""How the page shows a clip; each has a module of that name in `labelling/page/views`."""


@dataclass(frozen=True)
class ClipView:
    """What is known of a clip without drawing it."""

    view: View
    frames: int
    """Moments that the clip plays through; 1 for one that stands still."""
    rate: float
    """Frames per second; 0 for a clip that stands still."""
    seconds: float
    """Time that the frames last."""
    alt: str
    """The clip in words, for those who cannot see it."""
    columns: int = 1
    """Of a film: frames beside each other in its sheet, which is filled row by row."""


@dataclass(frozen=True)
class Media:
    """A drawn clip.

    ========  =====================  ======================================================
    view      content type           content
    ========  =====================  ======================================================
    film      image/webp             a sheet of all frames, `columns` in a row, row by row
    plot      image/svg+xml          curves over time; the line of class `playhead` moves
    text      application/json       `{"text": str}`
    html      application/json       `{"html": str}`: plain elements without attributes
    grid      application/json       `{"frames": [[[str]]], "legend": {str: str}}`
    slate     application/json       `{"items": [{"title", "detail", "chosen"}]}`
    ========  =====================  ======================================================
    """

    view: View
    content_type: str
    content: bytes
    seconds: float
    frames: int
    rate: float
    alt: str
    columns: int = 1
