"""What the evaluation of a policy gave."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean
from rlhf_core.types import Value, expect_shape


@dataclass(frozen=True, eq=False)
class Evaluation(Value):
    """True returns and lengths of evaluation episodes."""

    returns: Float[np.ndarray, " E"]
    lengths: Int[np.ndarray, " E"]
    succeeded: Bool[np.ndarray, " E"] | None = None
    """`info["is_success"]`, or `info["success"]`, of the last step, where the environment tells
    it."""

    @property
    def mean(self) -> float:
        """Mean true return."""
        return float(self.returns.mean())

    @property
    def iqm(self) -> float:
        """Interquartile mean of the true returns."""
        return interquartile_mean(self.returns)

    @property
    def interval(self) -> tuple[float, float]:
        """Bootstrap interval (95 %) of the interquartile mean, over episodes of this one policy."""
        return bootstrap_interval(self.returns, np.random.default_rng(0))

    def __str__(self) -> str:
        low, high = self.interval
        text = (
            f"true return over {len(self.returns)} episodes: mean {self.mean:.1f}, IQM "
            f"{self.iqm:.1f} (95 % interval {low:.1f} to {high:.1f}), mean length "
            f"{self.lengths.mean():.0f}"
        )
        if self.succeeded is None:
            return text
        return f"{text}, success {self.succeeded.mean():.0%}"

    def _check(self) -> None:
        expect_shape(self, "lengths", (len(self.returns),))
        if self.succeeded is not None:
            expect_shape(self, "succeeded", (len(self.returns),))
