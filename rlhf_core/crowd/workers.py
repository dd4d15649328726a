"""The people of a simulated crowd: who they are and how they judge."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.answers import EXPERT, WHOLE
from rlhf_core.questions import Request
from rlhf_core.teachers.rating import heard, mean_rewards
from rlhf_core.types import Truth

STEEP = 1.7
"""sigmoid(1.7 z) is the normal distribution function of z within 0.01."""


class Role(IntEnum):
    """Why a worker answers as they do."""

    WORKER = 0
    RANDOM = 1
    ALWAYS_LEFT = 2
    ADVERSARIAL = 3


@dataclass(frozen=True)
class Crew:
    """What is carried of the workers from round to round, one entry a worker."""

    role: Int[np.ndarray, " W"]
    competence: Float[np.ndarray, " W"]
    """P(honest answer) when rested: 1/2 of a random worker, below it of an adversary."""
    scale: Float[np.ndarray, " W"]
    """Slope of the worker's own rating scale."""
    offset: Float[np.ndarray, " W"]
    """Shift of it, in spreads of segment returns."""
    judged: Int[np.ndarray, " W"]
    """Judgements ever given."""
    tired: Float[np.ndarray, " W"]
    """Judgements not yet recovered from."""
    gold_seen: Int[np.ndarray, " W"]
    gold_right: Int[np.ndarray, " W"]
    right: Float[np.ndarray, " W"]
    """Judgements of earlier rounds thought to be right, in expectation."""
    wrong: Float[np.ndarray, " W"]
    dismissed: Bool[np.ndarray, " W"]

    @classmethod
    def recall(cls, memory: Mapping[str, np.ndarray]) -> "Crew":
        """The crew that is kept in an annotator's memory."""
        return cls(**{field.name: np.asarray(memory[field.name]) for field in fields(cls)})

    def memory(self) -> dict[str, np.ndarray]:
        """The crew as arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def active(self) -> Int[np.ndarray, " A"]:
        """Workers who were not dismissed."""
        return np.flatnonzero(~self.dismissed)

    def worked(self, worker: Int[np.ndarray, " R"], effort: int = 1) -> "Crew":
        """The crew after these workers gave a judgement each, of so much effort."""
        given = np.bincount(worker, minlength=len(self.judged))
        return replace(self, judged=self.judged + given, tired=self.tired + effort * given)


def draw_crew(
    workers: int,
    shares: tuple[float, float, float],
    mean: float,
    spread: float,
    rating_spread: float,
    rng: np.random.Generator,
) -> Crew:
    """Draw a crowd.

    Args:
        workers: how many.
        shares: of random, always-left and adversarial workers; their counts are rounded.
        mean: mean competence, in (0, 1).
        spread: standard deviation of it; the distribution is a Beta.
        rating_spread: standard deviation of log scale and of offset.
        rng: the source of randomness.
    """
    edges = np.rint(np.cumsum(shares) * workers).astype(int)
    place = rng.permutation(workers)
    # The first `edges[2]` places hold spammers by role, the others hold workers.
    role = (np.searchsorted(edges, place, side="right") + 1) % len(Role)
    competence = np.full(workers, float(mean))
    if spread > 0:
        size = mean * (1 - mean) / spread**2 - 1
        competence = rng.beta(mean * size, (1 - mean) * size, workers)
    competence = np.where(role == Role.ADVERSARIAL, 1 - competence, competence)
    competence = np.where((role == Role.RANDOM) | (role == Role.ALWAYS_LEFT), 0.5, competence)
    none, nothing = np.zeros(workers, dtype=np.int64), np.zeros(workers)
    return Crew(
        role=role.astype(np.int64),
        competence=competence,
        scale=np.exp(rating_spread * rng.normal(size=workers)),
        offset=rating_spread * rng.normal(size=workers),
        judged=none,
        tired=nothing,
        gold_seen=none,
        gold_right=none,
        right=nothing,
        wrong=nothing,
        dismissed=np.zeros(workers, dtype=bool),
    )


def standard(truth: Truth) -> Float[np.ndarray, " clips"]:
    """Returns of the segments and then of the reference segments, in standard deviations of those
    of the reference segments.
    """
    reference = truth.reference.sum(axis=1)
    returns = np.concatenate([truth.segments.sum(axis=1), reference])
    scale = reference.std() if len(reference) else 0.0
    # Without variation any difference is large, and no difference is none.
    return (returns - (reference.mean() if len(reference) else 0.0)) / max(scale, 1e-9)


def rated_quality(
    segment: Int[np.ndarray, " R"],
    step: Int[np.ndarray, " R"],
    request: Request,
    truth: Truth,
    delay_steps: tuple[int, int],
) -> Float[np.ndarray, " R"]:
    """What is rated, in deviations of what the reference segments pay: a clip's mean reward.

    Of a moment it is that of the steps which can have been reacted to.
    """
    counted = heard(step, request.segments.mask[segment], delay_steps)
    paid = mean_rewards(truth.segments[segment], counted)
    mask = request.reference.mask
    clips, steps = mean_rewards(truth.reference, mask), truth.reference[mask]
    if not len(steps):
        return paid
    mean = np.where(step == WHOLE, clips.mean(), steps.mean())
    spread = np.where(step == WHOLE, clips.std(), steps.std())
    return (paid - mean) / np.maximum(spread, 1e-9)


def nth(worker: Int[np.ndarray, " R"]) -> Int[np.ndarray, " R"]:
    """How many entries of the same worker stand before each one."""
    order = np.argsort(worker, kind="stable")
    ordered = worker[order]
    first = np.searchsorted(ordered, ordered, side="left")
    before = np.empty(len(worker), dtype=np.int64)
    before[order] = np.arange(len(worker)) - first
    return before


def longest(worker: Int[np.ndarray, " R"], seconds: Float[np.ndarray, " R"]) -> float:
    """Seconds until everybody is done, each with one judgement after the other."""
    return float(np.bincount(worker - EXPERT, seconds).max(initial=0))


def honesty(
    crew: Crew, worker: Int[np.ndarray, " R"], effort: int, half_life: float | None
) -> Float[np.ndarray, " R"]:
    """P(honest answer) of each judgement: 1/2 + (competence - 1/2) 2^(-tired / half_life)."""
    competence = crew.competence[worker]
    if half_life is None:
        return competence
    tired = crew.tired[worker] + effort * nth(worker)
    return 0.5 + (competence - 0.5) * np.exp2(-tired / half_life)


def compare(
    role: Int[np.ndarray, " R"],
    honest: Float[np.ndarray, " R"],
    advantage: Float[np.ndarray, " R"],
    position_bias: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " R"]:
    """1 where the right side is chosen.

    P(right) = (1 - bias) (eta sigma(x) + (1 - eta) sigma(-x)); random 1/2, always-left 0.

    Args:
        role: of the worker.
        honest: eta.
        advantage: x, of the right side over the left one, rationality included.
        position_bias: probability of choosing the left side without looking.
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
    """Positions within each group, best first, by Plackett and Luce.

    With probability eta a worker orders the group by utility + Gumbel noise, else by noise -
    utility: for two clips this is `compare`. Without looking, the order is the one shown.
    """
    sign = np.where(rng.random(len(role)) < honest, 1.0, -1.0)
    looks = (rng.random(len(role)) >= position_bias) | (role == Role.RANDOM)
    noise = rng.gumbel(size=utility.shape)
    blind = (role == Role.RANDOM)[:, None]
    felt = np.where(blind, 0.0, sign[:, None] * utility) + noise
    shown = (~looks | (role == Role.ALWAYS_LEFT))[:, None]
    felt = np.where(shown, -np.arange(utility.shape[1]), felt)
    return np.argsort(-felt, axis=1, kind="stable")


def on_scale(quality: Float[np.ndarray, " R"], levels: int | None) -> Float[np.ndarray, " R"]:
    """The nearest of `levels` values between 0 and 1 to sigmoid(1.7 quality); None: itself."""
    exact: np.ndarray = 0.5 + 0.5 * np.tanh(STEEP * quality / 2)
    return exact if levels is None else np.rint(exact * (levels - 1)) / (levels - 1)


def rate(
    crew: Crew,
    worker: Int[np.ndarray, " R"],
    honest: Float[np.ndarray, " R"],
    quality: Float[np.ndarray, " R"],
    noise: float,
    levels: int | None,
    rng: np.random.Generator,
) -> Float[np.ndarray, " R"]:
    """Ratings: scale_w (quality + noise) + offset_w on the scale, the inverted quality with
    probability 1 - eta; random workers choose any level, always-left ones the lowest.
    """
    sign = np.where(rng.random(len(worker)) < honest, 1.0, -1.0)
    felt = sign * (quality + noise * rng.normal(size=len(worker)))
    value = on_scale(crew.scale[worker] * felt + crew.offset[worker], levels)
    role = crew.role[worker]
    any_level = rng.random(len(worker))
    if levels is not None:
        any_level = np.floor(any_level * levels) / (levels - 1)
    return np.select([role == Role.RANDOM, role == Role.ALWAYS_LEFT], [any_level, 0.0], value)
