"""Views and summaries as MLflow's page reads them, and descriptions."""

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlhf_core.comparison.colours import colour_of
from tasks.tracking import experiments, summaries, views
from tasks.tracking.notes import edited
from tasks.tracking.store import Tracker
from tasks.tracking.summaries import SummaryRow
from tasks.tracking.tags import NOTE_TAG
from tests.docs.test_docs import ROOT, documented_metrics


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder = tmp_path_factory.mktemp("tracking")
    database = folder / "mlflow.db"
    database.touch()
    return Tracker(f"sqlite:///{database}", (folder / "artifacts").as_uri())


@pytest.fixture
def experiment(tracker: Tracker, request: pytest.FixtureRequest) -> str:
    return experiments.ready(tracker, request.node.name)


def saved(tags: dict[str, str], view_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A view's tag, and the state inside of it, unpacked as MLflow's page does."""
    tag = json.loads(tags[f"mlflow.sharedViewState.{view_id}"])
    kind, _, packed = tag.pop("state").partition(";")
    assert kind == "deflate"
    return tag, json.loads(zlib.decompress(base64.b64decode(packed)))


# What the page of MLflow 3.17.2 had written when a view was saved there by hand.
KEYS = {
    "searchFilter", "orderByKey", "orderByAsc", "startTime", "lifecycleFilter", "datasetsFilter",
    "modelVersionFilter", "selectedColumns", "columnOrder", "columnWidths", "runsHiddenMode",
    "compareRunCharts", "compareRunSections", "viewMaximized", "runListHidden",
    "isAccordionReordered", "useGroupedValuesInCharts", "hideEmptyCharts", "groupBy",
    "groupsExpanded", "globalLineChartConfig",
}  # fmt: skip


def test_an_experiment_has_every_view_in_mlflows_form(tracker: Tracker, experiment: str) -> None:
    tags = tracker.client().get_experiment(experiment).tags
    names = {}
    for key in ("learning-curves", "labels", "final", "reward-quality", "cost"):
        tag, state = saved(tags, f"rlhf-{key}")
        names[key] = tag["name"]
        assert set(tag) == {"name", "createdAt", "updatedAt"}
        assert set(state) == KEYS
        assert state["searchFilter"] == "tags.`rlhf.kind` = 'run'"
        assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "rlhf.cell"}]
        sections = [section["uuid"] for section in state["compareRunSections"]]
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {sections[0]}
        assert len(tags[f"mlflow.sharedViewState.rlhf-{key}"]) < 5000, "MLflow cuts tags there"
    assert names == {
        "learning-curves": "Learning curves", "labels": "Labels", "final": "Final",
        "reward-quality": "Reward quality", "cost": "Cost",
    }  # fmt: skip
    _, state = saved(tags, "rlhf-labels")
    first = state["compareRunCharts"][0]
    drawn = ("metricKey", "xAxisKey", "selectedXAxisMetricKey", "useGlobalXaxisKey")
    assert [first[name] for name in drawn] == [
        "eval/true_return_iqm", "metric", "feedback/labels_total", False
    ]  # fmt: skip


def test_views_show_metrics_that_there_are() -> None:
    of_summaries = {
        *(f"final/{name}" for name in ("rank", "iqm", "ci_low", "ci_high", "failure_rate")),
        *(f"{axis}/{name}" for axis in ("eval", "labels") for name in ("iqm", "ci_low", "ci_high")),
        "final/probability_of_improvement", "final/seeds",
    }  # fmt: skip
    for name, view in views.definitions().items():
        known = documented_metrics() if view.kind == "run" else of_summaries
        charts = [
            metric
            for chart in view.charts
            for metric in (*chart.metrics, chart.x_metric, chart.x, chart.y)
            if metric is not None
        ]
        assert known.issuperset([*view.columns.metrics, *charts]), name


def test_views_are_written_once_and_again_when_they_are_newer(
    tracker: Tracker, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tracker.client()
    key = "mlflow.sharedViewState.rlhf-cost"
    client.set_experiment_tag(experiment, key, "mine")
    before = client.get_experiment(experiment).tags
    experiments.ready(tracker, client.get_experiment(experiment).name)
    assert client.get_experiment(experiment).tags == before, "somebody has changed the view"
    newer = {
        name: view.model_copy(update={"version": view.version + (name == "cost")})
        for name, view in views.definitions().items()
    }
    monkeypatch.setattr(views, "definitions", lambda: newer)
    views.ensure(tracker, experiment)
    after = client.get_experiment(experiment).tags
    assert {name for name in after if after[name] != before.get(name)} == {key, "rlhf.views"}
    assert saved(after, "rlhf-cost")[0]["name"] == "Cost"


def test_the_definitions_are_those_of_the_repository_and_are_packaged() -> None:
    import tomllib

    assert set(views.definitions()) == {p.stem for p in (ROOT / "mlflow/views").glob("*.json")}
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = built["targets"]["wheel"]["force-include"]
    assert ROOT / included["mlflow/views"] == views.PLACES[0]


def row(cell: str = "preference-ppo", **changes: Any) -> SummaryRow:
    plain = SummaryRow(
        cell,
        strategy=cell.partition("-")[0],
        optimiser="ppo",
        name=f"1. {cell}: -152 (-170 to -139), 5 seeds",
        final={"final/iqm": -152.0, "final/rank": 1.0},
        by_steps=[(100, {"eval/iqm": -900.0}), (200, {"eval/iqm": -152.0})],
        by_labels=[(20, {"labels/iqm": -152.0})],
        run_ids=[],
    )
    return replace(plain, **changes)


def summary_runs(tracker: Tracker, experiment: str) -> dict[str, Any]:
    found = tracker.client().search_runs([experiment], "tags.`rlhf.kind` = 'cell'")
    by_cell = {run.data.tags["rlhf.cell"]: run for run in found}
    assert len(by_cell) == len(found)
    return by_cell


def write(tracker: Tracker, experiment: str, *rows: SummaryRow) -> summaries.SummaryLocation:
    name = tracker.client().get_experiment(experiment).name
    return summaries.write(tracker, name, "first", rows, "`a` beats `b` by 3.", b"<html>")


def test_a_comparison_has_one_run_a_cell_and_one_of_its_own(
    tracker: Tracker, experiment: str
) -> None:
    client = tracker.client()
    seed = client.create_run(experiment, tags={"rlhf.kind": "run", NOTE_TAG: "**What:** a run"})
    first = row(run_ids=[seed.info.run_id])
    written = write(tracker, experiment, first, row("constant-ppo"))
    runs = summary_runs(tracker, experiment)
    assert set(runs) == {"preference-ppo", "constant-ppo"}
    run = runs["preference-ppo"]
    assert run.info.run_name == "1. preference-ppo: -152 (-170 to -139), 5 seeds"
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.runColor"] == colour_of("preference")
    assert f"(#/experiments/{experiment}/runs/{seed.info.run_id})" in run.data.tags[NOTE_TAG]
    points = client.get_metric_history(run.info.run_id, "eval/iqm")
    assert [(p.step, p.value) for p in points] == [(100, -900.0), (200, -152.0)]
    assert client.get_metric_history(run.info.run_id, "labels/iqm")[0].step == 20
    own = client.get_run(written.run_id)
    assert own.info.run_name == "comparison first"
    assert own.data.tags[NOTE_TAG].startswith("`a` beats `b` by 3.\n")
    report = client.download_artifacts(written.run_id, "report.html")
    assert Path(report).read_bytes() == b"<html>"
    note = client.get_run(seed.info.run_id).data.tags[NOTE_TAG]
    link = f"[first](#/experiments/{experiment}/runs/{written.run_id})"
    assert note == f"**What:** a run\n\n**Comparison:** {link}, with its report."
    tags = client.get_experiment(experiment).tags
    assert tags[NOTE_TAG].startswith(f"**Result:** `a` beats `b` by 3. Comparison {link}")
    _, state = saved(tags, "rlhf-comparison-first")
    expected = "tags.`rlhf.kind` = 'cell' and tags.`rlhf.comparison` = 'first'"
    assert (state["searchFilter"], state["groupBy"]) == (expected, None)
    assert written.view == views.first_link(experiment, tags)


def test_a_comparison_that_has_grown_keeps_what_is_the_same_and_no_old_point(
    tracker: Tracker, experiment: str
) -> None:
    client = tracker.client()
    before = write(tracker, experiment, row(), row("constant-ppo"), row("mixed-ppo"))
    old = summary_runs(tracker, experiment)
    grown = row("constant-ppo", by_steps=[(150, {"eval/iqm": -1.0})])
    after = write(tracker, experiment, row(), grown)
    new = summary_runs(tracker, experiment)
    assert set(new) == {"preference-ppo", "constant-ppo"}
    assert new["preference-ppo"].info.run_id == old["preference-ppo"].info.run_id
    run_id = new["constant-ppo"].info.run_id
    assert [p.step for p in client.get_metric_history(run_id, "eval/iqm")] == [150]
    assert after == before


def test_comparisons_of_two_environments_share_an_experiment(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(experiments.VARIABLE, "shared")
    client, answer = tracker.client(), "`a` beats `b`."
    for _ in range(2):
        for environment in ("Pendulum-v1", "CartPole-v1"):
            cells = [row(cell, name=f"{environment} {cell}") for cell in ("mixed-ppo", "other-ppo")]
            place = summaries.write(tracker, environment, "both", cells, answer, None)
    summaries.write(tracker, "CartPole-v1", "both", cells[:1], answer, None)
    names = ["CartPole-v1 mixed-ppo", "Pendulum-v1 mixed-ppo", "Pendulum-v1 other-ppo"]
    runs = client.search_runs([place.experiment_id], "tags.`rlhf.kind` = 'cell'")
    assert sorted(run.info.run_name for run in runs) == names
    [own] = client.search_runs([place.experiment_id], "tags.`rlhf.kind` = 'comparison'")
    lines = [line for line in own.data.tags[NOTE_TAG].splitlines() if line.startswith("| `")]
    assert sorted(line.split(" | ")[1].removesuffix(" |") for line in lines) == names


def test_every_comparison_has_a_view_of_its_own() -> None:
    names = ["a.b", "a-b", "a_b", "a..b", "a.-b"]
    identities = [views.identity(views.COMPARISON, name) for name in names]
    assert len({*identities}) == len(names)
    assert identities[1] == "rlhf-comparison-a-b"


def test_a_summary_that_was_killed_on_its_way_leaves_nothing_twice(
    tracker: Tracker, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tracker, experiment, row())
    kind = type(tracker.client())
    done = kind.delete_run

    def killed(self: Any, run_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "delete_run", killed)
    changed = row(final={"final/iqm": 3.0})
    with pytest.raises(KeyboardInterrupt):
        write(tracker, experiment, changed)
    monkeypatch.setattr(kind, "delete_run", done)
    assert summary_runs(tracker, experiment)["preference-ppo"].data.metrics["final/iqm"] == -152
    write(tracker, experiment, changed)
    run = summary_runs(tracker, experiment)["preference-ppo"]
    assert run.data.metrics["final/iqm"] == 3
    drafts = tracker.client().search_runs([experiment], "tags.`rlhf.kind` = 'draft'")
    assert drafts == []


def test_the_newest_experiment_is_that_of_the_newest_finished_run(
    tracker: Tracker, experiment: str
) -> None:
    client = tracker.client()
    earlier = experiments.ready(tracker, "Earlier-v0")
    for place, began in ((experiment, 2**41 + 1), (earlier, 2**41)):
        made = client.create_run(place, start_time=began)
        client.set_terminated(made.info.run_id)
    client.create_run(earlier, start_time=2**41 + 2)  # It goes on: there is nothing to see yet.
    newest = experiments.newest(tracker)
    assert newest is not None
    assert newest.experiment_id == experiment
    link = views.first_link(experiment, newest.tags)
    assert link.endswith("viewStateShareKey=rlhf-learning-curves")


def test_paragraphs_of_a_description_are_replaced_one_by_one() -> None:
    note = edited("", {"What": "a run", "How it ended": "it goes on"})
    assert note == "**What:** a run\n\n**How it ended:** it goes on"
    note = f"{note}\n\nMy own words."
    note = edited(note, {"How it ended": "well\n\nindeed", "Go on": None})
    assert note == "**What:** a run\n\n**How it ended:** well\nindeed\n\nMy own words."
    assert edited(note, {"What": None}).startswith("**How it ended:**")
    assert edited("b", {"A": "a"}, first=True) == "**A:** a\n\nb"
