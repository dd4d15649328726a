"""The five-line path: an agent that learns, with or without feedback, in this process alone.

    env = GymEnv("CartPole-v1")
    agent = PPOAgent(env)
    agent.learn()
    print(agent.evaluate().returns.mean())

No server, no Prefect, no MLflow. The same stages as in a tracked run do the work.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from rlhf_core import stages
from rlhf_core.acting import Act, reset
from rlhf_core.annotators import Annotator
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.experiment import EvaluationSettings, Experiment
from rlhf_core.feedback.true_reward import TrueReward
from rlhf_core.feedback_strategy import FeedbackStrategy
from rlhf_core.in_process import run
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.policies import Optimiser, PolicyState
from rlhf_core.rollouts import collect
from rlhf_core.store import pack, unpack
from rlhf_core.threads import limited
from rlhf_core.types import Evaluation, Metrics

Watch = Callable[[int, Metrics], None]
"""Told the environment steps so far and the metrics of the round that just ended."""


class Agent:
    """A policy, how it is improved, and the feedback that it learns from."""

    def __init__(
        self,
        env: Environment,
        optimiser: Optimiser,
        feedback: FeedbackStrategy | None = None,
        annotator: Annotator | None = None,
        seed: int = 0,
    ) -> None:
        """An untrained agent.

        Args:
            env: what to act in, made by `GymEnv`.
            optimiser: how the policy is improved.
            feedback: what is asked and learned; None trains on the scaled true reward.
            annotator: who answers; a teacher that knows the true reward if None.
            seed: root of all randomness.
        """
        self.env = env
        self.optimiser = optimiser
        self.feedback = feedback or TrueReward()
        self.annotator = annotator or Synthetic()
        self.seed = seed
        self.policy: PolicyState | None = None
        self._acting: tuple[PolicyState, Act] | None = None

    def learn(
        self,
        env_steps: int = 131072,
        labels: int = 200,
        rounds: int = 10,
        watch: Watch = lambda steps, metrics: None,
    ) -> "Agent":
        """Train from the start, in rounds of ask, answer, fit, optimise and evaluate.

        Args:
            env_steps: environment steps to spend.
            labels: judgements to ask for; a strategy without questions asks for none.
            rounds: rounds to spend them in.
            watch: called after every round with the environment steps and the metrics.

        Returns:
            The agent itself.
        """
        experiment = self._experiment(Budget(env_steps=env_steps, labels=labels, rounds=rounds))
        experiment.check()
        final = run(experiment, lambda p: watch(p.policy.steps, p.metrics))
        self.policy = final.policy
        return self

    def evaluate(self, episodes: int = 40, deterministic: bool = True) -> Evaluation:
        """True returns of the policy, each episode from a seed of its own."""
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
        """Write the policy to a safetensors file."""
        Path(path).write_bytes(pack(replace(self._trained(), optimizer_state={})))

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
        Path(path).write_bytes(pack(rollouts))

    def load(self, path: str | Path) -> "Agent":
        """Read a policy that an agent of the same environment and optimiser saved."""
        self.policy = unpack(Path(path).read_bytes(), PolicyState)
        return self

    def _trained(self) -> PolicyState:
        if self.policy is None:
            raise RunError("the agent has no policy yet; call learn() or load() first")
        return self.policy

    def _experiment(self, budget: Budget | None = None) -> Experiment:
        try:
            return Experiment(
                name="agent",
                environment=self.env,
                feedback=self.feedback,
                annotator=self.annotator,
                optimiser=self.optimiser,
                budget=budget or Budget(env_steps=10**9),
                seed=self.seed,
            )
        except ValidationError as error:
            problems = [p["msg"].removeprefix("Value error, ") for p in error.errors()]
            raise ConfigurationError("; ".join(problems)) from None


def PPOAgent(  # noqa: N802 - reads as the constructor that it is
    env: Environment,
    feedback: FeedbackStrategy | None = None,
    annotator: Annotator | None = None,
    optimiser: PPO | None = None,
    seed: int = 0,
) -> Agent:
    """An agent that learns with proximal policy optimisation; arguments as for `Agent`."""
    return Agent(env, optimiser or PPO(), feedback, annotator, seed)
