"""How each cell is drawn: the strategy gives the colour, the rest of the name marker and line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rlhf_core.comparison.colours import colour_of

if TYPE_CHECKING:
    from pandas import DataFrame

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
Line = Literal["-", "--", ":", "-."] | tuple[float, Sequence[float]]
LINES: tuple[Line, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
LONGEST_NAME = 30


@dataclass(frozen=True)
class Style:
    """Colour, marker and line of one cell."""

    colour: str
    marker: str
    line: Line


def styles_of(table: "DataFrame") -> dict[str, Style]:
    """Style of each cell.

    Cells that differ in their strategy alone, such as `preference-ppo` and `mixed-ppo`, share
    marker and line.
    """
    names = dict(zip(table["cell"], table["strategy"], strict=True))
    rests = {cell: cell.removeprefix(strategy) for cell, strategy in names.items()}
    positions = {rest: index for index, rest in enumerate(sorted(set(rests.values())))}
    return {
        cell: Style(
            colour_of(strategy),
            MARKERS[positions[rests[cell]] % len(MARKERS)],
            LINES[positions[rests[cell]] % len(LINES)],
        )
        for cell, strategy in names.items()
    }


def short_name(cell: str) -> str:
    """Name of a cell that fits beside an axis."""
    return cell if len(cell) <= LONGEST_NAME else cell[: LONGEST_NAME - 1] + "…"
