"""The `rlhf` command."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.modules import find_modules_here
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reinforcement learning from human feedback, as workflows.",
)

FilePreset = Annotated[str, typer.Argument(help="A YAML file, or a preset (see `rlhf list`).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override a field; may be repeated."),
]
HomeFolder = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the runs; else $RLHF_HOME, else .rlhf here."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def _find_modules_here() -> None:
    find_modules_here()


@contextmanager
def _way_back(home: Path | None) -> Iterator[None]:
    """Where a run is interrupted or breaks, say how it can go on."""
    from tasks import progress

    opened: list[str] = []

    def remember(event: progress.Event) -> None:
        if isinstance(event, progress.Opened):
            opened.append(event.run_id)
            typer.echo(f"{'resumed' if event.resumed else 'started'} run {event.run_id}", err=True)

    try:
        with progress.listening(remember):
            yield
    except BaseException as error:
        if opened:
            folder = f" --home {home}" if home else ""
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else "stopped"
            typer.echo(f"{what}; to go on: rlhf resume {opened[0]}{folder}", err=True)
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(130) from None
        raise


def _load(
    file_or_preset: str, overrides: list[str] | None, home: Path | None = None
) -> "Experiment":
    with plain_errors(home), prints_on_stderr():
        from flows.command import presets
        from rlhf_core.configuration import load

        return load(presets.find(file_or_preset), overrides or ())


@app.command()
def train(
    experiment: FilePreset,
    overrides: Overrides = None,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment: ask, fit, optimise, evaluate; tracked in MLflow."""
    _play(_load(experiment, overrides, home), home, None, as_json)


@app.command()
def resume(
    run_id: Annotated[str, typer.Argument(help="The MLflow run id of an interrupted run.")],
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an interrupted run; finished stages are not repeated."""
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.runs.lifecycle import resumable
        from tasks.tracking.store import prepare

        place = Home(home)
        prepare(place)
        experiment = resumable(place, run_id)
    _play(experiment, home, run_id, as_json)


def _play(experiment: "Experiment", home: Path | None, run_id: str | None, as_json: bool) -> None:
    from rich.console import Console

    from flows.command import display
    from flows.services.connect import connect
    from tasks.home import Home

    place = Home(home)
    screen = Console(stderr=True)
    with plain_errors(home), prints_on_stderr():
        with screen.status("starting the tracking store and the Prefect server"):
            connect(place)
        from flows.train import train as flow

        with _way_back(home), display.watching(experiment, screen):
            result: dict[str, Any] = flow(experiment, run_id)
    if as_json:
        typer.echo(json.dumps(result, allow_nan=False))
        return
    folder = f" --home {home}" if home else ""
    if "waiting" in result:
        typer.echo(f"waiting: {result['waiting']}")
        typer.echo(f"to go on: rlhf resume {result['run_id']}{folder}")
        return
    Console().print(display.summary(result, experiment.name))
    typer.echo(f"run {result['run_id']}, kept in {place.path}")
    typer.echo(f"look at it: rlhf ui{folder}")


@app.command()
def check(experiment: FilePreset, overrides: Overrides = None) -> None:
    """Validate an experiment without running it."""
    checked = _load(experiment, overrides)
    typer.echo(
        f"ok: {checked.name}: {checked.feedback.kind} on {checked.environment.id} with "
        f"{checked.optimiser.kind}, {checked.budget.labels} labels, "
        f"{checked.first_steps + checked.total_steps} environment steps in "
        f"{checked.budget.rounds} rounds"
    )


@app.command(name="list")
def list_plugins(
    family: Annotated[str | None, typer.Argument(help="Only this family.")] = None,
    as_json: AsJson = False,
) -> None:
    """List presets and plug-ins with their fields, defaults and meaning."""
    with plain_errors():
        from flows.command import catalogue

        content = catalogue.describe(family)
    if as_json:
        typer.echo(json.dumps(content))
    else:
        catalogue.show(content)


@app.command()
def ui(
    home: HomeFolder = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the MLflow page; 0 takes a free one.")
    ] = 0,
) -> None:
    """Open the MLflow and Prefect pages on loopback; Ctrl-C closes them."""
    from flows.services import pages
    from tasks.home import Home

    def announce(name: str, url: str) -> None:
        typer.echo(f"{name:<8}{url}")
        sys.stdout.flush()

    with plain_errors():
        typer.echo("starting; Ctrl-C stops", err=True)
        pages.show_pages(Home(home), port, announce)


if __name__ == "__main__":
    app()
