"""An experiment: one frozen, typed value that says everything about a run."""

import warnings
from fractions import Fraction
from math import inf

import numpy as np
from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from rlhf_core.annotators import AnyAnnotator
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback import AnyFeedbackStrategy
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.guard import Guard
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.plugin import Config


class EvaluationSettings(Config):
    """How the policy is measured on the true return."""

    episodes: PositiveInt = 40
    """E, episodes at the end of every round, each from a seed of its own."""
    deterministic: bool = True
    """Take the policy's most likely action."""
    discount: float = Field(0.97, ge=0, lt=1)
    """Discount of the values by which the STARC distance takes shaping out of a reward."""


class Experiment(Config):
    """Everything about a run. The same experiment with the same seed gives the same numbers."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    """Names the run and its registered policy: letters, digits, dot, dash, underscore."""
    environment: Environment
    """What the policy acts in."""
    feedback: AnyFeedbackStrategy = Preference()
    """What is asked and how a reward is made of the answers."""
    annotator: AnyAnnotator = Synthetic()
    """Who answers."""
    optimiser: AnyOptimiser = PPO()
    """How the policy is improved."""
    budget: Budget = Budget()
    """What may be spent."""
    guard: Guard = Guard()
    """What is done when the policy games the learned reward."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How the policy is measured."""
    seed: NonNegativeInt = 0
    """Root of all randomness."""
    threads: PositiveInt = 1
    """CPU threads of torch; for small networks one is the fastest."""

    @model_validator(mode="after")
    def _steps_fill_the_rounds(self) -> "Experiment":
        rollout = self.optimiser.rollout_steps(self.environment)
        needed = self.first_steps + self.budget.rounds * rollout
        if self.budget.env_steps < needed:
            raise ValueError(
                f"budget.env_steps: expected at least {needed} ({self.first_steps} first steps "
                f"and one rollout of {rollout} in each of {self.budget.rounds} rounds), "
                f"actual: {self.budget.env_steps}"
            )
        return self

    def check(self) -> None:
        """Make the environment once, to see that it exists and that everything fits it.

        Raises:
            ConfigurationError: names the field, what was expected and what came.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="gymnasium")
            horizon = self.environment.horizon()
            self.optimiser.check_spaces(self.environment.spaces())
        price, money = self.annotator.label_price(), self.budget.money
        question = price * self.feedback.smallest_question()
        if money is not None and money < question:
            raise ConfigurationError(
                f"budget.money: expected at least {question:g}, the most that one question may "
                f"cost, actual: {money:g}"
            )
        rounds = range(self.budget.rounds)
        rollout = self.optimiser.rollout_steps(self.environment)
        fewest = min(self.steps_of(round) for round in rounds)
        if self.guard.reaction != "report" and fewest < 2 * rollout:
            raise ConfigurationError(
                f"guard.reaction: '{self.guard.reaction}' expected at least 2 rollouts of "
                f"{rollout} steps in each round, to see whether the proxy return rises, actual: "
                f"{fewest // rollout}; fewer rounds or more steps give that"
            )
        stable = self.budget.until_stable
        if stable is not None and stable.rounds >= self.budget.rounds:
            raise ConfigurationError(
                f"budget.until_stable.rounds: expected fewer than the {self.budget.rounds} rounds "
                f"of the run, actual: {stable.rounds}"
            )
        self.annotator.check_fit(self.environment, self.feedback.demonstrations_wanted() > 0)
        self.feedback.check_optimiser(self.optimiser)
        self.feedback.start(self.environment)
        steps = [self.steps_of(round - 1) if round else self.first_steps for round in rounds]
        self.feedback.check_fit([self.labels_of(round) for round in rounds], steps, horizon)

    @property
    def first_steps(self) -> int:
        """`budget.initial_steps`, rounded up to whole steps of all environment copies."""
        count = self.environment.count
        return -(-self.budget.initial_steps // count) * count

    def steps_of(self, round: int) -> int:
        """Environment steps that the optimiser takes in a round, in whole rollouts."""
        rollout = self.optimiser.rollout_steps(self.environment)
        rollouts = (self.budget.env_steps - self.first_steps) // rollout
        return _share(rollouts, round, self.budget.rounds) * rollout

    @property
    def total_steps(self) -> int:
        """Environment steps that the optimiser takes in all rounds."""
        return sum(self.steps_of(round) for round in range(self.budget.rounds))

    def labels_of(self, round: int) -> int:
        """Labels planned for a round."""
        return self._planned(round + 1) - self._planned(round)

    def labels_due(self, round: int, state: FeedbackState, alarmed: bool = False) -> int:
        """Labels to ask for now.

        What was planned up to this round and not yet asked; after an alarm what is left of the
        reserve. Never more than the labels and the money that are left, and nothing once the reward
        is stable.
        """
        left = self.budget.labels - state.asked
        if alarmed:
            # What was asked beyond the plan came out of the reserve.
            due = self._reserve - max(0, state.asked - self._planned(round + 1))
        else:
            if self._is_stable(state):
                return 0
            due = self._planned(round + 1) - min(state.asked, self._planned(round))
        due = max(0, min(due, left))
        if self.budget.money is not None:
            price = self.annotator.label_price()
            spent = state.cost
            if price > 0:
                # Spread as the labels are, or the first round would spend it all.
                share = self._planned(round + 1) / max(self.budget.labels, 1)
                purse = self.budget.money * (1.0 if alarmed else share) - spent
                # Prices are decimal fractions: what fits exactly must not be lost to rounding.
                due = min(due, max(0, int(purse / price + 1e-9)))
        return due

    def asking_ended(self, state: FeedbackState, rounds: int) -> str | None:
        """Why labels of the budget were left after so many rounds; None: none were."""
        budget, question = self.budget, self.feedback.smallest_question()
        left = budget.labels - state.asked
        if left <= 0 or not question:
            return None
        price, spent = self.annotator.label_price(), state.cost
        purse = inf if budget.money is None else budget.money - spent + 1e-9
        # Rounds without a question leave no trace.
        held_back = len(state.trace) < rounds and purse >= price * question
        if 0 < self.feedback.demonstrations_wanted() <= state.asked:
            cause = "all demonstrations were shown (feedback.demonstrations)"
        elif rounds < budget.rounds:
            cause = "the guard stopped the run (guard.reaction)"
        elif self._is_stable(state) and (held_back or purse >= price * left):
            cause = "the reward is stable (budget.until_stable)"
        elif purse < price * left:
            cause = (
                f"the money pays for no more (budget.money), {spent:g} of {budget.money:g} spent"
            )
        else:
            cause = "the rest is less than a question"
        return f"{cause}, {left} labels are left"

    def _is_stable(self, state: FeedbackState) -> bool:
        """Whether the rounds that asked last were as `until_stable` wants them."""
        wanted, trace = self.budget.until_stable, state.trace
        if wanted is None or len(trace) <= wanted.rounds:
            return False
        moved = np.abs(np.diff(trace[:, 0]))[-wanted.rounds :]
        ranking = trace[-wanted.rounds :, 1]
        # A round without a measurement (NaN) is no sign of stability.
        return bool((moved <= wanted.accuracy).all() and (ranking >= wanted.ranking).all())

    @property
    def _reserve(self) -> int:
        """Labels that are kept back for an alarm."""
        asks_more = self.guard.reaction == "ask_more"
        return int(self.budget.labels * self.guard.reserve) if asks_more else 0

    def _planned(self, rounds: int) -> int:
        """Labels asked for in the first so many rounds together."""
        if rounds == self.budget.rounds:
            return self.budget.labels
        labels = self.budget.labels - self._reserve
        if self.budget.label_schedule == "constant":
            return labels * rounds // self.budget.rounds
        weights = [Fraction(1, 1 + index) for index in range(self.budget.rounds)]
        # Exact arithmetic: the parts must add up to the budget.
        return int(labels * (sum(weights[:rounds]) / sum(weights)))


def _share(total: int, index: int, parts: int) -> int:
    """Part `index` of `total`, split so that the parts differ by one at the most."""
    return total * (index + 1) // parts - total * index // parts
