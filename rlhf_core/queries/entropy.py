"""Questions whose answer the ensemble cannot predict."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.acquisition import scores
from rlhf_core.queries import ScoredSelector


class Entropy(ScoredSelector):
    """Questions for which the ensemble's mean prediction has the highest entropy.

        score = H(mean over m of P_m),   P_m = softmax(R_m)

    Near ties score as high as disagreement (PEBBLE, https://arxiv.org/abs/2106.05091). Of a rating:
    the entropy of a Gaussian with the variance of the members.
    """

    kind: Literal["entropy"] = "entropy"

    def score(
        self, returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
    ) -> Float[np.ndarray, " C"]:
        """Compute the entropy of the mean prediction."""
        return scores.uncertainty(returns, items)
