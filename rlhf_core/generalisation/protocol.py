"""The numbers of Packer et al. 2018 (section 4, https://arxiv.org/abs/1810.12282).

A cell such as DR is the success rate of policies that were trained in the default physics and are
measured in the random one:

    default       = DD
    interpolation = RR
    extrapolation = (DR * DE * RE)^(1/3)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Rates = Mapping[tuple[str, str], Float[np.ndarray, " seeds"]]
"""Success rates of every seed, by the physics of training and of measuring."""

MEASURES: dict[str, tuple[tuple[str, str], ...]] = {
    "default": (("default", "default"),),
    "interpolation": (("random", "random"),),
    "extrapolation": (("default", "random"), ("default", "extreme"), ("random", "extreme")),
}
"""Each measure is the geometric mean of these cells."""


@dataclass(frozen=True)
class Measure:
    """A measure over seeds."""

    mean: float
    std: float
    """Standard deviation of the seeds; 0 of a single one."""
    worst: float
    """The lowest of a seed."""


def summarised(rates: Float[np.ndarray, " seeds"]) -> Measure:
    """Summarise the rates of several seeds."""
    std = float(rates.std(ddof=1)) if len(rates) > 1 else 0.0
    return Measure(float(rates.mean()), std, float(rates.min()))


def measures(rates: Rates) -> dict[str, Measure]:
    """Compute the measures whose cells are there, seed by seed."""
    return {
        name: summarised(np.prod([rates[cell] for cell in cells], axis=0) ** (1 / len(cells)))
        for name, cells in MEASURES.items()
        if all(cell in rates for cell in cells)
    }
