"""The report: everything in it, nothing from elsewhere, and valid as a page."""

import html as escaping
import re
from datetime import datetime
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

from rlhf_core.comparison import Comparison, Details, compare
from rlhf_core.comparison.columns import table_columns
from rlhf_core.comparison.details import differing_settings
from rlhf_core.comparison.report import is_safe_link
from tests.core.comparison.examples import REASON, example
from tests.core.comparison.frames import curves_of, runs_of

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
LINK = "http://127.0.0.1:5000/#/experiments/1?a=1&b=2"


class Page(HTMLParser):
    """Elements, attributes and texts of a page; refuses tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for _, key, value in self.attributes if key == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def film(size: int = 16) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((size, size), 80).convert("P").save(buffer, "GIF")
    return buffer.getvalue()


def details(comparison: Comparison) -> Details:
    cells = comparison.table["cell"].drop_duplicates()
    return Details(
        links={"Tracking server": LINK, "bad": "javascript:alert(1)"},
        films=dict.fromkeys(cells[:3], film()),
        settings={
            cell: {"feedback.kind": cell.split("-")[0], "budget.labels": 200} for cell in cells
        },
        versions={"torch": "2.13.0"},
        definition="vary:\n  feedback.kind: [preference, '<i>']\n",
        made=datetime(2026, 11, 26, 12, 30),
        notes=["The teacher is the oracle."],
    )


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return example()


@pytest.fixture(scope="module")
def report(comparison: Comparison) -> str:
    return comparison.html(details(comparison))


@pytest.fixture(scope="module")
def page(report: str) -> Page:
    return Page(report)


def test_it_is_a_small_file(report: str) -> None:
    assert len(report.encode()) < 450_000


def test_it_refers_to_nothing_outside_but_the_given_link(report: str, page: Page) -> None:
    assert re.findall(r"https?://[^\"<\s]*", report) == [escaping.escape(LINK)]
    assert all(value.startswith("data:image/gif;base64,") for value in page.values("src"))
    assert "@import" not in report
    assert not re.search(r"url\((?!#)", report)
    assert {"link", "iframe", "object", "base", "form"}.isdisjoint(page.tags)
    local = [value for value in page.values("href") if value.startswith("#")]
    assert set(page.values("href")) - set(local) == {LINK}


def test_its_identifiers_are_unique_and_its_links_lead_somewhere(page: Page) -> None:
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    targets = {value[1:] for value in page.values("href") if value.startswith("#")}
    targets |= set(page.values("aria-labelledby"))
    assert targets <= set(identifiers)


def test_it_can_be_walked_without_seeing_it(report: str, page: Page) -> None:
    assert {"header", "main", "nav", "footer", "caption"} <= set(page.tags)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table")
    headings = [value for tag, name, value in page.attributes if tag == "th" and name == "scope"]
    assert set(headings) == {"col", "row"}
    assert len(headings) == page.tags.count("th")
    assert report.index('class="skip" href="#answer"') < report.index("<header>")
    assert page.values("aria-sort") == ["descending"]
    figures = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")]
    assert figures == ["img"] * page.tags.count("svg")
    assert page.tags.count("img") == len(page.values("alt")) == 3


def test_the_answer_comes_first_then_the_table_then_the_curves(report: str, page: Page) -> None:
    places = [report.index(mark) for mark in ('class="answer"', "<table", "<svg", "<nav", "<dl>")]
    assert places == sorted(places)


def test_it_holds_the_answer_and_every_cell_and_number(comparison: Comparison, page: Page) -> None:
    assert comparison.answer.replace("`", "") in re.sub(r" ([.;)])", r"\1", page.text).replace(
        "( ", "("
    )
    rows = comparison.table.to_dict("records")
    assert len(rows) == 12
    columns = table_columns(0.95, rows)
    assert {"iqm", "improvement", "failure_rate", "auc_steps", "return_per_label", "alarms"} <= {
        column.key for column in columns
    }
    for row in rows:
        assert row["cell"] in page.text
        for column in columns:
            assert column.write(row, 0) in page.text, column.key


def test_failed_runs_alarms_settings_versions_and_notes_stand_in_it(page: Page) -> None:
    assert REASON in page.text
    assert "2 runs without a return" in page.text
    assert "The teacher is the oracle." in page.text
    assert "torch 2.13.0" in page.text
    assert "feedback.kind" in page.text
    assert "budget.labels" not in page.text
    assert "2026-11-26 12:30" in page.text
    assert "Runs with alarms" in page.text
    assert "93.4 % with 5 seeds, 93.9 % with 10 seeds and 94.8 % with 20 seeds" in page.text


def test_texts_are_escaped_everywhere() -> None:
    bad = "<script>alert('x')</script>"
    runs = runs_of({bad: [1.0, 2, float("nan")], "b\"'&": [2.0, 3, 4]}, task=bad, labels=20)
    runs["reason"] = bad
    runs["link"] = "javascript:alert(1)"
    curves = curves_of({bad: [[1, 2]] * 2}, task=bad)
    text = compare(runs, curves, name=bad).html(
        Details(
            links={bad: f"https://example.org/{bad}"},
            films={bad: film()},
            settings={bad: {bad: bad}, "b": {}},
            versions={bad: bad},
            definition=bad,
            notes=[bad],
        )
    )
    page = Page(text)
    assert page.tags.count("script") == 1
    assert bad not in text
    assert bad in page.text
    assert "javascript:" not in "".join(page.values("href"))


def test_a_link_that_runs_a_script_is_only_a_text(page: Page) -> None:
    assert "bad" in page.text
    assert not any(value.startswith("javascript") for value in page.values("href"))


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/a?b=1#c", True),
        ("runs/1.html", True),
        ("JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("http://[", False),
    ],
)
def test_only_addresses_of_pages_can_be_clicked_on(url: str, safe: bool) -> None:
    assert is_safe_link(url) is safe


def test_a_link_that_cannot_be_parsed_is_only_a_text(comparison: Comparison) -> None:
    page = Page(comparison.html(Details(links={"broken": "http://["})))
    assert "broken" in page.text
    assert "http://[" not in page.values("href")


def test_films_that_do_not_fit_are_named(comparison: Comparison) -> None:
    large = b"GIF89a" + bytes(1_000_000)
    text = comparison.html(Details(films={"preference-ppo": large, "mixed-ppo": large}))
    page = Page(text)
    assert page.tags.count("img") == 1
    assert "Left out, so that this file stays small: mixed-ppo." in page.text
    assert len(text) < 3_000_000


def test_several_tasks_share_a_page() -> None:
    comparison = example(("pendulum", "cartpole"))
    text = comparison.html()
    page = Page(text)
    assert len(text.encode()) < 1_000_000
    assert len(page.values("id")) == len(set(page.values("id")))
    assert page.text.count("beats") + page.text.count("is ahead of") >= 2
    assert "All tasks together" in page.text
    assert "the true value in at least 90.5, 92.5, 94.4 %." in page.text


@pytest.mark.parametrize(
    "cells", [{"a": [1.0]}, {"a": [float("nan")]}, {"a": [1.0, 1], "b": [float("nan"), 2]}]
)
def test_little_makes_a_report_too(cells: dict[str, list[float]]) -> None:
    comparison = compare(runs_of(cells))
    page = Page(comparison.html())
    assert comparison.answer.split("`")[0] in page.text
    assert "nan" not in page.text


def test_only_fields_that_differ_are_settings_to_show() -> None:
    settings = {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3, "z": None}}
    assert differing_settings(settings) == {"y": {"a": "2", "b": "3"}, "z": {"a": "", "b": "None"}}
    assert differing_settings({}) == {}
