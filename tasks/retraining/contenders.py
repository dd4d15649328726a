"""A policy of the registry with all that the gate, and a warm start, need to know of it."""

from dataclasses import dataclass, replace
from typing import Any

import yaml

from rlhf_core.configuration import from_mapping
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import check_kinds
from rlhf_core.errors import RunError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.packing import unpack
from rlhf_core.retraining.trial import Player, Trial
from rlhf_core.types import Metrics, Value
from tasks.runs.lifecycle import CONFIGURATION
from tasks.tracking import champions, records
from tasks.tracking.champions import Version
from tasks.tracking.store import Tracker

EVIDENCE = "labels/evidence.safetensors"
RECORD = "retraining/record.safetensors"
"""The trial of a champion when it was promoted."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A version of a registered model, as its run left it."""

    version: Version
    player: Player
    metrics: Metrics
    """Newest values of its run."""
    feedback: FeedbackState | None
    """Evidence and reward at the end of its run; None where it asked nothing."""


def load(tracker: Tracker, version: Version) -> Contender:
    """Read a contender from MLflow alone, so that any machine can.

    Raises:
        RunError: its run has recorded no experiment.
    """
    experiment = experiment_of(tracker, version)
    policy = champions.weights(tracker, version)
    metrics = records.newest_metrics(tracker, version.run_id)
    return Contender(version, Player(experiment, policy), metrics, _feedback(tracker, version))


def check_plays(contender: Contender, environment: Environment) -> None:
    """Check that a policy can play in an environment.

    Raises:
        ConfigurationError: its observations or actions are of another kind.
    """
    check_kinds(
        environment.spaces(),
        contender.player.experiment.environment.spaces(),
        f"that champion {contender.version.address} knows",
        "; name another model with --model",
    )


def experiment_of(tracker: Tracker, version: Version) -> Experiment:
    """The experiment by which a version was trained."""
    text = records.text(tracker, version.run_id, CONFIGURATION)
    if text is None:
        raise RunError(f"{version.address}: its run {version.run_id} has no {CONFIGURATION}")
    return from_mapping(yaml.safe_load(text), f"run {version.run_id}")


def recorded_trial(tracker: Tracker, version: Version) -> Trial | None:
    """What a version did when it was promoted; None where it is to be measured anew."""
    if version.tags.get(champions.RECORD_TAG) == champions.ANEW:
        return None
    content = records.content(tracker, version.run_id, RECORD)
    return None if content is None else unpack(content, Trial)


def _feedback(tracker: Tracker, version: Version) -> FeedbackState | None:
    content = records.content(tracker, version.run_id, EVIDENCE)
    if content is None:
        return None
    state = unpack(content, FeedbackState)
    learned: dict[str, Any] = {}
    for name in state.LEARNED:
        reward = records.content(tracker, version.run_id, f"reward_model/{name}.safetensors")
        if reward is not None:
            learned[name] = unpack(reward, Value)
    return replace(state, **learned)
