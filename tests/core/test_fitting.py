"""What the reward learns from labels, and what it must not learn from."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gymnasium import spaces
from scipy.special import log_expit

from rlhf_core.environments.factory import Spaces
from rlhf_core.evidence import Preferences
from rlhf_core.rewards.fitting import fit_preferences
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial, transitions
from rlhf_core.types import Metrics, Segments
from tests.core.examples import LINE, segments

STEPS = 5
SMALL = RewardModel(
    hidden=(8,), members=3, heldout_folds=3, inputs=("observation",), epochs=3,
    learning_rate=3e-3, batch_size=16,
)  # fmt: skip


def world(pairs: int, seed: int = 0) -> tuple[Segments, np.ndarray]:
    """Segments of numbers in [-1, 1], and their true returns under the reward r(x) = x."""
    shown = np.random.default_rng(seed).uniform(-1, 1, (2 * pairs, STEPS)).astype(np.float32)
    return segments(shown), shown.sum(axis=1)


TRUTH = np.array([1.0, -2, 0, 0.5, 3, -1])
SPACE = Spaces(spaces.Box(-1, 1, TRUTH.shape), spaces.Discrete(2))


def wide_world(pairs: int, seed: int = 0) -> tuple[Segments, np.ndarray]:
    """The same with six numbers in each observation and the reward r(x) = TRUTH x."""
    clips, _ = world(pairs)
    shape = (2 * pairs, STEPS + 1, len(TRUTH))
    seen = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    return replace(clips, observations=seen), (seen[:, :-1] @ TRUTH).sum(axis=1)


def labelled(returns: np.ndarray, truth: float = 1.0) -> Preferences:
    """Labels for pairs (0, 1), (2, 3), ...: `truth` is the target of the better side."""
    pair = np.arange(len(returns)).reshape(-1, 2)
    better = returns[1::2] > returns[::2]
    target = np.where(better, truth, 1 - truth)
    return Preferences(pair, target, np.ones(len(pair)))


def fit(
    model: RewardModel, clips: Segments, preferences: Preferences, seed: int = 0
) -> tuple[RewardEnsemble, Metrics]:
    ensemble = initial(model, LINE, clips, np.random.default_rng(seed))
    return fit_preferences(ensemble, model, clips, preferences, np.random.default_rng(seed))


def equal(first: RewardEnsemble, second: RewardEnsemble, member: int | None = None) -> bool:
    """Whether the weights (of one member) are the same to the last bit."""
    chosen = slice(None) if member is None else slice(member, member + 1)
    mine, other = first.state.parameters, second.state.parameters
    return all(np.array_equal(mine[name][chosen], other[name][chosen]) for name in mine)


@cache
def learned(shuffled: bool) -> tuple[RewardEnsemble, Metrics]:
    """The ensemble that 300 labels on the wide world teach."""
    clips, returns = wide_world(300)
    labels = labelled(returns)
    if shuffled:
        labels = replace(labels, target=np.random.default_rng(5).permutation(labels.target))
    model = RewardModel(hidden=(16,), members=3, learning_rate=3e-3, epochs=20, batch_size=16)
    rng = np.random.default_rng(0)
    return fit_preferences(initial(model, SPACE, clips, rng), model, clips, labels, rng)


def accuracy(ensemble: RewardEnsemble) -> float:
    """Share of 500 pairs never seen that the ensemble's mean puts in the true order."""
    clips, returns = wide_world(500, seed=99)
    predicted = ensemble.segment_returns(clips).mean(axis=0)
    return float(((predicted[1::2] > predicted[::2]) == (returns[1::2] > returns[::2])).mean())


def test_a_linear_reward_is_recovered_from_an_oracles_labels() -> None:
    ensemble, metrics = learned(shuffled=False)
    assert accuracy(ensemble) > 0.9
    assert metrics["reward/heldout_accuracy"] > 0.85
    clips, _ = wide_world(100, seed=98)
    reward = ensemble(*transitions(clips))
    assert np.corrcoef(reward, transitions(clips)[0] @ TRUTH)[0, 1] > 0.9


def test_from_shuffled_labels_nothing_is_learned() -> None:
    ensemble, metrics = learned(shuffled=True)
    assert abs(accuracy(ensemble) - 0.5) < 0.2
    assert abs(metrics["reward/heldout_accuracy"] - 0.5) < 0.1
    assert metrics["reward/heldout_loss"] > 0.65


def test_the_same_generator_gives_the_same_fit() -> None:
    clips, returns = world(20)
    first, metrics = fit(SMALL, clips, labelled(returns))
    second, again = fit(SMALL, clips, labelled(returns))
    assert equal(first, second)
    assert metrics == again


SLOW = SMALL.model_copy(update={"learning_rate": 1e-4})
"""So slow that each epoch improves on the one before: the last one is always kept."""


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_member_never_trains_on_the_labels_of_its_own_fold(fold: int) -> None:
    clips, returns = world(30)
    labels = labelled(returns)
    mine = np.arange(30) % 3 == fold
    softened = replace(labels, target=np.where(mine, 0.2 + 0.6 * labels.target, labels.target))
    first, metrics = fit(SLOW, clips, labels)
    second, _ = fit(SLOW, clips, softened)
    assert metrics["reward/fit_epochs"] == 3
    assert [equal(first, second, member) for member in range(3)] == [m == fold for m in range(3)]


def test_members_share_folds_when_there_are_more_of_them() -> None:
    model = SLOW.model_copy(update={"members": 5})
    clips, returns = world(30)
    labels = labelled(returns)
    mine = np.arange(30) % 3 == 1
    softened = replace(labels, target=np.where(mine, 0.2 + 0.6 * labels.target, labels.target))
    first, second = (fit(model, clips, some)[0] for some in (labels, softened))
    kept = [equal(first, second, member) for member in range(5)]
    assert kept == [False, True, False, False, True]


def test_a_fit_that_only_hurts_is_undone() -> None:
    # The held-out fold says the opposite of the labels that are trained on.
    model = SMALL.model_copy(update={"members": 1, "epochs": 50, "patience": 4})
    clips, returns = world(60)
    labels = labelled(returns)
    opposite = np.where(np.arange(60) % 3 == 0, 1 - labels.target, labels.target)
    start = initial(model, LINE, clips, np.random.default_rng(0))
    # First learn the truth, so that more truth makes the opposite ever less likely.
    start, _ = fit_preferences(start, model, clips, labels, np.random.default_rng(0))
    end, metrics = fit_preferences(
        start, model, clips, replace(labels, target=opposite), np.random.default_rng(0)
    )
    assert equal(start, end)
    assert metrics["reward/fit_epochs"] == 4
    assert metrics["reward/heldout_accuracy"] < 0.5


def test_losses_are_those_of_the_kept_weights_on_each_members_own_labels() -> None:
    clips, returns = world(30)
    labels = labelled(returns, truth=0.9)
    ensemble, metrics = fit(SMALL, clips, labels)
    margin = ensemble.segment_returns(clips)[:, 1::2] - ensemble.segment_returns(clips)[:, ::2]
    loss = -labels.target * log_expit(margin) - (1 - labels.target) * log_expit(-margin)
    held_out = np.arange(30) % 3 == np.arange(3)[:, None]
    right = (margin > 0) == (labels.target > 0.5)
    train = np.mean([loss[m, ~held_out[m]].mean() for m in range(3)])
    heldout = np.mean([loss[m, held_out[m]].mean() for m in range(3)])
    assert metrics["reward/train_loss"] == pytest.approx(train, rel=1e-4)
    assert metrics["reward/heldout_loss"] == pytest.approx(heldout, rel=1e-4)
    assert metrics["reward/heldout_accuracy"] == pytest.approx(right[held_out].mean())


def test_padding_counts_for_nothing() -> None:
    clips, returns = world(20)
    mask = np.arange(STEPS) < np.where(np.arange(40) % 4 == 0, 2, STEPS)[:, None]
    noise = np.where(mask, 0, 1000).astype(np.float32)
    padded = replace(clips, mask=mask)
    noisy = np.array(clips.observations)
    noisy[:, :-1, 0] += noise
    first, _ = fit(SMALL, padded, labelled(returns))
    second, _ = fit(SMALL, replace(padded, observations=noisy), labelled(returns))
    assert equal(first, second)
    np.testing.assert_array_equal(
        first.segment_returns(padded), first.segment_returns(replace(padded, observations=noisy))
    )


def test_a_label_of_weight_0_counts_for_nothing() -> None:
    clips, returns = world(20)
    labels = labelled(returns)
    weight = np.where(np.arange(20) % 4 == 0, 0.0, 1.0)
    flipped = np.where(weight == 0, 1 - labels.target, labels.target)
    first, metrics = fit(SMALL, clips, replace(labels, weight=weight))
    second, again = fit(SMALL, clips, replace(labels, weight=weight, target=flipped))
    assert equal(first, second)
    assert metrics == again


def test_a_side_does_not_matter() -> None:
    clips, returns = world(20)
    labels = labelled(returns)
    turned = Preferences(labels.pair[:, ::-1], 1 - labels.target, labels.weight)
    first, second = fit(SMALL, clips, labels)[0], fit(SMALL, clips, turned)[0]
    # The last bias moves all rewards alike, so its gradient is rounding and nothing else.
    margins = [
        e.segment_returns(clips)[:, 1::2] - e.segment_returns(clips)[:, ::2]
        for e in (first, second)
    ]
    np.testing.assert_allclose(*margins, atol=1e-4)


def test_with_ties_alone_there_is_no_accuracy() -> None:
    clips, returns = world(10)
    _, metrics = fit(SMALL, clips, labelled(returns, truth=0.5))
    assert set(metrics) == {"reward/train_loss", "reward/fit_epochs"}
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("labels", [1, 2, 4])
def test_a_few_labels_are_enough_to_fit(labels: int) -> None:
    clips, returns = world(labels)
    ensemble, metrics = fit(SMALL, clips, labelled(returns))
    assert np.isfinite(list(metrics.values())).all()
    assert all(np.isfinite(array).all() for array in ensemble.state.parameters.values())


def test_the_scales_of_the_ensemble_are_left_alone() -> None:
    clips, returns = world(10)
    ensemble = initial(SMALL, LINE, clips, np.random.default_rng(0))
    ensemble = replace(ensemble, state=replace(ensemble.state, mean=3.0, scale=2.0))
    rng = np.random.default_rng(0)
    fitted, _ = fit_preferences(ensemble, SMALL, clips, labelled(returns), rng)
    assert (fitted.state.mean, fitted.state.scale) == (3.0, 2.0)
    np.testing.assert_array_equal(fitted.state.input_mean, ensemble.state.input_mean)
