"""Trials whose outcome is known."""

import numpy as np

from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.retraining.guards import Candidate
from rlhf_core.retraining.trial import Trial

EPISODES = 60


def trial(returns: np.ndarray, shift: float = 0.0, length: int = 10, seed: int = 0) -> Trial:
    """A trial with these returns; its observations are standard normal, moved by `shift`."""
    count = len(returns)
    observations = np.random.default_rng(seed).normal(shift, 1, (count, 2))
    return Trial(Evaluation(returns, np.full(count, length)), observations)


def starts(seed: int = 0) -> np.ndarray:
    """What start states do to any policy's return."""
    return np.random.default_rng(seed).normal(0, 10, EPISODES)


def candidate(returns: np.ndarray, **more: object) -> Candidate:
    return Candidate(trial(returns), **more)  # type: ignore[arg-type]
