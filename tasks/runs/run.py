"""A run as every stage needs to know it: small, so that it can travel to any process."""

from dataclasses import dataclass

from rlhf_core.experiment import Experiment
from rlhf_core.store import Store
from tasks.tracking.store import Tracker


@dataclass(frozen=True)
class Run:
    """What is worked on, and where its values and its record are."""

    run_id: str
    """Of MLflow."""
    experiment: Experiment
    store_address: str
    """A folder or an fsspec URL."""
    tracker: Tracker
    cell: str = ""
    """What it has in common with runs of other seeds."""
    group: str | None = None
    """Runs that belong together, such as those of one comparison."""
    parent: str | None = None
    """The run that started this one."""

    @property
    def store(self) -> Store:
        """Where the values are. Raises `StoreError` where this machine has no such store."""
        return Store(self.store_address).opened()
