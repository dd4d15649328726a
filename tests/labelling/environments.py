"""Environments that say what their clips show."""

from typing import Any

import gymnasium
import numpy as np

from rlhf_core.labelling.clips import Grid, Html, Item, Slate, Text
from tests.core.environments import Corridor


class Talker(Corridor):
    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> Html:
        words: list[Any] = ["hello" if action else "bye" for action in actions]
        return Html(f"<p title='x'>{' '.join(words)}</p>")


gymnasium.register("Talker-v0", Talker, max_episode_steps=10)


class Writer(Corridor):
    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> Text:
        return Text(
            "<b>Person:</b> hello\n" + "\n".join(f"Program: {action}" for action in actions)
        )


class Board(Corridor):
    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> Grid:
        places = [int(row[0]) for row in observations]
        frames = [[["@" if cell == place else "." for cell in range(4)]] for place in places]
        return Grid(frames, {"@": "the walker", ".": "<i>floor</i>"})


class Shop(Corridor):
    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> Slate:
        return Slate([Item(f"Film {n}", "<script>x</script>", n == 1) for n in range(3)])


class Quiet(Corridor):
    """Is drawn as a plot, since it says nothing."""


for name, made in {
    "Writer-v0": Writer, "Board-v0": Board, "Shop-v0": Shop, "Quiet-v0": Quiet,
}.items():  # fmt: skip
    gymnasium.register(name, made, max_episode_steps=10)
