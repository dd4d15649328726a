"""What the reward learns from labels, and what it must not learn from."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from scipy.special import log_expit

from rlhf_core.answers import Rankings, Ratings
from rlhf_core.environments.spaces import Spaces
from rlhf_core.judgements import select
from rlhf_core.labels import Preferences, RankingLabels, RatingLabels
from rlhf_core.reward_learning.strategy import Labels
from rlhf_core.rewards import fitting
from rlhf_core.rewards.accuracy import ordered_correctly
from rlhf_core.rewards.model import Likelihoods, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial, transitions
from rlhf_core.types import Metrics, Segments
from tests.core.examples import LINE, labels, rankings, ratings, segments, terms

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


def learn(
    ensemble: RewardEnsemble,
    clips: Segments,
    told: Labels,
    seed: int = 0,
    unlabelled: Segments | None = None,
    **likelihoods: Any,
) -> tuple[RewardEnsemble, Metrics]:
    settings = Likelihoods(**likelihoods)
    rng = np.random.default_rng(seed)
    made = terms(told, clips, settings, ensemble.model.label_smoothing)
    return fitting.fit(ensemble, clips, made, unlabelled or clips, rng)


def ranked(made: Labels) -> Rankings:
    labelled = made["ranking"]
    assert isinstance(labelled, RankingLabels)
    return labelled.rankings


def rated(made: Labels) -> Ratings:
    labelled = made["rating"]
    assert isinstance(labelled, RatingLabels)
    return labelled.ratings


def fit(
    model: RewardModel, clips: Segments, preferences: Preferences, seed: int = 0, **more: Any
) -> tuple[RewardEnsemble, Metrics]:
    ensemble = initial(model, LINE, clips, np.random.default_rng(seed))
    return learn(ensemble, clips, labels(preferences), seed, **more)


def equal(first: RewardEnsemble, second: RewardEnsemble, member: int | None = None) -> bool:
    """Whether the weights (of one member) are the same to the last bit."""
    chosen = slice(None) if member is None else slice(member, member + 1)
    mine, other = first.state.parameters, second.state.parameters
    return all(np.array_equal(mine[name][chosen], other[name][chosen]) for name in mine)


@cache
def learned(shuffled: bool) -> tuple[RewardEnsemble, Metrics]:
    """The ensemble that 300 labels on the wide world teach."""
    clips, returns = wide_world(300)
    said = labelled(returns)
    if shuffled:
        said = replace(said, target=np.random.default_rng(5).permutation(said.target))
    return learn(wide_ensemble(clips), clips, labels(said))


WIDE = RewardModel(hidden=(16,), members=3, learning_rate=3e-3, epochs=20, batch_size=16)


def wide_ensemble(clips: Segments, **changes: Any) -> RewardEnsemble:
    model = WIDE.model_copy(update=changes)
    return initial(model, SPACE, clips, np.random.default_rng(0))


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
    said = labelled(returns)
    mine = np.arange(30) % 3 == fold
    softened = replace(said, target=np.where(mine, 0.2 + 0.6 * said.target, said.target))
    first, metrics = fit(SLOW, clips, said)
    second, _ = fit(SLOW, clips, softened)
    assert metrics["reward/fit_epochs"] == 3
    assert [equal(first, second, member) for member in range(3)] == [m == fold for m in range(3)]


def test_members_share_folds_when_there_are_more_of_them() -> None:
    model = SLOW.model_copy(update={"members": 5})
    clips, returns = world(30)
    said = labelled(returns)
    mine = np.arange(30) % 3 == 1
    softened = replace(said, target=np.where(mine, 0.2 + 0.6 * said.target, said.target))
    first, second = (fit(model, clips, some)[0] for some in (said, softened))
    kept = [equal(first, second, member) for member in range(5)]
    assert kept == [False, True, False, False, True]


def test_a_fit_that_only_hurts_is_undone() -> None:
    # The held-out fold says the opposite of the labels that are trained on.
    model = SMALL.model_copy(update={"members": 1, "epochs": 50, "patience": 4})
    clips, returns = world(60)
    said = labelled(returns)
    opposite = np.where(np.arange(60) % 3 == 0, 1 - said.target, said.target)
    start = initial(model, LINE, clips, np.random.default_rng(0))
    # First learn the truth, so that more truth makes the opposite ever less likely.
    start, _ = learn(start, clips, labels(said))
    end, metrics = learn(start, clips, labels(replace(said, target=opposite)))
    assert equal(start, end)
    assert metrics["reward/fit_epochs"] == 4
    assert metrics["reward/heldout_accuracy"] < 0.5


def test_losses_are_those_of_the_kept_weights_on_each_members_own_labels() -> None:
    clips, returns = world(30)
    said = labelled(returns, truth=0.9)
    ensemble, metrics = fit(SMALL, clips, said)
    margin = ensemble.segment_returns(clips)[:, 1::2] - ensemble.segment_returns(clips)[:, ::2]
    loss = -said.target * log_expit(margin) - (1 - said.target) * log_expit(-margin)
    held_out = np.arange(30) % 3 == np.arange(3)[:, None]
    right = (margin > 0) == (said.target > 0.5)
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
    said = labelled(returns)
    weight = np.where(np.arange(20) % 4 == 0, 0.0, 1.0)
    flipped = np.where(weight == 0, 1 - said.target, said.target)
    first, metrics = fit(SMALL, clips, replace(said, weight=weight))
    second, again = fit(SMALL, clips, replace(said, weight=weight, target=flipped))
    assert equal(first, second)
    assert metrics == again


def test_a_side_does_not_matter() -> None:
    clips, returns = world(20)
    said = labelled(returns)
    turned = Preferences(said.pair[:, ::-1], 1 - said.target, said.weight)
    first, second = fit(SMALL, clips, said)[0], fit(SMALL, clips, turned)[0]
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


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_a_few_labels_are_enough_to_fit(pairs: int) -> None:
    clips, returns = world(pairs)
    ensemble, metrics = fit(SMALL, clips, labelled(returns))
    assert np.isfinite(list(metrics.values())).all()
    assert all(np.isfinite(array).all() for array in ensemble.state.parameters.values())


def test_the_scales_of_the_ensemble_are_left_alone() -> None:
    clips, returns = world(10)
    ensemble = initial(SMALL, LINE, clips, np.random.default_rng(0))
    ensemble = replace(ensemble, state=replace(ensemble.state, mean=3.0, scale=2.0))
    fitted, _ = learn(ensemble, clips, labels(labelled(returns)))
    assert (fitted.state.mean, fitted.state.scale) == (3.0, 2.0)
    np.testing.assert_array_equal(fitted.state.input_mean, ensemble.state.input_mean)


GROUP = 4


def told(form: str, clips: Segments, returns: np.ndarray) -> tuple[Labels, dict[str, str]]:
    """What an oracle says of these clips in a form, and how the fit is to read it."""
    groups = np.arange(len(returns)).reshape(-1, GROUP)
    order = np.take_along_axis(groups, np.argsort(-returns[groups], axis=1), axis=1)
    clip = np.arange(len(returns))
    level = np.digitize(returns, np.quantile(returns, [0.25, 0.5, 0.75])).astype(np.float64)
    said = {
        "comparison": (labels(labelled(returns)), {}),
        "davidson": (labels(labelled(returns)), {"ties": "davidson"}),
        "ranking": (labels(ranked=rankings(order)), {}),
        "best_of": (labels(ranked=rankings(order, places=np.ones(len(order), int))), {}),
        "rating": (labels(rated=ratings(clip, returns)), {}),
        "level": (labels(rated=ratings(clip, level)), {"ratings": "ordinal"}),
    }
    return said[form]


@pytest.mark.parametrize(
    ("form", "clips", "least"),
    [
        ("comparison", 600, 0.9),
        ("davidson", 600, 0.9),
        ("ranking", 600, 0.9),
        ("best_of", 800, 0.9),
        ("rating", 300, 0.9),
        ("level", 300, 0.9),
    ],
)
def test_every_form_recovers_a_linear_reward(form: str, clips: int, least: float) -> None:
    shown, returns = wide_world(clips // 2)
    said, likelihoods = told(form, shown, returns)
    ensemble, metrics = learn(wide_ensemble(shown), shown, said, **likelihoods)
    assert accuracy(ensemble) > least
    assert metrics["reward/heldout_accuracy"] > least - 0.05
    # A rating has a scale of its own: the difference of two scores is no log-odds.
    assert ("reward/calibration_error" in metrics) == (form not in ("rating", "level"))
    assert 0 <= metrics.get("reward/calibration_error", 0.0) < 0.3


def test_forms_are_fitted_together() -> None:
    # A fifth of the labels of each form alone would not do.
    shown, returns = wide_world(300)
    comparisons, orders, marks = (
        told(form, shown, returns)[0] for form in ("comparison", "ranking", "rating")
    )
    compared = select(comparisons["comparison"], np.arange(60))
    assert isinstance(compared, Preferences)
    groups = rankings(ranked(orders).items[30:70])
    marked = ratings(np.arange(300, 360), rated(marks).value[300:360])
    together = labels(compared, groups, marked)
    ensemble, metrics = learn(wide_ensemble(shown), shown, together)
    assert accuracy(ensemble) > 0.88
    assert metrics["reward/heldout_accuracy"] > 0.8
    assert set(ensemble.state.heads) == {
        "rating.log_scale",
        "rating.offset",
        "rating.log_noise",
    }


def test_a_rating_of_a_moment_teaches_what_was_done_then() -> None:
    # Only the step before the rated one is paid for; the rest of the clip is noise.
    shown, _ = wide_world(400)
    rng = np.random.default_rng(1)
    step = rng.integers(1, STEPS, len(shown))
    paid = shown.observations[:, :-1] @ TRUTH
    value = paid[np.arange(len(shown)), step - 1]
    said = labels(rated=ratings(np.arange(len(shown)), value, step))
    right, _ = learn(wide_ensemble(shown), shown, said, delay_steps=(1, 1))
    wrong, _ = learn(wide_ensemble(shown), shown, said, delay_steps=(0, 0))
    assert accuracy(right) > 0.9
    assert accuracy(wrong) < 0.8


def changed(form: str, said: Labels, mine: np.ndarray) -> Labels:
    """The same labels with other contents in a fold, so mildly that no fit becomes worse."""
    if form == "ranking":
        # Fewer named places say less.
        places = np.where(mine, 1, ranked(said).places)
        return labels(ranked=replace(ranked(said), places=places))
    # Scales and levels are those of all ratings, so two values of the fold change places.
    value = rated(said).value.copy()
    spot = np.flatnonzero(mine)
    order = spot[np.argsort(value[spot])]
    middle = len(order) // 2
    value[order[middle]], value[order[middle - 1]] = value[order[middle - 1]], value[order[middle]]
    return labels(rated=replace(rated(said), value=value))


@pytest.mark.parametrize("form", ["ranking", "rating", "level"])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_form_is_trained_on_in_the_fold_of_the_member(form: str, fold: int) -> None:
    clips, returns = world(60)
    said, likelihoods = told(form, clips, returns)
    (made,) = said.values()
    count = len(made)
    mine = np.arange(count) % 3 == fold
    start = initial(SLOW, LINE, clips, np.random.default_rng(0))
    first, metrics = learn(start, clips, said, **likelihoods)
    second, other = learn(start, clips, changed(form, said, mine), **likelihoods)
    assert metrics["reward/fit_epochs"] == other["reward/fit_epochs"] == 3
    assert [equal(first, second, member) for member in range(3)] == [m == fold for m in range(3)]


def test_without_labels_nothing_changes_and_nothing_is_measured() -> None:
    clips, _ = world(3)
    ensemble = initial(SMALL, LINE, clips, np.random.default_rng(0))
    fitted, metrics = learn(ensemble, clips, labels())
    assert fitted is ensemble
    assert metrics == {}


OPTIONS: dict[str, dict[str, Any]] = {
    "smoothing": {"label_smoothing": 0.2},
    "crop": {"temporal_crop": 0.5},
    "pseudo": {"pseudo_labels": 2.0, "pseudo_confidence": 0.51},
    "robust": {"robust": True},
    "decays": {"weight_decay": (0.0, 0.1, 30.0)},
    "batch of 2": {"batch_size": 2},
    "everything": {
        "label_smoothing": 0.1, "temporal_crop": 0.6, "pseudo_labels": 1.0, "robust": True,
        "pseudo_confidence": 0.6, "weight_decay": (1e-4, 1.0),
    },
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_changes_the_fit_and_gives_it_again(options: dict[str, Any]) -> None:
    clips, returns = world(20, seed=3)
    unlabelled, _ = world(10, seed=4)
    plain = initial(SMALL, LINE, clips, np.random.default_rng(0))
    start = replace(plain, model=SMALL.model_copy(update=options))
    # All three forms at once, the groups of clips 4 i to 4 i + 3.
    said = labels(
        labelled(returns),
        ranked(told("ranking", clips, returns)[0]),
        rated(told("rating", clips, returns)[0]),
    )
    (first, metrics), (again, same) = (
        learn(start, clips, said, unlabelled=unlabelled) for _ in range(2)
    )
    assert equal(first, again)
    assert metrics == same
    assert np.isfinite(list(metrics.values())).all()
    assert ("reward/mistake_rate" in metrics) == start.model.robust
    assert not equal(first, learn(plain, clips, said, unlabelled=unlabelled)[0])
    shapes = {name: array.shape for name, array in first.state.parameters.items()}
    assert shapes == {name: array.shape for name, array in plain.state.parameters.items()}


def test_each_member_keeps_the_weight_decay_that_its_held_out_labels_like() -> None:
    # Decay of 200 x 3e-3 a step leaves no weight; none at all leaves what is right.
    clips, returns = world(60)
    none, both, heavy = (
        fit(SMALL.model_copy(update={"weight_decay": w, "epochs": 10}), clips, labelled(returns))
        for w in ((0.0,), (200.0, 0.0), (200.0,))
    )
    # The last bias moves all rewards alike, so its gradient is rounding and nothing else.
    margins = [np.diff(e.segment_returns(clips), axis=1) for e, _ in (both, none)]
    np.testing.assert_allclose(*margins, atol=1e-4)
    assert both[1]["reward/heldout_loss"] == pytest.approx(none[1]["reward/heldout_loss"], abs=1e-5)
    assert both[1]["reward/heldout_loss"] < heavy[1]["reward/heldout_loss"] - 0.1


def test_on_noise_the_heavier_decay_is_kept() -> None:
    clips, _ = world(60)
    rng = np.random.default_rng(0)
    noise = Preferences(
        np.arange(120).reshape(-1, 2), rng.integers(2, size=60).astype(np.float64), np.ones(60)
    )
    model = SMALL.model_copy(update={"epochs": 30, "patience": 30, "hidden": (32,)})
    losses = {
        w: fit(model.model_copy(update={"weight_decay": w}), clips, noise)[1]["reward/heldout_loss"]
        for w in ((0.0,), (300.0,), (0.0, 300.0))
    }
    assert losses[0.0, 300.0] <= min(losses[0.0,], losses[300.0,]) + 1e-6


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_a_robust_fit_finds_out_how_many_answers_are_wrong(share: float) -> None:
    clips, returns = wide_world(1500)
    said = labelled(returns)
    wrong = np.random.default_rng(2).random(len(said)) < share
    said = replace(said, target=np.where(wrong, 1 - said.target, said.target))
    start = wide_ensemble(clips, robust=True, epochs=40, hidden=())
    robust, metrics = learn(start, clips, labels(said))
    assert metrics["reward/mistake_rate"] == pytest.approx(share, abs=0.06)
    assert accuracy(robust) > 0.9


def test_smoothing_keeps_margins_small() -> None:
    clips, returns = world(60)
    model = SMALL.model_copy(update={"epochs": 60, "patience": 60, "learning_rate": 1e-2})
    margins = {}
    for smoothing in (0.0, 0.4):
        changes = {"label_smoothing": smoothing}
        ensemble, _ = fit(model.model_copy(update=changes), clips, labelled(returns))
        scores = ensemble.segment_returns(clips)
        margins[smoothing] = float(np.abs(scores[:, 1::2] - scores[:, ::2]).mean())
    # A target of 0.8 is met by a margin of log 4, and by none beyond it.
    assert margins[0.4] < 2 * np.log(4) < margins[0.0]


@pytest.mark.parametrize("kind", [{"temporal_crop": 0.8}, {"pseudo_labels": 1.0}])
def test_what_surf_adds_does_not_hurt_an_easy_fit(kind: dict[str, float]) -> None:
    clips, returns = wide_world(300)
    unlabelled, _ = wide_world(100, seed=7)
    ensemble, _ = learn(
        wide_ensemble(clips, **kind), clips, labels(labelled(returns)), unlabelled=unlabelled
    )
    assert accuracy(ensemble) > 0.88


def test_heads_go_on_from_where_the_last_fit_left_them() -> None:
    clips, returns = world(20)
    said, likelihoods = told("level", clips, returns)
    start = initial(SMALL, LINE, clips, np.random.default_rng(0))
    first, _ = learn(start, clips, said, **likelihoods)
    frozen = replace(first, model=SMALL.model_copy(update={"learning_rate": 1e-12}))
    second, _ = learn(frozen, clips, said, **likelihoods)
    assert first.state.heads["rating.cut_gaps"].shape == (3, 2)
    for name, array in first.state.heads.items():
        np.testing.assert_allclose(second.state.heads[name], array, atol=1e-6)
    # Another number of levels needs other thresholds.
    two, _ = learn(first, clips, labels(rated=ratings([0, 1, 2], [0, 1, 1])), **likelihoods)
    assert two.state.heads["rating.cut_gaps"].shape == (3, 0)


def test_pairs_in_the_right_order_are_counted() -> None:
    clips = segments([[float(i)] for i in range(6)])
    model = RewardModel(hidden=(), members=1, inputs=("observation",))
    ensemble = initial(model, LINE, clips, np.random.default_rng(0))
    ones = {"weight_0": np.ones((1, 1, 1), np.float32), "bias_0": np.zeros((1, 1, 1), np.float32)}
    ensemble = replace(ensemble, state=replace(ensemble.state, parameters=ones))
    # The reward is the number that is shown: of two clips the later one is better.
    pairs = Preferences(
        np.array([[0, 1], [1, 0], [2, 3], [4, 5]]), np.array([1, 1, 0.5, 0.0]), np.ones(4)
    )
    groups = rankings([[5, 4, 0], [1, 3, 2]])
    marked = ratings([0, 1, 2], [1, 3, 2])

    def count(made: Labels) -> tuple[float, float]:
        return ordered_correctly(ensemble, clips, terms(made, clips))

    assert count(labels(pairs)) == (1, 3)
    # A ranking counts once, by its orders: three of three and one of three.
    assert count(labels(ranked=groups)) == pytest.approx((4 / 3, 2))
    # Clip 1 is above 2, wrongly, and above 0; clip 2 is above 0: half a trial for each of the two.
    assert count(labels(rated=marked)) == (0.75, 1)
    assert count(labels(pairs, groups, marked)) == pytest.approx((1 + 4 / 3 + 0.75, 3 + 2 + 1))
    assert count(labels()) == (0, 0)
    # What weighs nothing is not counted.
    assert count({"ranking": RankingLabels(groups, np.array([1.0, 0.0]))}) == (1, 1)


def test_calibration_error_on_paper() -> None:
    import torch

    from rlhf_core.rewards.accuracy import calibration_error

    # Of four orders with confidence 0.9 three are right: |0.75 - 0.9|; two more with 0.5, one
    # right: no gap. Weighted 4 to 2.
    right = torch.tensor([1.0, 1, 1, 0, 1, 0])
    sure = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
    assert calibration_error(right, sure, torch.ones(6)) == pytest.approx(4 * 0.15 / 6)
    assert calibration_error(right, sure, torch.tensor([1.0] * 4 + [0, 0])) == pytest.approx(0.15)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_smallest_minibatches_hold_every_form(batch_size: int) -> None:
    # Two forms and batches of one, three and batches of two: more batches than a form has labels.
    clips, returns = world(4)
    model = SMALL.model_copy(update={"batch_size": batch_size})
    said = labels(
        labelled(returns),
        rankings([[0, 1], [2, 3], [4, 5], [6, 7]]),
        ratings([0, 1, 2, 3], [1, 2, 3, 4]),
    )
    _, metrics = learn(initial(model, LINE, clips, np.random.default_rng(0)), clips, said)
    assert np.isfinite(list(metrics.values())).all()


def test_judgements_of_one_question_are_in_one_fold() -> None:
    # Three workers rank each of twenty groups. A member whose fold has a group's first judgement
    # must not train on the others of it either, or what is held out has been seen.
    clips, returns = world(40)
    groups = np.arange(80).reshape(-1, GROUP)
    order = np.take_along_axis(groups, np.argsort(-returns[groups], axis=1), axis=1)
    thrice = rankings(np.repeat(order, 3, axis=0), worker=np.tile([0, 1, 2], 20))
    start = initial(SLOW, LINE, clips, np.random.default_rng(0))
    first, _ = learn(start, clips, labels(ranked=thrice))
    # The first group is said to be the other way round, by all three, mildly.
    places = np.where(np.arange(60) < 3, 1, thrice.places)
    second, _ = learn(start, clips, labels(ranked=replace(thrice, places=places)))
    assert [equal(first, second, member) for member in range(3)].count(True) == 1
