"""Null control: labels that say nothing."""

from dataclasses import replace
from typing import Literal

import numpy as np

from rlhf_core.feedback._comparisons import Comparisons
from rlhf_core.evidence import Preferences


class ShuffledLabels(Comparisons):
    """Null control: the same questions, with the answers dealt out to the wrong pairs."""

    kind: Literal["shuffled_labels"] = "shuffled_labels"

    def labels(self, preferences: Preferences, rng: np.random.Generator) -> Preferences:
        """The targets in random order."""
        return replace(preferences, target=preferences.target[rng.permutation(len(preferences))])
