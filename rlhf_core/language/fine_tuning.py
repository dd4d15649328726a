"""Supervised fine-tuning: the policy that makes the texts of a corpus likely.

L = -mean over texts of the mean over t of log pi(token t + 1 | tokens up to t)
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from rlhf_core.cloning import descend
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError
from rlhf_core.language.likelihood import distributions, token_log_probs
from rlhf_core.language.settings import FineTuning
from rlhf_core.language.tokens import Texts, Vocabulary, left_aligned
from rlhf_core.types import Metrics


def read_corpus(environment: Environment, vocabulary: Vocabulary) -> Texts:
    """Return the texts that an environment publishes as `corpus`; the first token is given.

    Raises:
        ConfigurationError: it has none, or one that is not made of its tokens.
    """
    env = environment.make()
    try:
        rows = np.asarray(env.get_wrapper_attr("corpus"))
    except AttributeError as error:
        raise ConfigurationError(
            f"optimiser.fine_tuning: expected an environment with a corpus, actual: "
            f"'{environment.id}' has none; set epochs to 0"
        ) from error
    finally:
        close(env, environment.id)
    fits = rows.ndim == 2 and rows.shape[1] == vocabulary.longest and len(rows) > 0
    if not fits or rows.min() < 0 or rows.max() > vocabulary.size:
        raise ConfigurationError(
            f"environment.id: expected a corpus of rows of {vocabulary.longest} tokens from 0 to "
            f"{vocabulary.size}, actual: shape {rows.shape} of '{environment.id}'"
        )
    tokens, lengths = left_aligned(rows, vocabulary.size)
    return Texts(tokens, np.arange(1, tokens.shape[1]) < lengths[:, None])


def fine_tune(
    model: nn.Module,
    texts: Texts,
    vocabulary: Vocabulary,
    settings: FineTuning,
    rng: np.random.Generator,
) -> None:
    """Train a model in place.

    Args:
        model: the policy.
        texts: the corpus.
        vocabulary: its tokens.
        settings: passes, batch size and step size.
        rng: order of the texts.
    """
    batches = [
        rows
        for _ in range(settings.epochs)
        for rows in minibatches(len(texts.tokens), settings.batch_size, rng)
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    for number, rows in enumerate(batches):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - number / len(batches))
        part = texts.take(rows)
        length = torch.from_numpy(part.chosen.sum(axis=1))
        loss = -(token_log_probs(model, part, vocabulary).sum(dim=1) / length).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def minibatches(
    count: int, size: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " rows"]]:
    """Yield the numbers up to `count` in random order, `size` at a time."""
    order = rng.permutation(count)
    for first in range(0, count, size):
        yield order[first : first + size]


def clone(
    model: nn.Module, vocabulary: Vocabulary, cloning: Cloning, rng: np.random.Generator
) -> Metrics:
    """Train a model in place until held-out demonstrated tokens become no likelier.

    Returns:
        The metrics of `rlhf_core.cloning.descend`.
    """
    tokens, lengths = left_aligned(cloning.demonstrations.observations, vocabulary.size)
    inputs, last = torch.from_numpy(tokens), torch.from_numpy(lengths - 1)
    actions = torch.from_numpy(np.array(cloning.demonstrations.actions, dtype=np.int64))

    def loss(rows: torch.Tensor) -> torch.Tensor:
        log_probs = distributions(model, inputs[rows], vocabulary)
        return -log_probs[torch.arange(len(rows)), last[rows], actions[rows]].mean()

    return descend(model.parameters(), loss, cloning.heldout(), cloning.settings, rng)
