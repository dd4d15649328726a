"""The flow of a retraining: train a challenger, and let the gate decide whether it is used."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, runtime

from flows.experiments.naming import cell_of
from flows.experiments.resolving import GivenExperiment, SeedPolicy, experiment_of
from flows.flow_run import rename, schedule_name, scheduled_tags, scheduled_time
from flows.notices import tell_decision
from flows.services.prefect_page import lasting_page
from flows.services.ready import ready
from flows.train import close, play_run
from flows.waiting import Waiter, check_reachable, leave_waiting
from rlhf_core.configuration import override
from rlhf_core.driver import Start
from rlhf_core.errors import RunError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.label_sets import versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.joining import since
from rlhf_core.label_sets.versions import LabelSetVersion
from rlhf_core.retraining.gate import Gate
from rlhf_core.retraining.trial import environment_of
from rlhf_core.store import Ref
from tasks import live
from tasks.driver import TaskDriver
from tasks.failures import recorded
from tasks.home import Home, private, try_lock
from tasks.retraining import contenders
from tasks.retraining import plan as plans
from tasks.retraining.gating import earlier_result, judge
from tasks.retraining.plan import Plan, Retraining
from tasks.retraining.starting import beginning
from tasks.runs import lifecycle, outcome
from tasks.tracking import champions, registry
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
    run_id: str | None = None,
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
        run_id: of a retraining that was interrupted and goes on as it was begun; of the rest of the
            arguments only `experiment` has to be given.

    Returns:
        The decision, as `rlhf retrain --json` prints it.
    """
    began = time.perf_counter()
    home = Home()
    ready(home)
    lifecycle.close_abandoned(home)
    tracker = tracker_of(home)
    run_id = run_id or lifecycle.find(tracker, str(runtime.flow_run.id))
    plan = None if run_id is None else plans.recall(home.store, run_id)
    if run_id is None:
        chosen = experiment_of(experiment, overrides or {}, seed_policy, scheduled_time())
    else:
        chosen = lifecycle.recorded_experiment(home, run_id)
    check_reachable(chosen)
    rename(f"retrain {chosen.name} s{chosen.seed}")
    Retraining(model=model, label_set=label_set).check(chosen)
    name = plan.model if plan is not None else model or registry.task_name(chosen.environment)
    with alone(home, name):
        if run_id is None and fresh_seed:
            count = champions.count(tracker, name)
            chosen = override(chosen, {"seed": chosen.seed + count})
        if plan is None:
            champion = champions.aliased(tracker, name, CHAMPION)
            plan = _plan(home, tracker, chosen, name, champion, warm, label_set, gate, gate_seed)
        tags = scheduled_tags(seed_policy)
        summary = _train(home, chosen, plan, run_id, began, tags)
        if "waiting" not in summary:
            result = _judge(home, tracker, plan, summary)
    if "waiting" in summary:
        leave_waiting(home, summary)
        return {**summary, "model": name}
    tell_decision(home, result, schedule_name())
    return result


def _plan(
    home: Home,
    tracker: Tracker,
    experiment: Experiment,
    name: str,
    champion: Version | None,
    warm: bool,
    label_set: str | None,
    gate: Gate,
    gate_seed: int | None,
) -> Plan:
    """What a challenger begins with, stored."""
    labels = None if label_set is None else versions.newest(home.store, label_set)
    contender = None if champion is None else contenders.load(tracker, champion)
    if contender is not None:
        contenders.check_plays(contender, environment_of(experiment))
    start = beginning(experiment, contender, warm, labels, home.store).stored(home.store)
    number = None if labels is None else labels.number
    return Plan(name, label_set, number, gate, gate_seed, start)


def _judge(home: Home, tracker: Tracker, plan: Plan, training: dict[str, Any]) -> dict[str, Any]:
    """Let the gate decide on a trained challenger, and keep its labels; returns the summary.

    A challenger that was judged before, by a process that was ended afterwards, is not judged
    again: its decision is read.
    """
    champion = champions.aliased(tracker, plan.model, CHAMPION)
    challenger = champions.version_of_run(tracker, training["run_id"], plan.model)
    labels = None
    if plan.label_set is not None and plan.labels is not None:
        labels = versions.read(home.store, plan.label_set, plan.labels)
    result = earlier_result(tracker, challenger)
    if result is None:
        seed = secrets.randbits(63) if plan.gate_seed is None else plan.gate_seed
        result = judge(tracker, challenger, champion, plan.gate, seed, labels)
    decision, extended = result.decision, None
    if plan.label_set is not None and decision.trusts_labels:
        extended = _add_labels(home, tracker, challenger, plan.label_set, plan.start)
    aliases = champions.aliases(tracker, plan.model)
    return {
        "run_id": challenger.run_id,
        "model": plan.model,
        "version": challenger.number,
        "outcome": str(decision.outcome),
        "reasons": list(decision.reasons),
        "champion": aliases.get(CHAMPION),
        "champion_before": result.champion,
        "look": result.look,
        "gate_seed": result.seed,
        "metrics": dict(decision.metrics),
        "label_set": None if extended is None else f"{extended.name}/{extended.number}",
        "labels_trusted": decision.trusts_labels,
        "training": training,
    }


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
    plan: Plan,
    run_id: str | None,
    began: float,
    tags: dict[str, str],
) -> dict[str, Any]:
    """Train the challenger as a run of its own, or go on with it; returns its summary."""
    tracker = tracker_of(home)
    ended = None if run_id is None else outcome.look_up(home, tracker, run_id)
    if ended is not None:
        return dict(ended.summary)
    run = lifecycle.open_run(
        home, experiment, run_id, str(runtime.flow_run.id), cell=cell_of(experiment),
        prefect_page=lasting_page(), more_tags={**tags, RETRAIN_TAG: plan.model},
        anew=plan.start == Start(),
    )  # fmt: skip
    plans.remember(run.store, run.run_id, plan)
    if plan.label_set is not None and plan.labels is not None:
        labels = versions.read(home.store, plan.label_set, plan.labels)
        log_label_set(tracker, run.run_id, labels.name, labels.number, labels.digest, labels.counts)
    with recorded(run), live.published(home, live.of_run(run)):
        waiter = Waiter(home, run, "retrain")
        return play_run(TaskDriver(run), run, began, plan.start, waiter.wait)


def _add_labels(
    home: Home, tracker: Tracker, challenger: Version, name: str, start: Start[Ref]
) -> LabelSetVersion | None:
    """Add what the challenger's annotators answered to a label set, unless that was done before."""
    origin = f"run {challenger.run_id}"
    added = versions.first_with(home.store, name, origin)
    if added is not None:
        return added
    feedback = contenders.load(tracker, challenger).feedback
    evidence = None if feedback is None else feedback.evidence
    if evidence is not None and start.feedback is not None:
        before = home.store.get(start.feedback, FeedbackState).evidence
        evidence = evidence if before is None else since(evidence, before)
    with home.locked("labels"):
        if evidence is None:
            return versions.newest(home.store, name)
        batch = LabelBatch(evidence, origin, time.time())
        return versions.append(home.store, name, [batch])
