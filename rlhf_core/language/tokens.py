"""Rows of tokens as environments give them and as a causal language model reads them."""

from typing import NamedTuple

import numpy as np
from gymnasium import spaces as gym_spaces
from jaxtyping import Bool, Int

from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import UnsupportedSpaceError
from rlhf_core.evolution.play import Generation
from rlhf_core.types import Segments


class Vocabulary(NamedTuple):
    """The tokens of an environment."""

    size: int
    """V; the number V itself is the padding of observations."""
    longest: int
    """T, tokens of a text at the most."""


def vocabulary_of(spaces: Spaces, kind: str) -> Vocabulary:
    """Return the tokens of an environment in which an episode is a text.

    Args:
        spaces: of the environment.
        kind: of the optimiser, for the message.

    Raises:
        UnsupportedSpaceError: the environment is not of this kind.
    """
    rows, action = spaces
    if (
        isinstance(action, gym_spaces.Discrete)
        and isinstance(rows, gym_spaces.MultiDiscrete)
        and rows.nvec.ndim == 1
        and (rows.nvec == action.n + 1).all()
    ):
        return Vocabulary(int(action.n), len(rows.nvec))
    raise UnsupportedSpaceError(
        f"optimiser.kind: '{kind}' expected an environment whose episodes are texts (Discrete "
        "tokens as actions, MultiDiscrete rows of them as observations), such as "
        f"rlhf/RandomWalks-v0, actual: observations of {type(rows).__name__} and actions of "
        f"{type(action).__name__}"
    )


def left_aligned(
    rows: Int[np.ndarray, "B T"], padding: int
) -> tuple[Int[np.ndarray, "B T"], Int[np.ndarray, " B"]]:
    """Return rows that begin with their first token, and the number of tokens of each.

    A causal model reads nothing to the right of a token, so what stands behind the last one, here
    token 0, changes nothing, and no mask is needed.

    Args:
        rows: padded on the left.
        padding: the number that stands where no token is.
    """
    lengths = (rows != padding).sum(axis=1)
    places = np.arange(rows.shape[1])
    moved = np.take_along_axis(rows, (places + rows.shape[1] - lengths[:, None]) % len(places), 1)
    return np.where(places < lengths[:, None], moved, 0), lengths


class Texts(NamedTuple):
    """Whole texts, and which of their tokens were chosen by a policy."""

    tokens: Int[np.ndarray, "B T"]
    """From the first one on; 0 behind the last."""
    chosen: Bool[np.ndarray, "B L"]
    """Whether token t + 1 was chosen, and not part of the prompt or of the padding."""

    def take(self, index: Int[np.ndarray, " K"]) -> "Texts":
        """Return the texts at these positions, up to the last token of the longest."""
        tokens, chosen = self.tokens[index], self.chosen[index]
        width = int(chosen.any(axis=0).nonzero()[0].max(initial=0)) + 1
        return Texts(tokens[:, : width + 1], chosen[:, :width])


def texts_of(first: Int[np.ndarray, "B T"], last: Int[np.ndarray, "B T"], padding: int) -> Texts:
    """Return the texts of episodes from their first and last observations."""
    tokens, lengths = left_aligned(last, padding)
    prompts = (first != padding).sum(axis=1)
    places = np.arange(1, tokens.shape[1])
    chosen = (places >= prompts[:, None]) & (places < lengths[:, None])
    return Texts(tokens, chosen)


def played_texts(generation: Generation, padding: int) -> Texts:
    """Return the texts that a policy wrote, one a copy of the environment."""
    record, copies = generation.record, np.arange(generation.counted.shape[1])
    last = generation.counted.sum(axis=0) - 1
    return texts_of(record.observations[0], record.next_observations[last, copies], padding)


def clip_texts(segments: Segments, padding: int) -> tuple[Texts, Bool[np.ndarray, " S"]]:
    """Return the texts of clips, and which clips are whole episodes."""
    whole = (segments.origin[:, 1] == 0) & segments.terminated.any(axis=1)
    return texts_of(segments.observations[:, 0], segments.observations[:, -1], padding), whole
