"""Reward networks side by side, with a gradient of their own that costs less than autograd's.

    h_0 = x;   z_l = h_(l-1) W_l + b_l;   h_l = z_l sigmoid(z_l);   r = h_L W_(L+1) + b_(L+1)

All parameters of a member lie in one row, so that an optimiser steps through one array.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Layout:
    """Where the parameters of a network lie in its row of a matrix (M, P)."""

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Takes names and shapes (M, ...) from parameters."""
        self.shapes = {name: array.shape[1:] for name, array in parameters.items()}
        ends = list(accumulate((prod(shape) for shape in self.shapes.values()), initial=0))
        self.places = dict(zip(self.shapes, pairwise(ends), strict=True))

    def pack(self, parameters: Mapping[str, np.ndarray]) -> Float[Tensor, "M P"]:
        """Parameters (M, ...) as one row a member."""
        rows = [np.asarray(parameters[n]).reshape(len(parameters[n]), -1) for n in self.shapes]
        return torch.from_numpy(np.concatenate(rows, axis=1))

    def unpack(self, rows: Float[Tensor, "M P"]) -> dict[str, Tensor]:
        """Views (M, ...) of the parameters."""
        return {
            name: rows[:, start:stop].reshape(len(rows), *self.shapes[name])
            for name, (start, stop) in self.places.items()
        }

    def layers(self, rows: Float[np.ndarray, "M P"]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views of weights (M, in, out) and biases (M, 1, out), layer by layer."""
        pairs = []
        for layer in range(len(self.shapes) // 2):
            pair = []
            for name in (f"weight_{layer}", f"bias_{layer}"):
                start, stop = self.places[name]
                view = rows[:, start:stop]
                pair.append(view.reshape(len(rows), *self.shapes[name]))
            pairs.append((pair[0], pair[1]))
        return pairs


class Buffers:
    """Arrays of past passes that are used again: large fresh ones cost as much as filling them."""

    def __init__(self) -> None:
        self._free: list[list[np.ndarray]] = []

    def take(self, members: int, widths: Sequence[int], rows: int) -> list[np.ndarray]:
        """Two arrays (M, rows, width) for each hidden layer, with anything in them."""
        for index, arrays in enumerate(self._free):
            if all(array.shape[1] >= rows for array in arrays):
                del self._free[index]
                return arrays
        return [np.empty((members, rows, w), dtype=np.float32) for w in widths for _ in range(2)]

    def give(self, arrays: list[np.ndarray]) -> None:
        """No longer needed."""
        self._free.append(arrays)


def perceptrons(
    rows: Float[Tensor, "M P"], features: Float[Tensor, "B F"], layout: Layout, buffers: Buffers
) -> Float[Tensor, "M B"]:
    """Rewards of steps under M networks, which a gradient by `rows` can be taken of once."""
    rewards: Tensor = _Perceptrons.apply(rows, features, layout, buffers)  # type: ignore[no-untyped-call]
    return rewards


class _Perceptrons(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, features: Tensor, layout: Layout, buffers: Buffers
    ) -> Tensor:
        """Keeps z and h of each layer if a gradient will be asked for."""
        layers = layout.layers(rows.detach().numpy())
        widths = [weights.shape[2] for weights, _ in layers[:-1]]
        arrays = buffers.take(len(rows), widths, len(features))
        hidden = features.numpy()
        for layer, (weights, bias) in enumerate(layers[:-1]):
            before = arrays[2 * layer][:, : len(features)]
            after = arrays[2 * layer + 1][:, : len(features)]
            np.matmul(hidden, weights, out=before)
            summed = torch.from_numpy(before).add_(torch.from_numpy(bias))
            torch.ops.aten.silu.out(summed, out=torch.from_numpy(after))
            hidden = after
        weights, bias = layers[-1]
        rewards = np.matmul(hidden, weights)
        rewards += bias
        if ctx.needs_input_grad[0]:
            ctx.rows, ctx.features, ctx.layout = rows, features, layout
            ctx.buffers, ctx.arrays = buffers, arrays
        else:
            buffers.give(arrays)
        return torch.from_numpy(rewards[:, :, 0])

    @staticmethod
    def backward(ctx: Any, output_gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient by all parameters; the features have none."""
        features, arrays = ctx.features.numpy(), ctx.arrays
        layers = ctx.layout.layers(ctx.rows.detach().numpy())
        gradient = np.empty(ctx.rows.shape, dtype=np.float32)
        gradients = ctx.layout.layers(gradient)
        after = output_gradient.numpy()[:, :, None]
        for layer in reversed(range(len(layers))):
            weights, bias = gradients[layer]
            inside = arrays[2 * layer - 1][:, : len(features)] if layer else features[None]
            np.matmul(inside.transpose(0, 2, 1), after, out=weights)
            torch.sum(torch.from_numpy(after), 1, keepdim=True, out=torch.from_numpy(bias))
            if layer:
                # The array of h, no longer needed, takes the gradient.
                into, back = torch.from_numpy(inside), layers[layer][0].transpose(0, 2, 1)
                if back.shape[1] == 1:
                    torch.mul(torch.from_numpy(after), torch.from_numpy(back), out=into)
                else:
                    np.matmul(after, back, out=inside)
                before = torch.from_numpy(arrays[2 * layer - 2][:, : len(features)])
                torch.ops.aten.silu_backward.grad_input(into, before, grad_input=into)
                after = inside
        ctx.buffers.give(arrays)
        return torch.from_numpy(gradient), None, None, None
