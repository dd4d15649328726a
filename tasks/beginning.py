"""What a run takes over from another one: a policy, a reward, labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlhf_core import stages
from rlhf_core.driver import Start
from rlhf_core.environments.spaces import check_kinds
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.labels import Evidence
from rlhf_core.policies import PolicyState
from rlhf_core.reward_learning.strategy import RewardLearning
from rlhf_core.store import Ref, Store
from tasks.home import Home
from tasks.runs import snapshots
from tasks.runs.snapshots import Snapshot
from tasks.tracking.tags import FROM_TAG, TAKE_TAG

PARTS = ("policy", "reward", "labels")
"""What can be taken over."""
ALL = ",".join(PARTS)


@dataclass(frozen=True, eq=False)
class Beginning:
    """What a run takes over, as values."""

    policy: PolicyState | None
    feedback: FeedbackState | None

    @property
    def evidence(self) -> Evidence | None:
        """Labels that it begins with; later ones are its own."""
        return None if self.feedback is None else self.feedback.evidence

    def stored(self, store: Store) -> Start[Ref]:
        """The same as references that stages read."""
        policy, feedback = (
            None if value is None else store.put(value) for value in (self.policy, self.feedback)
        )
        return Start(policy, feedback)


def policy_weights(experiment: Experiment, policy: PolicyState) -> PolicyState:
    """The weights of a policy, with a new state of the optimiser.

    Raises:
        ConfigurationError: the optimiser makes policies with other parameters.
    """
    taken = replace(stages.initial_policy(experiment), parameters=policy.parameters)
    return stages.initial_policy(experiment, taken)


def parts_of(text: str) -> tuple[str, ...]:
    """The parts that a text names, such as `policy,labels`.

    Raises:
        ConfigurationError: one is unknown, or there are none.
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not set(parts) <= {*PARTS}:
        raise ConfigurationError(f"--take: expected some of {', '.join(PARTS)}, actual: '{text}'")
    return parts


def transfer(
    home: Home, experiment: Experiment, address: str, take: str
) -> tuple[Beginning, dict[str, str]]:
    """What a run takes over from a round of another one, and the tags that say so.

    Args:
        home: in whose store that run is.
        experiment: of the new run.
        address: `RUN_ID`, or `RUN_ID@ROUND`.
        take: some of policy, reward and labels, with commas between them.

    Raises:
        RunError: the run or the round is unknown.
        ConfigurationError: a part is unknown, or does not fit.
    """
    parts = parts_of(take)
    snapshot = snapshots.read(home, address)
    tags = {FROM_TAG: snapshot.address, TAKE_TAG: ",".join(parts)}
    return beginning_of(experiment, snapshot, parts), tags


def beginning_of(experiment: Experiment, snapshot: Snapshot, parts: Sequence[str]) -> Beginning:
    """What a run takes over from a snapshot of another one.

    Args:
        experiment: of the new run.
        snapshot: of the earlier one.
        parts: `policy`: the weights; `reward`: what was fitted; `labels`: all answers, which are
            not charged to the new budget.

    Raises:
        ConfigurationError: a part does not fit the new experiment.
    """
    theirs = snapshot.experiment.environment.spaces()
    check_kinds(experiment.environment.spaces(), theirs, f"of run {snapshot.run_id}")
    policy = policy_weights(experiment, snapshot.policy) if "policy" in parts else None
    feedback = None
    if "reward" in parts or "labels" in parts:
        feedback = _feedback(experiment, snapshot, parts)
        stages.initial_feedback(experiment, feedback)  # Refuses clips of another length.
    return Beginning(policy, feedback)


def _feedback(experiment: Experiment, snapshot: Snapshot, parts: Sequence[str]) -> FeedbackState:
    strategy, earlier = experiment.feedback, snapshot.feedback
    if not strategy.asks:
        raise ConfigurationError(
            "--take: expected 'policy' alone for a feedback strategy that learns no reward "
            f"('{strategy.kind}'), actual: '{','.join(parts)}'"
        )
    state = strategy.initial()
    if "labels" in parts:
        _check_labels(experiment, snapshot)
        state = replace(state, evidence=earlier.evidence)
    if "reward" in parts:
        _check_reward(experiment, snapshot)
        state = replace(state, **earlier.learned)
        if "labels" in parts:
            state = replace(state, labels=earlier.labels, workers=earlier.workers)
    return state


def _check_labels(experiment: Experiment, snapshot: Snapshot) -> None:
    """Refuse labels of which the strategy could learn nothing."""
    strategy, evidence = experiment.feedback, snapshot.feedback.evidence
    wanted = {"demonstration"}
    if isinstance(strategy, RewardLearning):
        wanted = {form.kind for form in strategy.forms()}
    available = set() if evidence is None else {*evidence.judgements}
    if not wanted & available:
        raise ConfigurationError(
            f"--take: labels: expected answers of form {' or '.join(sorted(wanted))} in run "
            f"{snapshot.run_id}, actual: {', '.join(sorted(available)) or 'none'}; leave them out"
        )


def _check_reward(experiment: Experiment, snapshot: Snapshot) -> None:
    """Refuse a reward that the strategy could not go on with."""
    theirs, ours = snapshot.experiment.feedback, experiment.feedback
    if isinstance(theirs, RewardLearning) and isinstance(ours, RewardLearning):
        field = "feedback.reward_model"
        equal = theirs.reward_model == ours.reward_model
    else:
        field = "feedback"
        equal = theirs == ours
    if not equal:
        raise ConfigurationError(
            f"--take: reward: expected '{field}' as in run {snapshot.run_id} ('{theirs.kind}'), "
            f"actual: another one ('{ours.kind}'); without it, one is fitted to the labels anew"
        )
