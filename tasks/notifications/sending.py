"""Sends a notice to whoever is told of its event.

What cannot be sent is logged, and ends no run.
"""

import json
import logging
import subprocess
import time
from collections.abc import Callable, Coroutine

from rlhf_core.errors import ConfigurationError, ServiceError
from tasks.addresses import printable
from tasks.home import Home
from tasks.notifications import settings
from tasks.notifications.notice import Notice
from tasks.notifications.settings import Notification

TIMEOUT_SECONDS = 10.0
"""Of an answer to a webhook."""
COMMAND_SECONDS = 60.0
"""How long a command may take."""
PAUSES = (1.0, 3.0)
"""Seconds before a webhook is tried again."""


def send(home: Home, notice: Notice) -> list[str]:
    """Tell everybody who wants to know; returns what went wrong, one line each, and logs it."""
    try:
        entries = settings.of_home(home)
    except ConfigurationError as error:
        problems = [str(error)]
    else:
        tried = (_problem(entry, notice) for entry in entries if entry.wants(notice))
        problems = [problem for problem in tried if problem is not None]
    for problem in problems:
        logging.getLogger("rlhf.notifications").warning("%s", problem)
    return problems


def deliver(entry: Notification, notice: Notice) -> None:
    """Send a notice on the channel of one entry.

    Raises:
        ServiceError: it was not accepted.
    """
    if entry.webhook is not None:
        _post(entry.webhook, notice)
    elif entry.command is not None:
        _call(entry.command, notice)
    elif entry.block is not None:
        _notify(entry.block, notice)


def _problem(entry: Notification, notice: Notice) -> str | None:
    """What went wrong; None where it was delivered."""
    try:
        deliver(entry, notice)
    except ServiceError as error:
        return f"notification {entry.name} of '{notice.event}' was not delivered: {error}"
    return None


def _post(address: str, notice: Notice, sleep: Callable[[float], None] = time.sleep) -> None:
    import httpx

    for pause in (*PAUSES, None):
        try:
            answer = httpx.post(address, json=notice.content(), timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if answer.is_success:
                return
            problem = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break  # It will not be accepted later either.
        if pause is not None:
            sleep(pause)
    raise ServiceError(f"webhook: {printable(problem)}")


def _call(command: tuple[str, ...], notice: Notice) -> None:
    content = notice.content()
    filled = list(command)
    for name in ("event", "title", "text"):
        filled = [part.replace(f"{{{name}}}", str(content[name])) for part in filled]
    try:
        done = subprocess.run(  # noqa: S603 - the owner of the home wrote the command
            filled,
            input=json.dumps(content),
            encoding="utf-8",
            errors="replace",
            capture_output=True,
            timeout=COMMAND_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"command {command[0]}: {printable(str(error))}") from error
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ServiceError(
            f"command {command[0]}: ended with status {done.returncode} {printable(last)}".strip()
        )


def _notify(name: str, notice: Notice) -> None:
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block
    from prefect.utilities.asyncutils import run_coro_as_sync

    try:
        block = Block.load(name)
    except Exception as error:  # Of the server that is away, or of the block's own kind.
        raise ServiceError(f"block {printable(name)}: {printable(str(error))}") from error
    if not isinstance(block, NotificationBlock):
        raise ServiceError(f"block {printable(name)}: expected one that notifies")
    content = notice.content()
    try:
        sent: object = block.notify(content["text"] or content["title"], subject=content["title"])
        if isinstance(sent, Coroutine):
            run_coro_as_sync(sent)
    except Exception as error:  # Each kind of block raises its own.
        raise ServiceError(f"block {printable(name)}: {printable(str(error))}") from error
