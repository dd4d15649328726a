"""Samplers by name, from Optuna."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "gp", "qmc", "random")
STRIDE = 7919
"""Between the seeds of two trials."""
FIRST_TRIALS = 5
"""Trials that are drawn at random before tpe and gp learn from them."""


def sampler_of(name: str, seed: int, drawn: int) -> "BaseSampler":
    """A sampler that draws the same for the same seed and the same earlier trials.

    Args:
        name: one of `SAMPLERS`.
        seed: of the sweep.
        drawn: trials that were drawn before.
    """
    from optuna import samplers

    own = seed + STRIDE * drawn
    makers: dict[str, Any] = {
        "tpe": lambda: samplers.TPESampler(
            seed=own, n_startup_trials=FIRST_TRIALS, multivariate=True, group=True
        ),
        "gp": lambda: samplers.GPSampler(seed=own, n_startup_trials=FIRST_TRIALS),
        # One sequence for all trials, but for fields that not every trial has.
        "qmc": lambda: samplers.QMCSampler(
            seed=seed, scramble=True, independent_sampler=samplers.RandomSampler(seed=own)
        ),
        "random": lambda: samplers.RandomSampler(seed=own),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of settings that Optuna calls experimental.
        return makers[name]()
