"""A crowd of paid workers who err, tire and cheat, and a policy of whom to ask how often."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from rlhf_core.annotators import Annotator, AnnotatorState, simulate
from rlhf_core.answers import Answers
from rlhf_core.crowd.respondent import CrowdRespondent
from rlhf_core.crowd.settings import CrowdSettings
from rlhf_core.crowd.workers import CrowdState, draw_workers
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.types import Truth

WORKER = 80
"""Bytes of the properties of one worker."""


class Crowd(Annotator):
    """W simulated workers (after Chen et al. 2013, https://doi.org/10.1145/2433396.2433420).

        P(right) = (1 - bias) (eta sigma(beta d) + (1 - eta) sigma(-beta d))
        eta      = 1/2 + (competence - 1/2) 2^(-tired / fatigue_judgements)

    d is the difference of the true returns, right less left, in standard deviations of those of
    the reference segments, so close pairs are hard whatever the scale of rewards. Spammers answer
    at random, always press left, or invert. Rankings follow the same utilities with Gumbel noise
    (Plackett-Luce), ratings a scale of each worker's own. With `gold`, an expert answers a share
    of the questions, and workers are tried on those before all others. With `adaptive`, a pair is
    asked once more only while it is unclear, and who fails gold is dismissed; rankings and
    ratings then go to those who are left, `redundancy` times each. A ranking is paid by the
    named place. The state's array `round_seconds` holds the seconds that a whole round takes with
    all workers side by side.
    """

    kind: Literal["crowd"] = "crowd"
    workers: PositiveInt = 20
    """W, how many people there are."""
    competence: float = Field(0.9, gt=0, lt=1)
    """Mean of eta, the probability of an honest answer; below 1/2 workers invert."""
    competence_spread: NonNegativeFloat = 0.05
    """Standard deviation of eta over workers; its distribution is a Beta."""
    rationality: PositiveFloat | None = 4.0
    """beta, per standard deviation of segment returns; None: an honest answer is always right."""
    position_bias: float = Field(0.0, ge=0, le=1)
    """Probability that a worker chooses the left side, or the order shown, without looking."""
    fatigue_judgements: PositiveFloat | None = None
    """Judgements after which half of the distance from chance is lost; None: nobody tires."""
    recovery: float = Field(1.0, ge=0, le=1)
    """Share of tiredness that is gone by the next round."""
    random: float = Field(0.0, ge=0, le=1)
    """Share of workers who answer at random."""
    always_left: float = Field(0.0, ge=0, le=1)
    """Share of workers who always choose the left side, the order shown and the lowest rating."""
    adversarial: float = Field(0.0, ge=0, le=1)
    """Share of workers whose eta is 1 - eta of a worker."""
    seconds: NonNegativeFloat = 5.0
    """Median time of a judgement (log-normal), in seconds."""
    seconds_spread: NonNegativeFloat = 0.5
    """Standard deviation of its natural logarithm."""
    price: NonNegativeFloat = 0.05
    """What a worker is paid for a judgement."""
    expert_price: NonNegativeFloat = 1.0
    """What the expert is paid for a judgement."""
    redundancy: PositiveInt = 3
    """Workers who judge each question; with `adaptive`, the most who may."""
    gold: float = Field(0.0, ge=0, le=1)
    """Share of the questions of a round that the expert answers too, rounded down."""
    adaptive: bool = False
    """Ask a pair again only while it is unclear; dismiss workers who fail gold questions."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Posterior probability of a side at which a pair is clear."""
    threshold: float = Field(0.6, ge=0, lt=1)
    """Accuracy up to which a worker is not worth asking."""
    dismissal: float = Field(0.95, gt=0, lt=1)
    """Posterior probability, by the gold answers alone, that a worker's accuracy is no more than
    the threshold, at which the worker is dismissed."""
    rating_levels: int | None = Field(5, ge=2)
    """Values that a rating can have, evenly from 0 to 1; null: any number."""
    rating_noise: NonNegativeFloat = 0.3
    """Standard deviation of a rating, in those of segment returns."""
    delay_steps: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    """A moment's rating is a reaction to the steps from t minus the second to t minus the first."""
    rating_spread: NonNegativeFloat = 0.2
    """Standard deviation over workers of the log slope and of the shift of their scales."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Crowd":
        cheats = self.random + self.always_left + self.adversarial
        if cheats > 1 + 1e-9:
            raise ValueError(
                f"random + always_left + adversarial: expected shares of at most 1 together, "
                f"actual: {cheats:g}"
            )
        widest = np.sqrt(self.competence * (1 - self.competence))
        if self.competence_spread >= widest:
            raise ValueError(
                f"competence_spread: expected below sqrt(competence (1 - competence)) = "
                f"{widest:.3g}, actual: {self.competence_spread:g}"
            )
        if self.delay_steps[0] > self.delay_steps[1]:
            raise ValueError(
                f"delay_steps: expected the shorter delay first, actual: {self.delay_steps}"
            )
        if self.redundancy > self.workers:
            raise ValueError(
                f"redundancy: expected at most workers ({self.workers}), since nobody judges a "
                f"question twice, actual: {self.redundancy}"
            )
        return self

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes of the workers' properties."""
        return {"workers": self.workers * WORKER}

    def needs_true_reward(self) -> bool:
        """Every judgement is made by it."""
        return True

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Draw the workers."""
        crowd = draw_workers(
            self.workers,
            (self.random, self.always_left, self.adversarial),
            self.competence,
            self.competence_spread,
            self.rating_spread,
            rng,
        )
        return AnnotatorState(arrays={**crowd.to_arrays(), "round_seconds": np.empty(0)})

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """A crowd judges; it does not play."""
        if demonstrates:
            raise ConfigurationError(
                "annotator.kind: expected one who demonstrates (expert, synthetic) for this kind "
                "of feedback, actual: crowd"
            )

    def worker_count(self) -> int:
        """W."""
        return self.workers

    def label_price(self) -> float:
        """Every worker that may be asked, and the expert's part."""
        return self.redundancy * self.price + self.gold * self.expert_price

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Form by form; comparisons come before rankings and ratings, since they try the workers.

        Raises:
            ConfigurationError: whole episodes are asked for.
        """
        assert truth is not None, "needs_true_reward() refuses environments without one"
        crowd = CrowdState.from_arrays(state.arrays)
        crowd = replace(crowd, tired=crowd.tired * (1 - self.recovery))
        before = CrowdRespondent(self._settings, request, truth, crowd, 0.0, rng)
        after, answers = simulate(request, before, rng)
        rounds = np.append(state.arrays["round_seconds"], after.seconds)
        arrays = {**after.crowd.to_arrays(), "round_seconds": rounds}
        return AnnotatorState(int(after.crowd.judged.sum()), arrays), answers

    @property
    def _settings(self) -> CrowdSettings:
        return CrowdSettings(
            beta=1e9 if self.rationality is None else self.rationality,
            position_bias=self.position_bias,
            half_life=self.fatigue_judgements,
            seconds=self.seconds,
            seconds_std=self.seconds_spread,
            redundancy=self.redundancy,
            adaptive=self.adaptive,
            confidence=self.confidence,
            threshold=self.threshold,
            dismissal=self.dismissal,
            gold=self.gold,
            price=float(self.price),
            expert_price=float(self.expert_price),
            rating_levels=self.rating_levels,
            rating_noise=self.rating_noise,
            delay_steps=self.delay_steps,
        )
