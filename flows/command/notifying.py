"""`rlhf notify`: who is told how runs end."""

import json
import shlex
from typing import Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.options import AsJson, HomeFolder

notify = typer.Typer(
    no_args_is_help=True,
    help="Who is told how runs end: webhooks, commands, notification blocks of Prefect.",
)
Name = Annotated[str, typer.Argument(help="Of the entry.")]


@notify.command()
def add(
    name: Name,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Gets a JSON object by POST.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Program and arguments; {event}, {title} and {text} are filled in."),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(metavar="TYPE/NAME", help="A notification block of the Prefect server."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="EVENTS",
            help="Some of promoted,refused,drifted,failed,finished,waiting; all but finished else.",
        ),
    ] = None,
    schedules: Annotated[
        list[str] | None, typer.Option("--schedule", help="Of runs of this schedule alone.")
    ] = None,
    home: HomeFolder = None,
) -> None:
    """Tell somebody how runs end.

    rlhf notify add team --webhook https://chat.example.org/hooks/abc --on promoted,failed
    """
    with plain_errors(home):
        from rlhf_core.configuration import validated
        from rlhf_core.errors import ConfigurationError
        from tasks.home import Home
        from tasks.notifications import settings

        place = Home(home)
        content: dict[str, Any] = {
            "name": name,
            "webhook": webhook,
            "command": None if command is None else _split(command),
            "block": block,
            "schedules": schedules or None,
        }
        if on is not None:
            content["on"] = [event.strip() for event in on.split(",")]
        new = validated(settings.Notification, content, "notification")
        with place.locked("notifications"):
            there = settings.of_home(place)
            if new.name in {one.name for one in there}:
                raise ConfigurationError(f"name: expected a new name, actual: '{new.name}'")
            settings.keep(place, [*there, new])
    typer.echo(f"added {new.name}: {_channel(new)} on {', '.join(new.on)}")


@notify.command(name="list")
def list_notifications(home: HomeFolder = None, as_json: AsJson = False) -> None:
    """List who is told of what; secrets of addresses are masked."""
    with plain_errors(home):
        from tasks.home import Home
        from tasks.notifications import settings

        entries = settings.of_home(Home(home))
    if as_json:
        keys = ("name", "on", "schedules")
        content = [
            {**one.model_dump(mode="json", include=set(keys)), "channel": _channel(one)}
            for one in entries
        ]
        typer.echo(json.dumps(content))
        return
    if not entries:
        typer.echo("nobody is told; `rlhf notify add` changes that")
    for one in entries:
        whose = "" if one.schedules is None else f" of {', '.join(one.schedules)}"
        typer.echo(f"{one.name}: {_channel(one)} on {', '.join(one.on)}{whose}")


@notify.command()
def remove(name: Name, home: HomeFolder = None) -> None:
    """Tell somebody no more."""
    with plain_errors(home):
        from tasks.home import Home
        from tasks.notifications import settings

        place = Home(home)
        with place.locked("notifications"):
            there = settings.of_home(place)
            gone = settings.named(there, name)
            settings.keep(place, [one for one in there if one is not gone])
    typer.echo(f"removed {name}")


@notify.command(name="test")
def send_test(name: Name, home: HomeFolder = None) -> None:
    """Send a notice now, and say what goes wrong."""
    with plain_errors(home):
        from tasks.home import Home
        from tasks.notifications import sending, settings
        from tasks.notifications.notice import Event, Notice

        place = Home(home)
        entry = settings.named(settings.of_home(place), name)
        if entry.block is not None:
            from flows.services.connect import connect

            connect(place)
        text = f"`rlhf notify test {name}` sent it; no run has ended."
        sending.deliver(entry, Notice(Event.TEST, "a test of rlhf notify", text, "train"))
    typer.echo(f"delivered to {name}")


def _split(command: str) -> list[str]:
    from rlhf_core.errors import ConfigurationError

    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(
            f"command: expected a program and its arguments, actual: {error}"
        ) from None


def _channel(entry: Any) -> str:
    """Where an entry sends, without secrets."""
    if entry.webhook is not None:
        from urllib.parse import urlsplit

        # The path of a webhook is its secret.
        parts = urlsplit(entry.webhook)
        return f"webhook {parts.scheme}://{parts.hostname}/..."
    if entry.command is not None:
        return f"command {entry.command[0]}"
    return f"block {entry.block}"
