"""An experiment: one frozen, typed value that says everything about a run."""

import warnings

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from rlhf_core.annotators import AnyAnnotator
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget, LabelPlan, share
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import check_kinds
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback import AnyFeedbackStrategy
from rlhf_core.feedback.preference import Preference
from rlhf_core.guard import Guard
from rlhf_core.memory import check_memory
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.plugin import Config
from rlhf_core.reward_learning.strategy import RewardLearning

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Names of runs and registered policies."""


class EvaluationSettings(Config):
    """How the policy is measured on the true return."""

    episodes: PositiveInt = 40
    """E, episodes at the end of every round, each from a seed of its own."""
    deterministic: bool = True
    """Take the policy's most likely action."""
    discount: float = Field(0.97, ge=0, lt=1)
    """Discount of the values by which the STARC distance takes shaping out of a reward."""
    environment: Environment | None = None
    """Where the policy is measured, with the same observations and actions; null: where it learns.
    Another physics, such as `{id: Pendulum-v1, options: {g: 12.0}}`, tells how it generalises."""


class Experiment(Config):
    """Everything about a run. The same experiment with the same seed gives the same numbers."""

    name: str = Field(pattern=NAME, max_length=100)
    """Names the run and its registered policy: letters, digits, dot, dash, underscore."""
    environment: Environment
    """What the policy acts in; a text is short for its id."""
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
    threads: PositiveInt = Field(1, le=1024)
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
            check_memory(self)
            self._check_evaluation()
        self._check_truth()
        self._check_budget()
        imitation = self.feedback.imitation()
        self.annotator.check_fit(self.environment, imitation is not None)
        if imitation is not None:
            imitation.check_optimiser(self.optimiser)
        self._check_pairs()
        self.feedback.start(self.environment)
        rounds, plan = range(self.budget.rounds), self.plan
        steps = [self.steps_of(round - 1) if round else self.first_steps for round in rounds]
        self.feedback.check_fit([plan.of_round(round) for round in rounds], steps, horizon)

    def _check_evaluation(self) -> None:
        other, field = self.evaluation.environment, "evaluation.environment"
        if other is None:
            return
        # Bounds of observations follow the physics; those of actions do not.
        ours, theirs = self.environment.spaces(), other.spaces()
        check_kinds(theirs, ours, "of the training environment", field=field)
        if theirs.action != ours.action:
            raise ConfigurationError(
                f"{field}: expected the actions of the training environment, {ours.action}, "
                f"actual: {theirs.action}"
            )

    def _check_pairs(self) -> None:
        """Refuse a strategy without labelled pairs where the optimiser learns from them."""
        feedback = self.feedback
        if not self.optimiser.learns_from_pairs:
            return
        forms = feedback.forms() if isinstance(feedback, RewardLearning) else ()
        asks = "comparison" in [form.kind for form in forms]
        if not isinstance(feedback, RewardLearning) or not asks:
            raise ConfigurationError(
                f"optimiser.kind: '{self.optimiser.kind}' learns from labelled pairs, which "
                f"feedback kind '{feedback.kind}' does not ask for; use kind 'preference' with the "
                "form 'comparison'"
            )
        if not feedback.same_start:
            raise ConfigurationError(
                f"feedback.same_start: expected true for optimiser kind '{self.optimiser.kind}', "
                "which learns from two completions of one prompt, actual: false"
            )

    def _check_truth(self) -> None:
        """Refuse what needs a true reward where there is none."""
        if self.environment.true_reward:
            return
        none = "the true reward, and the environment has none (environment.true_reward: false)"
        if self.feedback.needs_true_reward:
            raise ConfigurationError(f"feedback.kind: '{self.feedback.kind}' reads {none}")
        if self.annotator.needs_true_reward():
            raise ConfigurationError(
                f"annotator.kind: '{self.annotator.kind}' needs {none}; use kind 'expert' with a "
                "recording"
            )

    def _check_budget(self) -> None:
        price, money = self.annotator.label_price(), self.budget.money
        question = price * self.feedback.smallest_question()
        if money is not None and money < question:
            raise ConfigurationError(
                f"budget.money: expected at least {question:g}, the most that one question may "
                f"cost, actual: {money:g}"
            )
        rollout = self.optimiser.rollout_steps(self.environment)
        # Shares differ by one rollout at the most, and the first is the smallest.
        fewest = self.steps_of(0)
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

    @property
    def first_steps(self) -> int:
        """`budget.initial_steps`, rounded up to whole steps of all environment copies."""
        count = self.environment.count
        return -(-self.budget.initial_steps // count) * count

    def steps_of(self, round: int) -> int:
        """Environment steps that the optimiser takes in a round, in whole rollouts."""
        rollout = self.optimiser.rollout_steps(self.environment)
        rollouts = (self.budget.env_steps - self.first_steps) // rollout
        return share(rollouts, round, self.budget.rounds) * rollout

    @property
    def total_steps(self) -> int:
        """Environment steps that the optimiser takes in all rounds."""
        rollout = self.optimiser.rollout_steps(self.environment)
        return (self.budget.env_steps - self.first_steps) // rollout * rollout

    @property
    def plan(self) -> LabelPlan:
        """How the labels are spread over the rounds."""
        asks_more = self.guard.reaction == "ask_more"
        imitation = self.feedback.imitation()
        return LabelPlan(
            self.budget,
            int(self.budget.labels * self.guard.reserve) if asks_more else 0,
            self.annotator.label_price(),
            self.feedback.smallest_question(),
            0 if imitation is None else imitation.demonstrations,
        )
