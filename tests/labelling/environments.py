"""An environment that says what its clips show."""

from typing import Any

import gymnasium
import numpy as np

from rlhf_core.labelling.clips import Html
from tests.core.environments import Corridor


class Talker(Corridor):
    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> Html:
        words: list[Any] = ["hello" if action else "bye" for action in actions]
        return Html(f"<p title='x'>{' '.join(words)}</p>")


gymnasium.register("Talker-v0", Talker, max_episode_steps=10)
