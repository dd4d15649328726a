"""A run from the command line: services, flow, the way back, the summary."""

import json
import os
import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from flows.command.errors import plain_errors
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment


def play(
    experiment: "Experiment",
    home: Path | None,
    run_id: str | None,
    as_json: bool,
    source: tuple[str | None, str | None] = (None, None),
    runner: str = "processes",
) -> None:
    """Run an experiment, or go on with a run, and print how it ended.

    Args:
        experiment: what to run.
        home: folder of the runs that the user named.
        run_id: the run to go on with; None starts one.
        as_json: print one JSON object and nothing else.
        source: a run to begin with, as RUN_ID or RUN_ID@ROUND, and what to take from it; None: all.
        runner: where the parts of a generation are played.
    """
    from rich.console import Console

    from flows.command import display
    from flows.command.way_back import WayBack
    from flows.services.connect import connect, lost_prefect
    from tasks.home import Home

    def show_live(result: dict[str, Any]) -> None:
        show(result, experiment.name, home, as_json, startup)

    startup: float | None = None

    place = Home(home)
    screen = Console(stderr=True)
    with plain_errors(home), prints_on_stderr(), WayBack(place, option(home), show_live) as way:
        from flows.runners.choice import chosen

        choice = chosen(runner)
        with screen.status("starting the tracking store and the Prefect server"):
            connect(place)
        from flows.runners.generations import task_runner_of
        from flows.train import train as flow

        engine = task_runner_of(choice, experiment)
        if engine is not None:
            flow = flow.with_options(task_runner=engine)
        startup = round(seconds_since_start(), 1)
        with display.watching(experiment, screen), lost_prefect():
            way.result = flow(experiment, run_id=run_id, take_from=source[0], take=source[1])
    show_live(way.result)


def seconds_since_start() -> float:
    """Seconds since this process began."""
    import psutil

    return time.time() - psutil.Process().create_time()


def option(home: Path | None) -> str:
    """The option that names the home again, for commands that are printed."""
    return f" --home {quote(str(home))}" if home else ""


def show(
    result: dict[str, Any],
    name: str,
    home: Path | None,
    as_json: bool,
    startup: float | None = None,
) -> None:
    """Print how a run ended, or what it waits for."""
    if as_json:
        typer.echo(json.dumps(result, allow_nan=False))
        return
    from rich.console import Console

    from flows.command import display
    from tasks.home import Home

    if "waiting" in result:
        typer.echo(f"waiting: {result['waiting']}")
        typer.echo(f"to go on: {display.program()} resume {result['run_id']}{option(home)}")
        return
    Console().print(display.summary(result, name, startup))
    for line in display.remarks(result):
        typer.echo(line)
    typer.echo(f"run {result['run_id']}, kept in {Home(home).path}")
    if tracked := os.environ.get("MLFLOW_TRACKING_URI"):
        from tasks.addresses import masked

        typer.echo(f"tracked in {masked(tracked)} (MLFLOW_TRACKING_URI)")
    typer.echo(f"look at it: {display.program()} ui{option(home)}")
