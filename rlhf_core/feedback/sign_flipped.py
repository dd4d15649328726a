"""Null control: labels that say the opposite."""

from dataclasses import replace
from typing import Literal

import numpy as np

from rlhf_core.feedback._comparisons import Comparisons
from rlhf_core.evidence import Preferences


class SignFlipped(Comparisons):
    """Null control: every answer turned round, so that the worse segment is rewarded."""

    kind: Literal["sign_flipped"] = "sign_flipped"

    def labels(self, preferences: Preferences, rng: np.random.Generator) -> Preferences:
        """One minus each target."""
        return replace(preferences, target=1 - preferences.target)
