"""A teacher that knows the true reward and errs in stated ways."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from rlhf_core.annotators import Annotator
from rlhf_core.evidence import Annotations, Choice, Request
from rlhf_core.types import TrueRewards

PRESETS: dict[str, dict[str, Any]] = {
    "oracle": {},
    "stochastic": {"rationality": 1.0},
    "mistake": {"mistake": 0.1},
    "myopic": {"discount": 0.9},
}


class Synthetic(Annotator):
    """Boltzmann-rational teacher of B-Pref (Lee et al. 2021, https://arxiv.org/abs/2111.03026).

        R(segment) = sum over t of discount^(L-1-t) r_t
        P(right)   = sigmoid(rationality (R(right) - R(left)))

    With no rationality the better segment is always chosen, and an exact tie is answered
    "equal". Then, with probability `mistake`, the answer is flipped (a tie stays a tie). A
    preset sets the parameters that it is named for; a parameter given beside it wins.
    """

    kind: Literal["synthetic"] = "synthetic"
    preset: Literal["oracle", "stochastic", "mistake", "myopic"] = "oracle"
    """oracle: never errs; stochastic: rationality 1; mistake: 0.1; myopic: discount 0.9."""
    rationality: PositiveFloat | None = None
    """Inverse temperature, in 1 / (unit of reward); None chooses the better one always."""
    discount: float = Field(1.0, gt=0, le=1)
    """Weight of a step relative to the next one: below 1 the end of a clip counts more."""
    mistake: float = Field(0.0, ge=0, le=1)
    """Probability of flipping an answer."""
    seconds: NonNegativeFloat = 0.0
    """Time that one judgement is said to take, in seconds."""
    cost: NonNegativeFloat = 0.0
    """Price of one judgement."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            return {**PRESETS.get(str(data.get("preset", "oracle")), {}), **data}
        return data

    def answer(
        self, request: Request, rewards: TrueRewards, rng: np.random.Generator
    ) -> Annotations:
        """One judgement a query, by worker 0."""
        pair = request.queries.items
        choice = self._choose(self._returns(request, rewards)[pair], rng)
        count = len(pair)
        return Annotations(
            query=np.arange(count),
            worker=np.zeros(count, dtype=np.int64),
            choice=choice,
            seconds=np.full(count, float(self.seconds)),
            cost=np.full(count, float(self.cost)),
        )

    def _returns(self, request: Request, rewards: TrueRewards) -> np.ndarray:
        """Discounted return (S,) of each segment, counted back from its last real step."""
        mask = request.segments.mask
        age = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1
        weights = np.where(mask, np.power(self.discount, np.maximum(age, 0)), 0.0)
        returns: np.ndarray = (weights * rewards.values).sum(axis=1)
        return returns

    def _choose(self, returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Choices (N,) for pairs of returns (N, 2)."""
        advantage = returns[:, 1] - returns[:, 0]
        draw, slip = rng.random((2, len(returns)))
        if self.rationality is None:
            right, tie = advantage > 0, advantage == 0
        else:
            right = draw < 0.5 + 0.5 * np.tanh(self.rationality * advantage / 2)
            tie = np.zeros(len(returns), dtype=bool)
        right = right ^ (slip < self.mistake)
        return np.where(tie, Choice.EQUAL, np.where(right, Choice.RIGHT, Choice.LEFT))
