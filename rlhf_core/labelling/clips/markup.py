"""HTML that an environment describes itself in, reduced to plain elements without attributes."""

from html import escape
from html.parser import HTMLParser

ELEMENTS = frozenset(
    (
        "b", "blockquote", "br", "caption", "code", "dd", "div", "dl", "dt", "em", "h1", "h2", "h3",
        "h4", "h5", "h6", "hr", "i", "kbd", "li", "mark", "ol", "p", "pre", "s", "small", "span",
        "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
    )
)  # fmt: skip
"""Elements that stay; of others their text stays."""
EMPTY = frozenset(("br", "hr"))
REMOVED = frozenset(("script", "style", "template", "iframe", "object", "svg", "math", "title"))
"""Elements whose text goes too."""


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.open: list[str] = []
        self.removed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in REMOVED:
            self.removed.append(tag)
        elif tag in ELEMENTS and not self.removed:
            self.parts.append(f"<{tag}>")
            if tag not in EMPTY:
                self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in EMPTY and not self.removed:
            self.parts.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self.removed:
            if tag == self.removed[-1]:
                self.removed.pop()
        elif tag in self.open:
            while (inner := self.open.pop()) != tag:
                self.parts.append(f"</{inner}>")
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.removed:
            self.parts.append(escape(data))


def plain_html(html: str) -> str:
    """The text with the elements of `ELEMENTS`, all closed, no attribute, everything escaped."""
    parser = _Plain()
    parser.feed(html)
    parser.close()
    return "".join([*parser.parts, *(f"</{tag}>" for tag in reversed(parser.open))])
