"""Learning from preferences."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.strategy import Information, RewardLearning
from rlhf_core.rewards.model import Labels


class Preference(RewardLearning):
    """Learn a reward from comparisons or rankings of clips (https://arxiv.org/abs/1706.03741)."""

    kind: Literal["preference"] = "preference"
    form: Literal["comparison", "ranking", "best_of"] = "comparison"
    """comparison: which of two is better; ranking: put `group_size` clips in order; best_of: name
    the best of them. A ranking of K counts as K - 1 labels, the places that are named."""

    def forms(self) -> Sequence[Form]:
        """The one that was chosen."""
        return (Form(self.form),)

    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """All labels are of that form."""
        return {Form(self.form): labels}

    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """Exactly what the annotators said."""
        return labels
