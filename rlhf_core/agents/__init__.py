"""The five-line path: an agent that learns, with or without feedback, in this process alone.

    env = GymEnv("CartPole-v1")
    agent = PPOAgent(env)
    agent.learn()
    print(agent.evaluate())

No server, no Prefect, no MLflow. The same stages as in a tracked run do the work.
"""

from pathlib import Path
from typing import Any, Literal

import gymnasium

from rlhf_core.agents.agent import Agent, Watch
from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.annotators import Annotator
from rlhf_core.annotators.expert import Expert
from rlhf_core.environments.factory import Environment
from rlhf_core.evolution.strategy import EvolutionStrategy
from rlhf_core.feedback.inverse_rl import InverseRL
from rlhf_core.feedback_strategy import FeedbackStrategy
from rlhf_core.optimisers.ars import ARS
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.policies import Optimiser


def PPOAgent(  # noqa: N802 - reads as the constructor that it is
    env: Environment | gymnasium.Env[Any, Any],
    feedback: FeedbackStrategy | None = None,
    annotator: Annotator | None = None,
    optimiser: PPO | None = None,
    seed: int = 0,
) -> Agent:
    """An agent that learns with proximal policy optimisation; arguments as for `Agent`."""
    return Agent(env, optimiser or PPO(), feedback, annotator, seed)


def ESAgent(  # noqa: N802 - reads as the constructor that it is
    env: Environment | gymnasium.Env[Any, Any],
    feedback: FeedbackStrategy | None = None,
    annotator: Annotator | None = None,
    optimiser: EvolutionStrategy | None = None,
    seed: int = 0,
) -> Agent:
    """An agent that learns with an evolution strategy, augmented random search if none is given.

    Arguments as for `Agent`. A rollout is a whole generation; `learn` needs steps for one a round.
    """
    return Agent(env, optimiser or ARS(), feedback, annotator, seed)


def InverseRLAgent(  # noqa: N802 - reads as the constructor that it is
    env: Environment | gymnasium.Env[Any, Any],
    method: Literal["gail", "airl", "maximum_entropy", "behaviour_cloning"] = "gail",
    demonstrations: int = 20,
    recording: str | Path | None = None,
    optimiser: Optimiser | None = None,
    seed: int = 0,
) -> Agent:
    """An agent that learns from demonstrations, without the environment's reward.

    Args:
        env: as for `Agent`.
        method: what is learned from the demonstrations, and how.
        demonstrations: episodes to learn from.
        recording: a file that `Agent.record` wrote; None trains an expert on the true reward first,
            whose episodes are the demonstrations.
        optimiser: how the policy is improved; PPO if None.
        seed: root of all randomness.
    """
    annotator = Expert() if recording is None else Expert(recording=str(recording))
    feedback = InverseRL(method=method, demonstrations=demonstrations)
    return Agent(env, optimiser or PPO(), feedback, annotator, seed)


__all__ = ["Agent", "ESAgent", "InverseRLAgent", "LearnedReward", "PPOAgent", "Watch"]
