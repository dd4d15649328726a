"""The stages of a round: their numbers on paper, and their randomness from their place alone."""

from typing import Any

import numpy as np
import pytest

from rlhf_core import stages
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.in_process import InProcess
from rlhf_core.judgements import Choice
from rlhf_core.loop import Progress, advance, begin
from rlhf_core.packing import pack
from rlhf_core.policies import PolicyState
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.round_metrics import merge_metrics, with_totals
from rlhf_core.seeding import generator
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tests.core.examples import HERE, played, request, tiny

NEXT = {
    "kind": "preference",
    "segment_steps": 5,
    "reward_model": {"inputs": ["next_observation"], "hidden": []},
}
"""A reward model that looks at the next observation alone, and is linear in it."""


def linear(weight: float) -> FeedbackState:
    """A fitted reward of `weight` times the next observation."""
    parameters = {
        "weight_0": np.full((1, 1, 1), weight, dtype=np.float32),
        "bias_0": np.ones((1, 1, 1), dtype=np.float32),
    }
    one = np.ones(1, dtype=np.float32)
    state = EnsembleState(parameters, 0 * one, one, np.zeros(1), np.ones(1))
    return FeedbackState(ensemble=state)


def test_what_was_asked_answered_and_paid_is_counted() -> None:
    rollouts, rewards = played(4, 4)
    # Segments 0 and 1 are step 0 of trajectories 0 and 1, which pay 1 and 101.
    asked = request([[0.0], [100.0]], [[0, 1], [1, 0], [0, 0]])
    object.__setattr__(asked.segments, "origin", np.array([[0, 0], [1, 0]]))
    experiment = tiny(annotator={"kind": "synthetic", "cost": 0.25, "seconds": 2})
    prepared = stages.initial_annotator(experiment)
    state, answers, metrics = stages.answer(experiment, 0, prepared, asked, rollouts, rewards)
    assert choices(answers) == [Choice.RIGHT, Choice.LEFT, Choice.EQUAL]
    assert metrics == {
        "feedback/queries": 3,
        "feedback/labels": 3,
        "feedback/judgements": 3,
        "feedback/skipped": 0,
        "feedback/cost": 0.75,
        "feedback/seconds": 6,
        "feedback/agreement": 1,
        "feedback/agreement_correct": 2,
        "feedback/agreement_ordered": 2,
    }
    assert state.judgements == 3


def choices(answers: Answers) -> list[int]:
    """How the pairs were judged."""
    judgements = answers.judgements["comparison"]
    assert isinstance(judgements, Comparisons)
    found: list[int] = judgements.choice.tolist()
    return found


def test_agreement_is_the_share_of_answers_in_the_true_order() -> None:
    # No two clips of a pendulum are paid the same.
    experiment = tiny("Pendulum-v1", annotator={"kind": "synthetic", "mistake": 1})
    _, metrics = ask_and_answer(experiment)
    assert metrics["feedback/agreement"] == 0


def ask_and_answer(experiment: Experiment) -> tuple[list[int], dict[str, float]]:
    start = begin(InProcess(experiment))
    asked = stages.ask(experiment, 0, start.feedback, start.rollouts)
    _, answers, metrics = stages.answer(
        experiment, 0, start.annotator, asked, start.rollouts, start.rewards
    )
    return choices(answers), dict(metrics)


def test_the_ceiling_is_that_of_all_answers_so_far() -> None:
    rollouts, rewards = played(4, 4)
    asked = request([[0.0], [100.0]], [[0, 1]])
    object.__setattr__(asked.segments, "origin", np.array([[0, 0], [1, 0]]))
    right, wrong = (tiny(annotator={"kind": "synthetic", "mistake": m}) for m in (0, 1))
    state = stages.initial_annotator(right)
    history: list[Metrics] = []
    for experiment in (right, wrong, right, right):
        state, _, metrics = stages.answer(experiment, 0, state, asked, rollouts, rewards)
        history.append(with_totals({**metrics}, history))
    assert [m["reward/accuracy_ceiling"] for m in history] == [1, 1 / 2, 2 / 3, 3 / 4]
    assert [m["feedback/labels_total"] for m in history] == [1, 2, 3, 4]
    assert state.judgements == 4


def test_without_a_strict_answer_there_is_no_agreement() -> None:
    start = begin(InProcess(tiny()))
    unpaid = RolloutRewards(tuple(type(r)(np.zeros_like(r.values)) for r in start.rewards.rewards))
    asked = stages.ask(tiny(), 0, start.feedback, start.rollouts)
    _, answers, metrics = stages.answer(tiny(), 0, start.annotator, asked, start.rollouts, unpaid)
    assert set(choices(answers)) == {Choice.EQUAL}
    assert not {"feedback/agreement", "feedback/agreement_ordered"} & metrics.keys()
    assert "reward/accuracy_ceiling" not in with_totals(metrics, [])


def test_a_round_that_asks_twice_draws_anew() -> None:
    experiment = tiny(guard={"reaction": "ask_more"})
    start = begin(InProcess(experiment))
    first, second = (
        stages.ask(experiment, 0, start.feedback, start.rollouts, alarmed)
        for alarmed in (False, True)
    )
    assert pack(first) != pack(second)


def test_two_parts_of_a_round_are_one() -> None:
    first = {
        "feedback/queries": 3.0, "feedback/cost": 0.5, "feedback/agreement": 1.0, "time/ask": 1.0,
        "reward/fresh_accuracy": 0.9, "reward/fresh_pairs": 10.0, "reward/train_loss": 0.7,
    }  # fmt: skip
    second = {
        "feedback/queries": 2.0, "feedback/cost": 0.25, "feedback/agreement": 0.5, "time/ask": 2.0,
        "reward/fresh_accuracy": 0.1, "reward/fresh_pairs": 2.0, "reward/train_loss": 0.6,
        "time/optimise": 4.0,
    }  # fmt: skip
    assert merge_metrics(first, second) == {
        "feedback/queries": 5, "feedback/cost": 0.75, "feedback/agreement": 0.5, "time/ask": 3,
        "reward/fresh_accuracy": 0.9, "reward/fresh_pairs": 10, "reward/train_loss": 0.6,
        "time/optimise": 4,
    }  # fmt: skip
    assert merge_metrics({}, second) == second
    assert merge_metrics(first, {}) == first


def test_a_roll_back_keeps_what_was_spent() -> None:
    now, before = (
        PolicyState({"a": np.full(2, i)}, {"a/step": np.array(float(i))}, steps=100 * i)
        for i in (2, 1)
    )
    back = stages.roll_back(now, before)
    assert back.steps == 200
    np.testing.assert_array_equal(back.parameters["a"], [1, 1])
    assert back.optimizer_state["a/step"] == 1


def test_the_first_rollouts_take_the_first_steps() -> None:
    experiment = tiny(budget={"env_steps": 80, "initial_steps": 15, "rounds": 2, "labels": 4})
    policy, rollouts, rewards, measured = stages.collect(
        experiment, stages.initial_policy(experiment)
    )
    assert set(measured) == {"eval/first_return_iqm"}
    assert policy.steps == rollouts.steps == experiment.first_steps == 16
    for found, paid in zip(rollouts.trajectories, rewards.rewards, strict=True):
        np.testing.assert_array_equal(paid.values, found.observations[1:, 0])


def test_evaluation_is_summed_up() -> None:
    experiment = tiny()
    found, metrics = stages.evaluate(experiment, 0, stages.initial_policy(experiment))
    assert len(found.returns) == 3
    assert found.succeeded is not None
    assert metrics == {
        "eval/true_return_mean": found.returns.mean(),
        "eval/true_return_iqm": found.returns.mean(),
        "eval/true_return_std": found.returns.std(),
        "eval/episode_length": found.lengths.mean(),
        "eval/success_rate": found.succeeded.mean(),
    }


def test_every_round_is_evaluated_on_the_same_episodes() -> None:
    experiment = tiny("Pendulum-v1")
    policy = stages.initial_policy(experiment)
    first, later = (stages.evaluate(experiment, round, policy)[0] for round in (0, 7))
    assert pack(first) == pack(later)
    assert len(np.unique(first.returns)) == 3


@pytest.mark.parametrize(("weight", "correlation"), [(2.0, 1.0), (-0.5, -1.0)])
def test_a_reward_that_follows_the_truth_correlates_with_it(
    weight: float, correlation: float
) -> None:
    budget = {"env_steps": 80, "labels": 6, "rounds": 2, "initial_steps": 16}
    experiment = tiny(feedback=NEXT, budget=budget)
    start = begin(InProcess(experiment))
    compared, metrics = stages.compare_rewards(
        experiment, 0, linear(weight), start.rollouts, start.rewards, start.first
    )
    for name in ("true", "true_rank", "off_policy", "off_policy_rank"):
        assert metrics[f"proxy/{name}_correlation"] == pytest.approx(correlation)
    assert compared is not None
    np.testing.assert_allclose(compared.learned, weight * compared.true + 1, rtol=1e-5)
    assert len(compared.true) == 16


def test_a_reward_that_never_varies_correlates_with_nothing() -> None:
    experiment = tiny(feedback="constant")
    start = begin(InProcess(experiment))
    _, metrics = stages.compare_rewards(
        experiment, 0, start.feedback, start.rollouts, start.rewards, start.first
    )
    assert metrics == {}


def test_the_true_reward_is_not_compared_with_itself() -> None:
    experiment = tiny(feedback="true_reward")
    start = begin(InProcess(experiment))
    found = stages.compare_rewards(
        experiment, 0, start.feedback, start.rollouts, start.rewards, start.first
    )
    assert found == (None, {})


def test_off_policy_is_what_the_untrained_policy_did_the_same_in_every_round() -> None:
    experiment = tiny("Pendulum-v1", feedback=NEXT)
    start = begin(InProcess(experiment))
    _, later, paid, _ = stages.collect(experiment.model_copy(update={"seed": 9}), start.policy)
    reward = drawn(experiment, start)
    first = stages.compare_rewards(
        experiment, 0, reward, start.rollouts, start.rewards, start.first
    )[1]
    second = stages.compare_rewards(experiment, 3, reward, later, paid, start.first)[1]
    same = {
        "proxy/off_policy_correlation", "proxy/off_policy_rank_correlation", "reward/starc_distance"
    }  # fmt: skip
    assert {name for name in first if first[name] == second[name]} == same


def drawn(experiment: Experiment, start: Progress[Any]) -> FeedbackState:
    """The reward as it was initialised."""
    asked = stages.ask(experiment, 0, start.feedback, start.rollouts)
    _, answers, _ = stages.answer(
        experiment, 0, start.annotator, asked, start.rollouts, start.rewards
    )
    return stages.fit(experiment, 0, start.feedback, asked, answers)[0]


def test_a_stage_draws_from_its_seed_round_and_name_alone() -> None:
    experiment = tiny()
    start = begin(InProcess(experiment))

    def asked(experiment: Experiment, round: int, rollouts: Rollouts) -> bytes:
        return pack(stages.ask(experiment, round, start.feedback, rollouts))

    first = asked(experiment, 0, start.rollouts)
    generator(0, 0, "other").random(100)
    np.random.random(100)
    assert asked(experiment, 0, start.rollouts) == first
    assert asked(experiment, 1, start.rollouts) != first
    assert asked(experiment.model_copy(update={"seed": 1}), 0, start.rollouts) != first


def test_the_step_size_falls_to_nothing_at_the_end_of_the_run_and_not_before() -> None:
    # Many first steps, then two rounds of two rollouts: the last rollout alone may teach nothing.
    experiment = tiny(
        f"{HERE}:Drift-v0",
        feedback="true_reward",
        budget={"env_steps": 320 + 64, "labels": 0, "rounds": 2, "initial_steps": 320},
    )
    progress = begin(InProcess(experiment))
    assert progress.policy.steps == 320
    for _ in range(2):
        before = progress.policy.parameters
        progress = advance(experiment, InProcess(experiment), progress)
        after = progress.policy.parameters
        assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert progress.policy.steps == 384
