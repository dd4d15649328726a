"""Losses and advantages of language models, beside numbers that were computed by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rlhf_core.language.dpo import dpo_loss  # noqa: E402
from rlhf_core.language.grpo import group_advantages, grpo_loss  # noqa: E402
from rlhf_core.language.rloo import leave_one_out, reinforce_loss  # noqa: E402

LOG2 = math.log(2)


def tensor(numbers: object) -> "torch.Tensor":
    return torch.tensor(numbers, dtype=torch.float64)


def test_advantages_of_a_group_are_its_standardised_returns() -> None:
    advantages = group_advantages(tensor([[1.0, 3.0], [5.0, 5.0]]))
    std = math.sqrt(2)  # of 1 and 3, with one degree of freedom
    expected = [[-1 / (std + 1e-4), 1 / (std + 1e-4)], [0, 0]]
    np.testing.assert_allclose(advantages, expected)


def test_grpo_clips_the_ratio_and_penalises_the_divergence_from_the_start_policy() -> None:
    # One text of two tokens, one of one token; the last place is padding.
    old = tensor([[-1.0, -1.0], [-1.0, 0.0]])
    now = tensor([[-1.0 + LOG2, -1.0 - LOG2], [-1.0, 0.0]])  # ratios 2, 1/2 and 1
    start = tensor([[-1.0 + LOG2, -1.0], [-1.0 - LOG2, 0.0]])  # log q: 0, log 2, -log 2
    chosen = tensor([[1.0, 1.0], [1.0, 0.0]])
    advantages = tensor([1.0, -2.0])
    first = ((1.2 - 0.0) + (0.5 - 0.1 * (2 - LOG2 - 1))) / 2
    second = -2.0 - 0.1 * (0.5 + LOG2 - 1)
    loss = grpo_loss(now, old, start, advantages, chosen, 0.2, 0.1)
    assert float(loss) == pytest.approx(-(first + second) / 2)


def test_the_baseline_of_a_text_is_the_mean_of_the_others() -> None:
    returns, ratios = tensor([[1.0, 2.0, 6.0]]), tensor([[0.0, 1.0, -1.0]])
    # Penalised: 1, 1.5, 6.5.
    expected = [[1 - 4.0, 1.5 - 3.75, 6.5 - 1.25]]
    np.testing.assert_allclose(leave_one_out(returns, ratios, 0.5), expected)


def test_the_gradient_of_rloo_is_that_of_reinforce() -> None:
    log_probs = tensor([[-1.0, -2.0], [-3.0, 0.0]]).requires_grad_()
    loss = reinforce_loss(log_probs, log_probs.detach(), tensor([2.0, -1.0]))
    assert float(loss.detach()) == pytest.approx(-(2.0 - 1.0) / 2)
    loss.backward()
    np.testing.assert_allclose(log_probs.grad, [[-1, -1], [0.5, 0.5]])


def test_dpo_is_logistic_regression_on_implicit_rewards() -> None:
    left, right = tensor([1.0, 0.0]), tensor([3.0, 2.0])
    target, weight = tensor([1.0, 0.25]), tensor([1.0, 2.0])
    # Margins 0.5 (3 - 1) = 1 and 0.5 (2 - 0) = 1.
    likely, unlikely = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    expected = (likely + 2 * (0.25 * likely + 0.75 * unlikely)) / 2
    assert float(dpo_loss(left, right, target, weight, 0.5)) == pytest.approx(expected)
