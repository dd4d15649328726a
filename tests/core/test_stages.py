"""The stages of a round: their numbers on paper, and their randomness from their place alone."""

import numpy as np
import pytest

from rlhf_core import stages
from rlhf_core.evidence import Choice
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FeedbackState
from rlhf_core.loop import advance, begin
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.seeding import generator
from rlhf_core.store import pack
from rlhf_core.types import RolloutRewards, Rollouts
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
    return FeedbackState(ensemble=EnsembleState(parameters, 0 * one, one))


def test_what_was_asked_answered_and_paid_is_counted() -> None:
    _, rewards = played(4, 4)
    # Segments 0 and 1 are step 0 of trajectories 0 and 1, which pay 1 and 101.
    asked = request([[0.0], [100.0]], [[0, 1], [1, 0], [0, 0]])
    object.__setattr__(asked.segments, "origin", np.array([[0, 0], [1, 0]]))
    teacher = {"kind": "synthetic", "cost": 0.25}
    answers, metrics = stages.answer(tiny(annotator=teacher), 0, asked, rewards)
    assert answers.choice.tolist() == [Choice.RIGHT, Choice.LEFT, Choice.EQUAL]
    assert metrics == {
        "feedback/queries": 3,
        "feedback/labels": 3,
        "feedback/skipped": 0,
        "feedback/cost": 0.75,
        "feedback/agreement": 1,
    }


def test_agreement_is_the_share_of_answers_in_the_true_order() -> None:
    experiment = tiny(annotator={"kind": "synthetic", "mistake": 1})
    _, metrics = ask_and_answer(experiment)
    assert metrics["feedback/agreement"] == 0


def ask_and_answer(experiment: Experiment) -> tuple[np.ndarray, dict[str, float]]:
    start = begin(experiment)
    asked = stages.ask(experiment, 0, start.feedback, start.rollouts)
    answers, metrics = stages.answer(experiment, 0, asked, start.rewards)
    return answers.choice, dict(metrics)


def test_without_a_strict_answer_there_is_no_agreement() -> None:
    start = begin(tiny())
    rollouts = start.rollouts
    unpaid = RolloutRewards(tuple(type(r)(np.zeros_like(r.values)) for r in start.rewards.rewards))
    asked = stages.ask(tiny(), 0, start.feedback, rollouts)
    answers, metrics = stages.answer(tiny(), 0, asked, unpaid)
    assert set(answers.choice.tolist()) == {Choice.EQUAL}
    assert "feedback/agreement" not in metrics


def test_the_first_rollouts_take_the_first_steps() -> None:
    experiment = tiny(budget={"env_steps": 80, "initial_steps": 15, "rounds": 2, "labels": 4})
    rollouts, rewards = stages.collect(experiment, stages.start(experiment))
    assert rollouts.steps == experiment.first_steps == 16
    for found, paid in zip(rollouts.trajectories, rewards.rewards, strict=True):
        np.testing.assert_array_equal(paid.values, found.observations[1:, 0])


def test_evaluation_is_summed_up() -> None:
    experiment = tiny()
    found, metrics = stages.evaluate(experiment, 0, stages.start(experiment))
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
    policy = stages.start(experiment)
    first, later = (stages.evaluate(experiment, round, policy)[0] for round in (0, 7))
    assert pack(first) == pack(later)
    assert len(np.unique(first.returns)) == 3


@pytest.mark.parametrize(("weight", "correlation"), [(2.0, 1.0), (-0.5, -1.0)])
def test_a_reward_that_follows_the_truth_correlates_with_it(
    weight: float, correlation: float
) -> None:
    experiment = tiny(feedback=NEXT)
    start = begin(experiment)
    compared, metrics = stages.compare_rewards(
        experiment, 0, linear(weight), start.rollouts, start.rewards
    )
    assert metrics["proxy/true_correlation"] == pytest.approx(correlation)
    assert metrics["proxy/true_rank_correlation"] == pytest.approx(correlation)
    assert compared is not None
    np.testing.assert_allclose(compared.learned, weight * compared.true + 1, rtol=1e-5)
    assert len(compared.true) == 16


def test_a_reward_that_never_varies_correlates_with_nothing() -> None:
    experiment = tiny(feedback="constant")
    start = begin(experiment)
    _, metrics = stages.compare_rewards(
        experiment, 0, start.feedback, start.rollouts, start.rewards
    )
    assert metrics == {}


def test_the_true_reward_is_not_compared_with_itself() -> None:
    experiment = tiny(feedback="true_reward")
    start = begin(experiment)
    found = stages.compare_rewards(experiment, 0, start.feedback, start.rollouts, start.rewards)
    assert found == (None, {})


def test_a_stage_draws_from_its_seed_round_and_name_alone() -> None:
    experiment = tiny()
    start = begin(experiment)

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
    progress = begin(experiment)
    assert progress.policy.steps == 320
    for _ in range(2):
        before = progress.policy.parameters
        progress = advance(experiment, progress)
        after = progress.policy.parameters
        assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert progress.policy.steps == 384
