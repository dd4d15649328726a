"""`rlhf report`: a report over runs that exist."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flows.command.errors import plain_errors
from flows.command.options import Control, FailureBelow, HomeFolder

FORMATS = ("text", "html", "markdown", "csv", "latex", "json")


def report(
    name: Annotated[
        str | None, typer.Argument(help="A comparison; else runs by --run, --filter, --experiment.")
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A run; may be repeated.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="WORD=VALUE", help="As for `rlhf runs`; may be repeated."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="MLflow experiment, such as Pendulum-v1.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"{', '.join(FORMATS)}; else by the name of --output."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; else it is printed.")
    ] = None,
    control: Control = None,
    failure_below: FailureBelow = None,
    home: HomeFolder = None,
) -> None:
    """Compare runs that are finished, without playing any.

    rlhf report --experiment Pendulum-v1 --output pendulum.html
    """
    with plain_errors(home):
        from flows.comparison import members, report
        from rlhf_core.errors import ConfigurationError
        from tasks.home import Home
        from tasks.tracking.store import prepare

        chosen = _format(form, output)
        if name is not None and (run or filters or experiment):
            raise ConfigurationError(
                "expected the name of a comparison, or --run, --filter and --experiment, actual: "
                "both"
            )
        place = Home(home)
        place.expect()
        tracker = prepare(place)
        definition = None
        if name is None:
            chosen_runs = members.of_runs(tracker, run or (), filters or (), experiment)
            criteria = report.Criteria(experiment or "runs", control, failure_below)
        else:
            recorded = members.of_comparison(tracker, name)
            chosen_runs, definition = recorded.members, recorded.definition
            criteria = report.Criteria(
                name,
                control or recorded.matrix.control,
                recorded.matrix.failure_below if failure_below is None else failure_below,
            )
        comparison = report.compared(tracker, chosen_runs, criteria)
        forms: dict[str, Callable[[], str]] = {
            "text": lambda: report.as_text(comparison),
            "html": lambda: report.page(tracker, comparison, chosen_runs, definition),
            "markdown": comparison.markdown,
            "csv": comparison.csv,
            "latex": comparison.latex,
            "json": lambda: report.as_json(comparison),
        }
        text = forms[chosen]()
        if output is not None:
            output.write_text(text, encoding="utf-8")
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        typer.echo(f"report: {output}")


ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown", ".csv": "csv", ".tex": "latex",
           ".json": "json", ".txt": "text"}  # fmt: skip


def _format(form: str | None, output: Path | None) -> str:
    from rlhf_core.errors import ConfigurationError
    from rlhf_core.plugin import nearest
    from rlhf_core.texts import shortened

    if form is None:
        return "text" if output is None else ENDINGS.get(output.suffix.lower(), "text")
    if form not in FORMATS:
        raise ConfigurationError(
            f"--format: unknown '{shortened(form)}'; {nearest(form, list(FORMATS))}"
        )
    return form
