"""Learning from ratings: people give the reward directly."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.strategy import Information, RewardLearning
from rlhf_core.rewards.model import Labels


class DirectReward(RewardLearning):
    """Learn a reward from ratings of clips, or of moments in them (TAMER).

    `likelihoods.ratings` says whether a rating is a number with Gaussian noise or an ordered level;
    `likelihoods.delay_steps` spreads a moment's rating over the steps that were reacted to
    (Knox and Stone 2009, https://doi.org/10.1145/1597735.1597738).
    """

    kind: Literal["direct_reward"] = "direct_reward"
    rated: Literal["rating", "signal"] = "rating"
    """rating: clips as wholes; signal: what happened just before one moment of a clip."""

    def forms(self) -> Sequence[Form]:
        """The one that was chosen."""
        return (Form(self.rated),)

    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """All labels are of that form."""
        return {Form(self.rated): labels}

    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """Exactly what the annotators said."""
        return labels
