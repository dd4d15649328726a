"""The gate as a Prefect task: both policies play anew, and one of them is the champion after."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from rlhf_core.errors import RunError
from rlhf_core.label_sets.versions import LabelSetVersion
from rlhf_core.packing import pack
from rlhf_core.retraining.answers import answer_values
from rlhf_core.retraining.gate import Decision, Gate, Outcome
from rlhf_core.retraining.guards import Candidate
from rlhf_core.retraining.trial import Trial, environment_of, play_trial
from tasks.retraining import contenders, report
from tasks.retraining.contenders import RECORD, Contender
from tasks.tracking import champions, records
from tasks.tracking.champions import Version
from tasks.tracking.logging import log_files, log_metrics
from tasks.tracking.store import Tracker

DECISION = "retraining/decision.json"
"""The artifact of a run with all that its gate decided by."""
LOOKS_TAG = "rlhf.looks"
"""Gates that a champion has stood before."""
DECISION_TAG, REASONS_TAG, AGAINST_TAG = "rlhf.decision", "rlhf.reasons", "rlhf.against"
SEED_TAG, SET_TAG, DIGEST_TAG = "rlhf.gate_seed", "rlhf.label_set", "rlhf.label_set_digest"


@dataclass(frozen=True, eq=False)
class GateResult:
    """What a gate came to."""

    decision: Decision
    look: int
    """Number of this gate before the same champion, from 1; 0 where there was none."""
    seed: int
    """Of the start states: with it the gate can be repeated."""
    champion: int | None
    """Version of the champion before; None where there was none."""


@task(name="gate", task_run_name="gate {challenger.address}", cache_policy=NO_CACHE)
def judge(
    tracker: Tracker,
    challenger: Version,
    champion: Version | None,
    gate: Gate,
    seed: int,
    label_set: LabelSetVersion | None,
) -> GateResult:
    """Play challenger and champion on the same fresh start states and decide.

    The decision, its evidence and a report are written to the version and its run; aliases follow.

    Args:
        tracker: where both are registered.
        challenger: newly trained.
        champion: in use; None where there is none.
        gate: the rules.
        seed: drawn anew for each gate.
        label_set: what the challenger learned from, for the record.
    """
    new = contenders.load(tracker, challenger)
    environment = environment_of(new.player.experiment)
    on_gate, on_record, of_bootstrap = (
        int(state) for state in np.random.SeedSequence(seed).generate_state(3)
    )
    champions.propose(tracker, challenger)
    old, recorded, look = None, None, 0
    if champion is not None:
        old = contenders.load(tracker, champion)
        recorded = contenders.recorded_trial(tracker, champion)
        look = int(champion.tags.get(LOOKS_TAG, "0")) + 1
        # Before it is played: a look counts even where the process is killed in it.
        champions.set_tags(tracker, champion, {LOOKS_TAG: str(look)})
    candidates = [
        None
        if side is None
        else _candidate(side, play_trial(side.player, environment, gate.episodes, on_gate))
        for side in (new, old)
    ]
    mine, theirs = candidates
    assert mine is not None, "there is a challenger"
    decision = gate.judge(mine, theirs, recorded, max(look, 1), np.random.default_rng(of_bootstrap))
    result = GateResult(decision, look, seed, None if champion is None else champion.number)
    files = _files(result, challenger, champion, gate, label_set)
    files |= report.figures(mine, theirs, recorded)
    if decision.outcome is Outcome.PROMOTED:
        # On other start states than those that it won on, whose luck would be recorded.
        trial = play_trial(new.player, environment, gate.episodes, on_record)
        files[RECORD] = pack(trial)
        champions.set_tags(tracker, challenger, {champions.RECORD_TAG: "measured"})
    elif theirs is not None and recorded is None and champion is not None:
        log_files(tracker, champion.run_id, {RECORD: pack(theirs.trial)})
        champions.set_tags(tracker, champion, {champions.RECORD_TAG: "measured"})
    _write(tracker, result, challenger, champion, label_set, files, new)
    return result


def earlier_result(tracker: Tracker, challenger: Version) -> GateResult | None:
    """What a gate decided on a challenger before; None where it was not judged.

    Where the process was ended between decision and promotion, the promotion is made up for.
    """
    if DECISION_TAG not in challenger.tags:
        return None
    text = records.text(tracker, challenger.run_id, DECISION)
    if text is None:
        raise RunError(f"{challenger.address}: its run {challenger.run_id} has no {DECISION}")
    content = json.loads(text)
    decision = Decision(
        Outcome(content["outcome"]),
        tuple(content["reasons"]),
        None,
        content["metrics"],
        content["trusts_labels"],
    )
    result = GateResult(decision, content["look"], content["seed"], content["champion_version"])
    moves = champions.history(tracker, challenger.name)
    if not any(move.version == challenger.number for move in moves):
        _move(tracker, result, challenger)
    return result


def _candidate(contender: Contender, trial: Trial) -> Candidate:
    feedback = contender.feedback
    answers = answer_values(None if feedback is None else feedback.evidence)
    return Candidate(trial, contender.metrics, answers)


def _files(
    result: GateResult,
    challenger: Version,
    champion: Version | None,
    gate: Gate,
    label_set: LabelSetVersion | None,
) -> dict[str, bytes]:
    decision = result.decision
    content: dict[str, Any] = {
        "outcome": decision.outcome,
        "reasons": decision.reasons,
        "trusts_labels": decision.trusts_labels,
        "challenger": challenger.address,
        "champion": None if champion is None else champion.address,
        "champion_version": result.champion,
        "look": result.look,
        "seed": result.seed,
        "rules": gate.model_dump(mode="json"),
        "metrics": dict(decision.metrics),
        "improvement": None if decision.improvement is None else asdict(decision.improvement),
        "label_set": None if label_set is None else f"{label_set.name}/{label_set.number}",
        "label_set_digest": None if label_set is None else label_set.digest,
    }
    return {
        DECISION: json.dumps(content, indent=2).encode(),
        "retraining/report.md": report.markdown(content).encode(),
    }


def _write(
    tracker: Tracker,
    result: GateResult,
    challenger: Version,
    champion: Version | None,
    label_set: LabelSetVersion | None,
    files: dict[str, bytes],
    new: Contender,
) -> None:
    decision, run_id = result.decision, challenger.run_id
    log_files(tracker, run_id, files)
    if decision.metrics:
        step = int(new.metrics.get("policy/steps", 0))
        log_metrics(tracker, run_id, decision.metrics, step, time.time_ns() // 1_000_000)
    reasons = "; ".join(decision.reasons)
    tags = {
        DECISION_TAG: str(decision.outcome),
        REASONS_TAG: reasons,
        SEED_TAG: str(result.seed),
        "rlhf.look": str(result.look),
        **{
            name: f"{decision.metrics[name]:.6g}"
            for name in ("gate/difference", "gate/probability", "gate/needed_probability")
            if name in decision.metrics
        },
    }
    if champion is not None:
        tags[AGAINST_TAG] = str(champion.number)
    if label_set is not None:
        tags[SET_TAG] = f"{label_set.name}/{label_set.number}"
        tags[DIGEST_TAG] = label_set.digest
    champions.set_tags(tracker, challenger, tags)
    against = "" if champion is None else f" against version {champion.number}"
    text = f"{decision.outcome}{against}: {reasons}. The evidence is in `retraining/` of its run."
    champions.describe(tracker, challenger, {"Gate": text})
    _move(tracker, result, challenger)


def _move(tracker: Tracker, result: GateResult, challenger: Version) -> None:
    """Let aliases and history follow a decision."""
    reasons = "; ".join(result.decision.reasons)
    if result.decision.outcome is Outcome.PROMOTED:
        champions.promote(tracker, challenger, "promoted", reasons)
    else:
        outcome = str(result.decision.outcome)
        champions.record(tracker, challenger, outcome, result.champion, reasons)
