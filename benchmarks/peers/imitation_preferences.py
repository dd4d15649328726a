"""Measures imitation on its own tutorial: preference comparisons on Pendulum-v1."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time

import gymnasium
import numpy as np
from imitation.algorithms import preference_comparisons
from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util import logger
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from measure import EPISODES, EVALUATION_SEED, report, warm_torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import set_random_seed

TASK = "Pendulum-v1"
FRAGMENT = 100
TOTAL_STEPS = 5_000
"""The tutorial's number: PPO rounds each iteration's share up to one rollout of 2,048 steps."""


class Counted(gymnasium.Wrapper):
    """Counts the steps of all environments, those played for queries included."""

    steps = 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        """Takes one step and counts it."""
        Counted.steps += 1
        return super().step(action)


def main() -> None:
    """Reads the command line, learns, evaluates and prints the result."""
    warm_torch()
    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=60)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        quiet = logger.configure(folder, format_strs=[])
        began = time.process_time()
        set_random_seed(options.seed)
        rng = np.random.default_rng(options.seed)
        venv = make_vec_env(TASK, rng=rng, post_wrappers=[lambda env, _: Counted(env)])
        reward_net = BasicRewardNet(
            venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm
        )
        reward_trainer = preference_comparisons.BasicRewardTrainer(
            preference_model=preference_comparisons.PreferenceModel(reward_net),
            loss=preference_comparisons.CrossEntropyRewardLoss(),
            epochs=3,
            rng=rng,
        )
        agent = PPO(
            policy=FeedForward32Policy,
            policy_kwargs={
                "features_extractor_class": NormalizeFeaturesExtractor,
                "features_extractor_kwargs": {"normalize_class": RunningNorm},
            },
            env=venv,
            seed=options.seed,
            n_steps=2048 // venv.num_envs,
            batch_size=64,
            ent_coef=0.01,
            learning_rate=2e-3,
            clip_range=0.1,
            gae_lambda=0.95,
            gamma=0.97,
            n_epochs=10,
            device="cpu",
        )
        generator = preference_comparisons.AgentTrainer(
            algorithm=agent,
            reward_fn=reward_net,
            venv=venv,
            exploration_frac=0.05,
            rng=rng,
            custom_logger=quiet,
        )
        comparisons = preference_comparisons.PreferenceComparisons(
            generator,
            reward_net,
            num_iterations=options.iterations,
            fragmenter=preference_comparisons.RandomFragmenter(rng=rng, warning_threshold=0),
            preference_gatherer=preference_comparisons.SyntheticGatherer(rng=rng),
            reward_trainer=reward_trainer,
            fragment_length=FRAGMENT,
            transition_oversampling=1,
            initial_comparison_frac=0.1,
            allow_variable_horizon=False,
            initial_epoch_multiplier=4,
            query_schedule="hyperbolic",
            custom_logger=quiet,
        )
        learnt = comparisons.train(
            total_timesteps=TOTAL_STEPS, total_comparisons=options.comparisons
        )
        cpu_seconds = time.process_time() - began

    env_steps = Counted.steps
    testing = make_vec_env(TASK, rng=np.random.default_rng(EVALUATION_SEED + options.seed))
    returns, _ = evaluate_policy(
        agent.policy, testing, EPISODES, deterministic=True, return_episode_rewards=True
    )
    report(
        peer="imitation",
        task=f"{TASK}/preferences",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=env_steps,
        returns=returns,
        extra={
            "labels": options.comparisons,
            "iterations": options.iterations,
            "fragment": FRAGMENT,
            "policy_steps": agent.num_timesteps,
            "reward_accuracy": learnt["reward_accuracy"],
            "reward_loss": learnt["reward_loss"],
        },
    )


if __name__ == "__main__":
    main()
