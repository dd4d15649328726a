"""Measures GAIL, AIRL and behavioural cloning of imitation on seals/CartPole-v0."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import seals  # noqa: F401  (registers the task)
from imitation.algorithms import bc
from imitation.algorithms.adversarial.airl import AIRL
from imitation.algorithms.adversarial.common import AdversarialTrainer
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data import rollout
from imitation.data.types import Trajectory
from imitation.rewards.reward_nets import BasicRewardNet, BasicShapedRewardNet
from imitation.util import logger
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from measure import EPISODES, EVALUATION_SEED, report, warm_torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

TASK = "seals/CartPole-v0"
ENVIRONMENTS = 8
STEPS = {"gail": 200_000, "airl": 300_000, "bc": 0}
LEARNERS: dict[str, dict[str, Any]] = {
    "gail": {"learning_rate": 4e-4, "gamma": 0.95, "n_epochs": 5},
    "airl": {
        "learning_rate": 5e-4,
        "gamma": 0.95,
        "n_epochs": 5,
        "clip_range": 0.1,
        "vf_coef": 0.1,
    },
}
TRAINERS: dict[str, dict[str, Any]] = {
    "gail": {"demo_batch_size": 1024, "n_disc_updates_per_round": 8},
    "airl": {"demo_batch_size": 2048, "n_disc_updates_per_round": 16},
}


def load(path: Path, count: int) -> list[Trajectory]:
    """Reads the first episodes of a file of demonstrations."""
    with np.load(path) as arrays:
        observations, actions = arrays["obs"], arrays["acts"]
    if len(observations) < count:
        raise SystemExit(f"{path} holds {len(observations)} episodes, {count} were asked for.")
    return [
        Trajectory(obs=obs, acts=acts, infos=None, terminal=True)
        for obs, acts in zip(observations[:count], actions[:count], strict=True)
    ]


def adversary(
    method: str,
    venv: VecEnv,
    demonstrations: list[Trajectory],
    *,
    round_steps: int,
    seed: int,
    quiet: logger.HierarchicalLogger,
) -> tuple[AdversarialTrainer, PPO]:
    """Returns the trainer and its learner with the settings of imitation's documentation."""
    learner = PPO(
        env=venv,
        policy="MlpPolicy",
        n_steps=round_steps // ENVIRONMENTS,
        batch_size=64,
        ent_coef=0.0,
        seed=seed,
        device="cpu",
        **LEARNERS[method],
    )
    net, trainer = (BasicRewardNet, GAIL) if method == "gail" else (BasicShapedRewardNet, AIRL)
    reward_net = net(
        observation_space=venv.observation_space,
        action_space=venv.action_space,
        normalize_input_layer=RunningNorm,
    )
    return (
        trainer(
            demonstrations=demonstrations,
            gen_replay_buffer_capacity=512,
            venv=venv,
            gen_algo=learner,
            reward_net=reward_net,
            custom_logger=quiet,
            **TRAINERS[method],
        ),
        learner,
    )


def main() -> None:
    """Reads the command line, learns, evaluates and prints the result."""
    warm_torch()
    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=sorted(STEPS), default="gail")
    parser.add_argument(
        "--demonstrations", type=Path, required=True, help="written by make_demonstrations.py"
    )
    parser.add_argument("--count", type=int, default=64, help="episodes to learn from")
    parser.add_argument("--steps", type=int, help="environment steps at most")
    parser.add_argument("--round", type=int, default=16_384, help="steps between discriminators")
    options = parser.parse_args()
    demonstrations = load(options.demonstrations, options.count)
    extra: dict[str, Any] = {"demonstrations": options.count}

    with tempfile.TemporaryDirectory() as folder:
        quiet = logger.configure(folder, format_strs=[])
        began = time.process_time()
        set_random_seed(options.seed)
        rng = np.random.default_rng(options.seed)
        venv = make_vec_env(TASK, rng=rng, n_envs=ENVIRONMENTS)
        if options.method == "bc":
            cloning = bc.BC(
                observation_space=venv.observation_space,
                action_space=venv.action_space,
                demonstrations=rollout.flatten_trajectories(demonstrations),
                rng=rng,
                device="cpu",
                custom_logger=quiet,
            )
            cloning.train(n_epochs=1, progress_bar=False)
            policy, env_steps = cloning.policy, 0
        else:
            trainer, learner = adversary(
                options.method,
                venv,
                demonstrations,
                round_steps=options.round,
                seed=options.seed,
                quiet=quiet,
            )
            steps = STEPS[options.method] if options.steps is None else options.steps
            trainer.train(steps)
            policy, env_steps = learner.policy, learner.num_timesteps
            extra["round"] = options.round
        cpu_seconds = time.process_time() - began

    testing = make_vec_env(
        TASK, rng=np.random.default_rng(EVALUATION_SEED + options.seed), n_envs=ENVIRONMENTS
    )
    returns, _ = evaluate_policy(
        policy, testing, EPISODES, deterministic=True, return_episode_rewards=True
    )
    report(
        peer="imitation",
        task=f"{TASK}/{options.method}",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=env_steps,
        returns=returns,
        extra=extra,
    )


if __name__ == "__main__":
    main()
