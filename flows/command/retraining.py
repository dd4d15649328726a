"""`rlhf retrain`, `promote`, `rollback` and `history`: which policy is in use, and why."""

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.options import AsJson, FilePreset, HomeFolder, Overrides, Seed
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rlhf_core.experiment import Experiment
    from tasks.tracking.store import Tracker

Model = Annotated[
    str | None,
    typer.Option("--model", help="Registered model, such as Pendulum-v1; the only one else."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


def retrain(
    experiment: FilePreset,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Registered model; that of the experiment's task else."),
    ] = None,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm/--scratch", help="Begin with the champion's policy, reward and labels or not."
        ),
    ] = False,
    label_set: Annotated[
        str | None,
        typer.Option("--label-set", help="Labels to learn from, and to add the new ones to."),
    ] = None,
    probability: Annotated[
        float, typer.Option("--p", help="Least probability that the challenger is better.")
    ] = 0.9,
    episodes: Annotated[
        int, typer.Option("--episodes", help="Start states on which both are played.")
    ] = 200,
    overrides: Overrides = None,
    seed: Seed = None,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train a challenger; it takes the champion's place where evidence says that it is better.

    rlhf retrain pendulum-preference --warm --label-set people
    """
    with plain_errors(home), prints_on_stderr():
        from flows.experiments import presets
        from rlhf_core.configuration import validated
        from rlhf_core.retraining.gate import Gate
        from tasks.retraining.plan import Retraining

        loaded = presets.load(experiment, overrides or (), seed)
        gate = validated(Gate, {"probability": probability, "episodes": episodes}, "gate")
        settings = Retraining(
            model=model, warm=warm, label_set=label_set, gate=gate, fresh_seed=seed is None
        )
        settings.check(loaded)
    _play(loaded, home, as_json, dict(settings))


def go_on(run_id: str, home: Path | None, as_json: bool) -> None:
    """Go on with a retraining that was interrupted, or print again how it ended."""
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.runs.lifecycle import recorded_experiment
        from tasks.tracking.store import prepare

        place = Home(home)
        prepare(place)
        experiment = recorded_experiment(place, run_id)
    _play(experiment, home, as_json, {"run_id": run_id})


def _play(
    experiment: "Experiment", home: Path | None, as_json: bool, arguments: Mapping[str, Any]
) -> None:
    """Play the flow `retrain` and print what it came to."""
    from rich.console import Console

    from flows.command import display
    from flows.command.playing import option
    from flows.command.way_back import WayBack
    from tasks.home import Home

    def show_live(result: dict[str, Any]) -> None:
        show(result, home, as_json)

    screen, place = Console(stderr=True), Home(home)
    way = WayBack(place, option(home), show_live, retraining=True)
    with plain_errors(home), prints_on_stderr(), way:
        from flows.services.connect import connect, lost_prefect

        with screen.status("starting the tracking store and the Prefect server"):
            connect(place)
        from flows.retrain import retrain as flow

        with display.watching(experiment, screen), lost_prefect():
            way.result = flow(experiment, **arguments)
    show_live(way.result)


def show(result: Mapping[str, Any], home: Path | None, as_json: bool) -> None:
    """Print what a retraining came to."""
    if as_json:
        typer.echo(json.dumps(result, allow_nan=False))
        return
    from flows.command import display
    from flows.command.playing import option

    if "waiting" in result:
        typer.echo(f"waiting: {result['waiting']}")
        typer.echo(f"to go on: {display.program()} resume {result['run_id']}{option(home)}")
        return
    typer.echo(f"{result['outcome']}: version {result['version']} of {result['model']}")
    for reason in result["reasons"]:
        typer.echo(f"  {reason}")
    before, now = result["champion_before"], result["champion"]
    was = "" if before in (None, now) else f" (before: version {before})"
    typer.echo("there is no champion" if now is None else f"champion: version {now}{was}")
    if result["label_set"] is not None:
        typer.echo(f"labels: {result['label_set']}")
    elif not result["labels_trusted"]:
        typer.echo("its labels are not trusted, and were added to no label set")
    typer.echo(f"run {result['run_id']}; look at it: {display.program()} ui{option(home)}")


@contextmanager
def _registry(home: Path | None) -> "Iterator[Tracker]":
    """The tracking store of a home that is there, for commands that change nothing but aliases."""
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.tracking.store import prepare

        place = Home(home)
        place.expect()
        yield prepare(place)


def promote(
    version: Annotated[int, typer.Argument(help="Of the registered model.", min=1)],
    model: Model = None,
    reason: Reason = "by hand",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion by hand, whatever the gate said; the next gate measures it anew.

    rlhf promote 3 --reason "looked at its film"
    """
    with _registry(home) as tracker:
        from tasks.tracking import champions

        name = champions.model_name(tracker, model)
        chosen = champions.numbered(tracker, name, version)
        before = champions.promote_by_hand(tracker, chosen, reason)
    _say_moved(name, version, before, as_json)


def rollback(
    model: Model = None,
    reason: Reason = "by hand",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make the previous champion the champion again; the two change places.

    rlhf rollback --reason "falls over on wet ground"
    """
    with _registry(home) as tracker:
        from tasks.tracking import champions

        name = champions.model_name(tracker, model)
        restored, before = champions.roll_back(tracker, name, reason)
    _say_moved(name, restored.number, before, as_json)


def _say_moved(name: str, version: int, before: int | None, as_json: bool) -> None:
    if as_json:
        content = {"model": name, "champion": version, "champion_before": before}
        typer.echo(json.dumps(content))
        return
    was = "" if before is None else f" (before: version {before})"
    typer.echo(f"champion of {name}: version {version}{was}")


def history(model: Model = None, home: HomeFolder = None, as_json: AsJson = False) -> None:
    """List what was promoted, refused and rolled back, and why; oldest first.

    rlhf history
    """
    with _registry(home) as tracker:
        from tasks.tracking import champions

        name = champions.model_name(tracker, model)
        moves = champions.history(tracker, name)
        aliases = champions.aliases(tracker, name)
    if as_json:
        content = {"model": name, "aliases": aliases, "history": [asdict(m) for m in moves]}
        typer.echo(json.dumps(content))
        return
    typer.echo(f"{name}: " + (", ".join(f"{a} {v}" for a, v in sorted(aliases.items())) or "-"))
    for move in moves:
        against = "" if move.before in (None, move.version) else f" (champion was {move.before})"
        when = f"{datetime.fromtimestamp(move.at):%Y-%m-%d %H:%M}"
        typer.echo(f"{when}  version {move.version} {move.what}{against}: {move.reason}")
