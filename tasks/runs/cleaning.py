"""What a home's store holds that no run needs any more, and its removal.

A run that can still go on keeps everything. Of a finished run the experiment, the labels and the
summary stay, each named by a memo of the run; the results of its stages are in MLflow (policy,
reward, labels, plots) and go. Of a run that was deleted in MLflow nothing stays. A run that the
tracking store does not know keeps everything: another one may. Label sets stay whole.
"""

import os
from dataclasses import dataclass

from rlhf_core.errors import DamagedError, RunError
from rlhf_core.label_sets.versions import PREFIX
from rlhf_core.store import Ref, Store
from tasks.home import Home
from tasks.runs import lease
from tasks.runs.states import State
from tasks.tracking import records
from tasks.tracking.store import Tracker

CONFIGURATION, LABELS, SUMMARY = LASTING = "configuration", "labels", "summary"
"""Memos of a run that name what stays of it when it is finished."""
NO_RUN = "written"
"""A memo that belongs to no run."""


@dataclass(frozen=True)
class Waste:
    """What can be removed, and what is left."""

    memos: tuple[str, ...]
    checkpoints: tuple[str, ...]
    objects: tuple[Ref, ...]
    leftovers: tuple[str, ...]
    """Files that killed processes had not moved into place."""
    freed: int
    """Bytes of the objects and leftovers."""
    left: int
    """Bytes of the objects that stay."""
    finished: int
    """Finished runs of which the results of stages go."""
    deleted: int
    """Runs that are deleted in MLflow."""
    resumable: int
    """Runs that can go on, and keep everything."""


def find(home: Home, tracker: Tracker) -> Waste:
    """Find what can be removed; nothing is touched.

    Raises:
        RunError: the store may be another home's too, or a note of a run that stays is damaged.
    """
    if os.environ.get("RLHF_STORE"):
        raise RunError(
            "RLHF_STORE names a store that runs of other homes may use, and what they need is "
            "unknown here; unset it to clean the home's own store"
        )
    store = home.store
    states = {record.run_id: record for record in records.all_runs(tracker)}
    memos, checkpoints = _by_run(store.memos()), _by_run(store.checkpoints())
    removed: list[str] = []
    ended, deleted, finished = set[str](), 0, 0
    for run_id in sorted({*memos, *checkpoints} & set(states)):
        record = states[run_id]
        obsolete = memos.get(run_id, [])
        if not record.deleted and State.of(record.status) is not State.FINISHED:
            continue
        if not record.deleted:
            obsolete = [key for key in obsolete if key.partition("/")[2] not in LASTING]
        ended.add(run_id)
        deleted += record.deleted
        finished += bool(obsolete) and not record.deleted
        removed += obsolete
    staying = {key for keys in memos.values() for key in keys} - set(removed)
    needed = {ref for key in sorted(staying) for ref in _refs(store, key)}
    sizes, leftovers = store.objects(), store.leftovers()
    unneeded = tuple(sorted(ref for ref in sizes if ref not in needed))
    freed = sum(sizes[ref] for ref in unneeded)
    return Waste(
        tuple(removed),
        tuple(key for run_id in sorted(ended) for key in checkpoints.get(run_id, ())),
        unneeded,
        tuple(sorted(leftovers)),
        freed + sum(leftovers.values()),
        sum(sizes.values()) - freed,
        finished,
        deleted,
        len({run for run in {*memos, *checkpoints} - ended if not run.startswith(PREFIX)}),
    )


def remove(home: Home, tracker: Tracker) -> Waste:
    """Remove it, and return what it was.

    Raises:
        RunError: a run is going on, whose newest results no memo names yet; or as for `find`.
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
        for path in waste.leftovers:
            store.sweep(path)
    return waste


def _by_run(keys: list[str]) -> dict[str, list[str]]:
    runs: dict[str, list[str]] = {}
    for key in keys:
        if key != NO_RUN:
            runs.setdefault(key.partition("/")[0], []).append(key)
    return runs


def _refs(store: Store, key: str) -> list[Ref]:
    """The objects that a memo names."""
    try:
        outcome = store.recall(key) or {}
    except DamagedError as error:
        run_id = key.partition("/")[0]
        raise RunError(
            f"{error}, so what run {run_id} needs is unknown; resume the run, which makes the "
            "note again, or delete the run in MLflow, and clean then"
        ) from None
    return list(outcome.get("refs", {}).values())
