"""An agent: a policy, how it is improved, and the feedback that it learns from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from pydantic import ValidationError

from rlhf_core import seeding, stages
from rlhf_core.acting import Act, reset
from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.agents.saved import SavedAgent, parts_of
from rlhf_core.annotators import Annotator
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget
from rlhf_core.driver import Start
from rlhf_core.environments import GymEnv
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.experiment import EvaluationSettings, Experiment
from rlhf_core.feedback.true_reward import TrueReward
from rlhf_core.feedback_strategy import FeedbackStrategy
from rlhf_core.in_process import run
from rlhf_core.loop import Progress
from rlhf_core.packing import write_value
from rlhf_core.policies import (
    OptimisationContext,
    Optimiser,
    PolicyState,
    Report,
    check_parameters,
    ignore_steps,
)
from rlhf_core.rollouts import collect
from rlhf_core.threads import limited
from rlhf_core.types import Metrics

Watch = Callable[[int, Metrics], None]
"""Receives the environment steps so far and the metrics of the round that just ended."""


class Agent:
    """A policy, how it is improved, and the feedback that it learns from."""

    def __init__(
        self,
        env: Environment | gymnasium.Env[Any, Any],
        optimiser: Optimiser,
        feedback: FeedbackStrategy | None = None,
        annotator: Annotator | None = None,
        seed: int = 0,
    ) -> None:
        """An untrained agent.

        Args:
            env: what to act in: `GymEnv(id)`, or what `gymnasium.make(id)` returned, of which the
                id and the arguments count and not the instance.
            optimiser: how the policy is improved.
            feedback: what is asked and learned; None trains on the true reward.
            annotator: who answers; a teacher that knows the true reward if None.
            seed: root of all randomness.

        Raises:
            ConfigurationError: the environment cannot be made again from what it is.
        """
        self.env = env if isinstance(env, Environment) else GymEnv(env)
        self.optimiser = optimiser
        self.feedback = feedback or TrueReward()
        self.annotator = annotator or Synthetic()
        self.seed = seed
        self.policy: PolicyState | None = None
        self.steps = 0
        """Environment steps that the policy was trained for, in all calls of `learn`."""
        self._calls = 0
        self._progress: Progress[Any] | None = None
        self._acting: tuple[PolicyState, Act] | None = None

    def learn(
        self,
        env_steps: int = 131072,
        labels: int = 200,
        rounds: int = 10,
        watch: Watch = lambda steps, metrics: None,
        progress_bar: bool = False,
        reset: bool = False,
    ) -> "Agent":
        """Train in rounds of ask, answer, fit, optimise and evaluate.

        Training goes on from where the policy, its optimiser, the reward and the labels stand, so
        that `learn` can be called in a loop; each call asks for further labels.

        Args:
            env_steps: environment steps to spend in this call.
            labels: judgements to ask for in this call; a strategy without questions asks for none.
            rounds: rounds to spend them in.
            watch: called after every round with the environment steps of all calls and the metrics.
            progress_bar: show a bar in the terminal.
            reset: forget everything that was learned, and start anew.

        Returns:
            The agent itself.

        Raises:
            ConfigurationError: the agent's parts do not fit each other, or the steps are too few.
        """
        calls = 0 if reset else self._calls
        with _in_one_sentence():
            budget = Budget(env_steps=env_steps, labels=labels, rounds=rounds)
        experiment, start = self._next(budget, calls, None if reset else self.policy)
        experiment.check()
        # The steps of former calls are not counted again.
        before = 0 if reset else self.steps
        before -= start.policy.steps if isinstance(start, Progress) else 0

        def tell(progress: Progress[Any]) -> None:
            watch(before + progress.policy.steps, progress.metrics)

        with _bar(env_steps, progress_bar) as report:
            final = run(experiment, tell, start, OptimisationContext(report=report))
        self.policy, self._progress = final.policy, final
        self.steps = before + final.policy.steps
        self._calls = calls + 1
        return self

    def _next(
        self, budget: Budget, calls: int, policy: PolicyState | None
    ) -> tuple[Experiment, Start[Any] | Progress[Any] | None]:
        """The experiment of the next call of `learn`, and where it starts from."""
        last = self._progress
        seed = self.seed
        if calls:
            seed = seeding.integer(seeding.generator(self.seed, calls, "learn"))
        if policy is None or last is None or last.policy is not policy:
            start = None if policy is None else Start(policy=policy)
            return self._experiment(budget, seed), start
        rollout = self.optimiser.rollout_steps(self.env)
        if budget.env_steps < budget.rounds * rollout:
            raise ConfigurationError(
                f"env_steps: expected at least {budget.rounds * rollout} (one rollout of "
                f"{rollout} in each of {budget.rounds} rounds), actual: {budget.env_steps}"
            )
        # The newest rollouts are at hand, so none are collected, and all steps are learned from.
        first = -(-last.rollouts.steps // self.env.count) * self.env.count
        longer = {"initial_steps": first, "env_steps": budget.env_steps + first}
        counted = replace(policy, steps=first)
        return self._experiment(budget.model_copy(update=longer), seed), replace(
            last,
            round=0,
            policy=counted,
            trusted=counted,
            feedback=last.feedback.taken_over(),
            batches=(),
            alarms=(),
            stopped=False,
        )

    @property
    def reward(self) -> LearnedReward:
        """The learned reward, a function of steps. Raises `RunError` where there is none."""
        if self._progress is None:
            raise RunError("the agent has learned no reward yet; call learn() or load() first")
        return LearnedReward(self.feedback, self._progress.feedback, self.env.spaces())

    def evaluate(self, episodes: int = 40, deterministic: bool = True) -> Evaluation:
        """True returns of the policy, each episode from a seed of its own."""
        with _in_one_sentence():
            settings = EvaluationSettings(episodes=episodes, deterministic=deterministic)
        experiment = self._experiment().model_copy(update={"evaluation": settings})
        with limited(experiment.threads):
            return stages.evaluate(experiment, 0, self._trained())[0]

    def act(self, observation: np.ndarray, first: bool = False) -> np.ndarray | np.generic:
        """The policy's most likely action for one observation.

        Args:
            observation: the newest one.
            first: a new episode begins with it; for policies that remember the one before.
        """
        policy = self._trained()
        if self._acting is None or self._acting[0] is not policy:
            # Building the network takes a hundred times longer than asking it.
            act = self.optimiser.act(policy, self.env.spaces(), deterministic=True)
            self._acting = policy, act
        if first:
            reset(self._acting[1], np.ones(1, dtype=bool))
        action: np.ndarray | np.generic = self._acting[1](np.asarray(observation)[None])[0]
        return action

    def save(self, path: str | Path) -> None:
        """Write the agent to a safetensors file: policy, reward, labels and newest rollouts.

        A loaded agent acts as this one does, and learns on as this one would.
        """
        policy, last = self._trained(), self._progress
        whole = last if last is not None and last.policy is policy else None
        saved = SavedAgent(
            self._parts(), self.seed, self._calls, self.steps, policy,
            None if whole is None else whole.feedback,
            None if whole is None else whole.annotator,
            () if whole is None else (whole.rollouts, whole.first[0]),
            () if whole is None else (whole.rewards, whole.first[1]),
            () if whole is None else whole.history,
        )  # fmt: skip
        write_value(path, saved)

    def load(self, path: str | Path) -> "Agent":
        """Read what an agent of the same environment, optimiser and feedback saved.

        Raises:
            StoreError: the file holds no agent.
            ConfigurationError: it was saved by an agent of other parts.
        """
        saved = SavedAgent.read(path)
        saved.check_fit(self._parts())
        untrained = self.optimiser.initial(self.env.spaces(), 0)
        check_parameters(saved.policy, untrained, "saved")
        self.policy, self.seed = saved.policy, saved.seed
        self.steps, self._calls = saved.steps, saved.calls
        self._progress = saved.progress()
        return self

    def record(self, path: str | Path, episodes: int = 20) -> None:
        """Write what the policy does to a file: demonstrations for the annotator kind `expert`.

        Args:
            path: of the safetensors file.
            episodes: environments that are played side by side for the length of an episode.
        """
        rng = np.random.default_rng(self.seed)
        act = self.optimiser.act(self._trained(), self.env.spaces(), deterministic=True)
        vector = self.env.make_vector(episodes)
        try:
            seeds = episode_seeds(rng, episodes)
            rollouts, _ = collect(vector, act, self.env.horizon(), seeds)
        finally:
            vector.close()
        write_value(path, rollouts)

    def _trained(self) -> PolicyState:
        if self.policy is None:
            raise RunError("the agent has no policy yet; call learn() or load() first")
        return self.policy

    def _parts(self) -> str:
        return parts_of(self.env, self.optimiser, self.feedback, self.annotator)

    def _experiment(self, budget: Budget | None = None, seed: int | None = None) -> Experiment:
        with _in_one_sentence():
            return Experiment(
                name="agent",
                environment=self.env,
                feedback=self.feedback,
                annotator=self.annotator,
                optimiser=self.optimiser,
                budget=budget or Budget(env_steps=10**9),
                seed=self.seed if seed is None else seed,
            )


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Turn the lines of pydantic into one of ours."""
    try:
        yield
    except ValidationError as error:
        problems = [
            ": ".join(
                [
                    *(str(part) for part in problem["loc"][:1]),
                    problem["msg"]
                    .removeprefix("Value error, ")
                    .replace("Input should be", "expected"),
                ]
            )
            for problem in error.errors()
        ]
        raise ConfigurationError("; ".join(problems)) from None


@contextmanager
def _bar(total: int, visible: bool) -> Iterator[Report]:
    """A progress bar of environment steps; yields what advances it."""
    if not visible:
        yield ignore_steps
        return
    from rich.progress import Progress as Bar

    with Bar() as bar:
        task = bar.add_task("environment steps", total=total)
        yield lambda steps: bar.advance(task, steps)
        bar.update(task, completed=total)
