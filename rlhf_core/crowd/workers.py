"""The workers of a simulated crowd: their properties and how they judge."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from rlhf_core.judgements import EXPERT, WHOLE
from rlhf_core.questions import Request
from rlhf_core.teachers.rating import credited_steps, mean_rewards
from rlhf_core.types import Truth

STEEP = 1.7
"""sigmoid(1.7 z) is within 0.01 of the normal distribution function of z."""


class Role(IntEnum):
    """How a worker answers."""

    WORKER = 0
    RANDOM = 1
    ALWAYS_LEFT = 2
    ADVERSARIAL = 3


@dataclass(frozen=True)
class CrowdState:
    """State of the workers between rounds, one entry for each worker."""

    role: Int[np.ndarray, " W"]
    competence: Float[np.ndarray, " W"]
    """P(honest answer) when rested: 1/2 for a random worker, below 1/2 for an adversarial one."""
    scale: Float[np.ndarray, " W"]
    """Slope of the worker's rating scale."""
    offset: Float[np.ndarray, " W"]
    """Offset of the worker's rating scale, in standard deviations of segment returns."""
    judged: Int[np.ndarray, " W"]
    """Judgements so far."""
    tired: Float[np.ndarray, " W"]
    """Judgements that the worker has not recovered from."""
    gold_answered: Int[np.ndarray, " W"]
    gold_right: Int[np.ndarray, " W"]
    right: Float[np.ndarray, " W"]
    """Expected number of right judgements in earlier rounds."""
    wrong: Float[np.ndarray, " W"]
    dismissed: Bool[np.ndarray, " W"]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "CrowdState":
        """Make the state of arrays by name; other names are ignored."""
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def active(self) -> Int[np.ndarray, " A"]:
        """Positions of the workers who were not dismissed."""
        return np.flatnonzero(~self.dismissed)

    def after(self, worker: Int[np.ndarray, " R"], effort: int = 1) -> "CrowdState":
        """Return the crowd after one judgement by each of these workers, of some effort."""
        counts = np.bincount(worker, minlength=len(self.judged))
        return replace(self, judged=self.judged + counts, tired=self.tired + effort * counts)


def draw_workers(
    workers: int,
    shares: tuple[float, float, float],
    mean: float,
    std: float,
    rating_std: float,
    rng: np.random.Generator,
) -> CrowdState:
    """Draw the workers of a crowd.

    Args:
        workers: W.
        shares: of random, always-left and adversarial workers; counts are rounded.
        mean: mean competence, in (0, 1).
        std: standard deviation of competence; the distribution is a Beta.
        rating_std: standard deviation of log scale and of offset.
        rng: the source of randomness.
    """
    edges = np.rint(np.cumsum(shares) * workers).astype(int)
    place = rng.permutation(workers)
    # The first `edges[2]` places hold spammers by role, the others hold workers.
    role = (np.searchsorted(edges, place, side="right") + 1) % len(Role)
    competence = np.full(workers, float(mean))
    if std > 0:
        size = mean * (1 - mean) / std**2 - 1
        competence = rng.beta(mean * size, (1 - mean) * size, workers)
    competence = np.where(role == Role.ADVERSARIAL, 1 - competence, competence)
    competence = np.where((role == Role.RANDOM) | (role == Role.ALWAYS_LEFT), 0.5, competence)
    none, nothing = np.zeros(workers, dtype=np.int64), np.zeros(workers)
    return CrowdState(
        role=role.astype(np.int64),
        competence=competence,
        scale=np.exp(rating_std * rng.normal(size=workers)),
        offset=rating_std * rng.normal(size=workers),
        judged=none,
        tired=nothing,
        gold_answered=none,
        gold_right=none,
        right=nothing,
        wrong=nothing,
        dismissed=np.zeros(workers, dtype=bool),
    )


def standardised_returns(truth: Truth) -> Float[np.ndarray, " clips"]:
    """Returns of the segments and then of the reference segments, standardised by the latter."""
    reference = truth.reference.sum(axis=1)
    returns = np.concatenate([truth.segments.sum(axis=1), reference])
    std = reference.std() if len(reference) else 0.0
    # With a standard deviation of 0 any difference is large, and no difference stays 0.
    return (returns - (reference.mean() if len(reference) else 0.0)) / max(std, 1e-9)


def standardised_qualities(
    segment: Int[np.ndarray, " R"],
    step: Int[np.ndarray, " R"],
    request: Request,
    truth: Truth,
    delay_steps: tuple[int, int],
) -> Float[np.ndarray, " R"]:
    """Mean reward of each rated clip or moment, standardised by the reference segments.

    The mean reward of a moment is that of the steps in its reaction window.
    """
    counted = credited_steps(step, request.segments.mask[segment], delay_steps)
    quality = mean_rewards(truth.segments[segment], counted)
    mask = request.reference.mask
    clips, steps = mean_rewards(truth.reference, mask), truth.reference[mask]
    if not len(steps):
        return quality
    mean = np.where(step == WHOLE, clips.mean(), steps.mean())
    std = np.where(step == WHOLE, clips.std(), steps.std())
    return (quality - mean) / np.maximum(std, 1e-9)


def earlier_entries(worker: Int[np.ndarray, " R"]) -> Int[np.ndarray, " R"]:
    """Count the entries of the same worker before each entry."""
    order = np.argsort(worker, kind="stable")
    ordered = worker[order]
    first = np.searchsorted(ordered, ordered, side="left")
    before = np.empty(len(worker), dtype=np.int64)
    before[order] = np.arange(len(worker)) - first
    return before


def longest_seconds(worker: Int[np.ndarray, " R"], seconds: Float[np.ndarray, " R"]) -> float:
    """Seconds until the last worker has finished; each judges one question after the other."""
    return float(np.bincount(worker - EXPERT, seconds).max(initial=0))


def honest_probability(
    crowd: CrowdState, worker: Int[np.ndarray, " R"], effort: int, half_life: float | None
) -> Float[np.ndarray, " R"]:
    """P(honest answer) of each judgement: 1/2 + (competence - 1/2) 2^(-tired / half_life)."""
    competence = crowd.competence[worker]
    if half_life is None:
        return competence
    tired = crowd.tired[worker] + effort * earlier_entries(worker)
    return 0.5 + (competence - 0.5) * np.exp2(-tired / half_life)


def compare(
    role: Int[np.ndarray, " R"],
    honest: Float[np.ndarray, " R"],
    advantage: Float[np.ndarray, " R"],
    position_bias: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " R"]:
    """Draw comparisons: 1 where the right side is chosen, else 0.

    P(right) = (1 - bias) (eta sigma(x) + (1 - eta) sigma(-x)); random 1/2, always-left 0.

    Args:
        role: of the worker.
        honest: eta.
        advantage: x, of the right side over the left one, rationality included.
        position_bias: probability of choosing the left side whatever the clips.
        rng: the source of randomness.
    """
    chance = 0.5 + (honest - 0.5) * np.tanh(advantage / 2)
    chance = np.where(role == Role.RANDOM, 0.5, (1 - position_bias) * chance)
    chance = np.where(role == Role.ALWAYS_LEFT, 0.0, chance)
    return (rng.random(len(chance)) < chance).astype(np.int64)


def rank(
    role: Int[np.ndarray, " R"],
    honest: Float[np.ndarray, " R"],
    utility: Float[np.ndarray, "R K"],
    position_bias: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "R K"]:
    """Draw rankings: positions within each group, best first (Plackett-Luce).

    With probability eta a worker orders the group by noise + utility, else by noise - utility, with
    Gumbel noise: for two clips this is `compare`. With probability `position_bias`, and for
    always-left workers, the order is that of the positions; random workers order by noise alone.

    Args:
        role: of the worker.
        honest: eta.
        utility: of each clip of the group, rationality included.
        position_bias: probability of keeping the order of the positions.
        rng: the source of randomness.
    """
    sign = np.where(rng.random(len(role)) < honest, 1.0, -1.0)
    attentive = (rng.random(len(role)) >= position_bias) | (role == Role.RANDOM)
    noise = rng.gumbel(size=utility.shape)
    random = (role == Role.RANDOM)[:, None]
    noisy = np.where(random, 0.0, sign[:, None] * utility) + noise
    by_position = (~attentive | (role == Role.ALWAYS_LEFT))[:, None]
    noisy = np.where(by_position, -np.arange(utility.shape[1]), noisy)
    return np.argsort(-noisy, axis=1, kind="stable")


def on_scale(quality: Float[np.ndarray, " R"], levels: int | None) -> Float[np.ndarray, " R"]:
    """Round sigmoid(1.7 quality) to `levels` values evenly from 0 to 1; None: do not round."""
    exact: np.ndarray = expit(STEEP * quality)
    return exact if levels is None else np.rint(exact * (levels - 1)) / (levels - 1)


def rate(
    crowd: CrowdState,
    worker: Int[np.ndarray, " R"],
    honest: Float[np.ndarray, " R"],
    quality: Float[np.ndarray, " R"],
    noise: float,
    levels: int | None,
    rng: np.random.Generator,
) -> Float[np.ndarray, " R"]:
    """Draw ratings in [0, 1].

        rating = on_scale(scale_w s (quality + noise) + offset_w)

    where s is 1 with probability eta, else -1.

    Random workers choose any level, always-left workers the lowest.

    Args:
        crowd: the workers.
        worker: of each rating.
        honest: eta.
        quality: of what is rated, standardised.
        noise: standard deviation of the noise.
        levels: how many ratings there are; None: any number.
        rng: the source of randomness.
    """
    sign = np.where(rng.random(len(worker)) < honest, 1.0, -1.0)
    noisy = sign * (quality + noise * rng.normal(size=len(worker)))
    value = on_scale(crowd.scale[worker] * noisy + crowd.offset[worker], levels)
    role = crowd.role[worker]
    any_level = rng.random(len(worker))
    if levels is not None:
        any_level = np.floor(any_level * levels) / (levels - 1)
    return np.select([role == Role.RANDOM, role == Role.ALWAYS_LEFT], [any_level, 0.0], value)
