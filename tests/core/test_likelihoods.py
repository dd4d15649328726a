"""The Bradley-Terry loss against numbers on paper and against SciPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_expit

from rlhf_core.rewards.likelihoods import bradley_terry


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
