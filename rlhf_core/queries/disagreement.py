"""Questions on whose answers the members of the ensemble disagree."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.acquisition import scores
from rlhf_core.queries import ScoredSelector


class Disagreement(ScoredSelector):
    """Questions on which the ensemble's predicted answers vary most.

        score = sum over k of Var over m of P_m(k is chosen),   P_m = softmax(R_m)

    Christiano et al. 2017 (https://arxiv.org/abs/1706.03741), section 2.2.4, there for pairs. Of a
    rating: the variance of the clip's standardised return.
    """

    kind: Literal["disagreement"] = "disagreement"

    def score(
        self, returns: Float[np.ndarray, "M S"], items: Int[np.ndarray, "C K"]
    ) -> Float[np.ndarray, " C"]:
        """Compute the variance of the predicted answers over the members."""
        return scores.disagreement(returns, items)
