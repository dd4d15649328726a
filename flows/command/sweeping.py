"""`rlhf sweep`: settings searched, and the best of them on fresh seeds."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command.errors import plain_errors
from flows.command.options import AsJson, HomeFolder, RunnerKind, Workers
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from tasks import progress


def sweep(
    file: Annotated[str, typer.Argument(help="The sweep's YAML file.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings in all; as the file says else.")
    ] = None,
    workers: Workers = None,
    runner: RunnerKind = "processes",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Search for settings, and measure the best of them on seeds that none was chosen by.

    rlhf sweep benchmarks/reacher-sweep.yaml --trials 16
    """
    from rich.console import Console

    from tasks import progress
    from tasks.home import Home

    place, screen = Home(home), Console(stderr=True)
    with plain_errors(home), prints_on_stderr():
        from flows.command import board
        from flows.experiments.resolving import sweep_of
        from flows.runners import chosen
        from flows.services.connect import connect, lost_prefect
        from flows.sweeps.trials import base_of

        choice, wanted = chosen(runner), sweep_of(file)
        if trials is not None:
            wanted = wanted.model_copy(update={"trials": trials})
        base_of(wanted)
        with screen.status("starting the tracking store and the Prefect server"):
            connect(place)
        from flows.sweep import sweep as flow

        with (
            board.showing(screen),
            progress.listening(lambda event: _tell(screen, event)),
            lost_prefect(),
        ):
            result = flow(wanted, workers, str(choice))
    if as_json:
        typer.echo(json.dumps({name: value for name, value in result.items() if name != "text"}))
    else:
        typer.echo(result["text"], nl=False)
    if result["failed"]:
        raise typer.Exit(1)


def _tell(screen: "Console", event: "progress.Event") -> None:
    """Print a line for each trial that ends."""
    from flows.sweeps.report import described
    from tasks import progress

    if not isinstance(event, progress.TrialEnded):
        return
    if event.reason is not None:
        text = f"failed: {event.reason}"
    elif event.given_up is not None:
        text = event.given_up
    else:
        text = f"{event.mean:.1f}{', given up early' if event.pruned else ''}"
    place = f"trial {event.number} ({event.number + 1}/{event.trials})"
    line = f"{place}: {text}  {described(event.changes)}"
    screen.print(line, markup=False, highlight=False, soft_wrap=True)
