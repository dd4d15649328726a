"""What a task on texts defines: its tokens, its prompts, its score, its corpus."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


class TextTask(ABC):
    """A task on texts. A text is a row of T tokens, padded on the left with the number V.

    Axes: V tokens of the vocabulary, T tokens of the longest text, n texts.
    """

    vocabulary: tuple[str, ...]
    """The V words, by the number of their token."""
    longest: int
    """T, tokens of a text at the most, its prompt included."""
    ends: Bool[np.ndarray, " V"]
    """Tokens that end a text."""
    prompts: Int[np.ndarray, "prompts T"]
    """What an episode begins with, each as likely as the others."""

    @abstractmethod
    def score(self, texts: Int[np.ndarray, "n T"]) -> Float[np.ndarray, " n"]:
        """Return the true reward of whole texts."""

    @abstractmethod
    def corpus(self) -> Int[np.ndarray, "texts T"]:
        """Return whole texts for supervised fine-tuning."""

    @abstractmethod
    def written(self, tokens: Sequence[int]) -> str:
        """Return tokens as people read them."""

    @property
    def padding(self) -> int:
        """V, the number that stands where no token is."""
        return len(self.vocabulary)


def padded(texts: Sequence[Sequence[int]], longest: int, padding: int) -> Int[np.ndarray, "n T"]:
    """Return texts of different lengths as rows that are padded on the left."""
    return np.array([[padding] * (longest - len(text)) + list(text) for text in texts])
