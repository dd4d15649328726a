"""A teacher who knows the true reward and errs in stated ways."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

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

from rlhf_core.annotators import Annotator, AnnotatorState, simulate
from rlhf_core.answers import Answers, Comparisons, Rankings, Ratings
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.judgements import Choice
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.teachers import rating, rationality
from rlhf_core.teachers.choices import choose_sides, rank_groups
from rlhf_core.teachers.presets import PRESETS
from rlhf_core.types import Segments, Truth

DEMONSTRATOR_STEPS = 131_072
"""Environment steps on which an expert is trained who demonstrates, where no number is set."""
EXPERT_STEPS = 65_536
"""Environment steps on which one is trained whose values alone are needed."""


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
    expert_steps: PositiveInt | None = None
    """Environment steps on which the expert of `judges: regret`, or one who demonstrates, is
    trained before the run; null: 131,072 where it demonstrates, for nobody who imitates it becomes
    better, and 65,536 otherwise."""
    expert_optimiser: AnyOptimiser | None = None
    """How that expert is trained; null: the run's own optimiser if its kind is ppo, else ppo with
    batches of 128."""
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

    @model_validator(mode="wrap")
    @classmethod
    def _fill_from_preset(cls, data: Any, build: Callable[[Any], Any]) -> Any:
        if not isinstance(data, Mapping):
            return build(data)
        preset = PRESETS.get(str(data.get("preset", "oracle")), {})
        teacher = build({**preset, **data})
        # What the preset set was not written by the user, and changes with the preset.
        teacher.model_fields_set.difference_update(preset.keys() - data.keys())
        return teacher

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
        """Train the expert who demonstrates, or whose values a regretful teacher needs."""
        arrays = {"horizon": np.array(float(environment.horizon()))}
        if self.judges == "regret" or demonstrations:
            from rlhf_core.teachers import demonstrator as expert

            chosen = expert.expert_optimiser(self.expert_optimiser, optimiser)
            needed = DEMONSTRATOR_STEPS if demonstrations else EXPERT_STEPS
            act = expert.train(environment, chosen, self.expert_steps or needed, rng)
            if self.judges == "regret":
                values = expert.expert_values(environment, act, self.value_discount, rng)
                arrays |= {f"value/{name}": array for name, array in values._asdict().items()}
                arrays["value/spaces"] = expert.described(environment.spaces())
            if demonstrations:
                demonstrated = expert.demonstrate(environment, act, demonstrations, rng)
                arrays |= expert.to_arrays(*demonstrated)
        return AnnotatorState(arrays=arrays)

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Check that the expert's optimiser fits the environment."""
        if self.expert_optimiser is not None:
            from rlhf_core.teachers import demonstrator as expert

            expert.check_expert("annotator.expert_optimiser", self.expert_optimiser, environment)

    def label_price(self) -> float:
        """The price of one judgement."""
        return self.cost

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """One judgement a query, by worker 0, and the episodes that are asked for."""
        assert truth is not None, "needs_true_reward() refuses environments without one"
        teacher = _Teacher(self, state, request, truth, rng)
        teacher, answers = simulate(request, teacher, rng)
        return replace(teacher.state, judgements=state.judgements + answers.count), answers


@dataclass(frozen=True)
class _Teacher:
    """The teacher before one request."""

    settings: Synthetic
    state: AnnotatorState
    request: Request
    truth: Truth
    rng: np.random.Generator

    def compare(self, pairs: Int[np.ndarray, "N 2"]) -> tuple["_Teacher", Comparisons]:
        """Choose by utility, then apply the thresholds."""
        choice = choose_sides(
            self._utilities[pairs], self._rationality, self.settings.mistake, self.rng
        )
        returns = self._returns[pairs]
        worst, near = self._margins()
        choice = np.where(np.abs(returns[:, 1] - returns[:, 0]) <= near, Choice.EQUAL, choice)
        choice = np.where(returns.max(axis=1) < worst, Choice.SKIP, choice)
        count = len(pairs)
        return self, Comparisons(
            np.arange(count), np.zeros(count, dtype=np.int64), choice, *self._spent(count)
        )

    def rank(self, items: Int[np.ndarray, "N K"], places: int) -> tuple["_Teacher", Rankings]:
        """Order by utility, with Gumbel noise where there is a temperature."""
        ranked, tied = rank_groups(
            items, self._utilities, places, self._rationality, self.settings.mistake, self.rng
        )
        count = len(items)
        return self, Rankings(
            ranked,
            np.full(count, places),
            np.zeros(count, dtype=np.int64),
            *self._spent(count, places),
            tied,
        )

    def rate(
        self, clips: Int[np.ndarray, " N"], steps: Int[np.ndarray, " N"]
    ) -> tuple["_Teacher", Ratings]:
        """Mean rewards on the teacher's own scale."""
        settings, request, truth = self.settings, self.request, self.truth
        counted = rating.credited_steps(steps, request.segments.mask[clips], settings.delay_steps)
        values = rating.mean_rewards(truth.segments[clips], counted)
        # The scale reaches from the worst to the best that was ever judged.
        known = np.concatenate(
            [values, rating.mean_rewards(truth.reference, request.reference.mask)]
        )
        before = self.state.arrays.get("rating_scale", np.array([np.inf, -np.inf]))
        ends = min(float(known.min()), float(before[0])), max(float(known.max()), float(before[1]))
        number = self.state.judgements + np.arange(len(clips))
        bias = settings.rating_bias + settings.rating_drift * number / 100
        value = rating.on_scale(
            values, ends, bias, settings.rating_noise, settings.rating_levels, self.rng
        )
        count = len(clips)
        arrays = {**self.state.arrays, "rating_scale": np.array(ends)}
        return replace(self, state=replace(self.state, arrays=arrays)), Ratings(
            clips.copy(),
            steps.copy(),
            value,
            np.zeros(count, dtype=np.int64),
            *self._spent(count),
        )

    def demonstrate(self, episodes: int) -> tuple["_Teacher", Demonstrations]:
        """The next episodes of the expert that was trained before the run."""
        from rlhf_core.teachers import demonstrator

        arrays, demonstrations = demonstrator.next_demonstrations(
            self.state.arrays, episodes, self.settings.seconds, self.settings.cost
        )
        return replace(self, state=replace(self.state, arrays=arrays)), demonstrations

    def _spent(self, count: int, places: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Seconds and cost of so many judgements, by the named place."""
        return (
            np.full(count, float(self.settings.seconds * places)),
            np.full(count, float(self.settings.cost * places)),
        )

    @cached_property
    def _utilities(self) -> Float[np.ndarray, " clips"]:
        """What the teacher compares, of the request's segments and then of its reference."""
        segments = self._scores(self.request.segments, self.truth.segments)
        return np.concatenate([segments, self._reference_scores])

    @cached_property
    def _reference_scores(self) -> Float[np.ndarray, " Q"]:
        return self._scores(self.request.reference, self.truth.reference)

    @cached_property
    def _returns(self) -> Float[np.ndarray, " clips"]:
        """Undiscounted true returns, of the request's segments and then of its reference."""
        truth = self.truth
        return np.concatenate([truth.segments.sum(axis=1), truth.reference.sum(axis=1)])

    def _scores(self, segments: Segments, rewards: np.ndarray) -> Float[np.ndarray, " S"]:
        """Discounted returns, or minus the regret."""
        settings = self.settings
        if settings.judges == "return":
            return rationality.discounted_returns(rewards, segments.mask, settings.discount)
        from rlhf_core.teachers import demonstrator

        return -demonstrator.regret(self.state.arrays, segments, rewards, settings.value_discount)

    @cached_property
    def _rationality(self) -> float | None:
        """The inverse temperature; None where the better clip is always chosen."""
        settings = self.settings
        if settings.agreement is None:
            return settings.rationality
        pairs = rationality.random_pairs(self._reference_scores)
        return rationality.rationality_for(settings.agreement, pairs[:, 1] - pairs[:, 0])

    def _margins(self) -> tuple[float, float]:
        """Return below which a pair is skipped, and difference up to which it is equal."""
        settings, truth = self.settings, self.truth
        if settings.thresholds == "quantile":
            pairs = rationality.random_pairs(truth.reference.sum(axis=1))
            return rationality.quantile_margins(
                pairs, settings.skip_threshold, settings.equal_threshold
            )
        steps, horizon = self.request.segments.steps, float(self.state.arrays["horizon"])
        return rationality.published_margins(
            truth.episodes, steps, horizon, settings.skip_threshold, settings.equal_threshold
        )
