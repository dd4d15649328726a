"""The reward networks' own gradient."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from rlhf_core.rewards.network import forward
from rlhf_core.rewards.perceptrons import Buffers, Layout, perceptrons


def parameters(widths: list[int], members: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        for name, shape in (("weight", (fan_in, fan_out)), ("bias", (1, fan_out))):
            drawn = rng.normal(size=(members, *shape)) / np.sqrt(fan_in)
            found[f"{name}_{layer}"] = drawn.astype(np.float32)
    return found


@pytest.mark.parametrize("widths", [[4, 1], [4, 8, 1], [4, 16, 8, 1], [1, 3, 3, 3, 1]])
def test_rewards_and_gradients_are_those_of_autograd(widths: list[int]) -> None:
    plain = parameters(widths)
    layout, buffers = Layout(plain), Buffers()
    rows = layout.pack(plain).requires_grad_()
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in plain.items()}
    draws = torch.Generator().manual_seed(0)
    # The second batch is smaller: it uses the memory of the first again.
    for count in (50, 20):
        features = torch.randn(count, widths[0], generator=draws)
        slope = torch.randn(3, count, generator=draws)
        mine, theirs = perceptrons(rows, features, layout, buffers), forward(tensors, features)
        torch.testing.assert_close(mine, theirs)
        (mine * slope).sum().backward()
        (theirs * slope).sum().backward()
    assert rows.grad is not None
    for name, gradient in layout.unpack(rows.grad).items():
        torch.testing.assert_close(gradient, tensors[name].grad, atol=1e-5, rtol=1e-5)


def test_two_passes_before_a_gradient_do_not_disturb_each_other() -> None:
    plain = parameters([2, 8, 1])
    layout, buffers = Layout(plain), Buffers()
    rows, features = layout.pack(plain).requires_grad_(), torch.randn(2, 30, 2)

    def gradient(*passes: int) -> torch.Tensor:
        rows.grad = None
        scores = [perceptrons(rows, features[i], layout, buffers) for i in passes]
        torch.stack(scores).square().sum().backward()
        assert rows.grad is not None
        return rows.grad

    torch.testing.assert_close(gradient(0, 1), gradient(0) + gradient(1))
