"""The report: one self-contained HTML file."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlhf_core.comparison.colours import colour_of
from rlhf_core.comparison.columns import Column, table_columns
from rlhf_core.comparison.details import Details, differing_settings
from rlhf_core.comparison.figures import figures_of_task, slugs_of
from rlhf_core.comparison.figures.svg import inline
from rlhf_core.comparison.numbers import decimals_for, plain, with_interval
from rlhf_core.comparison.roles import NULL_CONTROLS
from rlhf_core.comparison.statistics.reliability import COVERAGE, TASKS_COVERAGE

if TYPE_CHECKING:
    from jinja2 import Template

    from rlhf_core.comparison.comparison import Comparison

MOST_FILM_BYTES = 1_800_000
"""Films beyond this size in all are left out, so that a report stays below 3 MB."""

CAPTIONS: Mapping[str, tuple[str, str]] = {
    "curves_by_steps": (
        "True return over environment steps",
        "Line: interquartile mean over seeds. Band: its interval. Thin lines: controls.",
    ),
    "curves_by_labels": (
        "True return over labels",
        "The same, against the number of labels. Controls need no label and are lines.",
    ),
    "returns_at_labels": (
        "Return at some numbers of labels",
        "Bars start at the lowest level of the figure, not at zero. Thin lines: intervals.",
    ),
    "seeds": (
        "Every seed",
        "A point is a seed, the line its cell's interquartile mean, the bar the interval.",
    ),
    "profiles": (
        "Performance profiles",
        "Share of seeds above each return; higher is better. Bands: the two best cells.",
    ),
    "differences": (
        "Difference from the control",
        "Right of the line is better. A difference whose interval crosses it may be luck.",
    ),
    "improvement": (
        "Probability of improvement",
        "Chance that a run of the cell beats a run of its control. At 0.5 neither is better.",
    ),
    "cost_frontier": (
        "Return against cost",
        "No cell is both cheaper and better than one on the dashed line.",
    ),
    "proxy_against_true": (
        "Proxy against true return",
        "A point is a round of a run. A learned reward that is right rises from left to right.",
    ),
    "heldout_accuracy": (
        "Accuracy on held-out labels",
        "How often the learned reward agrees with answers that it was not fitted to.",
    ),
    "proxy_correlation": (
        "Correlation with the true reward",
        "Of the learned reward, on steps of the policy. 1 is perfect.",
    ),
}
"""Title and explanation of each figure."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Labels and cost": ("returns_at_labels", "cost_frontier"),
    "Seeds": ("seeds", "profiles"),
    "Against the control": ("differences", "improvement"),
    "Reward quality": ("proxy_against_true", "proxy_correlation", "heldout_accuracy"),
}
"""Figures by the heading under which they stand, after the learning curves."""


@dataclass(frozen=True)
class FigureView:
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class TaskView:
    """One task as the page shows it."""

    name: str
    slug: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    digits: int
    main: list[FigureView]
    sections: dict[str, list[FigureView]]
    controls: str
    """What the cells are measured against."""
    control_cells: list[str]
    """References and null controls."""
    leader: str
    """Best of the other cells."""


def html(comparison: "Comparison", details: Details | None = None) -> str:
    """Write the report.

    Every text is escaped. The file refers to nothing outside but the links that it was given.
    """
    details = details or Details()
    slugs = slugs_of(comparison.tasks)
    films, left_out = _films(comparison, details.films)
    frame = comparison.runs
    alarms = frame[frame["alarms"] > 0].sort_values(["task", "cell", "seed"])
    return _template().render(
        comparison=comparison,
        details=details,
        tasks=[_task_view(comparison, task, slug) for task, slug in slugs.items()],
        films=films,
        films_left_out=left_out,
        alarms=alarms.to_dict("records"),
        failed=comparison.failed.to_dict("records"),
        overall=comparison.overall.to_dict("records"),
        differing=differing_settings(details.settings),
        answers={task: answer_parts(text) for task, text in comparison.answers.items()},
        links={name: url for name, url in details.links.items() if is_safe_link(url)},
        unsafe_links=[name for name, url in details.links.items() if not is_safe_link(url)],
        percent=f"{100 * comparison.level:g}",
        runs=frame[frame["link"] != ""].to_dict("records"),
        slugs=slugs,
        colour_of=colour_of,
        plain=plain,
        with_interval=with_interval,
        is_safe_link=is_safe_link,
        coverage={seeds: COVERAGE[seeds] for seeds in (5, 10, 20)},
        tasks_coverage=list(TASKS_COVERAGE.values()),
        levels=_failure_levels(comparison),
    )


def is_safe_link(url: str) -> bool:
    """Whether an address may be clicked on: `http`, `https`, or relative to the report.

    An address that cannot be parsed, such as `http://[`, is not safe.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return False
    return scheme in ("http", "https", "")


def answer_parts(answer: str) -> list[tuple[bool, str]]:
    """Split the answer at its backticks: (whether it is a name, text)."""
    return [(index % 2 == 1, part) for index, part in enumerate(answer.split("`")) if part]


def _failure_levels(comparison: "Comparison") -> str:
    """Level of failure of each task that has one."""
    levels = comparison.table.drop_duplicates("task").dropna(subset=["failure_below"])
    return ", ".join(
        f"{task}: {plain(level)}"
        for task, level in zip(levels["task"], levels["failure_below"], strict=True)
    )


def _task_view(comparison: "Comparison", task: str, slug: str) -> TaskView:
    rows: list[dict[str, Any]] = comparison.table[comparison.table["task"] == task].to_dict(
        "records"
    )
    controls = [
        row["cell"]
        for row in rows
        if row["cell"] in comparison.references or row["strategy"] in NULL_CONTROLS
    ]
    views = {
        key: FigureView(f"{slug}-{key}", *CAPTIONS[key], inline(svg, f"{slug}-{key}"))
        for key, svg in figures_of_task(comparison, task).items()
    }
    main = [views[key] for key in ("curves_by_steps", "curves_by_labels") if key in views]
    sections = {
        heading: [views[key] for key in keys if key in views and views[key] not in main]
        for heading, keys in SECTIONS.items()
    }
    return TaskView(
        name=task,
        slug=slug,
        columns=table_columns(comparison.level, rows),
        rows=rows,
        digits=decimals_for(*(row["iqm"] for row in rows)),
        main=main,
        sections={heading: of_heading for heading, of_heading in sections.items() if of_heading},
        controls=_controls_text(rows),
        control_cells=controls,
        leader=next((row["cell"] for row in rows if row["cell"] not in controls), ""),
    )


def _controls_text(rows: list[dict[str, Any]]) -> str:
    """Say what the cells of a task are measured against."""
    controls = [row["control"] for row in rows if row["control"]]
    if not controls:
        return "No cell has a control."
    usual = max(set(controls), key=controls.count)
    others = [
        f"{r['cell']} against {r['control']}" for r in rows if r["control"] not in ("", usual)
    ]
    end = f", {' and '.join(others)}" if others else ""
    return f"Each cell is measured against {usual}{end}."


def _films(
    comparison: "Comparison", films: Mapping[str, bytes]
) -> tuple[dict[str, str], list[str]]:
    """Films as data addresses, best cell first, while they fit; and the cells left out."""
    order = list(dict.fromkeys([*comparison.table["cell"], *films]))
    addresses: dict[str, str] = {}
    left_out = []
    size = 0
    for cell in order:
        if cell not in films:
            continue
        text = base64.b64encode(films[cell]).decode()
        if size + len(text) > MOST_FILM_BYTES:
            left_out.append(cell)
            continue
        size += len(text)
        addresses[cell] = f"data:image/gif;base64,{text}"
    return addresses, left_out


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("rlhf_core.comparison") / "page"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Files of this package, which hold no text of others.
    for name in ("report.css", "report.js"):
        text = (folder / name).read_text(encoding="utf-8")
        environment.globals[name.replace(".", "_")] = Markup(text)  # noqa: S704
    # `svg_text` escapes the texts of a figure.
    environment.filters["as_svg"] = lambda text: Markup(text)  # noqa: S704
    return environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
