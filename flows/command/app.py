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

EXAMPLES = """Examples:

rlhf list\n
rlhf show pendulum-preference > mine.yaml\n
rlhf train mine.yaml --seed 1 --set feedback.kind=inverse_rl\n
rlhf resume RUN_ID\n
rlhf ui
"""

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
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Root of all randomness; short for --set seed=N."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rlhf-flows {version('rlhf-flows')}")
        raise typer.Exit


@app.callback(epilog=EXAMPLES)
def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
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
        elif isinstance(event, progress.Damaged):
            typer.echo(f"{event.what}; it is made again", err=True)

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
    file_or_preset: str,
    overrides: list[str] | None,
    seed: int | None = None,
    home: Path | None = None,
) -> "Experiment":
    with plain_errors(home), prints_on_stderr():
        from flows.command import presets
        from rlhf_core.configuration import load

        changes = [*(overrides or ()), *([] if seed is None else [f"seed={seed}"])]
        return load(presets.find(file_or_preset), changes, presets.source(file_or_preset))


@app.command()
def train(
    experiment: FilePreset,
    overrides: Overrides = None,
    seed: Seed = None,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment: ask, fit, optimise, evaluate; tracked in MLflow.

    rlhf train pendulum-preference --set feedback.kind=constant --seed 1
    """
    _play(_load(experiment, overrides, seed, home), home, None, as_json)


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
def check(
    experiment: FilePreset,
    overrides: Overrides = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Validate an experiment without running it; --json prints every field.

    rlhf check my.yaml --set budget.labels=50
    """
    checked = _load(experiment, overrides, seed)
    if as_json:
        typer.echo(checked.model_dump_json())
        return
    typer.echo(
        f"ok: {checked.name}: {checked.feedback.kind} on {checked.environment.id} with "
        f"{checked.optimiser.kind}, {checked.budget.labels} labels, "
        f"{checked.first_steps + checked.total_steps} environment steps in "
        f"{checked.budget.rounds} rounds"
    )


@app.command(name="list")
def list_names(
    name: Annotated[
        str | None,
        typer.Argument(help="A preset, a family or kind of plug-in, or `experiment`."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every field of everything, not one line a name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List presets and plug-ins; or one of them with its fields, defaults and meaning.

    rlhf list queries
    """
    with plain_errors():
        from flows.command import catalogue

        content = catalogue.describe(name)
    if as_json:
        typer.echo(json.dumps(content))
    elif name is None and not everything:
        catalogue.outline(content)
    else:
        catalogue.show(content)


@app.command()
def show(preset: Annotated[str, typer.Argument(help="A preset (see `rlhf list`).")]) -> None:
    """Print the file of a preset, comments included: a start for one of your own.

    rlhf show pendulum-preference > mine.yaml
    """
    with plain_errors():
        from flows.command import presets

        typer.echo(presets.text(preset), nl=False)


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
