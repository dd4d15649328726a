"""Rewards that are made of rewards of earlier tasks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from rlhf_core.acquisition.scores import information_gain
from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.configuration import from_mapping
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback.constant import Constant
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.in_process import run
from rlhf_core.labels import Preferences
from rlhf_core.loop import Progress
from rlhf_core.packing import pack, unpack, write_value
from rlhf_core.queries.information_gain import InformationGain
from rlhf_core.queries.uniform import Uniform
from rlhf_core.questions import Request
from rlhf_core.rewards import mixture
from rlhf_core.rewards.bank import FIELD, read_bank
from rlhf_core.rewards.model import EnsembleState, Likelihoods, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial
from rlhf_core.rewards.saved import SavedReward
from rlhf_core.segments import transitions
from rlhf_core.types import Metrics, Segments
from tests.core.examples import LINE, labels, played, rankings, segments, terms
from tests.core.test_fitting import labelled, learn

STEPS = 5
FEW: dict[str, Any] = {
    "name": "few",
    "environment": {"id": "CartPole-v1", "count": 4},
    "optimiser": {"kind": "ppo", "steps": 20, "batch_size": 40, "epochs": 1, "hidden": [8]},
    "budget": {"env_steps": 320, "labels": 12, "rounds": 2, "initial_steps": 160},
    "evaluation": {"episodes": 2},
}
LINEAR = RewardModel(family="squares", members=1, inputs=("observation",))


def save(path: Path, weights: Sequence[float], spaces: Spaces = LINE) -> None:
    """Write a reward of known weights: a constant, of the number, of its square."""
    ones, zeros = np.ones(1), np.zeros(1)
    state = EnsembleState(
        parameters={"polynomial": np.array([weights], dtype=np.float32)},
        input_mean=zeros.astype(np.float32),
        input_scale=ones.astype(np.float32),
        member_mean=zeros,
        member_scale=ones,
    )
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


def untrained(bank: Path, clips: Segments, seed: int = 0) -> RewardEnsemble:
    """Draws from the prior."""
    model = RewardModel(family="bank", bank=str(bank))
    return initial(model, LINE, clips, np.random.default_rng(seed), read_bank(str(bank), LINE))


def fitted(
    bank: Path, returns: np.ndarray, clips: Segments, seed: int = 0
) -> tuple[RewardEnsemble, Metrics]:
    return learn(untrained(bank, clips), clips, labels(labelled(returns)), seed)


def agreement(ensemble: RewardEnsemble, reward: Any) -> float:
    """Correlation with the true reward on steps that were never asked about."""
    observations = numbers(200, seed=9)
    predicted = ensemble(*transitions(segments(observations)))
    return float(np.corrcoef(predicted, reward(observations).ravel())[0, 1])


def test_ten_comparisons_find_the_earlier_task(bank: Path) -> None:
    observations = numbers(10, seed=1)
    ensemble, metrics = fitted(bank, -np.square(observations).sum(axis=1), segments(observations))
    assert agreement(ensemble, lambda x: -np.square(x)) > 0.98
    assert metrics["reward/bank_largest_weight"] > 0.8
    assert metrics["reward/heldout_accuracy"] > 0.85
    assert metrics["reward/heldout_answers"] == 10


def test_a_task_between_earlier_ones_is_a_mixture(bank: Path) -> None:
    def between(x: np.ndarray) -> np.ndarray:
        return 0.5 * x - 0.7 * np.square(x)

    observations = numbers(100, seed=2)
    ensemble, metrics = fitted(bank, between(observations).sum(axis=1), segments(observations))
    assert agreement(ensemble, between) > 0.98
    assert metrics["reward/bank_largest_weight"] < 0.8
    assert 1.5 < metrics["reward/bank_parts"] < 3


def test_wrong_answers_are_believed_in_as_such(bank: Path) -> None:
    observations = numbers(40, seed=3)
    returns = observations.sum(axis=1)
    right, few = fitted(bank, returns, segments(observations))
    wrong = np.where(np.arange(80) // 2 % 4 == 0, -returns, returns)
    ensemble, many = fitted(bank, wrong, segments(observations))
    assert agreement(right, np.positive) > 0.98
    assert agreement(ensemble, np.positive) > 0.95
    assert many["reward/mistake_rate"] > 2 * few["reward/mistake_rate"]
    assert 0.6 < many["reward/heldout_accuracy"] < 0.85


def test_answers_that_no_reward_of_the_bank_explains_are_predicted_by_chance(bank: Path) -> None:
    observations = numbers(200, seed=4)
    _, metrics = fitted(bank, np.random.default_rng(0).normal(size=400), segments(observations))
    # Four standard deviations of a share of 200 are 0.14.
    assert abs(metrics["reward/heldout_accuracy"] - 0.5) < 0.14
    assert metrics["reward/heldout_loss"] > np.log(2) - 0.01
    assert metrics["reward/mistake_rate"] > 0.25


def test_the_posterior_of_two_rewards_and_one_answer(
    bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed by hand: x and -x alone, one b and one e."""
    for name in ("2", "3"):
        (bank / f"{name}.safetensors").unlink()
    monkeypatch.setattr(mixture, "INVERSE_TEMPERATURES", (2.0,))
    monkeypatch.setattr(mixture, "MISTAKE_RATES", (0.1,))
    monkeypatch.setattr(mixture, "prior", lambda size, rng: (np.eye(2), np.full(2, 0.5)))
    observations = np.array([[0.0], [1.0], [0.0], [0.0]], dtype=np.float32)
    clips = segments(observations)
    preferences = Preferences(np.array([[0, 1]]), np.array([1.0]), np.ones(1))
    ensemble, metrics = learn(untrained(bank, clips), clips, labels(preferences))
    # Standardised on these clips x differs by 1 / std(x), and a clip's scale is that of the pair.
    apart = 1 / observations.std()
    difference = 2.0 * apart / (apart / 2)
    right = 0.9 * expit(difference) + 0.1 * expit(-difference)
    wrong = 0.9 * expit(-difference) + 0.1 * expit(difference)
    posterior = right / (right + wrong)
    assert metrics["reward/bank_largest_weight"] == pytest.approx(posterior, abs=1e-6)
    entropy = -posterior * np.log(posterior) - (1 - posterior) * np.log(1 - posterior)
    assert metrics["reward/bank_parts"] == pytest.approx(np.exp(entropy), abs=1e-5)
    mean_loss = -posterior * np.log(right) - (1 - posterior) * np.log(wrong)
    assert metrics["reward/train_loss"] == pytest.approx(mean_loss, abs=1e-5)
    # Before the answer both rewards are as likely.
    assert metrics["reward/heldout_loss"] == pytest.approx(np.log(2), abs=1e-5)
    drawn = ensemble.state.parameters["polynomial"][:, 1] > 0
    assert drawn.mean() == pytest.approx(posterior, abs=1 / mixture.MEMBERS)


def test_the_same_seed_gives_the_same_reward(bank: Path) -> None:
    observations = numbers(10, seed=1)
    returns, clips = observations.sum(axis=1), segments(observations)
    first, again, other = (fitted(bank, returns, clips, seed)[0] for seed in (1, 1, 2))
    steps = transitions(clips)
    np.testing.assert_array_equal(first(*steps), again(*steps))
    assert not np.array_equal(first(*steps), other(*steps))


def test_one_earlier_reward_is_that_reward(bank: Path) -> None:
    for name in ("1", "2", "3"):
        (bank / f"{name}.safetensors").unlink()
    observations = numbers(5, seed=1)
    ensemble, metrics = fitted(bank, -observations.sum(axis=1), segments(observations))
    assert agreement(ensemble, np.positive) == pytest.approx(1)
    assert metrics["reward/bank_parts"] == pytest.approx(1)
    assert metrics["reward/heldout_accuracy"] < 0.5


def test_rankings_and_ties_count_too(bank: Path) -> None:
    observations = numbers(12, seed=7)
    clips = segments(observations)
    order = np.argsort(-np.square(observations).sum(axis=1).reshape(-1, 4), axis=1)
    ranked = rankings((order + 4 * np.arange(6)[:, None]).tolist())
    ensemble, metrics = learn(untrained(bank, clips), clips, labels(ranked=ranked))
    assert agreement(ensemble, np.square) > 0.98
    assert metrics["reward/heldout_answers"] == 6
    tied = Preferences(np.array([[0, 1]]), np.array([0.5]), np.ones(1))
    _, metrics = learn(untrained(bank, clips), clips, labels(tied), ties="drop")
    assert metrics["reward/train_loss"] == 0
    assert "reward/heldout_accuracy" not in metrics


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "direct_reward"}, "'bank' expected forms of feedback among best_of, .* rating"),
        ({"kind": "preference", "form": "click"}, "actual: click"),
        ({"kind": "preference", "likelihoods": {"ties": "davidson"}}, "expected 'half' or 'drop'"),
        ({"kind": "random_network"}, "expected one that is drawn at random, actual: bank"),
        ({"kind": "preference", "reward_model": {"family": "bank"}}, "bank: expected a folder of"),
    ],
)
def test_what_a_bank_cannot_learn_from_is_refused(fields: dict[str, Any], message: str) -> None:
    feedback = {"reward_model": {"family": "bank", "bank": "x"}, **fields}
    with pytest.raises(ConfigurationError, match=message):
        from_mapping({**FEW, "feedback": feedback})


def test_each_answer_is_held_out_exactly(bank: Path) -> None:
    """What all others say of an answer is what a fit says in which it does not count."""
    observations = numbers(6, seed=5)
    clips, preferences = segments(observations), labelled(np.square(observations).sum(axis=1))
    ensemble = untrained(bank, clips)

    def predicted(weight: np.ndarray) -> np.ndarray:
        made = terms(labels(replace(preferences, weight=weight)), clips, Likelihoods())
        fit = mixture.Mixture(ensemble, clips, made, np.random.default_rng(1))
        return fit.left_out()[0][0][0].numpy()

    everything = predicted(np.ones(6))
    for question in range(6):
        without = predicted(np.where(np.arange(6) == question, 0.0, 1.0))
        np.testing.assert_allclose(everything[question], without[question], rtol=1e-4)
        others = np.arange(6) != question
        assert not np.allclose(everything[others], without[others], rtol=1e-4)


def test_the_first_questions_distinguish_the_earlier_tasks(bank: Path) -> None:
    """Before any answer the members are draws from the prior, by which questions are chosen."""
    strategy = Preference(
        segment_steps=3,
        queries=InformationGain(oversample=20),
        reward_model=RewardModel(family="bank", bank=str(bank)),
    )
    rollouts, _ = played(9, 9, 12, 12)
    state = replace(strategy.initial(), bank=read_bank(str(bank), LINE))

    def gain(request: Request) -> float:
        ensemble = untrained(bank, request.reference)
        returns = ensemble.segment_returns(request.segments)
        return float(information_gain(returns, request.queries["comparison"].items).mean())

    chosen = strategy.ask(state, rollouts, 2, LINE, np.random.default_rng(1))
    others = [
        strategy.model_copy(update={"queries": Uniform()}).ask(
            state, rollouts, 2, LINE, np.random.default_rng(seed)
        )
        for seed in range(10)
    ]
    assert gain(chosen) > np.mean([gain(request) for request in others])


def test_the_bank_is_stored_with_the_reward(bank: Path) -> None:
    observations = numbers(10, seed=1)
    ensemble, _ = fitted(bank, observations.sum(axis=1), segments(observations))
    again = unpack(pack(ensemble.state), EnsembleState)
    for file in bank.iterdir():
        file.unlink()
    restored = RewardEnsemble(again, LINE, ensemble.model)
    steps = transitions(segments(observations))
    np.testing.assert_array_equal(restored(*steps), ensemble(*steps))
    assert all(saved.state.evidence is None for saved in again.bank)


def test_a_reward_of_a_bank_may_be_in_another_bank(bank: Path, tmp_path: Path) -> None:
    observations = numbers(10, seed=1)
    ensemble, _ = fitted(bank, -np.square(observations).sum(axis=1), segments(observations))
    folder = tmp_path / "second"
    folder.mkdir()
    state = FeedbackState(ensemble=ensemble.state)
    strategy = Preference(reward_model=ensemble.model)
    LearnedReward(strategy, state, LINE).save(folder / "a.safetensors")
    save(folder / "b.safetensors", (0, 1, 0))
    second, _ = fitted(folder, -np.square(observations).sum(axis=1), segments(observations))
    assert agreement(second, lambda x: -np.square(x)) > 0.95


def test_a_bank_that_cannot_be_used_is_named(bank: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = partial(pytest.raises, ConfigurationError)
    with refused(match=f"{FIELD}: expected a folder of rewards, actual: 'none' "):
        read_bank("none", LINE)
    with refused(match="expected a folder with files that end in .safetensors, actual: none in"):
        read_bank(str(empty), LINE)
    with refused(match=r"0\.safetensors: expected a reward on observations Box.* and actions"):
        read_bank(str(bank), Environment(id="CartPole-v1").spaces())
    (bank / "1.safetensors").write_bytes(b"not a reward")
    with refused(match=rf"{FIELD}: .*1\.safetensors: expected a reward that.*another file"):
        read_bank(str(bank), LINE)
    control = SavedReward.of(Constant(), Constant().initial(), LINE)
    unfitted = SavedReward.of(Preference(), FeedbackState(), LINE)
    for saved, message in (
        (control, "learned from answers, actual: that of feedback kind 'constant'"),
        (unfitted, "expected a reward that was learned, actual: one before its first fit"),
    ):
        write_value(bank / "1.safetensors", saved)
        with refused(match=rf"1\.safetensors: .*{message}"):
            read_bank(str(bank), LINE)


def test_a_run_learns_from_a_bank_and_refuses_a_wrong_one(bank: Path) -> None:
    feedback = {"segment_steps": 5, "reward_model": {"family": "bank", "bank": str(bank)}}
    experiment = from_mapping({**FEW, "feedback": feedback})
    with pytest.raises(ConfigurationError, match="expected a reward on observations Box"):
        run(experiment)
    for file in bank.iterdir():
        file.unlink()
    spaces = experiment.environment.spaces()
    for name in "ab":
        first = run(from_mapping({**FEW, "seed": ord(name), "feedback": {"segment_steps": 5}}))
        learned = LearnedReward(Preference(segment_steps=5), first.feedback, spaces)
        learned.save(bank / f"{name}.safetensors")
    rounds: list[Progress[Any]] = []

    def without_the_folder(progress: Progress[Any]) -> None:
        """What becomes of the folder after the beginning does not change the run."""
        rounds.append(progress)
        for file in bank.iterdir():
            file.unlink()

    last = run(experiment, without_the_folder)
    assert len(rounds) == 2
    assert last.feedback.ensemble is not None
    assert len(last.feedback.ensemble.bank) == 2
    assert last.feedback.bank == ()
    assert np.isfinite(last.metrics["reward/train_loss"])
