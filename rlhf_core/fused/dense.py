"""Several dense networks of the same widths side by side, with gradients by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor

ALIGNMENT = 16
"""Entries to which each array in a flat vector is aligned."""

WIDE = 128
"""Width of hidden layers from which leaving out products saves more than gathering rows costs."""


@dataclass(frozen=True)
class Networks:
    """Weights and biases of N networks, layer by layer, as views of one flat vector."""

    weights: tuple[Float[Tensor, "N _ _"], ...]
    """(N, to, from) for each layer."""
    biases: tuple[Float[Tensor, "N 1 _"], ...]
    transposed: tuple[Float[Tensor, "N _ _"], ...]
    """The weights as (N, from, to)."""

    @classmethod
    def of(cls, flat: Float[Tensor, " size"], widths: tuple[int, ...], count: int) -> "Networks":
        """Return views of a vector of `flat_size` entries."""
        start = 0
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for before, after in pairwise(widths):
            for shape, views in (((count, after, before), weights), ((count, 1, after), biases)):
                size = shape[0] * shape[1] * shape[2]
                views.append(flat[start : start + size].view(shape))
                start += _aligned(size)
        return cls(tuple(weights), tuple(biases), tuple(w.transpose(1, 2) for w in weights))

    def first(self) -> "Networks":
        """Return the first network alone."""
        return Networks(
            tuple(w[:1] for w in self.weights),
            tuple(b[:1] for b in self.biases),
            tuple(t[:1] for t in self.transposed),
        )


def flat_size(widths: tuple[int, ...], count: int) -> int:
    """Return the number of entries of the flat vector; those between two arrays stay 0."""
    return sum(
        _aligned(count * after * before) + _aligned(count * after)
        for before, after in pairwise(widths)
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class Pass:
    """Forward and backward passes of N networks over a batch, in preallocated arrays.

    The outputs are linear; hidden layers have the same activation, `relu` or `tanh`.
    """

    def __init__(self, hidden: Sequence[Tensor], outputs: Tensor, activation: str) -> None:
        """Use these arrays of hidden values and outputs; `of` makes them."""
        self.hidden, self.outputs = list(hidden), outputs
        self._relu = activation == "relu"
        self.output_gradient = torch.empty_like(outputs)
        """Gradient of a loss by the outputs, which the caller writes before `backward`."""
        self._gradients = [*map(torch.empty_like, self.hidden), self.output_gradient]
        # Views are made once: on small arrays making one takes as long as the arithmetic.
        self._transposed = [gradient.transpose(1, 2) for gradient in self._gradients]

    @classmethod
    def of(cls, widths: tuple[int, ...], count: int, batch: int, activation: str) -> "Pass":
        """Return a pass of `count` networks over a batch."""
        *hidden, outputs = (torch.empty(count, batch, width) for width in widths[1:])
        return cls(hidden, outputs, activation)

    def part(self, count: int, batch: int) -> "Pass":
        """Return the pass of the first networks over the first rows, with the same outputs."""
        hidden = [array[:count, :batch] for array in self.hidden]
        return Pass(hidden, self.outputs[:count, :batch], "relu" if self._relu else "tanh")

    def forward(
        self, networks: Networks, inputs: Float[Tensor, "N B from"]
    ) -> Float[Tensor, "N B to"]:
        """Return the outputs; the next call overwrites them."""
        biases, weights = networks.biases, networks.transposed
        for layer, after in enumerate(self.hidden):
            torch.baddbmm(biases[layer], inputs, weights[layer], out=after)
            if self._relu:
                after.relu_()
            else:
                after.tanh_()
            inputs = after
        return torch.baddbmm(biases[-1], inputs, weights[-1], out=self.outputs)

    def backward(
        self, networks: Networks, gradient: Networks, inputs: Float[Tensor, "N B from"]
    ) -> None:
        """Write the gradient of a loss by all parameters.

        Args:
            networks: the parameters.
            gradient: receives the gradient.
            inputs: inputs of the forward pass before.
        """
        for layer in reversed(range(len(networks.weights))):
            if layer:
                before = self.hidden[layer - 1]
                torch.bmm(self._transposed[layer], before, out=gradient.weights[layer])
            else:
                # Twice as fast this way round: inputs are few, and their number is rarely even.
                first = torch.bmm(inputs.transpose(1, 2), self._gradients[0])
                gradient.weights[0].copy_(first.transpose(1, 2))
            torch.sum(self._gradients[layer], dim=1, keepdim=True, out=gradient.biases[layer])
            if layer:
                self._through(networks, layer)

    def input_gradient(self, networks: Networks, column: int) -> Float[Tensor, "N B columns"]:
        """Return the gradient of a loss by the inputs from this column on."""
        for layer in reversed(range(1, len(networks.weights))):
            self._through(networks, layer)
        return torch.bmm(self._gradients[0], networks.weights[0][:, :, column:])

    def chosen_input_gradient(
        self, networks: Networks, chosen: Int64[Tensor, " B"], by_output: float, column: int
    ) -> Float[Tensor, "B columns"]:
        """Return the gradient of a loss that depends, for each row, on one network's only output.

        Args:
            networks: the parameters.
            chosen: the network of each row.
            by_output: derivative of the loss by each of these outputs.
            column: the first input whose gradient is wanted.
        """
        if max(hidden.shape[2] for hidden in self.hidden) < WIDE:
            every = torch.arange(len(self.outputs))[:, None]
            torch.mul(chosen == every, by_output, out=self.output_gradient[:, :, 0])
            return self.input_gradient(networks, column).sum(dim=0)
        gradient = torch.empty(len(chosen), networks.weights[0].shape[2] - column)
        for network in range(len(self.outputs)):
            # Each row goes back through its own network alone.
            rows = torch.nonzero(chosen == network)[:, 0]
            after = networks.weights[-1][network].mul(by_output).expand(len(rows), -1)
            for layer in reversed(range(len(self.hidden))):
                hidden = self.hidden[layer][network].index_select(0, rows)
                before = self._gradients[layer][network, : len(rows)]
                self._deactivate(after, hidden, before)
                weights = networks.weights[layer][network]
                after = before @ (weights if layer else weights[:, column:])
            gradient[rows] = after
        return gradient

    def _through(self, networks: Networks, layer: int) -> None:
        """Write the gradient by a layer's inputs before their activation."""
        before = self._gradients[layer - 1]
        torch.bmm(self._gradients[layer], networks.weights[layer], out=before)
        self._deactivate(before, self.hidden[layer - 1], before)

    def _deactivate(self, gradient: Tensor, hidden: Tensor, out: Tensor) -> None:
        """Multiply a gradient by the activation's derivative at these hidden values."""
        if self._relu:
            torch.ops.aten.threshold_backward.grad_input(gradient, hidden, 0.0, grad_input=out)
        else:
            torch.ops.aten.tanh_backward.grad_input(gradient, hidden, grad_input=out)
