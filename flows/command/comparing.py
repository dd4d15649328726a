"""`rlhf compare`: a matrix from a file or from options, played and reported."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.options import (
    AsJson,
    Control,
    FailureBelow,
    HomeFolder,
    Overrides,
    RunnerKind,
    Workers,
)
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from rlhf_core.matrix import Cell, Matrix
    from tasks.home import Home


def compare(
    experiment: Annotated[
        str, typer.Argument(help="A comparison's YAML file; or a preset or experiment to vary.")
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE,VALUE", help="Values of a field; may be repeated."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE,FIELD=VALUE", help="Leave out cells with these values."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|N,N", help="How many seeds, or which; 5 else.")
    ] = None,
    overrides: Overrides = None,
    control: Control = None,
    failure_below: FailureBelow = None,
    name: Annotated[
        str | None, typer.Option(help="Of the comparison; the same name goes on with it.")
    ] = None,
    workers: Workers = None,
    runner: RunnerKind = "processes",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and an estimate of the time.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")
    ] = False,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Play a matrix of experiments, and say which won, by how much and how sure.

    rlhf compare pendulum-preference --vary feedback.kind=preference,true_reward --seeds 5
    """
    with plain_errors(home), prints_on_stderr():
        from flows.comparison import matrices

        options = matrices.Options(
            vary or (), exclude or (), seeds, overrides or (), control, failure_below, name
        )
        matrix = matrices.of(experiment, options)
    play(matrix, workers, runner, home, dry_run, fail_fast, as_json)


def play(
    matrix: "Matrix",
    workers: int | None,
    runner: str,
    home: Path | None,
    dry_run: bool,
    fail_fast: bool,
    as_json: bool,
) -> None:
    """Play a matrix and print what came of it; exit status 1 where a run failed.

    Args:
        matrix: what is compared.
        workers: runs at the same time; None: as many as the runner plays.
        runner: where they are played.
        home: folder of the runs that the user named.
        dry_run: print the cells and an estimate alone.
        fail_fast: stop at the first run that fails.
        as_json: print one JSON object and nothing else.
    """
    from rich.console import Console

    from flows.command import board
    from flows.command.playing import option
    from flows.command.way_back import WayBack
    from flows.services.connect import lost_prefect
    from tasks.home import Home

    def show_live(result: dict[str, Any]) -> None:
        show(result, home, as_json)

    place, screen = Home(home), Console(stderr=True)
    with plain_errors(home), prints_on_stderr():
        from flows.comparison import plan
        from flows.runners import chosen

        choice = chosen(runner)
        cells = plan.cells(matrix)
        if dry_run:
            from joblib import cpu_count  # Those that this process may use.

            from flows.comparison.estimate import estimate

            lines = list(estimate(place, matrix, cells, workers or cpu_count()))
    if dry_run:
        for text in lines:
            typer.echo(text)
        return
    way = WayBack(place, option(home), show_live, matrix.name)
    with plain_errors(home), prints_on_stderr(), way:
        connect_for(matrix, cells, place, screen)
        from flows.compare import compare as flow

        with board.showing(screen), lost_prefect():
            way.result = flow(matrix, None, "fixed", workers, fail_fast, str(choice))
    show_live(way.result)
    if way.result["failed"]:
        raise typer.Exit(1)


def connect_for(matrix: "Matrix", cells: "list[Cell]", place: "Home", screen: "Console") -> None:
    """Connect to the services, and see that runs of this name were not defined otherwise.

    Args:
        matrix: what is played.
        cells: of the matrix.
        place: home of the runs.
        screen: where the wait is shown.
    """
    from flows.services.connect import connect

    with screen.status("starting the tracking store and the Prefect server"):
        connect(place)
        from tasks.runs.comparisons import check_unchanged
        from tasks.tracking.store import tracker_of

        check_unchanged(tracker_of(place), matrix, cells)


def show(result: dict[str, Any], home: Path | None, as_json: bool) -> None:
    """Print what came of a comparison."""
    if as_json:
        content = {name: value for name, value in result.items() if name != "text"}
        typer.echo(json.dumps(content, allow_nan=False))
        return
    from flows.command import display
    from flows.command.playing import option

    for hole in result["failed"]:
        typer.echo(f"failed: {hole['cell']} seed {hole['seed']}: {hole['reason']}")
    typer.echo(result["text"], nl=False)
    typer.echo(f"report: {os.path.relpath(result['report'])}")
    typer.echo(f"look at it: {display.program()} ui{option(home)}")
