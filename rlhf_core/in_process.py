"""The stages carried out in this process, on values: no server, no store."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rlhf_core import loop, stages
from rlhf_core.annotators import People
from rlhf_core.driver import (
    Answered,
    Asked,
    Collected,
    Evaluated,
    Fitted,
    Improved,
    Prepared,
    Restored,
    Start,
)
from rlhf_core.errors import RunError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.loop import Progress
from rlhf_core.policies import DEFAULT_CONTEXT, OptimisationContext
from rlhf_core.teachers.expert_quality import expert_metrics
from rlhf_core.threads import limited


class InProcess:
    """The driver of `rlhf_core.loop` whose handles are the values themselves.

    Each stage holds the process's lock (`rlhf_core.threads`), so that two runs in two threads give
    the numbers that each gives alone.
    """

    def __init__(
        self,
        experiment: Experiment,
        context: OptimisationContext = DEFAULT_CONTEXT,
        people: Callable[[int, bool], People] | None = None,
    ) -> None:
        """A driver.

        Args:
            experiment: everything about the run.
            context: reports and checkpoints of the optimisation.
            people: who can be asked in a round, or once more in it; None: nobody.
        """
        self._experiment = experiment
        self._context = context
        self._people = people

    def prepare(self, start: Start[Any]) -> Prepared[Any]:
        """Make or take over policy and feedback, and prepare the annotators."""
        with self._exclusive():
            policy = stages.initial_policy(self._experiment, start.policy)
            feedback = stages.initial_feedback(self._experiment, start.feedback)
            annotator = stages.initial_annotator(self._experiment)
            return Prepared(policy, annotator, feedback, expert_metrics(annotator))

    def collect(self, policy: Any) -> Collected[Any]:
        """Play the first policy."""
        with self._exclusive():
            return Collected(*stages.collect(self._experiment, policy))

    def ask(self, round: int, feedback: Any, rollouts: Any, alarmed: bool) -> Asked[Any]:
        """Choose what to ask."""
        with self._exclusive():
            request = stages.ask(self._experiment, round, feedback, rollouts, alarmed)
            return Asked(request, {})

    def answer(
        self, round: int, annotator: Any, request: Any, rollouts: Any, rewards: Any, alarmed: bool
    ) -> Answered[Any]:
        """Let the annotators answer."""
        people = None if self._people is None else self._people(round, alarmed)
        with self._exclusive():
            return Answered(
                *stages.answer(
                    self._experiment, round, annotator, request, rollouts, rewards, alarmed, people
                )
            )

    def fit(
        self, round: int, feedback: Any, request: Any, answers: Any, alarmed: bool
    ) -> Fitted[Any]:
        """Fit the reward."""
        with self._exclusive():
            return Fitted(*stages.fit(self._experiment, round, feedback, request, answers, alarmed))

    def roll_back(self, round: int, policy: Any, trusted: Any) -> Restored[Any]:
        """Return to the trusted policy."""
        back = stages.roll_back(policy, trusted)
        return Restored(back, {"policy/steps": float(back.steps)})

    def optimise(self, round: int, policy: Any, feedback: Any) -> Improved[Any]:
        """Improve the policy."""
        with self._exclusive():
            after, learned = stages.optimise(
                self._experiment, round, policy, feedback, self._context
            )
            metrics = {**after.metrics, "policy/steps": float(after.state.steps)}
            return Improved(after.state, after.rollouts, after.rewards, learned, metrics)

    def evaluate(
        self,
        round: int,
        policy: Any,
        feedback: FeedbackState,
        rollouts: Any,
        rewards: Any,
        first: tuple[Any, Any],
    ) -> Evaluated[Any]:
        """Measure the policy and the reward."""
        with self._exclusive():
            evaluation, measured = stages.evaluate(self._experiment, round, policy)
            _, compared = stages.compare_rewards(
                self._experiment, round, feedback, rollouts, rewards, first
            )
            return Evaluated(evaluation, {**measured, **compared})

    def _exclusive(self) -> AbstractContextManager[None]:
        return limited(self._experiment.threads)


def run(
    experiment: Experiment,
    report: Callable[[Progress[Any]], None] = lambda progress: None,
    start: Start[Any] | Progress[Any] | None = None,
    context: OptimisationContext = DEFAULT_CONTEXT,
) -> Progress[Any]:
    """Play all rounds in this process, or until the guard stops the run.

    Args:
        experiment: everything about the run.
        report: called after each round.
        start: what to take over from another run, or where this run stood when it was left.
        context: reports and checkpoints of the optimisation.

    Returns:
        Where the run stands at its end.
    """
    progress = None
    for progress in loop.play(experiment, InProcess(experiment, context), start):
        report(progress)
    if progress is None:
        raise RunError("the run has no round left to play")
    return progress
