"""What evidence says about a reward: log-likelihoods, batched over ensemble members.

A score is the return of a segment under a member, R = sum of w_t r_t over its steps. All of these
are negative log-likelihoods, from logits, so that large differences do not overflow.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

BOUNDS = {"log_noise": (-1.6, 1.0)}
"""Where a fit keeps the parameters of a likelihood. Were the noise of ratings less than a fifth of
their deviation, a few ratings that happen to fit would drown all other evidence."""


def bradley_terry(
    left: Float[Tensor, "M N"], right: Float[Tensor, "M N"], target: Float[Tensor, " N"]
) -> Float[Tensor, "M N"]:
    """Preferences under the Bradley-Terry model.

        P(right preferred) = sigmoid(R(right) - R(left))
        loss = -target log P(right) - (1 - target) log P(left)

    A tie is a target of 1/2 (Christiano et al. 2017, https://arxiv.org/abs/1706.03741, section
    2.2.3).

    Args:
        left: R(left), returns predicted by each member.
        right: R(right).
        target: P(right preferred) according to the annotators, in [0, 1].
    """
    return torch.nn.functional.binary_cross_entropy_with_logits(
        right - left, target.expand_as(left), reduction="none"
    )


def davidson(
    left: Float[Tensor, "M N"],
    right: Float[Tensor, "M N"],
    target: Float[Tensor, " N"],
    log_tie: Float[Tensor, "M 1"],
) -> Float[Tensor, "M N"]:
    """Preferences with ties as outcomes of their own (Davidson 1970, doi:10.2307/2283595).

        P(right) : P(left) : P(tie) = exp(R(right)) : exp(R(left)) : nu exp((R(right) + R(left))/2)

    A target of exactly 1/2 is a tie; another target weighs the two strict outcomes.

    Args:
        left: R(left).
        right: R(right).
        target: P(right preferred), 1/2 for a tie.
        log_tie: log nu of each member, how readily a tie is called.
    """
    half = (right - left) / 2
    normaliser = torch.logsumexp(torch.stack([half, -half, log_tie.expand_as(half)]), dim=0)
    strict = (2 * target - 1) * half
    return normaliser - torch.where(target == 0.5, log_tie.expand_as(half), strict)


def plackett_luce(
    scores: Float[Tensor, "M N K"], beats: Bool[Tensor, "N K K"]
) -> Float[Tensor, "M N"]:
    """Rankings under the Plackett-Luce model.

        P(ranking) = product over j of exp(R_j) / (exp(R_j) + sum over i beaten by j of exp(R_i))

    Without ties those beaten by j are all that come after it. One known place is best of K
    (Plackett 1975, doi:10.2307/2346567); two segments make it Bradley-Terry. Of segments that share
    a place each is chosen from those that are worse than all of them.

    Args:
        scores: R of the segments.
        beats: whether the first segment is said to be better than the second.
    """
    own = torch.eye(scores.shape[2], dtype=torch.bool)
    among = torch.where(beats | own, scores[:, :, None, :], -torch.inf)
    # A segment that beats none is a choice among itself alone: log 1.
    return (torch.logsumexp(among, dim=3) - scores).sum(dim=2)


def shared_places(
    scores: Float[Tensor, "M N K"], equals: Bool[Tensor, "N K K"]
) -> Float[Tensor, "M N"]:
    """Ties in a ranking: half a vote for each side, as in a comparison.

        loss = 2 / m  sum over pairs of m tied segments of -log(sigmoid(d) sigmoid(-d)) / 2

    d is the difference of their scores. The factor lets m segments on one place count as the m - 1
    labels that a ranking of them is.

    Args:
        scores: R of the segments.
        equals: whether the first segment shares the place of the second, a later one.
    """
    apart = scores[:, :, :, None] - scores[:, :, None, :]
    halves = (softplus(apart) + softplus(-apart)) / 2
    size = 1 + (equals | equals.transpose(1, 2)).sum(dim=2, keepdim=True)
    return (halves * equals * (2 / size)).sum(dim=(2, 3))


def gaussian(
    score: Float[Tensor, "M N"],
    value: Float[Tensor, " N"],
    log_scale: Float[Tensor, "M 1"],
    offset: Float[Tensor, "M 1"],
    log_noise: Float[Tensor, "M 1"],
) -> Float[Tensor, "M N"]:
    """Ratings with Gaussian noise around a line: value ~ Normal(scale R + offset, noise^2).

    Constants are left out.

    Args:
        score: R of the rated clip.
        value: the rating.
        log_scale: of each member; rewards are on the scale that comparisons set.
        offset: of each member.
        log_noise: of each member.
    """
    surprise = (value - log_scale.exp() * score - offset) / log_noise.exp()
    return surprise.square() / 2 + log_noise


def ordinal(
    score: Float[Tensor, "M N"], level: Int[Tensor, " N"], cuts: Float[Tensor, "M C"]
) -> Float[Tensor, "M N"]:
    """Ratings as ordered levels: the cumulative logit model (McCullagh 1980).

        P(level <= c) = sigmoid(cut_c - R),   cut_0 < cut_1 < ... < cut_{C-1}

    Its noise is the one of a Bradley-Terry comparison with a fixed segment.

    Args:
        score: R of the rated clip.
        level: 0 to C.
        cuts: ascending thresholds of each member.
    """
    index = level.expand_as(score)
    count = cuts.shape[1]
    upper = torch.gather(cuts, 1, index.clamp(max=count - 1)) - score
    lower = torch.gather(cuts, 1, (index - 1).clamp(min=0)) - score
    # log(sigmoid(u) - sigmoid(l)) = log sigmoid(u) + log sigmoid(-l) + log(1 - exp(l - u)), u > l.
    gap = (upper - lower).clamp(min=1e-6)
    between = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
    log_likelihood = torch.where(
        index == 0, logsigmoid(upper), torch.where(index == count, logsigmoid(-lower), between)
    )
    return -log_likelihood


def contaminated(
    loss: Float[Tensor, "M N"], other: Float[Tensor, "M N"], mistake: Float[Tensor, "M 1"]
) -> Float[Tensor, "M N"]:
    """Evidence of which a share is wrong.

        P(answer) = (1 - mistake) P(answer | model) + mistake P(answer | mistaken)

    The more surely the model contradicts an answer, the less the answer pulls at it.

    Args:
        loss: -log P(answer | model).
        other: -log P(answer | mistaken), such as that of the opposite answer.
        mistake: share of wrong answers that each member believes in, in (0, 1).
    """
    return -torch.logaddexp(torch.log1p(-mistake) - loss, torch.log(mistake) - other)


def ascending(first: Float[Tensor, "M 1"], gaps: Float[Tensor, "M G"]) -> Float[Tensor, "M C"]:
    """Ascending thresholds from a first one and unconstrained gaps."""
    steps = torch.cat([first, softplus(gaps)], dim=1)
    return steps.cumsum(dim=1)
