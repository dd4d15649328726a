"""Where the runs of a runner keep what they make: told to every worker, and found by it there."""

import os
from dataclasses import dataclass

from rlhf_core.errors import ConfigurationError
from rlhf_core.store import Store
from tasks.addresses import masked
from tasks.home import Home
from tasks.tracking.store import VARIABLE as TRACKING
from tasks.tracking.store import tracker_of

STORE = "RLHF_STORE"


@dataclass(frozen=True)
class Place:
    """The folder or the address of the runs."""

    home: str | None
    """A home on the machine of the command; None: workers use homes of their own, as scratch."""
    store: str
    """Address of the artifact store."""

    def opened(self) -> Home:
        """The home that this worker plays in; its store is known to be there.

        Raises:
            ConfigurationError: the worker knows no tracking server.
            StoreError: this machine does not reach the store.
        """
        Store(self.store).opened()
        if self.home is not None:
            return Home(self.home)
        if not os.environ.get(TRACKING):
            raise ConfigurationError(
                f"{TRACKING}: expected the address of the tracking server in the environment of "
                "every worker, actual: none"
            )
        os.environ[STORE] = self.store
        return Home()


def on_this_machine(home: Home) -> Place:
    """What workers on the machine of the command are told."""
    return Place(str(home.path), home.store_address)


def shared(home: Home, runner: str) -> Place:
    """What workers on other machines are told.

    Args:
        home: of the command.
        runner: what messages call the runner.

    Raises:
        ConfigurationError: runs are kept where this machine alone reaches them.
    """
    for name in (STORE, TRACKING):
        if not os.environ.get(name):
            raise ConfigurationError(
                f"{name}: expected an address that every worker of {runner} reaches, actual: none"
            )
    if tracker_of(home).local:
        raise ConfigurationError(
            f"{TRACKING}: expected a server, which every worker of {runner} reaches, actual: files "
            "of this machine"
        )
    store = home.store_address
    if masked(store) != store:
        raise ConfigurationError(
            f"{STORE}: expected an address without a password, which the environment of each "
            f"worker holds, actual: {masked(store)}"
        )
    return Place(None, store if "://" in store else os.path.abspath(store))
