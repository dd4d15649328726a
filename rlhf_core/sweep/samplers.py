"""Samplers by name, from Optuna."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "gp", "qmc", "random")
FIRST_TRIALS = 5
"""Trials that are drawn at random before tpe and gp learn from them."""


def sampler_of(name: str, seed: int) -> "BaseSampler":
    """A sampler that draws the same for the same seed and the same earlier trials."""
    from optuna import samplers

    makers: dict[str, Any] = {
        "tpe": lambda: samplers.TPESampler(
            seed=seed, n_startup_trials=FIRST_TRIALS, multivariate=True, group=True
        ),
        "gp": lambda: samplers.GPSampler(seed=seed, n_startup_trials=FIRST_TRIALS),
        "qmc": lambda: samplers.QMCSampler(seed=seed, scramble=True),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of settings that Optuna calls experimental.
        return makers[name]()
