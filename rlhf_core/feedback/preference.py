"""Learning from preferences."""

from typing import Literal

import numpy as np

from rlhf_core.feedback._comparisons import Comparisons
from rlhf_core.evidence import Preferences


class Preference(Comparisons):
    """Learn a reward from comparisons of two segments (https://arxiv.org/abs/1706.03741)."""

    kind: Literal["preference"] = "preference"

    def labels(self, preferences: Preferences, rng: np.random.Generator) -> Preferences:
        """Exactly what the annotators said."""
        return preferences
