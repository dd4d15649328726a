"""Runs in this process: several at once, taken over from another, left and entered again."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Literal

import numpy as np
import pytest

from rlhf_core.agents import PPOAgent
from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Answers
from rlhf_core.configuration import override
from rlhf_core.driver import Start
from rlhf_core.environments import GymEnv
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import AnswersPendingError, ConfigurationError, RunError
from rlhf_core.experiment import Experiment
from rlhf_core.in_process import InProcess, run
from rlhf_core.loop import Progress, play
from rlhf_core.packing import pack
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.types import Metrics, Truth
from tests.core.examples import HERE, tiny


def numbers(progress: Progress[Any]) -> list[Metrics]:
    return list(progress.history)


@pytest.mark.usefixtures("unchecked")
def test_runs_in_four_threads_give_the_numbers_that_each_gives_alone() -> None:
    # Different seeds, optimisers and numbers of torch's threads, all set process-wide.
    experiments = [
        tiny("Pendulum-v1", seed=1),
        tiny("Pendulum-v1", seed=2, threads=2),
        tiny("Pendulum-v1", seed=3, optimiser={"kind": "a2c", "steps": 4, "hidden": [8]}),
        tiny(f"{HERE}:Cue-v0", seed=4, evaluation={"episodes": 4, "deterministic": False}),
    ]
    alone = [numbers(run(experiment)) for experiment in experiments]
    together = Barrier(len(experiments))

    def start(experiment: Experiment) -> list[Metrics]:
        together.wait(60)
        return numbers(run(experiment))

    with ThreadPoolExecutor(len(experiments)) as threads:
        assert list(threads.map(start, experiments)) == alone


def test_a_run_takes_over_the_policy_and_the_labels_of_another() -> None:
    first = run(tiny("Pendulum-v1"))
    later = tiny("Pendulum-v1", seed=7)
    start = Start(first.policy, first.feedback)
    (opening, *_) = rounds = list(play(later, InProcess(later), start))
    final = rounds[-1]
    # Steps and labels are counted anew; the evidence goes on.
    assert final.policy.steps == 80
    assert final.feedback.asked == 8
    assert len(final.feedback.labels["comparison"]) == 16
    assert final.metrics["feedback/labels_total"] == 8
    np.testing.assert_array_equal(
        opening.trusted.parameters["action_net.weight"],
        first.policy.parameters["action_net.weight"],
    )
    untouched = run(later)
    assert numbers(untouched) != numbers(final)
    assert numbers(run(later, start=start)) == numbers(final)


def test_labels_that_were_taken_over_are_not_paid_again() -> None:
    priced = {"annotator": {"kind": "synthetic", "cost": 1.0}}
    budget = {"env_steps": 80, "labels": 8, "rounds": 2, "initial_steps": 16, "money": 8}
    experiment = tiny("Pendulum-v1", budget=budget, **priced)
    first = run(experiment)
    assert first.feedback.cost == 8
    again = run(experiment, start=Start(feedback=first.feedback))
    assert again.feedback.cost == 8
    assert again.metrics["feedback/cost_total"] == 8


def test_what_does_not_fit_is_not_taken_over() -> None:
    first = run(tiny("Pendulum-v1"))
    longer = override(tiny("Pendulum-v1"), {"feedback.segment_steps": 3})
    with pytest.raises(ConfigurationError, match=r"segment_steps: expected 4, the length"):
        run(longer, start=Start(feedback=first.feedback))
    wider = override(tiny("Pendulum-v1"), {"optimiser.hidden": [9]})
    with pytest.raises(ConfigurationError, match="optimiser: expected one whose policy has"):
        run(wider, start=Start(policy=first.policy))


def test_a_run_without_a_round_left_is_refused() -> None:
    experiment = tiny()
    with pytest.raises(RunError, match="the run has no round left to play"):
        run(experiment, start=run(experiment))


class People(Annotator):
    """A teacher whose answers are there only after `DELAYS` has run out for the round."""

    kind: Literal["people"] = "people"

    def needs_true_reward(self) -> bool:
        return True

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        return Synthetic().prepare(environment, optimiser, demonstrations, rng)

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Anything goes."""

    def label_price(self) -> float:
        return 0.0

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        if WAITS:
            WAITS.pop()
            raise AnswersPendingError("2 of 4 answers are in")
        return Synthetic().answer(state, request, truth, rng)


WAITS: list[None] = []


def test_a_run_is_left_where_people_have_not_answered_and_entered_again() -> None:
    experiment = tiny("Pendulum-v1").model_copy(update={"annotator": People()})
    undisturbed = run(experiment)
    progress: Progress[Any] | None = None
    entered, history, messages = 0, [], []
    while progress is None or progress.round < experiment.budget.rounds:
        WAITS[:] = [None] if entered % 2 == 0 else []
        entered += 1
        try:
            for reached in play(experiment, InProcess(experiment), progress):
                progress = reached
                history.append(reached.metrics)
                WAITS[:] = [None]
        except AnswersPendingError as pending:
            messages.append(str(pending))
    assert entered == 4
    assert set(messages) == {"2 of 4 answers are in"}
    assert numbers(progress) == numbers(undisturbed) == history
    assert pack(progress.policy) == pack(undisturbed.policy)


def test_a_world_without_a_true_reward_is_learned_from_a_recording(tmp_path: Path) -> None:
    recording = tmp_path / "recording.safetensors"
    agent = PPOAgent(GymEnv(f"{HERE}:Drift-v0", count=2), optimiser=tiny().optimiser)  # type: ignore[arg-type]
    agent.learn(env_steps=6432, rounds=1).record(recording, episodes=4)
    experiment = tiny(
        f"{HERE}:Drift-v0",
        environment_true_reward=False,
        budget={"env_steps": 120, "labels": 4, "rounds": 2, "initial_steps": 40},
        annotator={"kind": "expert", "recording": str(recording)},
    )
    final = run(experiment)
    measured: Mapping[str, float] = final.metrics
    assert not [name for name in measured if "true" in name or "starc" in name]
    assert measured["eval/episode_length"] == 5
    assert measured["feedback/labels_total"] > 0
    assert final.feedback.ensemble is not None


def test_a_policy_is_measured_where_the_evaluation_says() -> None:
    heavy = {"id": "Pendulum-v1", "options": {"g": 30.0}}
    here, there = (
        run(tiny("Pendulum-v1", evaluation={"episodes": 3, **where}))
        for where in ({}, {"environment": heavy})
    )
    assert pack(here.policy) == pack(there.policy)
    assert here.metrics["eval/true_return_mean"] > there.metrics["eval/true_return_mean"]
