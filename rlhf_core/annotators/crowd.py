"""A crowd of paid workers who err, tire and cheat, and a policy of whom to ask how often."""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.crowd.assignment import pick_distinct
from rlhf_core.crowd.pairs import CrowdSettings, judge_pairs
from rlhf_core.crowd.workers import (
    CrowdState,
    draw_workers,
    honest_probability,
    longest_seconds,
    on_scale,
    rank,
    rate,
    standardised_qualities,
    standardised_returns,
)
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.evidence import (
    EXPERT,
    Annotations,
    Answers,
    Choice,
    Rankings,
    Ratings,
    Request,
    answers,
)
from rlhf_core.policies import Optimiser
from rlhf_core.types import Truth


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
    named place. Seconds of the whole of a round, workers side by side, stand in the state's
    memory as `round_seconds`.
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
        return AnnotatorState(memory={**crowd.to_arrays(), "round_seconds": np.empty(0)})

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """A crowd judges; it does not play."""
        if demonstrates:
            raise ConfigurationError(
                "annotator.kind: expected one who demonstrates (expert, synthetic) for this kind "
                "of feedback, actual: crowd"
            )

    def label_price(self) -> float:
        """Every worker that may be asked, and the expert's part."""
        return self.redundancy * self.price + self.gold * self.expert_price

    def answer(
        self, state: AnnotatorState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[AnnotatorState, Answers]:
        """Pairs first, since they try the workers, then rankings, then ratings."""
        crowd = CrowdState.from_arrays(state.memory)
        crowd = replace(crowd, tired=crowd.tired * (1 - self.recovery))
        quality = standardised_returns(truth)
        crowd, comparisons, compared = self._compare(
            crowd, np.diff(quality[request.queries.items], axis=1)[:, 0], rng
        )
        crowd, rankings, ranked = self._rank(crowd, request, quality, rng)
        crowd, ratings, rated = self._rate(crowd, request, truth, rng)
        spent = np.append(state.memory["round_seconds"], compared + ranked + rated)
        given = int(crowd.judged.sum())
        memory = {**crowd.to_arrays(), "round_seconds": spent}
        return (
            replace(state, judgements=given, memory=memory),
            answers(comparisons, rankings, ratings),
        )

    def _compare(
        self, crowd: CrowdState, advantage: Float[np.ndarray, " N"], rng: np.random.Generator
    ) -> tuple[CrowdState, Annotations, float]:
        """The state, the judgements with the expert's first, and the time they took."""
        gold = self._gold(len(advantage), rng)
        told = self._times(len(gold), rng)
        settings = CrowdSettings(
            beta=self._beta,
            position_bias=self.position_bias,
            half_life=self.fatigue_judgements,
            times=self._times,
            most=self.redundancy,
            adaptive=self.adaptive,
            confidence=self.confidence,
            threshold=self.threshold,
            dismissal=self.dismissal,
        )
        crowd, log, latency = judge_pairs(crowd, advantage, gold, float(told.sum()), settings, rng)
        sign = np.sign(advantage[gold]).astype(np.int64)
        choice = np.array([Choice.LEFT, Choice.EQUAL, Choice.RIGHT])[1 + sign]
        given = Annotations(
            query=np.concatenate([gold, log.query]),
            worker=np.concatenate([np.full(len(gold), EXPERT), log.worker]),
            choice=np.concatenate([choice, np.where(log.right == 1, Choice.RIGHT, Choice.LEFT)]),
            seconds=np.concatenate([told, log.seconds]),
            cost=self._costs(len(gold), len(log.query)),
        )
        return crowd, given, latency

    def _rank(
        self,
        crowd: CrowdState,
        request: Request,
        quality: Float[np.ndarray, " S"],
        rng: np.random.Generator,
    ) -> tuple[CrowdState, Rankings | None, float]:
        """Every group by `redundancy` workers, and a share of them by the expert."""
        if request.rankings is None or not len(request.rankings):
            return crowd, None, 0.0
        items, places = request.rankings.items, request.places
        gold = self._gold(len(items), rng)
        group, worker = pick_distinct(len(items), self.redundancy, crowd.active, rng)
        honest = honest_probability(crowd, worker, places, self.fatigue_judgements)
        felt = self._beta * quality[items[group]]
        order = rank(crowd.role[worker], honest, felt, self.position_bias, rng)
        best = np.argsort(-quality[items[gold]], axis=1, kind="stable")
        everyone = np.concatenate([np.full(len(gold), EXPERT), worker])
        seconds = places * self._times(len(everyone), rng)
        given = Rankings(
            items=np.take_along_axis(
                items[np.concatenate([gold, group])], np.concatenate([best, order]), axis=1
            ),
            places=np.full(len(everyone), places),
            worker=everyone,
            seconds=seconds,
            cost=places * self._costs(len(gold), len(worker)),
        )
        return crowd.after(worker, places), given, longest_seconds(everyone, seconds)

    def _rate(
        self, crowd: CrowdState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[CrowdState, Ratings | None, float]:
        """Every clip by `redundancy` workers, and a share of them by the expert."""
        if request.ratings is None or not len(request.ratings):
            return crowd, None, 0.0
        quality = standardised_qualities(request, truth, self.delay_steps)
        gold = self._gold(len(quality), rng)
        clip, worker = pick_distinct(len(quality), self.redundancy, crowd.active, rng)
        honest = honest_probability(crowd, worker, 1, self.fatigue_judgements)
        levels = self.rating_levels
        value = rate(crowd, worker, honest, quality[clip], self.rating_noise, levels, rng)
        everyone = np.concatenate([np.full(len(gold), EXPERT), worker])
        seconds = self._times(len(everyone), rng)
        asked = request.ratings[np.concatenate([gold, clip])]
        given = Ratings(
            segment=asked[:, 0],
            step=asked[:, 1],
            value=np.concatenate([on_scale(quality[gold], levels), value]),
            worker=everyone,
            seconds=seconds,
            cost=self._costs(len(gold), len(worker)),
        )
        return crowd.after(worker), given, longest_seconds(everyone, seconds)

    @property
    def _beta(self) -> float:
        return 1e9 if self.rationality is None else self.rationality

    def _gold(self, count: int, rng: np.random.Generator) -> Int[np.ndarray, " G"]:
        """Positions of the questions that the expert answers too."""
        chosen: np.ndarray = rng.permutation(count)[: int(self.gold * count + 1e-9)]
        return chosen

    def _times(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, " R"]:
        return self.seconds * np.exp(self.seconds_spread * rng.normal(size=count))

    def _costs(self, expert: int, others: int) -> Float[np.ndarray, " R"]:
        return np.repeat([float(self.expert_price), float(self.price)], [expert, others])
