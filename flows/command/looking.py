"""`rlhf runs` and `rlhf watch`: what was played, and what is being played."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.options import AsJson, HomeFolder

if TYPE_CHECKING:
    from rich.table import Table

    from tasks.live import Live
    from tasks.tracking.listing import RunSummary

WIDE = 160
"""Columns of a list that does not go to a terminal."""
LOOK_SECONDS = 0.5
"""How often what is watched is read again."""


def runs(
    run_id: Annotated[
        str | None, typer.Argument(help="A run, or the beginning of its id: show it alone.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="WORD=VALUE",
            help="strategy, optimiser, environment, cell, comparison, schedule, seed, status, or "
            "the path of a field such as budget.labels; may be repeated.",
        ),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="MLflow experiment, such as Pendulum-v1.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many runs.")] = 20,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first; or show one.

    rlhf runs --filter strategy=preference --filter status=finished
    """
    with plain_errors(home):
        from tasks.home import Home
        from tasks.tracking import listing
        from tasks.tracking.store import prepare

        place = Home(home)
        place.expect()
        tracker = prepare(place)
        if run_id is None:
            listed = listing.list_runs(tracker, filters or (), experiment, most)
        else:
            listed = [listing.find_run(tracker, run_id)]
    if as_json:
        content: Any = [asdict(run) for run in listed]
        typer.echo(json.dumps(content if run_id is None else content[0]))
    elif run_id is not None:
        for name, value in _details(listed[0]):
            typer.echo(f"{name}: {value}")
    elif not listed:
        typer.echo("no run fits")
    else:
        from rich.console import Console

        console = Console()
        # In a pipe nothing is cut; a terminal wraps what does not fit.
        console = console if console.is_terminal else Console(width=WIDE)
        console.print(_table(listed))


def _table(listed: "Sequence[RunSummary]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from rlhf_core.texts import number

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "name", "environment", "status"):
        table.add_column(name, overflow="fold")
    for name in ("return", "labels", "began"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in listed:
        table.add_row(
            run.run_id[:8], Text(run.name), Text(run.environment), run.status,
            number(run.true_return, 1),
            number(run.labels, 0), _moment(run.began_ms)[5:],
        )  # fmt: skip
    return table


def _details(run: "RunSummary") -> list[tuple[str, str]]:
    from rlhf_core.texts import duration, number

    took = None if run.ended_ms is None else duration((run.ended_ms - run.began_ms) / 1000)
    behind = "" if "://" in run.link else " (behind the address that `rlhf ui` prints)"
    rows = {
        "run": run.run_id,
        "name": run.name,
        "cell": run.cell,
        "environment": run.environment,
        "status": run.status,
        "reason": run.reason,
        "true return": number(run.true_return, 1),
        "labels": number(run.labels, 0),
        "began": _moment(run.began_ms),
        "took": took,
        "page": run.link + behind,
    }
    return [(name, value) for name, value in rows.items() if value]


def _moment(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000):%Y-%m-%d %H:%M}"


def watch(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run's id or its beginning, or the name of a comparison; else the newest."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print where it stands, and end.")] = False,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Watch a run or a comparison that another process plays; Ctrl-C ends the watching alone.

    rlhf watch
    """
    with plain_errors(home):
        from rich.console import Console

        from flows.command import board
        from tasks.home import Home

        place, console = Home(home), Console()
        place.expect()
        state = _wanted(place, run)
        if as_json:
            typer.echo(json.dumps(asdict(state)))
        elif once or not console.is_terminal:
            console.print(board.render(state))
        else:
            state = _follow(place, state, console)
        if not state.ended and not _alive(state):
            typer.echo(f"its process ended without closing it; to go on: {_way(state)}", err=True)


def _wanted(home: Any, run: str | None) -> "Live":
    """What is to be watched. Raises `RunError` where there is none of that name."""
    from rlhf_core.errors import RunError
    from tasks import live

    states = live.read(home)
    fitting = [s for s in states if run is None or s.name == run or s.run_id.startswith(run)]
    # Of several, one that still goes on.
    fitting.sort(key=lambda state: state.ended)
    if fitting:
        return fitting[0]
    names = [f"{state.name} ({state.run_id[:8]})" for state in states]
    what = "nothing" if run is None else f"no run or comparison '{run}'"
    raise RunError(
        f"{what} has been played in {home.path} within a day"
        + (f"; there are {', '.join(names)}" if names else "")
        + "; `rlhf runs` lists older ones"
    )


def _follow(home: Any, state: "Live", console: Any) -> "Live":
    from rich.live import Live as Screen

    from flows.command import board
    from tasks import live

    try:
        with Screen(board.render(state), console=console, auto_refresh=False) as screen:
            while not state.ended and _alive(state):
                time.sleep(LOOK_SECONDS)
                state = live.read_one(home, state.run_id) or state
                screen.update(board.render(state), refresh=True)
    except KeyboardInterrupt:
        typer.echo("no longer watching; it goes on", err=True)
    return state


def _alive(state: "Live") -> bool:
    import psutil

    try:
        # Another process may have got the number since.
        return bool(psutil.Process(state.pid).create_time() <= state.began)
    except psutil.NoSuchProcess:
        return False


def _way(state: "Live") -> str:
    return "the same rlhf compare again" if state.comparison else f"rlhf resume {state.run_id}"
