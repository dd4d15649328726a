"""Rewards that are made of rewards of earlier tasks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.configuration import from_mapping
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.in_process import run
from rlhf_core.packing import pack, unpack
from rlhf_core.rewards import mixture
from rlhf_core.rewards.bank import FIELD, read_bank
from rlhf_core.rewards.model import EnsembleState, Likelihoods, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial
from rlhf_core.segments import transitions
from rlhf_core.types import Metrics, Segments
from tests.core.examples import LINE, labels, segments, terms
from tests.core.test_fitting import labelled, learn

STEPS = 5
LINEAR = RewardModel(family="squares", members=1, inputs=("observation",))


def save(path: Path, weights: Sequence[float], spaces: Spaces = LINE) -> None:
    """Write a reward of known weights: a constant, of the number, of its square."""
    state = EnsembleState(
        {"polynomial": np.array([weights], dtype=np.float32)},
        np.zeros(1, np.float32), np.ones(1, np.float32), np.zeros(1), np.ones(1),
    )  # fmt: skip
    learned = FeedbackState(ensemble=state)
    LearnedReward(Preference(reward_model=LINEAR), learned, spaces).save(path)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Rewards x, -x, x^2 and -x^2, each with a constant that says nothing."""
    for name, weights in enumerate(((3, 1, 0), (0, -1, 0), (5, 0, 1), (0, 0, -1))):
        save(tmp_path / f"{name}.safetensors", weights)
    return tmp_path


def numbers(pairs: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).uniform(-1, 1, (2 * pairs, STEPS))
    return drawn.astype(np.float32)


def fitted(
    bank: Path, returns: np.ndarray, clips: Segments, **changes: Any
) -> tuple[RewardEnsemble, Metrics]:
    model = RewardModel(family="bank", bank=str(bank), **changes)
    ensemble = initial(model, LINE, clips, np.random.default_rng(0))
    return learn(ensemble, clips, labels(labelled(returns)))


def agreement(ensemble: RewardEnsemble, reward: Any) -> float:
    """Correlation with the true reward on steps that were never asked about."""
    shown = numbers(200, seed=9)
    predicted = ensemble(*transitions(segments(shown)))
    return float(np.corrcoef(predicted, reward(shown).ravel())[0, 1])


def test_ten_comparisons_find_the_earlier_task(bank: Path) -> None:
    shown = numbers(10, seed=1)
    ensemble, metrics = fitted(bank, -np.square(shown).sum(axis=1), segments(shown))
    assert agreement(ensemble, lambda x: -np.square(x)) > 0.98
    assert metrics["reward/bank_largest_weight"] > 0.8
    assert metrics["reward/heldout_accuracy"] > 0.85
    assert metrics["reward/heldout_answers"] == 10


def test_a_task_between_earlier_ones_is_a_mixture(bank: Path) -> None:
    def between(x: np.ndarray) -> np.ndarray:
        return 0.5 * x - 0.7 * np.square(x)

    shown = numbers(100, seed=2)
    ensemble, metrics = fitted(bank, between(shown).sum(axis=1), segments(shown))
    assert agreement(ensemble, between) > 0.98
    assert metrics["reward/bank_largest_weight"] < 0.8
    assert 1.5 < metrics["reward/bank_parts"] < 3


def test_wrong_answers_are_believed_in_as_such(bank: Path) -> None:
    shown = numbers(40, seed=3)
    returns = shown.sum(axis=1)
    right, few = fitted(bank, returns, segments(shown))
    wrong = np.where(np.arange(80) // 2 % 4 == 0, -returns, returns)
    ensemble, many = fitted(bank, wrong, segments(shown))
    assert agreement(right, np.positive) > 0.98
    assert agreement(ensemble, np.positive) > 0.95
    assert many["reward/mistake_rate"] > 2 * few["reward/mistake_rate"]
    assert 0.6 < many["reward/heldout_accuracy"] < 0.85


def test_answers_that_no_reward_of_the_bank_explains_are_predicted_by_chance(bank: Path) -> None:
    shown = numbers(100, seed=4)
    _, metrics = fitted(bank, np.random.default_rng(0).normal(size=200), segments(shown))
    assert abs(metrics["reward/heldout_accuracy"] - 0.5) < 0.2
    assert metrics["reward/mistake_rate"] > 0.25


def test_each_answer_is_held_out_exactly(bank: Path) -> None:
    """What all others say of an answer is what a fit says in which it does not count."""
    shown = numbers(6, seed=5)
    clips, said = segments(shown), labelled(np.square(shown).sum(axis=1))
    model = RewardModel(family="bank", bank=str(bank))
    ensemble = initial(model, LINE, clips, np.random.default_rng(0))

    def predicted(weight: np.ndarray) -> np.ndarray:
        made = terms(labels(replace(said, weight=weight)), clips, Likelihoods())
        fit = mixture.Mixture(ensemble, clips, made, np.random.default_rng(1))
        return fit.left_out()[0][0].numpy()

    everything = predicted(np.ones(6))
    for question in range(6):
        without = predicted(np.where(np.arange(6) == question, 0.0, 1.0))
        np.testing.assert_allclose(everything[question], without[question], rtol=1e-4)
        others = np.arange(6) != question
        assert not np.allclose(everything[others], without[others], rtol=1e-4)


def test_the_first_questions_tell_the_earlier_tasks_apart(bank: Path) -> None:
    """Before any answer the members are draws from the prior, which disagree."""
    clips = segments(numbers(20, seed=6))
    model = RewardModel(family="bank", bank=str(bank))
    ensemble = initial(model, LINE, clips, np.random.default_rng(0))
    returns = ensemble.segment_returns(clips)
    assert returns.shape == (mixture.MEMBERS, 40)
    assert np.median(np.corrcoef(returns)) < 0.5


def test_the_bank_is_stored_with_the_reward(bank: Path) -> None:
    shown = numbers(10, seed=1)
    ensemble, _ = fitted(bank, shown.sum(axis=1), segments(shown))
    again = unpack(pack(ensemble.state), EnsembleState)
    for file in bank.iterdir():
        file.unlink()
    restored = RewardEnsemble(again, LINE, ensemble.model)
    steps = transitions(segments(shown))
    np.testing.assert_array_equal(restored(*steps), ensemble(*steps))
    assert all(saved.state.evidence is None for saved in again.bank)


def test_a_bank_that_cannot_be_used_is_named(bank: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = partial(pytest.raises, ConfigurationError)
    with refused(match=f"{FIELD}: expected a folder of rewards, actual: 'none' "):
        read_bank("none", LINE)
    with refused(match="expected a folder with files that end in .safetensors, actual: none in"):
        read_bank(str(empty), LINE)
    with refused(match=r"0\.safetensors: expected a reward on Box.*actual: one on"):
        read_bank(str(bank), Environment(id="CartPole-v1").spaces())
    (bank / "1.safetensors").write_bytes(b"not a reward")
    with refused(match=rf"{FIELD}: .*1\.safetensors: expected a reward, actual"):
        read_bank(str(bank), LINE)
    with pytest.raises(ValidationError, match="bank: expected a folder of rewards for family bank"):
        RewardModel(family="bank")


def test_a_run_learns_from_a_bank_and_refuses_a_wrong_one(bank: Path) -> None:
    experiment: dict[str, Any] = {
        "name": "few",
        "environment": {"id": "CartPole-v1", "count": 4},
        "feedback": {"segment_steps": 5, "reward_model": {"family": "bank", "bank": str(bank)}},
        "optimiser": {"kind": "ppo", "steps": 20, "batch_size": 40, "epochs": 1, "hidden": [8]},
        "budget": {"env_steps": 320, "labels": 12, "rounds": 2, "initial_steps": 160},
        "evaluation": {"episodes": 2},
    }
    with pytest.raises(ConfigurationError, match="expected a reward on Box"):
        run(from_mapping(experiment))
    for file in bank.iterdir():
        file.unlink()
    first = run(from_mapping({**experiment, "feedback": {"segment_steps": 5}}))
    spaces = Environment(id="CartPole-v1").spaces()
    LearnedReward(Preference(segment_steps=5), first.feedback, spaces).save(bank / "a.safetensors")
    metrics = run(from_mapping(experiment)).metrics
    assert metrics["reward/bank_parts"] == pytest.approx(1)
