"""What a run may spend, and how many labels are due in each round."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import inf, lcm
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.plugin import Config


class Stability(Config):
    """What counts as a reward that further labels no longer change."""

    rounds: PositiveInt = 2
    """Rounds in a row in which both hold."""
    accuracy: float = Field(0.03, ge=0, le=1)
    """Held-out accuracy moved by this at the most."""
    ranking: float = Field(0.95, ge=-1, le=1)
    """Spearman correlation of clips' returns before and after the fit is at least this."""

    def holds(self, trace: Float[np.ndarray, "round 2"]) -> bool:
        """Whether the rounds that asked last were stable.

        Args:
            trace: accuracy and correlation of each round that asked. A round without a measurement
                (NaN) is no sign of stability.
        """
        if len(trace) <= self.rounds:
            return False
        moved = np.abs(np.diff(trace[:, 0]))[-self.rounds :]
        ranking = trace[-self.rounds :, 1]
        return bool((moved <= self.accuracy).all() and (ranking >= self.ranking).all())


class Budget(Config):
    """What may be spent."""

    env_steps: PositiveInt = 131072
    """Environment steps, those of the first rollouts included and those of evaluation not."""
    labels: NonNegativeInt = 200
    """Labels that are asked for at the most, over all rounds: one a pair, a rating or a named place
    of a ranking, however many workers judge it."""
    money: NonNegativeFloat | None = None
    """What labels may cost at the most, over all rounds, in the annotator's unit; spread over the
    rounds as the labels are."""
    rounds: PositiveInt = Field(10, le=10_000)
    """Rounds of ask, fit, optimise and evaluate."""
    label_schedule: Literal["constant", "hyperbolic"] = "hyperbolic"
    """How labels are spread: evenly, or round r (from 0) in proportion to 1 / (1 + r)."""
    until_stable: Stability | None = None
    """When to ask no more, though labels are left; null asks for all of them."""
    initial_steps: PositiveInt = 6400
    """Steps of the untrained policy that the first questions are taken from."""


@dataclass(frozen=True)
class LabelPlan:
    """How the labels of a budget are spread over the rounds, and when asking ends."""

    budget: Budget
    reserve: int
    """Labels that are withheld for an alarm of the guard."""
    label_price: float
    """The most that one label may cost."""
    smallest_question: int
    """Labels that the smallest question counts as; 0 where nothing is asked."""
    demonstrations: int
    """Whole episodes that are asked for, at the most; 0 where none are."""

    def of_round(self, round: int) -> int:
        """Labels planned for a round."""
        return self._planned(round + 1) - self._planned(round)

    def due(self, round: int, state: FeedbackState, alarmed: bool) -> int:
        """Labels to ask for now.

        They are what was planned up to this round and not yet asked for; after an alarm, what is
        left of the reserve. Never more than the labels and the money that are left, and none once
        the reward is stable.
        """
        left = self.budget.labels - state.asked
        if alarmed:
            # What was asked beyond the plan came out of the reserve.
            due = self.reserve - max(0, state.asked - self._planned(round + 1))
        else:
            if self._is_stable(state):
                return 0
            due = self._planned(round + 1) - min(state.asked, self._planned(round))
        due = max(0, min(due, left))
        money, price = self.budget.money, self.label_price
        if money is not None and price > 0:
            # Spread as the labels are, or the first round would spend it all.
            share = 1.0 if alarmed else self._planned(round + 1) / max(self.budget.labels, 1)
            affordable = money * share - state.cost
            # Prices are decimal fractions: what fits exactly must not be lost to rounding.
            due = min(due, max(0, int(affordable / price + 1e-9)))
        return due

    def ended(self, state: FeedbackState, rounds: int) -> str | None:
        """Why labels of the budget were left after so many rounds; None: none were."""
        budget, question, price = self.budget, self.smallest_question, self.label_price
        left = budget.labels - state.asked
        if left <= 0 or not question:
            return None
        affordable = inf if budget.money is None else budget.money - state.cost + 1e-9
        # Rounds without a question leave no trace.
        withheld = len(state.trace) < rounds and affordable >= price * question
        if 0 < self.demonstrations <= state.asked:
            cause = "all demonstrations were given (feedback.demonstrations)"
        elif rounds < budget.rounds:
            cause = "the guard stopped the run (guard.reaction)"
        elif self._is_stable(state) and (withheld or affordable >= price * left):
            cause = "the reward is stable (budget.until_stable)"
        elif affordable < price * left:
            cause = (
                f"the money pays for no more (budget.money), {state.cost:g} of {budget.money:g} "
                "spent"
            )
        else:
            cause = "the rest is less than a question"
        return f"{cause}, {left} labels are left"

    def _is_stable(self, state: FeedbackState) -> bool:
        stable = self.budget.until_stable
        return stable is not None and stable.holds(state.trace)

    def _planned(self, rounds: int) -> int:
        """Labels asked for in the first so many rounds together."""
        if rounds == self.budget.rounds:
            return self.budget.labels
        labels = self.budget.labels - self.reserve
        if self.budget.label_schedule == "constant":
            return labels * rounds // self.budget.rounds
        sums = _harmonic(self.budget.rounds)
        # Exact arithmetic: the parts must add up to the budget.
        return labels * sums[rounds] // sums[-1]


@lru_cache(maxsize=4)
def _harmonic(rounds: int) -> tuple[int, ...]:
    """1 + 1/2 + ... + 1/r for r = 0 to `rounds`, times a common denominator."""
    denominator = lcm(*range(1, rounds + 1))
    return (0, *accumulate(denominator // index for index in range(1, rounds + 1)))


def share(total: int, index: int, parts: int) -> int:
    """Part `index` of `total`, split so that the parts differ by one at the most."""
    return total * (index + 1) // parts - total * index // parts
