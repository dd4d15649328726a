"""Which runner plays: chosen by one text, such as `processes` or `dask:tcp://host:8786`."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.runners.job import Runner
from flows.runners.place import on_this_machine, shared
from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import nearest
from rlhf_core.texts import shortened
from tasks.addresses import printable
from tasks.home import Home
from tasks.runs import lifecycle

KINDS = ("local", "processes", "dask", "ray", "work-pool")
EXTRAS = {"dask": "distributed", "ray": "ray"}
"""Extras of this project by the runner that needs them, and a module that each installs."""
ADDRESSES = {"dask": "tcp://host:8786", "ray": "ray://host:10001", "work-pool": "NAME"}
"""Runners that have an address, with an example."""


@dataclass(frozen=True)
class Choice:
    """A runner by its kind."""

    kind: str = "processes"
    address: str | None = None
    """Of a cluster, or the name of a work pool; None starts a cluster on this machine."""

    def __str__(self) -> str:
        return self.kind if self.address is None else f"{self.kind}:{self.address}"


def chosen(text: str) -> Choice:
    """The runner that a text names.

    Raises:
        ConfigurationError: there is none, it lacks an address or has one that it does not take, or
            what it needs is not installed.
    """
    kind, colon, address = text.partition(":")
    if kind not in KINDS:
        raise ConfigurationError(
            f"runner: unknown '{shortened(printable(text))}'; {nearest(kind, [*KINDS])}"
        )
    if (colon and not address) or (kind == "work-pool" and not address):
        raise ConfigurationError(
            f"runner: expected {kind}:{ADDRESSES.get(kind, '')}, actual: '{printable(text)}'"
            if kind in ADDRESSES
            else f"runner: expected {kind} alone, actual: '{printable(text)}'"
        )
    if address and kind not in ADDRESSES:
        raise ConfigurationError(
            f"runner: expected {kind} alone, actual: '{shortened(printable(text))}'"
        )
    if kind in EXTRAS and importlib.util.find_spec(EXTRAS[kind]) is None:
        raise ConfigurationError(
            f"runner: {kind} needs the extra of this name: pip install 'rlhf-flows[{kind}]'"
        )
    return Choice(kind, address or None)


@contextmanager
def opened(choice: Choice, home: Home, count: int | None, runs: int) -> Iterator[Runner]:
    """A runner; at the end, however it comes, it is closed, and runs that it left are closed too.

    Args:
        choice: which.
        home: of the command.
        count: runs at the same time; None: one a core, or as many as the cluster plays.
        runs: how many there are to play, one at the least.

    Raises:
        ConfigurationError: what the runner needs is not there.
        ServiceError: the cluster does not answer.
    """
    runner = _made(choice, home, count, runs)
    try:
        yield runner
    finally:
        runner.close()
        lifecycle.close_abandoned(home)


def _made(choice: Choice, home: Home, count: int | None, runs: int) -> Runner:
    if choice.kind == "local":
        from flows.runners.local import Local

        if count not in (None, 1):
            raise ConfigurationError(
                f"workers: expected 1 with the runner local, which plays here, actual: {count}"
            )
        return Local(home)
    from joblib import cpu_count  # Those that this process may use.

    here = min(count or cpu_count(), runs)
    if choice.kind == "processes":
        from flows.runners.processes import Processes

        return Processes(home, here)
    if choice.address is None:
        count, place = here, on_this_machine(home)
    else:
        place = shared(home, f"the runner {choice.kind}")
    if choice.kind == "dask":
        from flows.runners.dask import Dask

        return Dask(choice.address, count, place)
    if choice.kind == "ray":
        from flows.runners.ray import Ray

        return Ray(choice.address, count, place)
    from flows.runners.work_pool import WorkPool

    assert choice.address is not None, "a work pool has a name"
    return WorkPool(choice.address, count, home, place)
