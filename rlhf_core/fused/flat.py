"""Parameters of torch modules, and Adam's moments, as flat vectors that share their memory."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.adam import adam

from rlhf_core.fused.dense import Networks, flat_size


class Flat:
    """One vector of which the parameters of N dense networks are views.

    A change of a parameter in place is one of the vector, and the other way round, so nothing is
    copied before and after an update.
    """

    def __init__(self, widths: tuple[int, ...], modules: Sequence[Sequence[nn.Linear]]) -> None:
        """Lay out networks; each is a sequence of layers.

        A network may have more modules than layers: those after its last layer but one share that
        last layer's outputs, one after the other.
        """
        layers = len(widths) - 1
        self.widths, self._count = widths, len(modules)
        self.values = torch.zeros(flat_size(widths, len(modules)))
        self.networks = self.parts(self.values)
        self._where: list[tuple[Tensor, int, int, slice, bool]] = []
        for network, linears in enumerate(modules):
            row = 0
            for index, linear in enumerate(linears):
                layer = min(index, layers - 1)
                row = 0 if index < layers else row
                rows = slice(row, row + linear.out_features)
                row = rows.stop
                self._where += [
                    (linear.weight, layer, network, rows, True),
                    (linear.bias, layer, network, rows, False),
                ]
        self.parameters = [parameter for parameter, *_ in self._where]
        self._views = self.views(self.values)

    def parts(self, vector: Float[Tensor, " size"]) -> Networks:
        """Return a vector of the same layout as networks."""
        return Networks.of(vector, self.widths, self._count)

    def views(self, vector: Float[Tensor, " size"]) -> list[Tensor]:
        """Return the view of each parameter in a vector of the same layout."""
        networks = self.parts(vector)
        return [
            networks.weights[layer][network, rows]
            if weight
            else networks.biases[layer][network, 0, rows]
            for _, layer, network, rows, weight in self._where
        ]

    def bind(self) -> None:
        """Let the parameters share the vector's memory, with their current values."""
        for parameter, view in zip(self.parameters, self._views, strict=True):
            if parameter.data_ptr() != view.data_ptr():
                view.copy_(parameter.detach())
                parameter.data = view

    def approach(self, other: "Flat", rate: float) -> None:
        """Move to another vector by this fraction of the distance (Polyak averaging)."""
        self.values.lerp_(other.values, rate)


class Adam:
    """A torch optimiser's Adam over one flat vector; its state in torch shares the moments.

        m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
        x <- x - lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)

    (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980.)
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Sequence[Tensor],
        values: Float[Tensor, " size"],
        views: Callable[[Tensor], Sequence[Tensor]],
    ) -> None:
        """Join a flat vector to an optimiser.

        Args:
            optimizer: Adam without options.
            parameters: its parameters.
            values: the vector of which they are views.
            views: returns these views, in the same order, of a vector of the same layout.
        """
        self._optimizer, self._parameters, self._values = optimizer, parameters, values
        self.gradient, self._mean, self._square = (torch.zeros_like(values) for _ in range(3))
        self._steps = torch.zeros(len(parameters))
        self._count = torch.zeros(())
        moments = zip(self._steps, views(self._mean), views(self._square), strict=True)
        self._states = [
            {"step": step, "exp_avg": mean, "exp_avg_sq": square} for step, mean, square in moments
        ]
        self._shared = False

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer, flat: Flat) -> "Adam":
        """Return Adam over all parameters of dense networks."""
        return cls(optimizer, flat.parameters, flat.values, flat.views)

    def bind(self) -> None:
        """Take over the optimiser's moments unless they share this one's memory already."""
        state = self._optimizer.state
        found = [state.get(parameter) for parameter in self._parameters]
        self._shared = all(a is b for a, b in zip(found, self._states, strict=True))
        if not self._shared:
            for theirs, own in zip(found, self._states, strict=True):
                for key, view in own.items():
                    if theirs:
                        view.copy_(theirs[key])
                    else:
                        view.zero_()
        self._count.copy_(self._steps[0])

    def step(self) -> None:
        """Take a step against the gradient, as PyTorch does."""
        group = self._optimizer.param_groups[0]
        first, second = group["betas"]
        adam(
            [self._values], [self.gradient], [self._mean], [self._square], [], [self._count],
            fused=True, amsgrad=False, maximize=False, weight_decay=0.0,
            beta1=first, beta2=second, lr=group["lr"], eps=group["eps"],
        )  # fmt: skip

    def share(self) -> None:
        """Let the optimiser's state share the moments; before the first step it has none."""
        self._steps.fill_(self._count)
        if not self._shared and self._count:
            for parameter, own in zip(self._parameters, self._states, strict=True):
                self._optimizer.state[parameter] = own
            self._shared = True
