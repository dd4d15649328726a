"""Probabilities of tokens under a causal language model."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rlhf_core.acting import Act
from rlhf_core.language.tokens import Texts, Vocabulary, left_aligned


def distributions(
    model: nn.Module, tokens: Tensor, vocabulary: Vocabulary
) -> Float[Tensor, "B T V"]:
    """Return log pi(. | tokens up to t) for every t; other tokens of the model are left out."""
    logits: Tensor = model(input_ids=tokens).logits
    return logits[..., : vocabulary.size].float().log_softmax(dim=-1)


def token_log_probs(model: nn.Module, texts: Texts, vocabulary: Vocabulary) -> Float[Tensor, "B L"]:
    """Return log pi(token t + 1 | tokens up to t), 0 where the policy did not choose it."""
    tokens = torch.from_numpy(texts.tokens)
    log_probs = distributions(model, tokens[:, :-1], vocabulary)
    chosen = log_probs.gather(2, tokens[:, 1:, None])[..., 0]
    return torch.where(torch.from_numpy(texts.chosen), chosen, 0.0)


class Divergence(NamedTuple):
    """How a policy differs from its start policy on texts that it wrote."""

    kl: float
    """Nats a text."""
    entropy: float
    """Nats a token, of the policy."""


@torch.no_grad()
def divergence(
    model: nn.Module, start: nn.Module, texts: Texts, vocabulary: Vocabulary
) -> Divergence:
    """Return the mean over texts of the divergence from the start policy.

        KL = sum over t of sum over v of pi(v | s_t) (log pi(v | s_t) - log pi_start(v | s_t))

    The sum over the vocabulary is exact, and only the texts are a sample.
    """
    tokens = torch.from_numpy(texts.tokens[:, :-1])
    ours, theirs = (distributions(one, tokens, vocabulary) for one in (model, start))
    chosen = torch.from_numpy(texts.chosen)
    kl = (ours.exp() * (ours - theirs)).sum(dim=-1)[chosen].sum() / len(tokens)
    entropy = -(ours.exp() * ours).sum(dim=-1)[chosen].mean()
    return Divergence(float(kl), float(entropy))


def sampler(
    model: nn.Module, vocabulary: Vocabulary, deterministic: bool, rng: np.random.Generator
) -> Act:
    """Return a policy that draws the next token, or takes the most likely one.

    Tokens are drawn by Gumbel noise: argmax of log pi(v) + g_v is distributed as pi.
    """

    @torch.no_grad()
    def choose(rows: np.ndarray) -> np.ndarray:
        tokens, lengths = left_aligned(np.asarray(rows, dtype=np.int64), vocabulary.size)
        width = int(lengths.max())
        log_probs = distributions(model, torch.from_numpy(tokens[:, :width]), vocabulary)
        scores = log_probs[torch.arange(len(tokens)), torch.from_numpy(lengths - 1)].numpy()
        if not deterministic:
            scores = scores + rng.gumbel(size=scores.shape)
        return scores.argmax(axis=1)

    return choose
