"""The live table of a comparison or a run, in the terminal."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from rlhf_core.texts import duration
from tasks import live, progress
from tasks.live import FAILED, FINISHED, REUSED, RUNNING, Live, LiveRun

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 32
"""Characters of a curve."""
STYLES = {FAILED: "red", FINISHED: "green", REUSED: "green", RUNNING: "cyan"}


def render(state: Live) -> RenderableType:
    """Where a run or comparison stands, as a table."""
    return _comparison(state) if state.comparison else _run(state)


def _comparison(state: Live) -> RenderableType:
    table = Table(title=Text(_title(state)), title_justify="left")
    table.add_column("cell")
    table.add_column("seeds", justify="right")
    table.add_column("now")
    table.add_column("labels", justify="right")
    table.add_column("return so far", justify="right")
    for cell in dict.fromkeys(run.cell for run in state.runs):
        runs = [run for run in state.runs if run.cell == cell]
        ended = [run for run in runs if run.state in (FINISHED, REUSED)]
        failed = [run for run in runs if run.state == FAILED]
        returns = [run.true_return for run in ended or runs if run.true_return is not None]
        going = [f"seed {run.seed}: {_place(run)}" for run in runs if run.state == RUNNING]
        now = Text(", ".join(going), style="cyan")
        if failed:
            seeds = ", ".join(str(run.seed) for run in failed)
            now.append(f"{' ' if going else ''}failed: seed {seeds}", style="red")
        labels = max((run.labels for run in runs), default=0)
        mean = f"{np.mean(returns):.1f}" if returns else "-"
        count = Text(f"{len(ended)}/{len(runs)}", style="green" if len(ended) == len(runs) else "")
        table.add_row(Text(_short(cell, state)), count, now, f"{labels:,}" if labels else "-", mean)
    return table


def _short(cell: str, state: Live) -> str:
    """Without the task, where there is one task alone."""
    tasks = {run.cell.partition("/")[0] for run in state.runs}
    return cell.partition("/")[2] if len(tasks) == 1 else cell


def _run(state: Live) -> RenderableType:
    (run,) = state.runs
    table = Table(title=Text(_title(state)), title_justify="left", show_header=False)
    table.add_row("run", state.run_id)
    table.add_row("now", Text(_place(run), style=STYLES.get(run.state, "")))
    table.add_row("environment steps", f"{run.steps:,} of {run.total_steps:,}")
    table.add_row("labels", f"{run.labels:,}")
    newest = run.true_return
    table.add_row("true return", "-" if newest is None else f"{newest:.1f}")
    curve = [true_return for _, _, true_return in run.curve if true_return is not None]
    if len(curve) > 1:
        span = f"{min(curve):.1f} to {max(curve):.1f}"
        table.add_row("its curve", f"{bars(curve)}  {span}")
    return table


def _title(state: Live) -> str:
    parts = [state.name] if state.name else []
    if state.comparison:
        done = sum(run.state in (FINISHED, REUSED, FAILED) for run in state.runs)
        parts.append(f"{done} of {len(state.runs)} runs")
    now = _end(state) if state.ended else time.time()
    parts.append(f"{duration(now - state.began)} so far")
    left = None if state.ended else state.seconds_left()
    if state.ended:
        parts.append("ended")
    elif left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def _end(state: Live) -> float:
    return max((run.ended for run in state.runs if run.ended is not None), default=state.began)


def _place(run: LiveRun) -> str:
    if run.state != RUNNING:
        return run.state + (f": {run.reason}" if run.reason else "")
    return f"round {run.round + 1}/{run.rounds} {run.stage}"


def bars(values: list[float]) -> str:
    """A curve in one line of text, from the lowest to the highest value."""
    picked = [
        values[int(index)] for index in np.linspace(0, len(values) - 1, min(WIDTH, len(values)))
    ]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in picked)


@contextmanager
def showing(console: Console) -> Iterator[None]:
    """Show a comparison while it is played: a table in a terminal, else a line for each run."""
    board = _Board(console)
    try:
        with progress.listening(board.receive):
            yield
    finally:
        board.close()


class _Board:
    """Listens in several threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._screen: Screen | None = None
        self._run_id = ""

    def receive(self, event: progress.Event) -> None:
        with self._lock:
            match event:
                case progress.Opened(run_id, _):
                    self._run_id = run_id
                case progress.Planned():
                    self._begin(event)
                case progress.InCell(cell, seed, inner) if self._live is not None:
                    self._live.receive(event)
                    if isinstance(inner, progress.CellEnded):
                        self._print(cell, seed, inner)

    def _begin(self, planned: progress.Planned) -> None:
        self._live = live.of_comparison("", self._run_id, planned)
        finished = sum(run.state == REUSED for run in self._live.runs)
        if finished:
            self._console.print(f"{finished} of {len(self._live.runs)} runs are finished already")
        if self._console.is_terminal:
            state = self._live
            self._screen = Screen(
                get_renderable=lambda: Group(render(state)),
                console=self._console,
                refresh_per_second=4,
                transient=True,
            )
            self._screen.start()

    def _print(self, cell: str, seed: int, ended: progress.CellEnded) -> None:
        """Print a line once a run has ended; in a terminal the table shows those that finished."""
        assert self._live is not None
        name = f"{_short(cell, self._live)} seed {seed}"
        if ended.summary is None:
            line = Text(f"failed: {name}: {ended.reason}", style="red")
            self._console.print(line, soft_wrap=True)
        elif self._screen is None:
            true_return = ended.summary["true_return_iqm"]
            text = "unknown" if true_return is None else f"{true_return:.1f}"
            done = sum(run.state in (FINISHED, REUSED, FAILED) for run in self._live.runs)
            left = self._live.seconds_left()
            more = "" if left is None else f", {duration(left)} left"
            line = Text(f"{done}/{len(self._live.runs)} {name}: true return {text}{more}")
            self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        """Leave the screen as it was."""
        if self._screen is not None:
            self._screen.stop()
