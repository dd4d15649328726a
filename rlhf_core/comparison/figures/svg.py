"""Matplotlib figures as SVG text that is legible on a light and on a dark page.

Text and axes take `currentColor`, the background is transparent, letters stay text, and points can
carry a value that a script shows: the attribute `data-tip`.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the colour of the page's text until the figure is written."""

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "comparison",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.8,
    "font.size": 10,
}
WIDTH = 5.2
"""Inches; on a telephone a figure then shows its letters in about their own size."""

LEGEND_ROW = 0.19
"""Inches."""

LONG_NUMBER = re.compile(r"(-?\d+\.\d)\d+")
GROUP_ATTRIBUTES = ("d", "x", "y", "transform", "width", "height")


@contextmanager
def drawing() -> Iterator[None]:
    """Hold the settings under which figures are drawn; names are never read as formulas."""
    from matplotlib import rc_context

    with rc_context(SETTINGS), warnings.catch_warnings():
        # The reader's browser has the letters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(height: float) -> tuple["Figure", "Axes"]:
    """Make an empty figure with one pair of axes, so many inches high without a legend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="both")
    axes.set_axisbelow(True)
    return figure, axes


def add_legend(figure: "Figure", handles: "Sequence[Artist]") -> None:
    """Write a legend in two columns below the axes; equal names stand once."""
    unique = {str(handle.get_label()): handle for handle in handles}
    rows = (len(unique) + 1) // 2
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * rows)
    figure.legend(
        list(unique.values()), list(unique), loc="outside lower center", ncols=2, handlelength=2.6
    )


def svg_text(figure: "Figure", description: str, tips: Mapping[str, Sequence[str]]) -> str:
    """Write a figure.

    Args:
        figure: drawn within `drawing`.
        description: what it shows, for those who cannot see it.
        tips: for an artist's gid, the text of each of its points in order.

    Returns:
        An `svg` element without identifiers but those that it refers to itself.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314
    for element in root.iter():
        _plain_names(element)
    for group in root.iter("g"):
        texts = tips.get(group.get("id", ""))
        if texts is not None:
            points = list(group.iter("use")) or list(group.iter("path"))[:1]
            for point, text in zip(points, texts, strict=True):
                point.set("data-tip", text)
    for metadata_element in root.findall("metadata"):
        root.remove(metadata_element)
    _share_styles(root)
    _remove_unused_ids(root)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib.update(
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "role": "img",
            "aria-label": description,
        }
    )
    return ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor")


def inline(svg: str, name: str) -> str:
    """Make a figure part of an HTML page that holds others: unique identifiers, no name space."""
    text = svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    return text.replace("url(#", f"url(#{name}-")


def _plain_names(element: ElementTree.Element) -> None:
    """Drop name spaces, long decimals and lists of fonts."""
    element.tag = element.tag.rpartition("}")[2]
    for key in list(element.attrib):
        value = element.attrib.pop(key)
        plain = key.rpartition("}")[2]
        if plain in GROUP_ATTRIBUTES:
            value = LONG_NUMBER.sub(r"\1", value)
        if plain == "style":
            value = re.sub("font-family: [^;]*", "font-family: sans-serif", value)
        element.set(plain, value)
    if element.text is not None and not element.text.strip():
        element.text = None
    if element.tail is not None and not element.tail.strip():
        element.tail = None


def _share_styles(root: ElementTree.Element) -> None:
    """Write the style of many equal points once, on their group."""
    for group in root.iter("g"):
        styles = {child.get("style") for child in group}
        if len(group) > 1 and len(styles) == 1 and all(child.tag == "use" for child in group):
            group.set("style", styles.pop() or "")
            for child in group:
                child.attrib.pop("style", None)


def _remove_unused_ids(root: ElementTree.Element) -> None:
    values = " ".join(value for element in root.iter() for value in element.attrib.values())
    used = set(re.findall(r"#([\w-]+)", values))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
