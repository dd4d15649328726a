"""The driver of `rlhf_core.loop` whose stages are Prefect tasks, handing on references."""

from collections.abc import Callable
from typing import Any

from prefect import Task

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
from rlhf_core.errors import AnswersPendingError
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks import progress
from tasks.evaluation import evaluate
from tasks.feedback import answer, ask
from tasks.opening import opening_notes
from tasks.policies import optimise, roll_back
from tasks.rewards import fit
from tasks.rollouts import collect, prepare
from tasks.runs.run import Run
from tasks.stage import Argument, Outcome, Pending

CarryOut = Callable[..., Any]
"""Carries out a task: `carry_out(task, *arguments, **more)` returns its result."""


def called(task: Task[..., Any], *arguments: Any, **more: Any) -> Any:
    """Run a task here, as a task of the current flow."""
    return task(*arguments, **more)


def submitted(task: Task[..., Any], *arguments: Any, **more: Any) -> Any:
    """Submit a task to the flow's task runner and wait for it."""
    return task.submit(*arguments, **more).result()


def unobserved(task: Task[..., Any], *arguments: Any, **more: Any) -> Any:
    """Run a task here, of which Prefect sees nothing."""
    return task.fn(*arguments, **more)


class TaskDriver:
    """Carries out each stage as a task."""

    def __init__(self, run: Run, carry_out: CarryOut = called) -> None:
        """A driver.

        Args:
            run: what is worked on.
            carry_out: how tasks are carried out.
        """
        self._run = run
        self.carry_out = carry_out
        self._prepared: Metrics = {}
        self.work_seconds = 0.0
        """Seconds inside the core so far, in this process or where tasks were submitted to."""
        self.opened_ms = 0
        """When the first stage was done (Unix, ms)."""
        self.finished_ms = 0
        """When the last stage was done (Unix, ms)."""

    def prepare(self, start: Start[Ref]) -> Prepared[Ref]:
        """Make or take over policy and feedback, and prepare the annotators."""
        done = self._do(prepare, 0, policy=start.policy, feedback=start.feedback)
        self.opened_ms, self._prepared = done.finished_ms, done.metrics
        return Prepared(done["policy"], done["annotator"], done["feedback"], done.metrics)

    def collect(self, policy: Ref) -> Collected[Ref]:
        """Play the first policy."""
        done = self._do(collect, 0, policy=policy)
        for text in opening_notes(self._run.experiment, {**self._prepared, **done.metrics}):
            progress.send(progress.Noted(self._run.run_id, text))
        return Collected(done["policy"], done["rollouts"], done["rewards"], done.metrics)

    def ask(self, round: int, feedback: Ref, rollouts: Ref, alarmed: bool) -> Asked[Ref]:
        """Choose what to ask."""
        done = self._do(ask, round, feedback=feedback, rollouts=rollouts, alarmed=alarmed)
        return Asked(done["request"], done.metrics)

    def answer(
        self, round: int, annotator: Ref, request: Ref, rollouts: Ref, rewards: Ref, alarmed: bool
    ) -> Answered[Ref]:
        """Let the annotators answer."""
        done = self._do(
            answer, round, annotator=annotator, request=request, rollouts=rollouts,
            rewards=rewards, alarmed=alarmed,
        )  # fmt: skip
        return Answered(done["annotator"], done["answers"], done.metrics)

    def fit(
        self, round: int, feedback: Ref, request: Ref, answers: Ref, alarmed: bool
    ) -> Fitted[Ref]:
        """Fit the reward."""
        done = self._do(
            fit, round, feedback=feedback, request=request, answers=answers,
            alarmed=alarmed,
        )  # fmt: skip
        return Fitted(done["feedback"], done.metrics)

    def roll_back(self, round: int, policy: Ref, trusted: Ref) -> Restored[Ref]:
        """Return to the trusted policy."""
        done = self._do(roll_back, round, policy=policy, trusted=trusted)
        return Restored(done["policy"], done.metrics)

    def optimise(self, round: int, policy: Ref, feedback: Ref) -> Improved[Ref]:
        """Improve the policy."""
        done = self._do(optimise, round, policy=policy, feedback=feedback)
        return Improved(
            done["policy"], done["rollouts"], done["rewards"], done["feedback"], done.metrics
        )

    def evaluate(
        self,
        round: int,
        policy: Ref,
        feedback: Ref,
        rollouts: Ref,
        rewards: Ref,
        first: tuple[Ref, Ref],
    ) -> Evaluated[Ref]:
        """Measure the policy and the reward."""
        done = self._do(
            evaluate, round, policy=policy, feedback=feedback, rollouts=rollouts,
            rewards=rewards, first=first[0], first_rewards=first[1],
        )  # fmt: skip
        return Evaluated(done["evaluation"], done.metrics)

    def _do(self, task: Task[..., Any], round: int, **refs: Argument) -> Outcome:
        """Do a stage, or find it done. Raises `AnswersPendingError` where people are waited for."""
        done = self.carry_out(task, self._run, round, **refs)
        if isinstance(done, Pending):
            raise AnswersPendingError(done.reason)
        assert isinstance(done, Outcome)
        self.work_seconds += done.work_seconds
        self.finished_ms = done.finished_ms
        return done
