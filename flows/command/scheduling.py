"""`rlhf schedule`: flows that run again and again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import schedule_texts as texts
from flows.command.errors import plain_errors
from flows.command.options import AsJson, FilePreset, HomeFolder, Overrides
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from flows.schedules.definition import Schedule

WIDE = 160

schedule = typer.Typer(
    no_args_is_help=True,
    help="Flows that run again and again; `rlhf serve` plays them.",
)
Name = Annotated[str, typer.Argument(help="Of the schedule.")]


@schedule.command()
def add(
    experiment: FilePreset,
    name: Annotated[
        str | None, typer.Option(help="Of the schedule; else that of the preset or file.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(metavar="CRON", help='Such as "0 3 * * *", every night at three.')
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Such as 30m, 6h or 1d, in place of --cron.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Whose hours are meant, such as Europe/Vienna.")
    ] = "UTC",
    overlap: Annotated[
        str,
        typer.Option(
            metavar="skip|cancel",
            help="When a time comes while a run goes on: skip it, or cancel the run.",
        ),
    ] = "skip",
    seed: Annotated[
        str,
        typer.Option(metavar="fresh|fixed", help="Another seed each time, or always the same."),
    ] = "fresh",
    flow: Annotated[str, typer.Option(help="train, compare or retrain.")] = "train",
    warm: Annotated[
        bool, typer.Option("--warm", help="Of retrain: begin with the champion.")
    ] = False,
    label_set: Annotated[
        str | None, typer.Option("--label-set", help="Of retrain: labels to learn from and add to.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Of retrain: the registered model.")
    ] = None,
    overrides: Overrides = None,
    home: HomeFolder = None,
) -> None:
    """Schedule an experiment; nothing is registered unless all of it checks.

    rlhf schedule add pendulum-preference --name nightly --cron "0 3 * * *"
    """
    with plain_errors(home), prints_on_stderr():
        from flows.comparison.matrices import pair
        from flows.experiments.resolving import located
        from flows.schedules import definition
        from flows.services.connect import check_prefect, external_prefect
        from rlhf_core.configuration import validated
        from rlhf_core.errors import ConfigurationError
        from tasks.home import Home

        place = Home(home)
        content = {
            "name": name or Path(experiment).stem,
            "flow": flow,
            "experiment": located(experiment, Path.cwd()),
            "set": dict(pair("--set", text, text) for text in overrides or ()),
            "cron": cron,
            "every": every,
            "timezone": timezone,
            "overlap": overlap,
            "seed": seed,
            "folder": str(Path.cwd()),
        }
        retraining = {"warm": warm or None, "label_set": label_set, "model": model}
        if any(retraining.values()):
            content["retraining"] = {k: value for k, value in retraining.items() if value}
        new = validated(definition.Schedule, content, "schedule")
        new.check()
        own = external_prefect()
        if own is not None:
            check_prefect(own)  # Whoever serves would not reach it either.
        with place.locked("schedules"):
            there = definition.of_home(place)
            if new.name in {one.name for one in there}:
                raise ConfigurationError(
                    f"--name: expected a new name, actual: '{new.name}'; remove that schedule "
                    "first, or change it with `rlhf schedule apply`"
                )
            definition.keep(place, [*there, new])
    typer.echo(f"added {new.name}: {new.rhythm}; next {texts.next_times(new, 1)[0]}")
    texts.hint(place, home)


@schedule.command(name="list")
def list_schedules(home: HomeFolder = None, as_json: AsJson = False) -> None:
    """List schedules: their next runs, how the last one ended, and where to look at it.

    rlhf schedule list
    """
    with plain_errors(home):
        from flows.schedules import definition, status
        from tasks.home import Home

        place = Home(home)
        schedules = definition.of_home(place)
        rows = [(one, status.read(place, one.name)) for one in schedules]
        content = [texts.content(one, past) for one, past in rows]
    if as_json:
        typer.echo(json.dumps(content))
        return
    if not rows:
        typer.echo("no schedules; `rlhf schedule add` makes one")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "flow", "when", "next", "last", "runs", "skipped", "missed"):
        table.add_column(column, overflow="fold")
    for one, past in rows:
        table.add_row(
            one.name, one.flow, one.rhythm, texts.next_text(one), texts.last_text(past),
            str(past.runs), str(past.skipped), str(past.missed),
        )  # fmt: skip
    console = Console()
    (console if console.is_terminal else Console(width=WIDE)).print(table)
    for one, past in rows:
        if past.link:
            typer.echo(f"{one.name}: {past.link}{texts.behind(past.link)}")
    texts.hint(place, home)


@schedule.command()
def show(name: Name, home: HomeFolder = None, as_json: AsJson = False) -> None:
    """Show a schedule: its definition, its next times and its past.

    rlhf schedule show nightly
    """
    with plain_errors(home):
        from flows.schedules import definition, status
        from tasks.home import Home

        place = Home(home)
        one = definition.named(definition.of_home(place), name)
        past = status.read(place, name)
    if as_json:
        typer.echo(json.dumps(texts.content(one, past)))
        return
    typer.echo(definition.write([one]), nl=False)
    typer.echo(f"next: {texts.next_text(one, texts.NEXT)}")
    typer.echo(f"runs: {past.runs}, skipped {past.skipped}, missed {past.missed}")
    if past.playing:
        typer.echo(f"going on: flow run {past.playing}")
    if past.state:
        typer.echo(f"last: {texts.last_text(past)}")
        for word, value in (("seed", past.seed), ("run", past.run_id), ("reason", past.reason)):
            if value is not None:
                typer.echo(f"{word}: {value}")
        if past.link:
            typer.echo(f"page: {past.link}{texts.behind(past.link)}")


@schedule.command()
def pause(name: Name, home: HomeFolder = None) -> None:
    """Keep a schedule and run it no more until `resume`; a run that goes on ends as it would."""
    _replace(name, home, paused=True)
    typer.echo(f"paused {name}")


@schedule.command()
def resume(name: Name, home: HomeFolder = None) -> None:
    """Let a paused schedule run again; times that have passed are not made up for."""
    one = _replace(name, home, paused=False)
    with plain_errors(home):
        from flows.schedules import status
        from tasks.home import Home

        if not status.is_served(Home(home)):
            status.change(
                Home(home), name, last_served=None
            )  # Times while it was paused are not missed.
    typer.echo(f"resumed {name}; next {texts.next_times(one, 1)[0]}")


@schedule.command(name="run-now")
def run_now(name: Name, home: HomeFolder = None) -> None:
    """Run a schedule once more, now; where a run goes on, its overlap policy counts."""
    with plain_errors(home):
        from flows.schedules import definition, status
        from rlhf_core.errors import RunError
        from tasks.home import Home

        place = Home(home)
        definition.named(definition.of_home(place), name)
        if not status.is_served(place):
            raise RunError(f"nobody serves the schedules of {place.path}; start `rlhf serve` first")
        status.request_run(place, name)
    typer.echo(f"asked for a run of {name}")


@schedule.command()
def remove(name: Name, home: HomeFolder = None) -> None:
    """Remove a schedule; its runs stay, and one that goes on ends as it would."""
    with plain_errors(home):
        from flows.schedules import definition, status
        from tasks.home import Home

        place = Home(home)
        with place.locked("schedules"):
            there = definition.of_home(place)
            gone = definition.named(there, name)
            definition.keep(place, [one for one in there if one is not gone])
        if not status.is_served(place):
            status.forget(place, name)
    typer.echo(f"removed {name}")


@schedule.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A YAML file with `schedules:`.")],
    really: Annotated[bool, typer.Option("--yes", help="Do it; else only say what.")] = False,
    work_pool: Annotated[
        str | None,
        typer.Option(
            help="Register with this work pool of the Prefect server of PREFECT_API_URL, for "
            "workers on other machines, in place of this home."
        ),
    ] = None,
    home: HomeFolder = None,
) -> None:
    """Make the schedules of a home those of a file; shows the difference, --yes does it.

    rlhf schedule apply schedules.yaml --yes
    """
    with plain_errors(home), prints_on_stderr():
        from flows.command import applying
        from flows.schedules import definition
        from tasks.home import Home

        place = Home(home)
        wanted = definition.read_file(file)
        for one in wanted:
            one.check()
        if work_pool is None:
            lines = applying.difference(definition.of_home(place), wanted)
            if really and lines:
                with place.locked("schedules"):
                    definition.keep(place, wanted)
        else:
            lines = applying.register(wanted, work_pool, really)
    for line in lines or ["nothing changes"]:
        typer.echo(line)
    if lines and not really:
        typer.echo("add --yes to do it")


def _replace(name: str, home: Path | None, **changes: object) -> "Schedule":
    """Change a schedule of the home; returns it."""
    with plain_errors(home):
        from flows.schedules import definition
        from tasks.home import Home

        place = Home(home)
        with place.locked("schedules"):
            there = definition.of_home(place)
            old = definition.named(there, name)
            new = old.model_copy(update=changes)
            if new != old:
                definition.keep(place, [new if one is old else one for one in there])
    return new
