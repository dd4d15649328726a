"""A teacher who knows the true reward and errs in stated ways."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.environments.factory import Environment
from rlhf_core.evidence import Annotations, Answers, Choice, Rankings, Ratings, Request, answers
from rlhf_core.policies import Optimiser
from rlhf_core.teachers import rating
from rlhf_core.teachers import rationality as teacher
from rlhf_core.types import Segments, Truth

PRESETS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "stochastic": {"rationality": 1.0},
    "mistake": {"mistake": 0.1},
    "skip": {"skip_threshold": 0.1},
    "equal": {"equal_threshold": 0.1},
    "myopic": {"discount": 0.9},
}


class Synthetic(Annotator):
    """The teachers of B-Pref (Lee et al. 2021, https://arxiv.org/abs/2111.03026).

        R(clip)  = sum over t of discount^(L-1-t) r_t
        P(right) = sigmoid(rationality (R(right) - R(left)))

    In this order: a pair whose better clip is below the skip margin is skipped; else a side is
    chosen; with probability `mistake` the other one; and where the undiscounted returns differ by
    less than the equal margin the answer is "equal". With no rationality the better clip is always
    chosen, and an exact tie is "equal". A preset sets the parameters that it is named for; a
    parameter given beside it wins.

    Rankings follow the same utilities (Plackett-Luce by Gumbel noise), and a mistake exchanges two
    neighbouring places. Ratings are mean rewards on a scale of the teacher's own. Thresholds apply
    to pairs alone, mistakes to pairs and rankings.
    """

    kind: Literal["synthetic"] = "synthetic"
    preset: Literal["oracle", "stochastic", "mistake", "skip", "equal", "myopic"] = "oracle"
    """oracle: never errs; stochastic: rationality 1; mistake, skip, equal: 0.1; myopic: 0.9."""
    rationality: PositiveFloat | None = None
    """Inverse temperature, in 1 / (unit of reward); null chooses the better one always."""
    agreement: float | None = Field(None, gt=0.5, lt=1)
    """In place of a rationality: the share of random pairs on which the true order is given. The
    temperature is solved for in each round, so it does not depend on the unit of reward."""
    discount: float = Field(1.0, gt=0, le=1)
    """Weight of a step relative to the next one: below 1 the end of a clip counts more."""
    mistake: float = Field(0.0, ge=0, le=1)
    """Probability of the other answer than the one that was chosen."""
    skip_threshold: float = Field(0.0, ge=0, le=1)
    """How bad two clips must be to be skipped."""
    equal_threshold: float = Field(0.0, ge=0, le=1)
    """How near two clips must be to be called equal."""
    thresholds: Literal["quantile", "margin"] = "quantile"
    """quantile: that share of random pairs is skipped, or equal; margin: the published rule, mean
    of the last ten episodes' returns x L / H x threshold, which means little below 0."""
    judges: Literal["return", "regret"] = "return"
    """return: by the rewards in the clip; regret: by how much worse it was than what an expert
    would have made of its first state (Knox et al. 2022, https://arxiv.org/abs/2206.02231)."""
    expert_steps: PositiveInt = 65536
    """Environment steps on which the expert of `judges: regret`, or one who demonstrates, is
    trained before the run."""
    value_discount: float = Field(0.97, ge=0, lt=1)
    """Discount of that expert's values."""
    rating_levels: int | None = Field(None, ge=2)
    """Ratings there are, evenly from 0 to 1; null: any number."""
    rating_noise: NonNegativeFloat = 0.0
    """Standard deviation of a rating, in units of the scale."""
    rating_bias: float = 0.0
    """Added to every rating, in units of the scale."""
    rating_drift: float = 0.0
    """Added to the bias in the course of a hundred judgements, in units of the scale."""
    delay_steps: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    """A moment's rating is a reaction to the steps from t minus the second to t minus the first."""
    seconds: NonNegativeFloat = 0.0
    """Time that one judgement is said to take, in seconds; a ranking takes it for each place."""
    cost: NonNegativeFloat = 0.0
    """Price of one judgement or demonstration; a ranking is paid by the named place."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            return {**PRESETS.get(str(data.get("preset", "oracle")), {}), **data}
        return data

    @model_validator(mode="after")
    def _one_temperature(self) -> "Synthetic":
        if self.rationality is not None and self.agreement is not None:
            raise ValueError(
                "agreement: expected none beside a rationality (the preset stochastic has one), "
                f"actual: {self.agreement} and {self.rationality}"
            )
        if self.delay_steps[0] > self.delay_steps[1]:
            raise ValueError(
                f"delay_steps: expected the shorter delay first, actual: {self.delay_steps}"
            )
        return self

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Train the expert who demonstrates, or whose values a regretful teacher needs."""
        memory = {"horizon": np.array(float(environment.horizon()))}
        if self.judges == "regret" or demonstrations:
            from rlhf_core.teachers import demonstrator as expert

            act = expert.train(environment, optimiser, self.expert_steps, rng)
            if self.judges == "regret":
                values = expert.expert_values(environment, act, self.value_discount, rng)
                memory |= {f"value/{name}": array for name, array in values._asdict().items()}
                memory["value/spaces"] = expert.described(environment.spaces())
            if demonstrations:
                shown = expert.demonstrate(environment, act, demonstrations, rng)
                memory |= expert.to_arrays(shown)
        return AnnotatorState(memory=memory)

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """It always can."""

    def label_price(self) -> float:
        """The price of one judgement."""
        return self.cost

    def answer(
        self, state: AnnotatorState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[AnnotatorState, Answers]:
        """One judgement a question, by worker 0, and the episodes that are to be shown."""
        scores = self._scores(state, request.segments, truth.segments)
        beta = self.rationality
        if self.agreement is not None:
            pairs = teacher.random_pairs(self._scores(state, request.reference, truth.reference))
            beta = teacher.rationality_for(self.agreement, pairs[:, 1] - pairs[:, 0])
        compared = self._compare(state, request, truth, scores, beta, rng)
        ranked = self._rank(request, scores, beta, rng)
        state, rated = self._rate(state, request, truth, rng)
        given, shown = len(compared) + len(ranked) + len(rated), None
        if request.demonstrations:
            from rlhf_core.teachers import demonstrator as expert

            memory, shown = expert.next_demonstrations(
                state.memory, request.demonstrations, self.seconds, self.cost
            )
            state, given = replace(state, memory=memory), given + len(shown)
        state = replace(state, judgements=state.judgements + given)
        return state, answers(compared, ranked, rated, demonstrations=shown)

    def _scores(self, state: AnnotatorState, segments: Segments, rewards: np.ndarray) -> np.ndarray:
        """What the teacher compares (S,): discounted return, or minus the regret."""
        if self.judges == "return":
            return teacher.discounted_returns(rewards, segments.mask, self.discount)
        from rlhf_core.teachers import demonstrator as expert

        return -expert.regret(state.memory, segments, rewards, self.value_discount)

    def _compare(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth,
        scores: np.ndarray,
        beta: float | None,
        rng: np.random.Generator,
    ) -> Annotations:
        pair = request.queries.items
        choice = self._choose(scores[pair], beta, rng)
        returns = truth.segments.sum(axis=1)[pair]
        worst, near = self._margins(state, request, truth)
        choice = np.where(np.abs(returns[:, 1] - returns[:, 0]) <= near, Choice.EQUAL, choice)
        choice = np.where(returns.max(axis=1) < worst, Choice.SKIP, choice)
        count = len(pair)
        return Annotations(
            np.arange(count),
            np.zeros(count, dtype=np.int64),
            choice,
            np.full(count, float(self.seconds)),
            np.full(count, float(self.cost)),
        )

    def _choose(
        self, scores: np.ndarray, beta: float | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Choices (N,) for pairs of scores (N, 2), before any threshold."""
        advantage = scores[:, 1] - scores[:, 0]
        draw, slip = rng.random((2, len(scores)))
        if beta is None:
            right, tie = advantage > 0, teacher.same(scores[:, 0], scores[:, 1])
        else:
            right = draw < 0.5 + 0.5 * np.tanh(beta * advantage / 2)
            tie = np.zeros(len(scores), dtype=bool)
        right = right ^ (slip < self.mistake)
        return np.where(tie, Choice.EQUAL, np.where(right, Choice.RIGHT, Choice.LEFT))

    def _margins(
        self, state: AnnotatorState, request: Request, truth: Truth
    ) -> tuple[float, float]:
        """Return below which a pair is skipped, and difference below which it is equal."""
        if self.thresholds == "quantile":
            pairs = teacher.random_pairs(truth.reference.sum(axis=1))
            return teacher.quantile_margins(pairs, self.skip_threshold, self.equal_threshold)
        steps, horizon = request.segments.steps, float(state.memory["horizon"])
        skip, equal = (
            teacher.published_margin(truth.episodes, steps, horizon, threshold)
            for threshold in (self.skip_threshold, self.equal_threshold)
        )
        # As published: skipped unless above the margin, equal only below it.
        return np.nextafter(skip, np.inf), np.nextafter(equal, -np.inf)

    def _rank(
        self, request: Request, scores: np.ndarray, beta: float | None, rng: np.random.Generator
    ) -> Rankings:
        if request.rankings is None:
            return answers().rankings
        items, places = request.rankings.items, request.places
        utility = scores[items]
        if beta is not None:
            utility = beta * utility + rng.gumbel(size=items.shape)
        # Ties stand in random order, not in that in which clips are shown.
        order = np.lexsort((rng.random(items.shape), -utility), axis=1)
        ranked = np.take_along_axis(items, order, axis=1)
        slipped = rng.random(len(items)) < self.mistake
        above = rng.integers(places, size=len(items))
        rows = np.flatnonzero(slipped)
        upper, lower = ranked[rows, above[rows]], ranked[rows, above[rows] + 1]
        ranked[rows, above[rows]], ranked[rows, above[rows] + 1] = lower, upper
        count = len(items)
        # Without noise equal clips are told to be equal, or their order would be a coin's.
        value = scores[ranked]
        tied = np.zeros(ranked.shape, dtype=bool)
        if beta is None:
            tied[:, 1:] = teacher.same(value[:, 1:], value[:, :-1])
        return Rankings(
            ranked,
            np.full(count, places),
            np.zeros(count, dtype=np.int64),
            np.full(count, float(self.seconds * places)),
            np.full(count, float(self.cost * places)),
            tied,
        )

    def _rate(
        self, state: AnnotatorState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[AnnotatorState, Ratings]:
        if request.ratings is None:
            return state, answers().ratings
        clip, step = request.ratings.T
        counted = rating.credited_steps(step, request.segments.mask[clip], self.delay_steps)
        values = rating.mean_rewards(truth.segments[clip], counted)
        # The scale reaches from the worst to the best that was ever seen.
        seen = np.concatenate(
            [values, rating.mean_rewards(truth.reference, request.reference.mask)]
        )
        known = state.memory.get("rating_scale", np.array([np.inf, -np.inf]))
        ends = min(float(seen.min()), float(known[0])), max(float(seen.max()), float(known[1]))
        memory = {**state.memory, "rating_scale": np.array(ends)}
        number = state.judgements + np.arange(len(clip))
        bias = self.rating_bias + self.rating_drift * number / 100
        value = rating.on_scale(values, ends, bias, self.rating_noise, self.rating_levels, rng)
        count = len(clip)
        return replace(state, memory=memory), Ratings(
            clip.copy(),
            step.copy(),
            value,
            np.zeros(count, dtype=np.int64),
            np.full(count, float(self.seconds)),
            np.full(count, float(self.cost)),
        )
