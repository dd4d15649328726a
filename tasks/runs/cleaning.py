"""What a home's store holds that no run needs any more, and its removal.

A run that can still go on keeps everything. Of a finished run the experiment, the labels and the
summary stay; the results of its stages are in MLflow (policy, reward, labels, plots) and go. Of a
run that was deleted in MLflow nothing stays.
"""

from dataclasses import dataclass

from rlhf_core.errors import DamagedError, RunError
from rlhf_core.store import Ref, Store
from tasks.home import Home
from tasks.runs import lease
from tasks.runs.states import State
from tasks.tracking import records
from tasks.tracking.store import Tracker

OTHER_MEMOS = ("summary", "written")
"""Memos that belong to no run's stages."""


@dataclass(frozen=True)
class Waste:
    """What can be removed, and what is left."""

    memos: tuple[str, ...]
    checkpoints: tuple[str, ...]
    objects: tuple[Ref, ...]
    freed: int
    """Bytes of the objects."""
    left: int
    """Bytes of the objects that stay."""
    finished: int
    """Finished runs whose stages' results go."""
    deleted: int
    """Runs that are deleted in MLflow."""
    resumable: int
    """Runs that can go on, and keep everything."""


def find(home: Home, tracker: Tracker) -> Waste:
    """Find what can be removed; nothing is touched.

    Runs that this tracking store does not know keep everything: another one may.
    """
    store = home.store
    known = {record.run_id: record for record in records.all_runs(tracker)}
    memos, checkpoints = _by_run(store.memos()), _by_run(store.checkpoints())
    gone, finished, deleted = set[str](), 0, 0
    for run_id in {*memos, *checkpoints} - set(OTHER_MEMOS):
        record = known.get(run_id)
        if record is None:
            continue
        if record.deleted:
            deleted += 1
        elif State.of(record.status) is State.FINISHED:
            finished += 1
        else:
            continue
        gone.add(run_id)
    needed = {
        digest
        for record in known.values()
        if not record.deleted
        for digest in (record.tags.get(records.CONFIGURATION_TAG), *record.data_sets)
        if digest is not None
    }
    for run_id, keys in memos.items():
        if run_id not in gone:
            needed |= {ref for key in keys for ref in _refs(store, key)}
    sizes = store.objects()
    unneeded = tuple(sorted(ref for ref in sizes if ref not in needed))
    freed = sum(sizes[ref] for ref in unneeded)
    return Waste(
        tuple(key for run_id in sorted(gone) for key in memos.get(run_id, ())),
        tuple(key for run_id in sorted(gone) for key in checkpoints.get(run_id, ())),
        unneeded,
        freed,
        sum(sizes.values()) - freed,
        finished,
        deleted,
        len({*memos, *checkpoints} - gone - set(OTHER_MEMOS)),
    )


def remove(home: Home, tracker: Tracker) -> Waste:
    """Remove it, and return what it was.

    Raises:
        RunError: a run is going on, whose newest results no memo names yet.
    """
    with lease.nobody_works(home) as working:
        if working:
            raise RunError(
                f"run {working[0].run_id} is going on in process {working[0].pid}; clean when no "
                "run is going on"
            )
        waste, store = find(home, tracker), home.store
        # Memos first: one without its objects would only be done again, and no result is lost.
        for key in waste.memos:
            store.forget(key)
        for key in waste.checkpoints:
            store.delete_checkpoint(key)
        for ref in waste.objects:
            store.discard(ref)
    return waste


def _by_run(keys: list[str]) -> dict[str, list[str]]:
    runs: dict[str, list[str]] = {}
    for key in keys:
        runs.setdefault(key.partition("/")[0], []).append(key)
    return runs


def _refs(store: Store, key: str) -> list[Ref]:
    """The objects that a memo names; a damaged one names none, and its stage is done again."""
    try:
        outcome = store.recall(key) or {}
    except DamagedError:
        return []
    return list(outcome.get("refs", {}).values())
