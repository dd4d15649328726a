"""The flow of a retraining: train a challenger, and let the gate decide whether it is used."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, runtime

from flows.experiments.naming import cell_of
from flows.experiments.resolving import GivenExperiment, SeedPolicy, experiment_of
from flows.flow_run import rename, scheduled_time
from flows.services.prefect_page import lasting_page
from flows.services.ready import ready
from flows.train import close, play_run
from rlhf_core.configuration import override
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.experiment import Experiment
from rlhf_core.label_sets import versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.joining import since
from rlhf_core.label_sets.versions import LabelSetVersion
from rlhf_core.retraining.gate import Gate
from rlhf_core.retraining.trial import environment_of
from tasks import live
from tasks.driver import TaskDriver
from tasks.failures import recorded
from tasks.home import Home, private, try_lock
from tasks.retraining import contenders
from tasks.retraining.gating import judge
from tasks.retraining.starting import Beginning, beginning
from tasks.runs import description, lifecycle
from tasks.tracking import champions, notes, records, registry
from tasks.tracking.champions import CHAMPION, Version
from tasks.tracking.logging import log_label_set
from tasks.tracking.store import Tracker, tracker_of
from tasks.tracking.tags import RETRAIN_TAG


@flow(
    name="retrain",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def retrain(
    experiment: GivenExperiment = "pendulum-preference",
    overrides: dict[str, Any] | None = None,
    seed_policy: SeedPolicy = "fixed",
    model: str | None = None,
    warm: bool = False,
    label_set: str | None = None,
    gate: Gate = Gate(),  # noqa: B008 - immutable
    fresh_seed: bool = True,
    gate_seed: int | None = None,
) -> dict[str, Any]:
    """Train a challenger, play it and the champion anew on the same start states, and decide.

    Args:
        experiment: of the challenger: a preset's name, the path of a YAML file, or one written out.
        overrides: values by the path of the field, such as {"budget.labels": 50, "seed": 1}.
        seed_policy: `fixed` trains with the seed as it is written, `fresh` with one of the
            scheduled time.
        model: registered model whose champion is challenged; that of the experiment's task else.
        warm: begin with the champion's policy, reward and labels; else with nothing.
        label_set: labels to learn from; new ones are added to it, unless a guard distrusts them.
        gate: the rules.
        fresh_seed: give the challenger the experiment's seed plus the number of versions that
            there are, so that it is not the champion again; else the experiment's own.
        gate_seed: of the start states; drawn where it is None, as it should be.

    Returns:
        The decision, as `rlhf retrain --json` prints it.
    """
    began = time.perf_counter()
    home = Home()
    ready(home)
    lifecycle.close_abandoned(home)
    tracker = tracker_of(home)
    chosen = experiment_of(experiment, overrides or {}, seed_policy, scheduled_time())
    rename(f"retrain {chosen.name} s{chosen.seed}")
    check(chosen)
    name = model or registry.task_name(chosen.environment)
    champions.check_name(name)
    with alone(home, name):
        champion = champions.aliased(tracker, name, CHAMPION)
        if fresh_seed:
            count = champions.count(tracker, name)
            chosen = override(chosen, {"seed": chosen.seed + count})
        labels = None if label_set is None else versions.newest(home.store, label_set)
        contender = None if champion is None else contenders.load(tracker, champion)
        if contender is not None:
            contenders.check_plays(contender, environment_of(chosen))
        start = beginning(chosen, contender, warm, labels, home.store)
        summary = _train(home, chosen, name, start, labels, began)
        if "waiting" in summary:
            return {**summary, "model": name}
        challenger = champions.version_of_run(tracker, summary["run_id"], name)
        seed = secrets.randbits(63) if gate_seed is None else gate_seed
        result = judge(tracker, challenger, champion, gate, seed, labels)
        decision, extended = result.decision, None
        if label_set is not None and decision.trusts_labels:
            extended = _add_labels(home, tracker, challenger, label_set, start)
        aliases = champions.aliases(tracker, name)
    return {
        "run_id": challenger.run_id,
        "model": name,
        "version": challenger.number,
        "outcome": str(decision.outcome),
        "reasons": list(decision.reasons),
        "champion": aliases.get(CHAMPION),
        "champion_before": None if champion is None else champion.number,
        "look": result.look,
        "gate_seed": result.seed,
        "metrics": dict(decision.metrics),
        "label_set": None if extended is None else f"{extended.name}/{extended.number}",
        "labels_trusted": decision.trusts_labels,
        "training": summary,
    }


def check(experiment: Experiment) -> None:
    """Raise `ConfigurationError` where no policy of an experiment could be promoted."""
    environment_of(experiment)
    if experiment.feedback.null_control:
        raise ConfigurationError(
            "feedback.kind: expected a strategy whose policy may be used, actual: null control "
            f"'{experiment.feedback.kind}'"
        )


@contextmanager
def alone(home: Home, name: str) -> Iterator[None]:
    """Only one process of a home retrains at a time: two would judge by the same champion.

    Raises:
        RunError: another one is at it.
    """
    with private(home.folder("locks") / "retrain.lock", "w") as handle:
        if not try_lock(handle):
            raise RunError(f"model {name}: another retraining of {home.path} is going on")
        yield


def _train(
    home: Home,
    experiment: Experiment,
    name: str,
    start: Beginning,
    labels: LabelSetVersion | None,
    began: float,
) -> dict[str, Any]:
    """Train the challenger as a run of its own; returns its summary."""
    run = lifecycle.open_run(
        home, experiment, None, str(runtime.flow_run.id), cell=cell_of(experiment),
        prefect_page=lasting_page(),
    )  # fmt: skip
    records.set_tags(run.tracker, run.run_id, {RETRAIN_TAG: name})
    record = records.read(run.tracker, run.run_id)
    if record is not None:
        notes.edit(run.tracker, run.run_id, {description.GO_ON: None}, record.tags)
    if labels is not None:
        log_label_set(
            run.tracker, run.run_id, labels.name, labels.number, labels.digest, labels.counts
        )
    with recorded(run), live.published(home, live.of_run(run)):
        return play_run(TaskDriver(run), run, began, start.stored(run.store))


def _add_labels(
    home: Home, tracker: Tracker, challenger: Version, name: str, start: Beginning
) -> LabelSetVersion | None:
    """Add what the challenger's annotators answered to a label set."""
    feedback = contenders.load(tracker, challenger).feedback
    evidence = None if feedback is None else feedback.evidence
    if evidence is not None and start.evidence is not None:
        evidence = since(evidence, start.evidence)
    with home.locked("labels"):
        if evidence is None:
            return versions.newest(home.store, name)
        batch = LabelBatch(evidence, f"run {challenger.run_id}", time.time())
        return versions.append(home.store, name, [batch])
