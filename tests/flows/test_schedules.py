"""Schedules: what is due, what it is called with, what is refused; the rest is played for real."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from typer.testing import CliRunner

from flows.command.app import app
from flows.experiments.resolving import experiment_of, matrix_of
from flows.schedules import definition, status, times
from flows.schedules.decision import Decision, Due, decide
from flows.schedules.seeds import BELOW, ROOM, fresh_seed
from rlhf_core.configuration import from_mapping, validated
from rlhf_core.errors import ConfigurationError
from rlhf_core.matrix import Matrix
from tasks.home import Home
from tests.flows.conftest import TINY, tiny_file
from tests.flows.test_bad_input import refused

MONDAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))


def due(flow_run_id: UUID, minute: int, begun: bool = False) -> Due:
    return Due(flow_run_id, MONDAY + timedelta(minutes=minute), begun)


def test_of_several_times_the_newest_is_played() -> None:
    runs = [due(SECOND, 2), due(THIRD, 3), due(FIRST, 1)]
    assert decide(runs, False, "skip") == Decision(THIRD, missed=(FIRST, SECOND))
    assert decide(runs, False, "cancel") == Decision(THIRD, missed=(FIRST, SECOND))
    assert decide([], True, "cancel") == Decision()


def test_a_run_that_goes_on_is_left_alone_or_cancelled() -> None:
    runs = [due(FIRST, 1), due(SECOND, 2)]
    assert decide(runs, True, "skip") == Decision(None, skipped=(SECOND,), missed=(FIRST,))
    assert decide(runs, True, "cancel") == Decision(SECOND, cancel=True, missed=(FIRST,))


def test_an_interrupted_run_goes_on_first() -> None:
    runs = [due(SECOND, 2), due(FIRST, 1, begun=True)]
    assert decide(runs, False, "skip") == Decision(FIRST, skipped=(SECOND,))
    assert decide(runs, False, "cancel") == Decision(SECOND, replaced=(FIRST,))
    assert decide([due(FIRST, 1, begun=True)], False, "cancel") == Decision(FIRST)


def test_a_fresh_seed_is_that_of_its_time() -> None:
    # printf '7 2026-11-23T12:00:00+00:00' | sha256sum | cut -c 1-8
    expected = 0xCF5D0F17 % (2**31 - 2**17)
    assert fresh_seed(7, MONDAY) == expected
    vienna = MONDAY.astimezone(times.ZoneInfo("Europe/Vienna"))
    assert fresh_seed(7, vienna) == expected
    minutes = {fresh_seed(7, MONDAY + timedelta(minutes=index)) for index in range(1000)}
    assert len(minutes) == 1000
    assert max(minutes) < BELOW - ROOM
    assert fresh_seed(8, MONDAY) not in minutes


@pytest.mark.parametrize(
    ("cron", "every", "timezone", "expected"),
    [
        ("0 3 * * *", None, "Europe/Vienna", ["24 02:00", "25 02:00", "26 02:00"]),
        (None, "6h", "UTC", ["23 18:00", "24 00:00", "24 06:00"]),
        (None, "1w", "Europe/Vienna", ["29 23:00", "06 23:00", "13 23:00"]),
        (None, "90s", "UTC", ["23 12:01", "23 12:03", "23 12:04"]),
    ],
)
def test_times_are_those_of_the_zone(
    cron: str | None, every: str | None, timezone: str, expected: list[str]
) -> None:
    found = islice(times.times(cron, every, timezone, MONDAY), 3)
    assert [f"{time:%d %H:%M}" for time in found] == expected


def test_an_hour_of_the_day_needs_cron_when_clocks_change() -> None:
    # In Vienna clocks go back at three o'clock on 25 October 2026.
    before = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    vienna = "Europe/Vienna"
    daily = [f"{t:%d %H}" for t in islice(times.times(None, "1d", vienna, before), 3)]
    assert daily == ["24 23", "25 23", "26 23"], "24 hours each"
    midnight = [f"{t:%d %H}" for t in islice(times.times("0 0 * * *", None, vienna, before), 3)]
    assert midnight == ["24 22", "25 23", "26 23"]


def test_missed_times_are_counted() -> None:
    until = MONDAY + timedelta(days=2)
    assert times.missed("0 3 * * *", None, "UTC", MONDAY, until) == 2
    assert times.missed(None, "6h", "UTC", MONDAY, until) == 8
    assert times.missed(None, "10s", "UTC", MONDAY, until) == times.MOST_MISSED


def test_an_experiment_is_a_preset_a_path_a_mapping_or_itself(tmp_path: Path) -> None:
    tiny = from_mapping(TINY)
    path = str(tiny_file(tmp_path))
    assert experiment_of(path, {}, "fixed", MONDAY) == tiny
    assert experiment_of(TINY, {}, "fixed", MONDAY) == tiny
    assert experiment_of(tiny, {}, "fixed", MONDAY) is tiny
    changed = experiment_of(path, {"budget.labels": 7}, "fresh", MONDAY)
    assert changed.budget.labels == 7
    assert changed.seed == fresh_seed(5, MONDAY)
    assert experiment_of("pendulum-preference", {}, "fixed", MONDAY).name == "pendulum-preference"
    with pytest.raises(ConfigurationError, match="unknown preset 'pendulum'; did you mean"):
        experiment_of("pendulum", {}, "fixed", MONDAY)
    with pytest.raises(ConfigurationError, match=r"experiment: expected the name of a preset.* 5"):
        experiment_of(5, {}, "fixed", MONDAY)
    with pytest.raises(ConfigurationError, match="budget: unknown field 'label'"):
        experiment_of(TINY, {"budget.label": 7}, "fixed", MONDAY)


def test_a_fresh_comparison_has_a_name_and_seeds_of_its_time() -> None:
    matrix = validated(Matrix, {"name": "pair", "experiment": TINY, "seeds": 2}, "test")
    assert matrix_of(matrix, {}, "fixed", MONDAY) is matrix
    fresh = matrix_of(matrix.model_dump(), {"budget.labels": 7}, "fresh", MONDAY)
    assert fresh.name == "pair-20261123-120000"
    first = fresh_seed(0, MONDAY)
    assert fresh.all_seeds == (first, first + 1)
    assert fresh.set == {"budget.labels": 7}
    assert matrix_of(TINY, {}, "fixed", MONDAY).name == "tiny-compared"


def test_the_form_on_prefects_page_offers_texts_and_objects() -> None:
    from prefect.utilities.callables import parameter_schema

    from flows.compare import compare
    from flows.train import train

    for flow in (train, compare):
        schema = parameter_schema(flow).model_dump_for_openapi()
        fields = schema["properties"]
        assert fields["experiment"]["anyOf"] == [{"type": "string"}, {"type": "object"}]
        assert fields["experiment"]["default"] == "pendulum-preference"
        assert fields["seed_policy"]["enum"] == ["fixed", "fresh"]
        assert [n for n, f in fields.items() if f["position"] < 3] == [
            "experiment", "overrides", "seed_policy"
        ]  # fmt: skip
        assert schema.get("required", []) == []
        assert all(field["description"] for field in fields.values())


def add(home: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["schedule", "add", *options, "--home", str(home)])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cron", "0 25 * * *"], "cron: expected five fields, minute (0-59) hour (0-23)"),
        (["--cron", "@daily"], "such as \"0 3 * * *\" (every night at three), actual: '@daily'"),
        (["--every", "soon"], "every: expected a number and one of s, m, h, d, w, such as 6h"),
        (["--every", "1s"], "from 10s to 366d, actual: '1s'"),
        ([], "expected one of 'cron' and 'every', actual: none"),
        (["--every", "6h", "--cron", "0 3 * * *"], "expected one of 'cron' and 'every', actual"),
        (["--every", "6h", "--timezone", "Europe/Wien"], "timezone: expected the name of a time"),
        (["--every", "6h", "--overlap", "queue"], "overlap: expected 'skip' or 'cancel'"),
        (["--every", "6h", "--flow", "tran"], "unknown flow 'tran'; did you mean 'train'?"),
        (["--every", "6h", "--seed", "new"], "seed: expected 'fixed' or 'fresh'"),
        (["--every", "6h", "--name", "a/b"], "name: expected a letter or digit, then letters"),
        (["--every", "6h", "--set", "budget.label=5"], "budget: unknown field 'label'"),
    ],
)
def test_a_wrong_schedule_is_refused_and_nothing_is_kept(
    tmp_path: Path, options: list[str], told: str
) -> None:
    home = tmp_path / "home"
    line = refused("schedule", "add", "pendulum-preference", *options, "--home", str(home))
    assert told in line
    assert definition.of_home(Home(home)) == ()


def test_unknown_names_and_requests_that_nobody_hears_are_refused(tmp_path: Path) -> None:
    for command in ("show", "pause", "resume", "run-now", "remove"):
        line = refused("schedule", command, "nightly", "--home", str(tmp_path))
        assert "unknown schedule 'nightly'; there is none; `rlhf schedule add` makes one" in line
    assert add(tmp_path, str(tiny_file(tmp_path)), "--every", "6h").exit_code == 0
    line = refused("schedule", "show", "tinny", "--home", str(tmp_path))
    assert "unknown schedule 'tinny'; did you mean 'tiny'?" in line
    assert "start `rlhf serve`" in refused("schedule", "run-now", "tiny", "--home", str(tmp_path))
    twice = refused("schedule", "add", str(tmp_path / "tiny.yaml"), "--every", "1h",
                    "--home", str(tmp_path))  # fmt: skip
    assert "--name: expected a new name, actual: 'tiny'" in twice


def test_a_file_of_schedules_is_shown_and_then_brought_about(tmp_path: Path) -> None:
    tiny_file(tmp_path)
    home, runner = tmp_path / "home", CliRunner()
    assert add(home, "pendulum-preference", "--name", "old", "--cron", "0 3 * * *").exit_code == 0
    assert add(home, "pendulum-preference", "--name", "stays", "--every", "6h").exit_code == 0
    kept = definition.of_home(Home(home))[1].model_dump(mode="json", exclude_defaults=True)
    new = {"name": "new", "experiment": "tiny.yaml", "every": "1d"}
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump({"schedules": [new, {**kept, "every": "12h"}]}))

    def apply(*options: str) -> list[str]:
        done = runner.invoke(app, ["schedule", "apply", str(file), "--home", str(home), *options])
        assert done.exit_code == 0, done.stderr
        return done.stdout.splitlines()

    difference = ["+ new: every 1d", "- old: cron 0 3 * * *", "~ stays: every: 6h -> 12h"]
    assert apply() == [*difference, "add --yes to do it"]
    assert [one.name for one in definition.of_home(Home(home))] == ["old", "stays"]
    assert apply("--yes") == difference
    there = {one.name: one for one in definition.of_home(Home(home))}
    assert there["new"].experiment == str(tmp_path / "tiny.yaml")
    assert there["stays"].every == "12h"
    assert apply("--yes") == ["nothing changes"]
    file.write_text(yaml.safe_dump({"schedules": [new, {**new, "experiment": "no.yaml"}]}))
    line = refused("schedule", "apply", str(file), "--home", str(home), "--yes")
    assert "expected each name once, actual: ['new'] twice" in line
    file.write_text(yaml.safe_dump({"schedules": [{**new, "evry": "1d"}]}))
    line = refused("schedule", "apply", str(file), "--home", str(home), "--yes")
    assert "schedule new: unknown field 'evry'; did you mean 'every'?" in line
    assert len(definition.of_home(Home(home))) == 2


def test_schedules_are_paused_resumed_listed_and_removed(tmp_path: Path) -> None:
    runner = CliRunner()

    def call(*arguments: str) -> str:
        done = runner.invoke(app, ["schedule", *arguments, "--home", str(tmp_path)])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    assert "no schedules" in call("list")
    assert not (tmp_path / "schedules").exists(), "who looks makes no home"
    assert "next" in add(tmp_path, "pendulum-preference", "--every", "6h").stdout
    call("pause", "pendulum-preference")
    assert definition.of_home(Home(tmp_path))[0].paused
    assert "paused" in call("list")
    call("resume", "pendulum-preference")
    assert not definition.of_home(Home(tmp_path))[0].paused
    status.change(Home(tmp_path), "pendulum-preference", missed=3, state="Completed",
                  ended="2026-11-23T12:00:00+00:00", true_return=-155.25)  # fmt: skip
    assert "completed -155.2 2026-11-23 12:00 UTC" in call("list")
    assert "missed 3" in call("show", "pendulum-preference")
    call("remove", "pendulum-preference")
    assert definition.of_home(Home(tmp_path)) == ()
    assert status.read(Home(tmp_path), "pendulum-preference").missed == 0
