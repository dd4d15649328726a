"""The file that says who is told of what.

    notifications:
    - name: team
      webhook: https://chat.example.org/hooks/abc
      on: [promoted, drifted, failed]
    - name: desk
      command: [notify-send, "{title}", "{text}"]
      schedules: [nightly]

It is `notifications/notifications.yaml` of the home, or what `RLHF_NOTIFICATIONS` names.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from pydantic import Field, field_validator, model_validator

from rlhf_core.configuration import read, validated
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.plugin import Config, nearest
from rlhf_core.texts import shortened
from tasks.addresses import check_url
from tasks.home import Home, write_private
from tasks.notifications.notice import Event, Notice

VARIABLE = "RLHF_NOTIFICATIONS"
FILE = "notifications.yaml"
USUAL = (Event.PROMOTED, Event.REFUSED, Event.DRIFTED, Event.FAILED, Event.WAITING)


class Notification(Config):
    """Somebody who is told, and of what."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    """Names the entry: letters, digits, dot, dash, underscore."""
    webhook: str | None = None
    """An address that gets a JSON object by POST."""
    command: tuple[str, ...] | None = Field(None, min_length=1)
    """A program and its arguments, in which {event}, {title} and {text} stand for the notice; the
    whole of it comes as JSON on standard input. No shell reads it."""
    block: str | None = None
    """A notification block of the Prefect server, as `slack-webhook/team`."""
    on: tuple[Event, ...] = Field(USUAL, min_length=1)
    """Events of which it is told."""
    schedules: tuple[str, ...] | None = None
    """Schedules of whose runs it is told; null: all runs, also those that a person starts."""

    @model_validator(mode="after")
    def _one_channel(self) -> "Notification":
        channels = {"webhook": self.webhook, "command": self.command, "block": self.block}
        given = [name for name, value in channels.items() if value is not None]
        if len(given) != 1:
            actual = " and ".join(given) or "none"
            raise ValueError(f"expected one of webhook, command and block, actual: {actual}")
        return self

    @field_validator("webhook")
    @classmethod
    def _an_address(cls, webhook: str | None) -> str | None:
        try:
            if webhook is not None:
                check_url("webhook", webhook, "https://chat.example.org/hooks/abc")
        except ConfigurationError as error:
            raise ValueError(str(error).partition(": ")[2]) from None
        return webhook

    @field_validator("block")
    @classmethod
    def _a_block(cls, block: str | None) -> str | None:
        if block is not None and block.count("/") != 1:
            raise ValueError(f"expected TYPE/NAME, such as slack-webhook/team, actual: '{block}'")
        return block

    def wants(self, notice: Notice) -> bool:
        """Whether it is told of an event."""
        mine = self.schedules is None or notice.schedule in self.schedules
        return mine and notice.event in self.on


def path_of(home: Home) -> Path:
    """The file of a home; who looks for it makes no home."""
    return Path(os.environ.get(VARIABLE) or home.path / "notifications" / FILE)


def of_home(home: Home) -> tuple[Notification, ...]:
    """Who is told; nobody where there is no file.

    Raises:
        ConfigurationError: names the entry, the field, what was expected and what came.
    """
    path = path_of(home)
    if not path.exists():
        if VARIABLE in os.environ:
            raise ConfigurationError(f"{VARIABLE}: expected a file, actual: no file {path}")
        return ()
    items = read(path, str(path), "'notifications'").get("notifications")
    if not isinstance(items, list):
        raise ConfigurationError(f"{path}: expected a list 'notifications', actual: none")
    entries = []
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            what = shortened(str(item))
            raise ConfigurationError(f"{path}: entry {index}: expected a mapping, actual: {what}")
        name = shortened(str(item.get("name", index)))
        entries.append(validated(Notification, item, f"{path}: notification {name}"))
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path}: expected each name once, actual: {twice} twice")
    return tuple(entries)


def keep(home: Home, entries: Iterable[Notification]) -> None:
    """Write down who is told; only the owner may read it, as addresses may hold secrets."""
    items = [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries]
    if VARIABLE not in os.environ:
        home.folder("notifications")
    write_private(path_of(home), yaml.safe_dump({"notifications": items}, sort_keys=False))


def named(entries: Sequence[Notification], name: str) -> Notification:
    """The entry of a name.

    Raises:
        RunError: there is none.
    """
    for entry in entries:
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries]
    hint = nearest(name, known) if known else "there is none; `rlhf notify add` makes one"
    raise RunError(f"unknown notification '{shortened(name)}'; {hint}")
