"""What a person sees of a run in the terminal."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rlhf_core.comparison.numbers import decimals_for, plain, plural
from rlhf_core.experiment import Experiment
from tasks import progress

if TYPE_CHECKING:
    from tasks.runs.cleaning import Waste


class _Rate(ProgressColumn):
    """Environment steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


@contextmanager
def watching(experiment: Experiment, console: Console) -> Iterator[None]:
    """Show a progress bar while a run goes on; where there is no terminal, what it waits for."""
    links: set[str] = set()

    def show_link(event: progress.Event) -> None:
        if isinstance(event, progress.Waiting) and event.link not in links:
            links.add(event.link)
            console.print(f"people answer at {event.link}", soft_wrap=True, highlight=False)

    if not console.is_terminal:
        with progress.listening(show_link):
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
                case progress.Waiting(_, text, _):
                    bar.update(task, description=text)
                case progress.RoundDone(_, _, steps, labels, true_return):
                    text = "-" if true_return is None else f"{true_return:.1f}"
                    bar.update(task, completed=steps, labels=labels, true_return=text)

        with progress.listening(show), progress.listening(show_link):
            yield
        bar.update(task, description=" " * 14)


def summary(result: Mapping[str, Any], title: str, startup: float | None = None) -> Table:
    """The outcome of a run as a table, beside what it can be compared with."""
    table = Table(title=title, show_header=False, title_justify="left")
    for meaning, text in _rows(result, startup):
        if text is not None:
            table.add_row(meaning, text)
    return table


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What stands under the table: alarms of the guard with their reason, and notes."""
    alarms = [f"alarm of the guard, {alarm}" for alarm in result["alarms"]]
    return [*alarms, *(f"note: {note}" for note in result["notes"])]


def _rows(result: Mapping[str, Any], startup: float | None) -> Iterator[tuple[str, str | None]]:
    yield "environment", result["environment"]
    yield "feedback strategy", result["strategy"]
    yield "optimiser", result["optimiser"]
    yield "labels", f"{result['labels']:,}"
    yield "no more, because", result["asking_ended"]
    yield "cost of the labels", f"{result['cost']:.2f}" if result["cost"] else None
    accuracy = result["heldout_accuracy"]
    yield "held-out labels predicted", None if accuracy is None else f"{accuracy:.0%}"
    yield "environment steps", f"{result['env_steps']:,}"
    mean, iqm = result["true_return_mean"], result["true_return_iqm"]
    yield "true return", None if iqm is None else f"{_return(iqm)} (IQM; mean {_return(mean)})"
    success = result["success_rate"]
    yield "  success", None if success is None else f"{success:.0%} of the episodes"
    first = result["first_return_iqm"]
    yield "  before training", None if first is None else _return(first)
    expert = result.get("expert_return_mean")
    yield (
        "  of the expert who demonstrated",
        None if expert is None else f"{_return(expert)} (mean)",
    )
    reference = result["true_reward_reference"]
    if reference is not None:
        low, high = _return(reference["low"]), _return(reference["high"])
        interval = f"{low} to {high}; " if reference["seeds"] > 1 else ""
        yield (
            "  trained on the true reward",
            f"{_return(reference['iqm'])} ({interval}{plural(reference['seeds'], 'seed')}, "
            f"{reference['measured']})",
        )
    # A version of a registered model has its number behind a second slash.
    alone = (
        "" if result["model"].count("/") > 1 else " (logged, and as a null control not registered)"
    )
    yield "policy", f"{result['model']}{alone}"
    after = "" if startup is None else f", after {startup:.1f} of start-up"
    yield "seconds", f"{result['seconds']:.1f}{after}"


def _return(value: float) -> str:
    """A return with one decimal, or with about three figures where it is small."""
    return plain(value, max(1, decimals_for(value)))


def program() -> str:
    """How the command can be called from here: `rlhf` if that finds it, else its path."""
    called = Path(sys.argv[0])
    on_path = which("rlhf")
    if called.name != "rlhf" or (on_path is not None and Path(on_path).samefile(called)):
        return "rlhf"
    return quote(relpath(called))


def cleaned(waste: "Waste", removed: bool) -> dict[str, Any]:
    """What a cleaning removed, or would remove."""
    return {
        "megabytes_freed" if removed else "megabytes_to_free": round(waste.freed / 1e6, 1),
        "megabytes_left": round(waste.left / 1e6, 1),
        "finished_runs": waste.finished,
        "deleted_runs": waste.deleted,
        "runs_that_can_go_on_and_keep_everything": waste.resumable,
    }
