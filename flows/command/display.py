"""What a person sees of a run in the terminal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rlhf_core.experiment import Experiment
from tasks import progress

SUMMARY = {
    "environment": "environment",
    "strategy": "feedback strategy",
    "optimiser": "optimiser",
    "labels": "labels",
    "asking_ended": "no more, because",
    "cost": "cost of the labels",
    "alarms": "alarms of the guard",
    "env_steps": "environment steps",
    "true_return_mean": "true return, mean",
    "true_return_iqm": "true return, IQM",
    "seconds": "seconds",
}
IF_ANY = ("asking_ended", "cost", "alarms")
"""Shown where there is something to tell."""


class _Rate(ProgressColumn):
    """Environment steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


@contextmanager
def watching(experiment: Experiment, console: Console) -> Iterator[None]:
    """Show a progress bar while a run goes on; nothing where there is no terminal."""
    if not console.is_terminal:
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        _Rate(),
        TextColumn("{task.fields[labels]} labels"),
        TextColumn("return {task.fields[true_return]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        total = experiment.first_steps + experiment.total_steps
        task = bar.add_task("starting", total=total, labels=0, true_return="-")

        def show(event: progress.Event) -> None:
            match event:
                case progress.Stage(_, name, round):
                    text = f"{round + 1}/{experiment.budget.rounds} {name}"
                    bar.update(task, description=f"{text:<14}")
                case progress.Steps(_, count):
                    bar.advance(task, count)
                case progress.RoundDone(_, _, steps, labels, true_return):
                    text = "-" if true_return is None else f"{true_return:.1f}"
                    bar.update(task, completed=steps, labels=labels, true_return=text)

        with progress.listening(show):
            yield
        bar.update(task, description=" " * 14)


def summary(result: Mapping[str, Any], title: str) -> Table:
    """The outcome of a run as a table."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, meaning in SUMMARY.items():
        value = result[name]
        if value is None or (name in IF_ANY and not value):
            continue
        whole = isinstance(value, int)
        digits = 2 if name == "cost" else 1
        text = (
            f"{value:,}"
            if whole
            else f"{value:.{digits}f}"
            if isinstance(value, float)
            else str(value)
        )
        table.add_row(meaning, text)
    return table
