"""Classes of reward functions: polynomials with known answers, and the choice among classes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

from rlhf_core.packing import pack, unpack
from rlhf_core.rewards.fitting import FAMILIES, FEW_ANSWERS
from rlhf_core.rewards.model import EnsembleState, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, forward, initial
from rlhf_core.segments import transitions
from rlhf_core.types import Metrics
from tests.core.examples import LINE, labels, ratings, segments
from tests.core.test_fitting import fit, labelled, learn

STEPS = 5
SQUARES, NETWORK = FAMILIES.index("squares"), FAMILIES.index("network")


def model(family: str, **more: Any) -> RewardModel:
    """A small reward of one number, fitted long enough for a network."""
    settings = {"hidden": (32,), "inputs": ("observation",), "learning_rate": 1e-2, "epochs": 60}
    return RewardModel.model_validate({**settings, **more, "family": family})


def shown(pairs: int, seed: int = 0) -> np.ndarray:
    """Numbers (2 pairs, L) between -1 and 1."""
    return np.random.default_rng(seed).uniform(-1, 1, (2 * pairs, STEPS)).astype(np.float32)


def square(x: np.ndarray) -> np.ndarray:
    """A reward that is best in the middle: no line has anything to say about it."""
    return -np.square(x)


def ripple(x: np.ndarray) -> np.ndarray:
    """A reward with two tops and two valleys: a parabola has one."""
    return np.sin(2 * np.pi * x)


def learned(family: str, reward: Any, pairs: int, **more: Any) -> tuple[RewardEnsemble, Metrics]:
    """What the labels of an oracle teach."""
    numbers = shown(pairs)
    return fit(model(family, **more), segments(numbers), labelled(reward(numbers).sum(axis=1)))


def correlation(ensemble: RewardEnsemble, reward: Any) -> float:
    """Correlation with the true reward on steps never shown."""
    numbers = shown(200, seed=9)
    predicted = ensemble(*transitions(segments(numbers)))
    return float(np.corrcoef(predicted, reward(numbers).ravel())[0, 1])


def test_a_polynomial_of_known_weights() -> None:
    # Member 0: 1 + 2 x + 3 x^2; member 1: -x.
    weights = torch.tensor([[1.0, 2, 3], [0, -1, 0]])
    x = torch.tensor([[2.0], [-1.0]])
    expected = [[17.0, 2.0], [-2.0, 1.0]]
    np.testing.assert_allclose(forward({"polynomial": weights}, x), expected)


def test_a_line_with_its_constant() -> None:
    weights = torch.tensor([[1.0, 2.0, -3.0]])
    x = torch.tensor([[2.0, 5.0]])
    np.testing.assert_allclose(forward({"polynomial": weights}, x), [[1 + 4 - 15]])


def test_the_fit_is_where_the_gradient_of_the_penalised_likelihood_is_0() -> None:
    numbers = shown(40)
    said = labelled(numbers.sum(axis=1), truth=0.9)
    ensemble, metrics = fit(model("linear", members=5), segments(numbers), said)
    # Differences of summed inputs, on the scale of the inputs' sums over a clip.
    raw = (numbers - ensemble.state.input_mean) / ensemble.state.input_scale
    sums = raw.sum(axis=1)
    scale = sums.std()
    difference = (sums[1::2] - sums[::2]) / scale
    weights = ensemble.state.parameters["polynomial"][:, 1] * scale
    for member, weight in enumerate(weights):
        mine = np.arange(40) % 5 != member
        surprise = expit(weight * difference[mine]) - said.target[mine]
        gradient = (surprise * difference[mine]).sum() + metrics["reward/penalty"] * weight
        assert gradient == pytest.approx(0, abs=0.01)
        assert weight > 0.5


def test_a_member_never_trains_on_the_labels_of_its_own_fold() -> None:
    numbers = shown(30)
    said = labelled(numbers.sum(axis=1), truth=0.8)
    mine = np.arange(30) % 5 == 2
    softened = replace(said, target=np.where(mine, 0.1 + 0.8 * said.target, said.target))
    clips = segments(numbers)
    first, metrics = fit(model("linear"), clips, said)
    second, again = fit(model("linear"), clips, softened)
    assert metrics["reward/penalty"] == again["reward/penalty"]
    weights = [e.state.parameters["polynomial"] for e in (first, second)]
    np.testing.assert_allclose(weights[0][2], weights[1][2], atol=1e-3)
    assert (np.abs(weights[0][:2, 1] - weights[1][:2, 1]) > 0.01).all()


def test_no_seed_changes_a_polynomial() -> None:
    numbers = shown(20)
    clips, said = segments(numbers), labelled(square(numbers).sum(axis=1))
    first, second = (fit(model("squares"), clips, said, seed)[0] for seed in (0, 1))
    np.testing.assert_array_equal(
        first.state.parameters["polynomial"], second.state.parameters["polynomial"]
    )


def test_30_labels_teach_squares_what_a_line_cannot_express() -> None:
    assert correlation(learned("squares", square, 30)[0], square) > 0.99
    assert abs(correlation(learned("linear", square, 30)[0], square)) < 0.5
    chosen, metrics = learned("auto", square, 30)
    assert metrics["reward/family"] == SQUARES
    assert correlation(chosen, square) > 0.99


def test_squares_lose_where_the_reward_has_two_tops() -> None:
    more = {"learning_rate": 2e-2, "epochs": 150, "patience": 50, "input_deviation": 3.0}
    network = correlation(learned("network", ripple, 400, **more)[0], ripple)
    squares = correlation(learned("squares", ripple, 400, **more)[0], ripple)
    chosen, metrics = learned("auto", ripple, 400, **more)
    assert squares < 0.7 < 0.9 < network
    assert metrics["reward/family"] == NETWORK
    assert correlation(chosen, ripple) == pytest.approx(network)


def test_with_few_held_out_answers_a_network_is_not_considered() -> None:
    # Of 5 folds, 3 members hold out 3.
    few = FEW_ANSWERS * 5 // 3 - 2
    _, metrics = learned("auto", ripple, few)
    assert metrics["reward/family"] < NETWORK


def test_the_network_that_was_not_chosen_goes_on_from_where_it_was() -> None:
    numbers = shown(30)
    clips, said = segments(numbers), labels(labelled(square(numbers).sum(axis=1)))
    auto, alone = (
        initial(model(f), LINE, clips, np.random.default_rng(0)) for f in ("auto", "network")
    )
    for seed in (1, 2):
        auto, metrics = learn(auto, clips, said, seed)
        alone, _ = learn(alone, clips, said, seed)
        assert metrics["reward/family"] < NETWORK
        assert set(auto.state.parameters) == {"polynomial"}
        # Through the store and back, as between two rounds.
        auto = replace(auto, state=unpack(pack(auto.state), EnsembleState))
        for name, array in alone.state.parameters.items():
            np.testing.assert_array_equal(auto.state.candidates[name], array)


def test_ratings_teach_a_polynomial_too() -> None:
    numbers = shown(30)
    returns = square(numbers).sum(axis=1)
    clips = segments(numbers)
    start = initial(model("squares"), LINE, clips, np.random.default_rng(0))
    ensemble, metrics = learn(start, clips, labels(rated=ratings(np.arange(60), returns)))
    assert correlation(ensemble, square) > 0.99
    assert metrics["reward/heldout_accuracy"] > 0.9
    assert set(ensemble.state.heads) == {"rating.log_scale", "rating.offset", "rating.log_noise"}
    assert ensemble.state.heads["rating.log_noise"].min() >= np.float32(-1.6)


def test_a_robust_polynomial_finds_the_wrong_answers() -> None:
    numbers = shown(200)
    said = labelled(numbers.sum(axis=1))
    wrong = np.random.default_rng(4).random(200) < 0.2
    noisy = replace(said, target=np.where(wrong, 1 - said.target, said.target))
    _, metrics = fit(model("linear", robust=True), segments(numbers), noisy)
    assert metrics["reward/mistake_rate"] == pytest.approx(wrong.mean(), abs=0.07)


@pytest.mark.parametrize("family", ["linear", "squares", "auto"])
@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_a_few_labels_are_enough_to_fit(family: str, pairs: int) -> None:
    ensemble, metrics = learned(family, square, pairs)
    assert np.isfinite(list(metrics.values())).all()
    assert all(np.isfinite(array).all() for array in ensemble.state.parameters.values())


def test_padding_counts_for_nothing() -> None:
    numbers = shown(10)
    mask = np.arange(STEPS) < np.where(np.arange(20) % 4 == 0, 2, STEPS)[:, None]
    said = labelled((numbers * mask).sum(axis=1))
    wild = np.where(mask, numbers, 50).astype(np.float32)
    start = initial(model("squares"), LINE, segments(numbers, mask), np.random.default_rng(0))
    first, second = (learn(start, segments(n, mask), labels(said))[0] for n in (numbers, wild))
    np.testing.assert_array_equal(
        first.state.parameters["polynomial"], second.state.parameters["polynomial"]
    )
