"""The `rlhf` command."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command.comparing import compare
from flows.command.errors import plain_errors
from flows.command.generalising import generalise
from flows.command.labelling import label
from flows.command.labels import labels
from flows.command.looking import runs, watch
from flows.command.notifying import notify
from flows.command.options import AsJson, FilePreset, HomeFolder, Overrides, RunnerKind, Seed
from flows.command.playing import option, play, show
from flows.command.reporting import report
from flows.command.retraining import go_on, history, promote, retrain, rollback
from flows.command.rewards import rewards
from flows.command.scheduling import schedule
from flows.command.serving import prefect, serve
from flows.command.streams import prints_on_stderr
from flows.command.sweeping import sweep
from flows.modules import find_modules_here
from rlhf_core.errors import ConfigurationError

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment

EXAMPLES = """Examples:

rlhf list\n
rlhf show pendulum-preference > mine.yaml\n
rlhf train mine.yaml --seed 1 --set feedback.kind=inverse_rl\n
rlhf resume RUN_ID\n
rlhf compare mine.yaml --vary feedback.kind=preference,direct_reward --seeds 5\n
rlhf sweep mine-sweep.yaml\n
rlhf ui
"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reinforcement learning from human feedback, as workflows.",
)


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


def _load(
    file_or_preset: str,
    overrides: list[str] | None,
    seed: int | None = None,
    home: Path | None = None,
) -> "Experiment":
    with plain_errors(home), prints_on_stderr():
        from flows.experiments import presets

        return presets.load(file_or_preset, overrides or (), seed)


@app.command()
def train(
    experiment: FilePreset,
    overrides: Overrides = None,
    seed: Seed = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN_ID[@ROUND]", help="Begin with what that run had then."),
    ] = None,
    take: Annotated[
        str | None,
        typer.Option(help="With --from: some of policy,reward,labels; else all of them."),
    ] = None,
    runner: RunnerKind = "processes",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment: ask, fit, optimise, evaluate; tracked in MLflow.

    rlhf train pendulum-preference --set feedback.kind=constant --seed 1
    """
    if take is not None and source is None:
        with plain_errors(home):
            raise ConfigurationError("--take: expected --from RUN_ID beside it, actual: none")
    play(_load(experiment, overrides, seed, home), home, None, as_json, (source, take), runner)


@app.command()
def resume(
    run_id: Annotated[
        str, typer.Argument(help="The MLflow run id of an interrupted run, or its beginning.")
    ],
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an interrupted run; finished stages are not repeated.

    A run that is finished prints its summary again.
    """
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.retraining import plan
        from tasks.runs import outcome

        place = Home(home)
        place.expect()
        run_id = outcome.whole_id(place, run_id)
        retrains = run_id.isalnum() and plan.recall(place.store, run_id) is not None
        ended = None if retrains else outcome.recall(place, run_id)
        if ended is None and not retrains:
            from tasks.runs.lifecycle import resumable
            from tasks.tracking.store import prepare

            ended = outcome.look_up(place, prepare(place), run_id)
        if ended is None and not retrains:
            experiment = resumable(place, run_id)
    if retrains:
        go_on(run_id, home, as_json)
    elif ended is not None:
        show(dict(ended.summary), ended.experiment, home, as_json)
    else:
        play(experiment, home, run_id, as_json)


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


@app.command(name="show")
def show_preset(preset: Annotated[str, typer.Argument(help="A preset (see `rlhf list`).")]) -> None:
    """Print the file of a preset, comments included: a start for one of your own.

    rlhf show pendulum-preference > mine.yaml
    """
    with plain_errors():
        from flows.experiments import presets

        typer.echo(presets.text(preset), nl=False)


@app.command()
def clean(
    home: HomeFolder = None,
    really: Annotated[bool, typer.Option("--yes", help="Remove it; else only say what.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what no run needs any more, and remove it with --yes.

    rlhf clean --yes
    """
    with plain_errors(home):
        from flows.command import display
        from tasks.home import Home
        from tasks.runs import cleaning
        from tasks.tracking.store import prepare

        place = Home(home)
        place.expect()
        tracker = prepare(place)
        waste = cleaning.remove(place, tracker) if really else cleaning.find(place, tracker)
    if as_json:
        typer.echo(json.dumps(display.cleaned(waste, really)))
        return
    for name, value in display.cleaned(waste, really).items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    if not really and waste.freed:
        typer.echo(f"remove it: {display.program()} clean --yes{option(home)}")


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


for command in (
    compare,
    generalise,
    sweep,
    history,
    promote,
    report,
    retrain,
    rewards,
    rollback,
    runs,
    serve,
    watch,
):
    app.command()(command)
app.add_typer(label, name="label")
app.add_typer(labels, name="labels")
app.add_typer(notify, name="notify")
app.add_typer(schedule, name="schedule")
app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)(prefect)


def main() -> None:
    """Run the command as a process of its own, which ends soon after its work has ended."""
    from flows.command.ending import leave_soon

    try:
        app()
    except SystemExit as leaving:
        leave_soon(leaving.code)
        raise
    except BaseException:
        leave_soon(1)
        raise


if __name__ == "__main__":
    main()
