"""What makes a function a stage: a Prefect task that is done once in a run, timed and stored."""

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from rlhf_core import stages
from rlhf_core.experiment import Experiment
from rlhf_core.store import Ref, Store, ValueType
from rlhf_core.threads import limited
from rlhf_core.types import Metrics, Value
from tasks import progress
from tasks.home import Home

Result = TypeVar("Result")

CHECKPOINT_SECONDS = float(os.environ.get("RLHF_CHECKPOINT_SECONDS", "5.0"))
"""Work that an interruption may cost, in seconds; 0 writes every checkpoint."""


@dataclass(frozen=True)
class Run:
    """What every stage of a run needs to know. Small, so that it can travel to any process."""

    run_id: str
    experiment: Experiment
    home: str

    @property
    def store(self) -> Store:
        """Where the artifacts are."""
        return Home(self.home).store


@dataclass(frozen=True)
class Outcome:
    """What a stage gave: references to stored values, metrics, and when it was done."""

    refs: Mapping[str, Ref]
    metrics: Metrics
    finished_ms: int
    """Time of completion (Unix, ms). Kept, so that logging it again after a resume adds nothing."""

    def __getitem__(self, name: str) -> Ref:
        return self.refs[name]


def merged(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The metrics of several stages of one round as one."""
    return reduce(stages.both, (outcome.metrics for outcome in outcomes), dict[str, float]())


class Unfinished:
    """Where a long stage writes down how far it has come, every few seconds."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key
        self._saved = time.monotonic()

    def load(self) -> Value | None:
        """What was saved before an interruption, or None."""
        return self._store.kept(self._key)

    def save(self, value: Value) -> None:
        """Write it down, unless that was done a moment ago."""
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self._store.keep(self._key, value)
            self._saved = time.monotonic()

    def done(self) -> None:
        """The stage is finished, and what it gave is kept elsewhere."""
        self._store.forget(self._key)


class Work:
    """The desk on which one stage of one round is done: loads, times, saves."""

    def __init__(self, run: Run, round: int, key: str) -> None:
        """A desk.

        Args:
            run: what is worked on.
            round: the round that the work belongs to.
            key: names the work, for what it leaves unfinished.
        """
        self.run = run
        self.round = round
        self.store = run.store
        self.checkpoints = Unfinished(self.store, key)
        self.seconds = 0.0

    def load(self, ref: Ref, expected: type[ValueType]) -> ValueType:
        """A stored value."""
        return self.store.get(ref, expected)

    def time(self, function: Callable[..., Result], *arguments: Any, **more: Any) -> Result:
        """Call a function of the core and count its seconds as work, not as orchestration."""
        began = time.perf_counter()
        result = function(*arguments, **more)
        seconds = time.perf_counter() - began
        self.seconds += seconds
        _worked[self.run.run_id] += seconds
        return result

    def save(self, metrics: Metrics, **values: Value) -> tuple[dict[str, Ref], Metrics]:
        """Store the results of the stage under their names."""
        return {name: self.store.put(value) for name, value in values.items()}, metrics


_worked: dict[str, float] = defaultdict(float)


def worked_seconds(run_id: str) -> float:
    """Seconds that this process spent inside the core on a run; the rest was orchestration."""
    return _worked[run_id]


Body = Callable[..., tuple[dict[str, Ref], Metrics]]


def stage(body: Body) -> Callable[..., Outcome]:
    """Make a Prefect task of `body(work, **refs)`; it is called as `name(run, round, **refs)`.

    A stage is known by its run, name, round, input references and configuration. What it gave is
    written down under that key when it is done, in one atomic move; asked again, in this process
    or after a kill in a new one, it answers from there, as long as the results are still there
    undamaged. (Prefect's own result files are not
    written atomically, so a kill could leave half of one.)
    """
    name = body.__name__

    def once(run: Run, round: int, **refs: Ref | bool) -> Outcome:
        key = _key(run, name, round, refs)
        work = Work(run, round, key)
        known = work.store.recall(key)
        if known is not None:
            return Outcome(**known)
        progress.tell(progress.Stage(name, round))
        with limited(run.experiment.threads):
            saved, metrics = body(work, **refs)
        metrics = {**metrics, f"time/{name}": work.seconds}
        outcome = Outcome(saved, metrics, time.time_ns() // 1_000_000)
        work.store.remember(key, asdict(outcome))
        work.checkpoints.done()
        return outcome

    once.__doc__, once.__module__ = body.__doc__, body.__module__
    return task(
        name=name,
        task_run_name=f"{name} {{round}}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )(once)


def _key(run: Run, name: str, round: int, refs: Mapping[str, Ref | bool]) -> str:
    configuration = run.experiment.model_dump(mode="json")
    content = json.dumps([name, round, dict(refs), configuration], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"{run.run_id}/{round:04d}-{name}-{digest[:16]}"
