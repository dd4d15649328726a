"""What makes a function a stage: a Prefect task that is done once in a run, timed and stored."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from rlhf_core.errors import AnswersPendingError, ConfigurationError, DamagedError
from rlhf_core.packing import ValueType
from rlhf_core.store import Ref, Store
from rlhf_core.threads import limited
from rlhf_core.types import Metrics, Value
from tasks import progress
from tasks.failures import mask_texts
from tasks.runs.run import Run

Result = TypeVar("Result")


def checkpoint_seconds() -> float:
    """Work that an interruption may cost, in seconds; 0 writes every checkpoint.

    Raises:
        ConfigurationError: `RLHF_CHECKPOINT_SECONDS` is not a number.
    """
    text = os.environ.get("RLHF_CHECKPOINT_SECONDS", "5.0")
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(
            f"RLHF_CHECKPOINT_SECONDS: expected a number of seconds, actual: '{text}'"
        ) from None


@dataclass(frozen=True)
class Outcome:
    """What a stage gave: references to stored values, metrics, and when it was done."""

    refs: Mapping[str, Ref]
    metrics: Metrics
    finished_ms: int
    """Time of completion (Unix, ms). Stored, so that logging it again after a resume adds nothing.
    """
    work_seconds: float
    """Seconds inside the core; 0 where the outcome was read from a memo."""

    def __getitem__(self, name: str) -> Ref:
        return self.refs[name]


@dataclass(frozen=True)
class Pending:
    """A stage that is not done yet, because people have not answered."""

    reason: str


class StoredCheckpoints:
    """Checkpoints of a long stage in the store, one every few seconds."""

    def __init__(self, run: Run, store: Store, key: str) -> None:
        """No checkpoint yet; `key` names the stage."""
        self._run, self._store, self._key = run, store, key
        self._saved = time.monotonic()

    def load(self) -> Value | None:
        """What was saved before an interruption, or None; a damaged one is announced."""
        try:
            return self._store.load_checkpoint(self._key)
        except DamagedError as error:
            progress.send(progress.Damaged(self._run.run_id, str(error)))
            return None

    def save(self, value: Value) -> None:
        """Write a value, unless that was done a moment ago."""
        if time.monotonic() - self._saved >= checkpoint_seconds():
            self._store.save_checkpoint(self._key, value)
            self._saved = time.monotonic()

    def delete(self) -> None:
        """The stage is finished, and its results are stored elsewhere."""
        self._store.delete_checkpoint(self._key)


class StageContext:
    """What one stage of one round works with: it loads, times and saves."""

    def __init__(self, run: Run, round: int, key: str) -> None:
        """A context.

        Args:
            run: what is worked on.
            round: the round that the stage belongs to.
            key: names the stage, for its checkpoints.
        """
        self.run = run
        self.round = round
        self.store = run.store
        self.checkpoints = StoredCheckpoints(run, self.store, key)
        self.seconds = 0.0

    def load(self, ref: Ref, expected: type[ValueType]) -> ValueType:
        """A stored value."""
        return self.store.get(ref, expected)

    def time(self, function: Callable[..., Result], *arguments: Any, **more: Any) -> Result:
        """Call a function of the core and count its seconds as work, not as orchestration."""
        began = time.perf_counter()
        result = function(*arguments, **more)
        self.seconds += time.perf_counter() - began
        return result

    def save(self, metrics: Metrics, **values: Value) -> tuple[dict[str, Ref], Metrics]:
        """Store the results of the stage under their names."""
        return {name: self.store.put(value) for name, value in values.items()}, metrics


Body = Callable[..., tuple[dict[str, Ref], Metrics]]
Argument = Ref | bool | None


def stage(body: Body) -> Task[..., Outcome | Pending]:
    """Make a Prefect task of `body(context, **refs)`; it is called as `name(run, round, **refs)`.

    The key of a stage is made of its run, name, round, input references and configuration. Its
    outcome is written under that key when it is done, in one atomic move. Called again, in this
    process or after a kill in a new one, it answers from there if the note and all its results are
    in the store undamaged; otherwise it is done again, and that is announced. (Prefect's own result
    files are not written atomically, so a kill could leave half of one.)
    """
    name = body.__name__

    def once(run: Run, round: int, **refs: Argument) -> Outcome | Pending:
        key = _key(run, name, round, refs)
        context = StageContext(run, round, key)
        earlier = _earlier(run, context.store, key)
        if earlier is not None:
            return earlier
        progress.send(progress.Stage(run.run_id, name, round))
        try:
            with limited(run.experiment.threads):
                saved, metrics = body(context, **refs)
        except AnswersPendingError as error:
            return Pending(str(error))
        except Exception as error:
            # Prefect writes the text into its states, events and logs.
            mask_texts(error)
            raise
        metrics = {**metrics, f"time/{name}": context.seconds}
        outcome = Outcome(saved, metrics, time.time_ns() // 1_000_000, context.seconds)
        context.store.remember(key, asdict(outcome))
        context.checkpoints.delete()
        return outcome

    once.__doc__, once.__module__ = body.__doc__, body.__module__
    return task(
        name=name,
        task_run_name=f"{name} {{round}}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )(once)


def _earlier(run: Run, store: Store, key: str) -> Outcome | None:
    """The outcome of a stage that was done before, if all of it is whole; damage is announced."""
    try:
        note = store.recall(key)
    except DamagedError as error:
        progress.send(progress.Damaged(run.run_id, str(error)))
        return None
    if note is None:
        return None
    lost = sorted(name for name, ref in note["refs"].items() if not store.holds(ref))
    if lost:
        what = f"{', '.join(lost)} of stage {key.partition('/')[2]}: lost or damaged"
        progress.send(progress.Damaged(run.run_id, what))
        return None
    return replace(Outcome(**note), work_seconds=0.0)


def _key(run: Run, name: str, round: int, refs: Mapping[str, Argument]) -> str:
    configuration = run.experiment.model_dump(mode="json")
    content = json.dumps([name, round, dict(refs), configuration], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"{run.run_id}/{round:04d}-{name}-{digest[:16]}"
