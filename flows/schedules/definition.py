"""What is scheduled: one frozen value a schedule, and the YAML file that holds them all.

    schedules:
    - name: nightly
      experiment: pendulum-preference
      cron: "0 3 * * *"
      timezone: Europe/Vienna

The home keeps its own in `schedules/schedules.yaml`; `rlhf schedule apply FILE` brings about those
of another file.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from flows.experiments.resolving import SeedPolicy, located
from flows.schedules import times
from rlhf_core.configuration import read, validated
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.experiment import NAME
from rlhf_core.plugin import Config, nearest
from rlhf_core.texts import shortened
from tasks.home import Home, write_private
from tasks.retraining.plan import Retraining

FLOWS = {
    "train": "flows.train.train",
    "compare": "flows.compare.compare",
    "retrain": "flows.retrain.retrain",
}
"""Flows that can be scheduled, and where they are."""
FILE = "schedules.yaml"


class Schedule(Config):
    """A flow that runs again and again."""

    name: str = Field(pattern=NAME, max_length=60)
    """Names the schedule: letters, digits, dot, dash, underscore."""
    flow: str = "train"
    """What runs: train, compare or retrain."""
    experiment: str | dict[str, Any]
    """A preset, a file, or an experiment written out; of compare, a comparison."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Changes, by the path of the field."""
    cron: str | None = None
    """Minute, hour, day, month and weekday, such as `0 3 * * *`."""
    every: str | None = None
    """An interval in place of a cron expression, such as 6h; counted from Monday, midnight."""
    timezone: str = "UTC"
    """Whose hours and days are meant, such as Europe/Vienna."""
    overlap: Literal["skip", "cancel"] = "skip"
    """When a time comes while a run goes on: skip the time, or cancel the run."""
    seed: SeedPolicy = "fresh"
    """fresh: another seed each time, made of the time; fixed: that of the experiment."""
    retraining: Retraining | None = None
    """How a challenger is trained and judged; of retrain alone."""
    paused: bool = False
    """Keep it and do not run it."""
    folder: str | None = None
    """The folder that its runs work in, where modules of environments lie; null: that of serve."""

    @model_validator(mode="after")
    def _one_rhythm(self) -> "Schedule":
        if (self.cron is None) == (self.every is None):
            actual = "none" if self.cron is None else "both"
            raise ValueError(f"expected one of 'cron' and 'every', actual: {actual}")
        return self

    @model_validator(mode="after")
    def _retraining_of_retrain(self) -> "Schedule":
        if self.retraining is not None and self.flow != "retrain":
            raise ValueError(f"retraining: expected flow retrain, actual: flow {self.flow}")
        return self

    @field_validator("flow")
    @classmethod
    def _known_flow(cls, flow: str) -> str:
        if flow not in FLOWS:
            raise ValueError(f"unknown flow '{shortened(flow)}'; {nearest(flow, [*FLOWS])}")
        return flow

    @field_validator("cron")
    @classmethod
    def _parsed_cron(cls, cron: str | None) -> str | None:
        return None if cron is None else _checked(times.check_cron, cron)

    @field_validator("every")
    @classmethod
    def _parsed_interval(cls, every: str | None) -> str | None:
        return None if every is None else _checked(times.parse_interval, every)

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, timezone: str) -> str:
        return _checked(times.check_timezone, timezone)

    @property
    def rhythm(self) -> str:
        """When it fires, in words."""
        when = f"cron {self.cron}" if self.cron is not None else f"every {self.every}"
        return when if self.timezone == "UTC" else f"{when} {self.timezone}"

    def check(self) -> None:
        """Validate and check the experiment, or every cell of the comparison.

        Raises:
            ConfigurationError: names the field, what was expected and what came.
        """
        from flows.comparison import plan
        from flows.experiments.resolving import experiment_of, matrix_of
        from flows.schedules.seeds import EPOCH

        if self.flow == "compare":
            plan.cells(matrix_of(self.experiment, self.set, "fixed", EPOCH))
            return
        experiment = experiment_of(self.experiment, self.set, "fixed", EPOCH)
        if self.flow == "retrain":
            (self.retraining or Retraining()).check(experiment)


def _checked(check: Any, text: str) -> str:
    try:
        check(text)
    except ConfigurationError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return text


def read_file(path: Path) -> tuple[Schedule, ...]:
    """The schedules of a file, validated; experiments beside it are found from anywhere.

    Raises:
        ConfigurationError: names the schedule, the field, what was expected and what came.
    """
    data = read(path, str(path), "'schedules'")
    items = data.get("schedules")
    if not isinstance(items, list) or {*data} != {"schedules"}:
        raise ConfigurationError(
            f"{path}: expected the one field 'schedules' with a list, actual: "
            f"{shortened(', '.join(map(str, data)) or 'none')}"
        )
    schedules = []
    for index, item in enumerate(items):
        name = item.get("name", index) if isinstance(item, dict) else index
        source = f"{path}: schedule {shortened(str(name))}"
        if not isinstance(item, dict):
            raise ConfigurationError(
                f"{source}: expected a mapping, actual: {shortened(str(item))}"
            )
        if isinstance(item.get("experiment"), str):
            item = {**item, "experiment": located(item["experiment"], path.parent)}
        schedules.append(validated(Schedule, item, source))
    names = [schedule.name for schedule in schedules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path}: expected each name once, actual: {twice} twice")
    return tuple(schedules)


def write(schedules: Iterable[Schedule]) -> str:
    """Schedules as the file that `read_file` reads; fields that were not given are left out."""
    items = [schedule.model_dump(mode="json", exclude_defaults=True) for schedule in schedules]
    return yaml.safe_dump({"schedules": items}, sort_keys=False)


def path_of(home: Home) -> Path:
    """The file that holds the schedules of a home; who looks for it makes no home."""
    return home.path / "schedules" / FILE


def of_home(home: Home) -> tuple[Schedule, ...]:
    """The schedules of a home; none where there is no file yet."""
    path = path_of(home)
    return read_file(path) if path.exists() else ()


def keep(home: Home, schedules: Iterable[Schedule]) -> None:
    """Write down the schedules of a home; whoever reads meanwhile reads the old or the new."""
    write_private(home.folder("schedules") / FILE, write(schedules))


def named(schedules: Sequence[Schedule], name: str) -> Schedule:
    """The schedule of a name.

    Raises:
        RunError: there is none.
    """
    for schedule in schedules:
        if schedule.name == name:
            return schedule
    known = [schedule.name for schedule in schedules]
    hint = nearest(name, known) if known else "there is none; `rlhf schedule add` makes one"
    raise RunError(f"unknown schedule '{shortened(name)}'; {hint}")
