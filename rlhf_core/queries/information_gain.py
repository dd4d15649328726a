"""Questions whose answer is expected to be most informative."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.acquisition import scores
from rlhf_core.queries import ScoredSelector


class InformationGain(ScoredSelector):
    """Questions with the highest mutual information between the answer and the correct member.

        score = H(mean over m of P_m) - mean over m of H(P_m)

    Unlike entropy it is 0 for pairs that every member calls a tie (BALD, Houlsby et al. 2011,
    https://arxiv.org/abs/1112.5745; for preferences https://arxiv.org/abs/1910.04365).
    """

    kind: Literal["information_gain"] = "information_gain"

    def score(
        self, returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
    ) -> Float[np.ndarray, " C"]:
        """Compute the mutual information between the answer and the member."""
        return scores.information_gain(returns, items)
