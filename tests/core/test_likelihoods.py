"""The likelihoods against numbers on paper, against SciPy and against each other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from scipy.stats import norm

from rlhf_core.rewards.likelihoods import (
    ascending,
    bradley_terry,
    contaminated,
    davidson,
    gaussian,
    ordinal,
    plackett_luce,
    shared_places,
)

LOG_2, LOG_3 = math.log(2), math.log(3)


def column(*values: float) -> torch.Tensor:
    """One number a member (M, 1)."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


def scored(*values: float) -> torch.Tensor:
    """Scores of one member and one group (1, 1, K)."""
    return torch.tensor([[values]], dtype=torch.float64)


def beats(scores: torch.Tensor, places: int, present: int | None = None) -> torch.Tensor:
    """All after a known place are beaten (N, K, K); segments from `present` on are missing."""
    size = scores.shape[2]
    place = torch.arange(size)
    stated = (place[:, None] < place) & (place[:, None] < places) & (place < (present or size))
    return stated.expand(scores.shape[1], size, size)


@pytest.mark.parametrize(
    ("left", "right", "target", "loss"),
    [
        (0.0, 0.0, 1.0, math.log(2)),
        (0.0, 0.0, 0.5, math.log(2)),
        (1.0, 1.0 + math.log(3), 1.0, math.log(4 / 3)),  # P(right) = 3/4
        (1.0, 1.0 + math.log(3), 0.0, math.log(4)),
        (1.0, 1.0 + math.log(3), 0.5, math.log(16 / 3) / 2),
        (0.0, 1000.0, 0.0, 1000.0),  # no overflow
        (0.0, 1000.0, 1.0, 0.0),
    ],
)
def test_loss_on_paper(left: float, right: float, target: float, loss: float) -> None:
    found = bradley_terry(torch.tensor([[left]]), torch.tensor([[right]]), torch.tensor([target]))
    assert found.item() == pytest.approx(loss, rel=1e-5, abs=1e-6)


@given(st.integers(0, 1000))
def test_loss_and_gradient_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.normal(0, 5, (2, 3, 4))
    target = rng.random(4)
    there = torch.tensor(right, requires_grad=True)
    loss = bradley_terry(torch.tensor(left), there, torch.tensor(target))
    loss.sum().backward()
    margin = right - left
    expected = -target * log_expit(margin) - (1 - target) * log_expit(-margin)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(there.grad, expit(margin) - target, atol=1e-12)  # type: ignore[arg-type]


def test_turning_a_pair_round_changes_nothing() -> None:
    left, right, target = torch.randn(2, 5), torch.randn(2, 5), torch.rand(5)
    torch.testing.assert_close(
        bradley_terry(left, right, target), bradley_terry(right, left, 1 - target)
    )


def test_without_ties_davidson_is_bradley_terry_on_strict_outcomes() -> None:
    rng = np.random.default_rng(0)
    left, right = torch.tensor(rng.normal(0, 3, (2, 3, 50)))
    target = torch.tensor(rng.integers(2, size=50).astype(np.float64))
    torch.testing.assert_close(
        davidson(left, right, target, column(-60, -60, -60)), bradley_terry(left, right, target)
    )


@pytest.mark.parametrize("log_tie", [-2.0, 0.0, 3.0])
def test_the_three_outcomes_of_davidson_sum_to_1(log_tie: float) -> None:
    rng = np.random.default_rng(1)
    left, right = torch.tensor(rng.normal(0, 3, (2, 2, 40)))
    outcomes = [torch.full((40,), t, dtype=torch.float64) for t in (0.0, 0.5, 1.0)]
    said = [(-davidson(left, right, t, column(log_tie, log_tie / 2))).exp() for t in outcomes]
    torch.testing.assert_close(sum(said), torch.ones_like(left))


@pytest.mark.parametrize(
    ("target", "share"),
    # exp(R) is 1 and 4, nu is 1: weights 1, 4 and sqrt(1 x 4) = 2, of 7.
    [(0.0, 1 / 7), (1.0, 4 / 7), (0.5, 2 / 7)],
)
def test_davidson_on_paper(target: float, share: float) -> None:
    loss = davidson(
        column(0.0), column(2 * LOG_2), torch.tensor([target], dtype=torch.float64), column(0.0)
    )
    assert loss.item() == pytest.approx(-math.log(share))


def test_davidson_does_not_overflow() -> None:
    loss = davidson(column(0.0), column(1000.0), torch.tensor([0.0]), column(0.0))
    assert loss.item() == pytest.approx(1000)


def test_a_ranking_of_two_is_a_comparison() -> None:
    better, worse = torch.tensor(np.random.default_rng(0).normal(0, 5, (2, 3, 20)))
    ranked = torch.stack([better, worse], dim=2)
    torch.testing.assert_close(
        plackett_luce(ranked, beats(ranked, 1)),
        bradley_terry(worse, better, torch.ones(20, dtype=torch.float64)),
    )


# exp(R) is 1, 2 and 3, given in that order though the last is the best.
THREE = (0.0, LOG_2, LOG_3)


@pytest.mark.parametrize(
    ("places", "share"),
    [(1, 1 / 6), (2, 1 / 6 * 2 / 5)],
)
def test_rankings_of_three_on_paper(places: int, share: float) -> None:
    scores = scored(*THREE)
    loss = plackett_luce(scores, beats(scores, places))
    assert loss.item() == pytest.approx(-math.log(share))


@pytest.mark.parametrize("places", [1, 2, 3])
def test_the_chances_of_all_rankings_sum_to_1(places: int) -> None:
    from itertools import permutations

    values = (0.3, -1.0, 2.0, 0.5)
    seen: dict[tuple[int, ...], float] = {}
    for order in permutations(range(4)):
        scores = scored(*(values[i] for i in order))
        loss = plackett_luce(scores, beats(scores, places))
        seen[order[:places]] = math.exp(-loss.item())  # the same, however the rest is arranged
    assert sum(seen.values()) == pytest.approx(1)


def test_who_is_missing_from_a_group_counts_for_nothing() -> None:
    scores = torch.tensor([[[*THREE, 1e6, -1e6]]], dtype=torch.float64, requires_grad=True)
    loss = plackett_luce(scores, beats(scores, 2, present=3))
    assert loss.item() == pytest.approx(-math.log(1 / 6 * 2 / 5))
    loss.sum().backward()
    gradient = scores.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient[0, 0, 3:].tolist() == [0, 0]
    # The gradient of -log P is the sum of softmaxes less 1 for each named place.
    expected = [1 / 6 - 1, 1 / 3 + 2 / 5 - 1, 1 / 2 + 3 / 5]
    np.testing.assert_allclose(gradient[0, 0, :3].numpy(), expected)


def test_a_group_of_two_padded_is_a_comparison() -> None:
    padded = scored(LOG_3, 0.0, 5.0)
    loss = plackett_luce(padded, beats(padded, 1, present=2))
    assert loss.item() == pytest.approx(-math.log(3 / 4))


def test_two_that_share_the_first_place_are_each_chosen_from_what_is_worse() -> None:
    # exp(R) is 1, 2 and 3: clips 0 and 1 tie and beat clip 2. 1 / (1 + 3) and 2 / (2 + 3).
    tied = torch.tensor([[[0, 0, 1], [0, 0, 1], [0, 0, 0]]], dtype=torch.bool)
    assert plackett_luce(scored(*THREE), tied).item() == pytest.approx(-math.log(1 / 4 * 2 / 5))


def test_segments_on_one_place_count_as_one_label_less_than_they_are() -> None:
    # Equal scores: each of three pairs costs log 2, of which two labels' worth is kept.
    alike = torch.triu(torch.ones(1, 3, 3), 1).bool()
    assert shared_places(scored(1, 1, 1), alike).item() == pytest.approx(2 * LOG_2)
    # Apart by log 3 and level: (log 4/3 + log 4) / 2 for two pairs, log 2 for one, times 2/3.
    apart = (math.log(4 / 3) + math.log(4)) / 2
    found = shared_places(scored(0, 0, LOG_3), alike).item()
    assert found == pytest.approx(2 / 3 * (2 * apart + LOG_2))


def test_two_on_one_place_are_a_comparison_that_ties() -> None:
    scores = torch.tensor(np.random.default_rng(0).normal(0, 3, (3, 20, 2)))
    alike = torch.tensor([[False, True], [False, False]]).expand(20, 2, 2)
    left, right = scores.unbind(2)
    tie = torch.full((20,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(shared_places(scores, alike), bradley_terry(left, right, tie))


def test_a_ranking_that_states_nothing_is_certain() -> None:
    assert plackett_luce(scored(*THREE), torch.zeros(1, 3, 3, dtype=torch.bool)).item() == 0


def test_a_gaussian_rating_is_that_of_scipy_up_to_a_constant() -> None:
    rng = np.random.default_rng(0)
    score, value = rng.normal(size=(2, 30)), rng.normal(size=30)
    loss = gaussian(
        torch.tensor(score), torch.tensor(value), column(LOG_2, 0.0), column(0.5, -1.0),
        column(0.3, -0.7),
    ).numpy()  # fmt: skip
    for member, (scale, offset, noise) in enumerate([(2, 0.5, 0.3), (1, -1, -0.7)]):
        exact = -norm.logpdf(value, scale * score[member] + offset, np.exp(noise))
        np.testing.assert_allclose(loss[member] + np.log(2 * np.pi) / 2, exact)


def test_noise_at_its_floor_can_grow_again() -> None:
    # Ratings that no line fits: whatever the noise was, a fit must be able to raise it.
    noise = column(-3.0).requires_grad_()
    score, value = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([3.0, -3.0]).double()
    gaussian(score, value, column(0.0), column(0.0), noise).sum().backward()
    assert noise.grad is not None
    assert noise.grad.item() < 0


def test_the_levels_of_a_rating_sum_to_1() -> None:
    score = torch.tensor(np.random.default_rng(0).normal(0, 4, (2, 60)))
    cuts = torch.tensor([[-1.0, 0.5, 0.6], [-3.0, 0.0, 8.0]], dtype=torch.float64)
    said = [(-ordinal(score, torch.full((60,), level), cuts)).exp() for level in range(4)]
    torch.testing.assert_close(sum(said), torch.ones_like(score))


def test_two_levels_are_a_logistic() -> None:
    score = np.random.default_rng(0).normal(0, 4, (1, 60))
    level = np.arange(60) % 2
    expected = np.where(level == 1, -log_expit(score - 0.7), -log_expit(0.7 - score))
    found = ordinal(torch.tensor(score), torch.tensor(level), column(0.7))
    np.testing.assert_allclose(found, expected)


def test_a_middle_level_on_paper_and_far_away() -> None:
    # P(level 1) = sigmoid(log 3) - sigmoid(-log 3) = 3/4 - 1/4.
    cuts = torch.tensor([[-LOG_3, LOG_3]], dtype=torch.float64)
    assert ordinal(column(0.0), torch.tensor([1]), cuts).item() == pytest.approx(LOG_2)
    # From 1000 below: exp(-(1000 + log 3)) (e^(2 log 3) - 1) ~ 1000 - log 3 - log(1 - 1/9).
    far = ordinal(column(1000.0), torch.tensor([1]), cuts).item()
    assert far == pytest.approx(1000 - LOG_3 - math.log(8 / 9))


@pytest.mark.parametrize(
    ("right", "wrong", "mistake", "share"),
    [(0.9, 0.1, 0.25, 0.75 * 0.9 + 0.25 * 0.1), (0.2, 0.8, 0.1, 0.9 * 0.2 + 0.1 * 0.8)],
)
def test_a_share_of_mistakes_mixes_two_probabilities(
    right: float, wrong: float, mistake: float, share: float
) -> None:
    loss = contaminated(
        column(-math.log(right)), column(-math.log(wrong)), torch.tensor([[mistake]])
    )
    assert loss.item() == pytest.approx(-math.log(share))


def test_an_answer_that_is_surely_wrong_pulls_no_more() -> None:
    right = torch.tensor([[1.0, 20.0]], requires_grad=True)
    margin = torch.zeros(1, 2)
    loss = contaminated(
        bradley_terry(margin, right, torch.zeros(2)), bradley_terry(margin, right, torch.ones(2)),
        torch.tensor([[0.1]]),
    )  # fmt: skip
    loss.sum().backward()
    assert right.grad is not None
    assert right.grad[0, 0] > 0.1
    assert right.grad[0, 1] < 1e-6
    assert loss[0, 1].item() == pytest.approx(math.log(10), rel=1e-3)


def test_thresholds_ascend_from_any_numbers() -> None:
    cuts = ascending(column(-2.0), torch.tensor([[0.0, -50.0, 3.0]], dtype=torch.float64))
    expected = np.cumsum([-2, LOG_2, np.log1p(np.exp(-50)), np.log1p(np.exp(3.0))])
    np.testing.assert_allclose(cuts[0], expected)
    assert ascending(column(1.5), torch.zeros(1, 0, dtype=torch.float64)).tolist() == [[1.5]]
