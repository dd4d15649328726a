"""MLflow's page shows the prepared views: opened in a browser, as a person does."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rlhf_core.comparison.colours import colour_of
from tasks.tracking import experiments, page, summaries, views
from tasks.tracking.logging import log_metrics
from tasks.tracking.store import Tracker
from tasks.tracking.summaries import SummaryRow
from tests.flows.conftest import LONGEST_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
VISITED = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"
"""MLflow opens a panel beside the first page that a browser visits, unless this is set."""
DRAWN_SECONDS = 180
"""After this long a part of a page counts as one that is never drawn."""
DRAWN = ".js-plotly-plot .barlayer path, .js-plotly-plot .scatterlayer path"
"""Bars, lines and points of charts."""

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3 * LONGEST_SECONDS)]

RETURNS = {"preference-ppo": -150.0, "mixed-ppo": -300.0, "true_reward-ppo": -120.0}
ANSWER = "`preference-ppo` beats `mixed-ppo` by 150 (120 to 180)."
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}


@dataclass
class Served:
    """A page of MLflow and what it shows."""

    url: str
    experiment: str
    comparison: str
    """The id of its view."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    database = folder / "mlflow.db"
    database.touch()
    tracker = Tracker(f"sqlite:///{database}", (folder / "artifacts").as_uri())
    experiment = experiments.ready(tracker, "Pendulum-v1")
    _runs(tracker, experiment)
    written = summaries.write(
        tracker, "Pendulum-v1", "first", [*map(_row, RETURNS)], ANSWER, b"<html>"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", page.__name__, str(listening.fileno())],
            env={
                **os.environ, page.STORE: tracker.uri, page.ARTIFACTS: f"{tracker.artifacts}"
            },
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
        )  # fmt: skip
    try:
        wait_until(lambda: _answers(url))
        yield Served(url, experiment, written.view.rpartition("=")[2])
    finally:
        process.terminate()
        process.communicate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _runs(tracker: Tracker, experiment: str) -> None:
    """Two seeds of each cell, without their training."""
    client = tracker.client()
    for cell, value in RETURNS.items():
        for seed in range(2):
            tags = {"rlhf.kind": "run", "rlhf.cell": cell, "strategy": cell.partition("-")[0]}
            run = client.create_run(experiment, tags=tags, run_name=f"{cell}-s{seed}")
            run_id = run.info.run_id
            for step in (1, 2, 3):
                metrics = {
                    "eval/true_return_iqm": value * (4 - step) - seed,
                    "feedback/labels_total": 10.0 * step,
                    "proxy/true_correlation": step / 4,
                    "reward/heldout_accuracy": step / 4,
                    "reward/starc_distance": 1 - step / 4,
                }
                log_metrics(tracker, run_id, metrics, 1000 * step, step)
            final = {
                "final/true_return_iqm": value - seed, "best/true_return_iqm": value - seed,
                "final/labels": 30.0, "final/cost": 3.0, "final/return_per_label": 2.0,
                "final/seconds": 9.0,
            }  # fmt: skip
            log_metrics(tracker, run_id, final, 3000, 3)
            client.set_terminated(run_id)


def _row(cell: str) -> SummaryRow:
    value = RETURNS[cell]
    interval = {"ci_low": value - 20, "iqm": value, "ci_high": value + 20}
    rank = 1.0 + sum(other > value for other in RETURNS.values())
    return SummaryRow(
        cell,
        cell.partition("-")[0],
        "ppo",
        f"{rank:.0f}. {cell}: {value:.0f} ({value - 20:.0f} to {value + 20:.0f}), 2 seeds",
        {f"final/{name}": number for name, number in interval.items()}
        | {"final/rank": rank, "final/probability_of_improvement": 0.9, "final/failure_rate": 0.0}
        | {"final/seeds": 2.0},
        [(step, {f"eval/{n}": v * (4 - step) for n, v in interval.items()}) for step in (1, 2, 3)],
        [(step, {f"labels/{n}": v * (4 - step) for n, v in interval.items()}) for step in (1, 2)],
        [],
    )


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser: "Browser", address: str, size: str, scheme: Any) -> "Page":
    """A page at an address, with what it complained about in `page.complaints`."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.add_init_script(f"localStorage.setItem('{VISITED}', 'true')")
    shown = context.new_page()
    shown.set_default_timeout(1000 * DRAWN_SECONDS)
    shown.goto(address)
    return shown


def charts(view: str) -> list[str]:
    """Titles that MLflow gives the charts of a view."""
    found = []
    for chart in views.definitions()[view].charts:
        if chart.type == "SCATTER":
            found.append(f"{chart.x} vs. {chart.y}")
        else:
            found.append(" vs ".join(chart.metrics))
    return found


@pytest.mark.parametrize("view", [name for name in views.definitions() if name != "comparison"])
@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("desktop", "dark")])
def test_a_view_shows_its_charts_and_the_result(
    served: Served, browser: "Browser", view: str, size: str, scheme: str
) -> None:
    address = f"{served.url}{views.link(served.experiment, views.identity(view))}"
    shown = opened(browser, address, size, scheme)
    definition = views.definitions()[view]
    shown.get_by_text(definition.heading, exact=False).first.wait_for()
    for title in charts(view)[:2]:
        shown.get_by_text(title, exact=True).first.wait_for()
    _drawn(shown)

    def complete() -> None:
        assert shown.get_by_role("button", name=definition.name, exact=True).is_visible()
        text = shown.locator("body").inner_text()
        assert "preference-ppo beats mixed-ppo by 150 (120 to 180)." in text
        assert "6 matching runs" in text
        groups = re.findall(r"Group: (\S+)", text)
        assert groups == sorted(RETURNS, key=RETURNS.__getitem__, reverse=True)

    eventually(complete)
    _says_nothing_of_errors(shown)
    shown.context.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_of_a_comparison_says_which_won_and_how_surely(
    served: Served, browser: "Browser", size: str, scheme: str
) -> None:
    address = f"{served.url}{views.link(served.experiment, served.comparison)}"
    shown = opened(browser, address, size, scheme)
    best = shown.get_by_text("1. true_reward-ppo: -120 (-140 to -100), 2 seeds").first
    best.wait_for()

    def complete() -> None:
        text = shown.locator("body").inner_text()
        assert "3 matching runs" in text
        names = re.findall(r"(\d)\. \S+: -\d+ \(", text)
        assert names[:3] == ["1", "2", "3"]

    eventually(complete)
    _says_nothing_of_errors(shown)
    # On a phone the page draws charts once they are scrolled to.
    if size == "desktop":
        _drawn(shown)
        for title in charts("comparison")[:2]:
            shown.get_by_text(title, exact=True).first.wait_for()

        def coloured() -> None:
            assert rgb(colour_of("preference")) in _colours(shown)

        eventually(coloured)
    shown.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_the_first_screen_of_a_comparisons_table_has_every_result(
    served: Served, browser: "Browser", size: str
) -> None:
    link = views.link(served.experiment, served.comparison)
    shown = opened(browser, f"{served.url}{link.replace('CHART', 'TABLE')}", size, "light")
    width, height = SIZES[size]
    for cell in RETURNS:
        name = shown.get_by_text(re.compile(rf"^\d\. {cell}: -\d+ \(-\d+ to -\d+\), 2 seeds$"))
        name.first.wait_for()

        def on_the_first_screen(name: "Locator" = name.first) -> None:
            box = name.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < height
            # Up to the interval: the number of seeds may be cut off.
            assert box["x"] + 0.8 * box["width"] < width

        eventually(on_the_first_screen)
    shown.context.close()


def test_the_table_of_a_comparison_has_a_line_a_cell_in_the_order_of_the_columns(
    served: Served, browser: "Browser"
) -> None:
    link = views.link(served.experiment, served.comparison)
    address = f"{served.url}{link.replace('CHART', 'TABLE')}"
    shown = opened(browser, address, "desktop", "light")

    def complete() -> None:
        headers = shown.locator(".ag-header-cell").evaluate_all(
            "all => all.sort((a, b) => a.ariaColIndex - b.ariaColIndex)"
            ".map(one => one.getAttribute('col-id'))"
        )
        metrics = [name for name in headers if name.startswith("metrics.")]
        wanted = views.definitions()["comparison"].columns.metrics
        assert metrics == [f"metrics.`{name}`" for name in wanted][: len(metrics)]
        assert len(metrics) >= 4, "on the first screen"

    eventually(complete)
    shown.context.close()


def eventually(check: Callable[[], None]) -> None:
    """Repeat a check until it holds: MLflow draws the parts of a page one by one, in any order."""
    deadline = time.monotonic() + DRAWN_SECONDS
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _says_nothing_of_errors(shown: "Page") -> None:
    text = shown.locator("body").inner_text()
    assert not re.search(r"error|went wrong|invalid|does not exist", text, re.IGNORECASE)


def _drawn(shown: "Page") -> None:
    """Wait until a chart has lines or bars."""
    shown.locator(DRAWN).first.wait_for(state="attached")


def _colours(shown: "Page") -> set[str]:
    found = shown.locator(DRAWN).evaluate_all(
        "all => all.flatMap(one => [getComputedStyle(one).stroke, getComputedStyle(one).fill])"
    )
    return set(found)


def rgb(colour: str) -> str:
    """A colour as a browser tells it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"
