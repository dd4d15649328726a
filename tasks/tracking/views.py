"""Prepared views of an experiment's runs: tables and charts that MLflow's page lists under "Views".

MLflow keeps a saved view as a tag of the experiment, `mlflow.sharedViewState.<id>`. What a view
shows is defined in `mlflow/views/*.json`, in the words of `Definition`; this module writes it in
MLflow's own form, which is that of MLflow 3.17 as its page saves it.
"""

import hashlib
import json
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field

from rlhf_core.plugin import Config
from tasks.tracking.store import Tracker
from tasks.tracking.tags import CELL_TAG, COMPARISON_TAG, KIND_TAG, VIEW_TAG, VIEWS_TAG

COMPARISON = "comparison"
"""The definition that is written once for each comparison."""
PLACES = (
    Path(__file__).with_name("prepared_views"),
    Path(__file__).parents[2] / "mlflow" / "views",
)
"""Of the definitions: in an installed package, and in the repository."""
NAME_WIDTH = {"attributes.`Run Name`": 340}
"""Of the column of names, which hold the result of a cell, in pixels."""
COLUMN_WIDTH = 130
HEIGHT = 440
"""Of a chart, in pixels: two charts fill the first screen."""
OTHER_SECTIONS = {
    "run": (
        "final", "best", "eval", "feedback", "proxy", "reward", "policy", "guard", "model/eval",
        "time",
    ),
    "cell": ("final", "eval", "labels"),
}  # fmt: skip
"""Where MLflow puts charts of all other metrics: closed, below ours."""


class Chart(Config):
    """One chart. Its title is MLflow's: the names of its metrics."""

    type: Literal["LINE", "BAR", "SCATTER"]
    metrics: tuple[str, ...] = ()
    """The metrics that are drawn; for a scatter plot `x` and `y` hold them."""
    x_metric: str | None = None
    """The metric of a line's horizontal axis; None: the step."""
    x_scale: Literal["linear", "log"] = "linear"
    """The scale of that axis."""
    x: str | None = None
    y: str | None = None


class Columns(Config):
    """Columns of the table."""

    metrics: tuple[str, ...]
    tags: tuple[str, ...]


class Definition(Config):
    """A view, as its file says it."""

    name: str
    """What the page lists it as; `{name}` stands for the comparison's."""
    heading: str = Field(max_length=42)
    """What stands above its charts; MLflow cuts longer ones off."""
    about: str
    """What it shows, in one sentence."""
    version: int
    """A newer one replaces what an experiment has."""
    kind: Literal["run", "cell"] = "run"
    """Runs, drawn as one group a cell, or summaries of cells."""
    order_by: str
    ascending: bool = False
    columns: Columns
    charts: tuple[Chart, ...] = Field(min_length=1)


@cache
def definitions() -> Mapping[str, Definition]:
    """All views by the name of their file."""
    place = next((place for place in PLACES if place.is_dir()), None)
    assert place is not None, "the views are packaged with this module"
    return {
        path.stem: Definition.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(place.glob("*.json"))
    }


def identity(view: str, comparison: str | None = None) -> str:
    """The id of a view in tags and addresses.

    A digest distinguishes names of comparisons whose characters are replaced, such as `a.b`.
    """
    if comparison is None:
        return f"rlhf-{view}"
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", comparison)
    digest = hashlib.sha256(comparison.encode()).hexdigest()[:8]
    return f"rlhf-{view}-{plain}" if plain == comparison else f"rlhf-{view}-{plain}-{digest}"


def link(experiment_id: str, view_id: str) -> str:
    """What follows a server's address to open a view."""
    return (
        f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&compareRunsMode=CHART&viewStateShareKey={quote(view_id)}"
    )


def ensure(
    tracker: Tracker,
    experiment_id: str,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write the views of an experiment that are missing there or of an older version.

    A view that was deleted is not written again before there is a newer version.

    Args:
        tracker: where.
        experiment_id: of MLflow.
        tags: of the experiment; None: they are read.
    """
    client = tracker.client()
    if tags is None:
        tags = client.get_experiment(experiment_id).tags
    versions = json.loads(tags.get(VIEWS_TAG, "{}"))
    ours = {name: view for name, view in definitions().items() if name != COMPARISON}
    old = {name: view for name, view in ours.items() if versions.get(name, 0) < view.version}
    for name, view in old.items():
        value = _saved(view, identity(name), view.name, f"tags.`{KIND_TAG}` = '{view.kind}'")
        client.set_experiment_tag(experiment_id, f"{VIEW_TAG}{identity(name)}", value)
    if old:
        versions |= {name: view.version for name, view in old.items()}
        client.set_experiment_tag(experiment_id, VIEWS_TAG, json.dumps(versions))


def comparison(tracker: Tracker, experiment_id: str, name: str) -> str:
    """Write the view of one comparison, which shows its summary runs; return the view's id."""
    view, view_id = definitions()[COMPARISON], identity(COMPARISON, name)
    condition = f"tags.`{KIND_TAG}` = '{view.kind}' and tags.`{COMPARISON_TAG}` = {quoted(name)}"
    value = _saved(view, view_id, view.name.format(name=name), condition)
    client = tracker.client()
    client.set_experiment_tag(experiment_id, f"{VIEW_TAG}{view_id}", value)
    client.set_experiment_tag(experiment_id, COMPARISON_TAG, name)
    return view_id


def first_link(experiment_id: str, tags: Mapping[str, str]) -> str:
    """The address of the view to begin with: of the newest comparison, else of learning curves.

    Args:
        experiment_id: of MLflow.
        tags: of the experiment.
    """
    named = tags.get(COMPARISON_TAG)
    view_id = identity("learning-curves") if named is None else identity(COMPARISON, named)
    return link(experiment_id, view_id)


def quoted(text: str) -> str:
    """A text as a filter of MLflow's holds it; `is_quotable` says which can be.

    Filters have no way to write a quotation mark inside of quotation marks of its own kind.
    """
    return f"'{text}'" if "'" not in text else f'"{text}"'


def is_quotable(text: str) -> bool:
    """Whether a filter of MLflow's can hold a text: not with both kinds of quotation marks."""
    return "'" not in text or '"' not in text


def _saved(view: Definition, view_id: str, name: str, condition: str) -> str:
    """The value of a view's tag."""
    state = json.dumps(_state(view, view_id, condition)).encode()
    now = time.time_ns() // 1_000_000
    packed = b64encode(zlib.compress(state, 9)).decode()
    return json.dumps(
        {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    )


def _state(view: Definition, view_id: str, condition: str) -> dict[str, Any]:
    """A view as MLflow's page keeps it."""
    main = f"{view_id}-main"
    columns = [f"metrics.`{name}`" for name in view.columns.metrics]
    columns += [f"tags.`{name}`" for name in view.columns.tags]
    group = {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "tag", "groupByData": CELL_TAG}],
    }
    return {
        "searchFilter": condition,
        "orderByKey": view.order_by,
        "orderByAsc": view.ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [*NAME_WIDTH, *columns],
        "columnWidths": NAME_WIDTH | dict.fromkeys(columns, COLUMN_WIDTH),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [
            _chart(chart, f"{view_id}-{index}", main) for index, chart in enumerate(view.charts)
        ],
        "compareRunSections": [
            _section(main, view.heading, True, min(2, len(view.charts)), HEIGHT),
            *(_section(f"{view_id}-{name}", name, False) for name in OTHER_SECTIONS[view.kind]),
        ],
        "viewMaximized": True,
        "runListHidden": False,
        # Else MLflow sorts the sections by their names.
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": group if view.kind == "run" else None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _section(
    identity: str, name: str, is_open: bool, columns: int = 3, height: int = 360
) -> dict[str, Any]:
    return {
        "uuid": identity,
        "name": name,
        "display": is_open,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,
    }


def _chart(chart: Chart, identity: str, section: str) -> dict[str, Any]:
    common = {
        "uuid": identity,
        "type": chart.type,
        "runsCountToCompare": 100,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
    }
    if chart.type == "SCATTER":
        return common | {
            "xaxis": {"key": chart.x, "type": "METRIC"},
            "yaxis": {"key": chart.y, "type": "METRIC"},
        }
    curves = common | {"metricKey": chart.metrics[0], "selectedMetricKeys": [*chart.metrics]}
    if chart.type == "BAR":
        return curves
    return curves | {
        "lineSmoothness": 0,
        "xAxisScaleType": chart.x_scale,
        "scaleType": "linear",
        "range": {},
        "xAxisKey": "step" if chart.x_metric is None else "metric",
        "selectedXAxisMetricKey": chart.x_metric or "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": True,
    }
