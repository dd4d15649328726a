"""Trains an expert with SB3's PPO on seals/CartPole-v0 and writes its episodes to a file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import seals  # noqa: F401  (registers the task)
from measure import EPISODES, EVALUATION_SEED, report, warm_torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

TASK = "seals/CartPole-v0"
HORIZON = 500
FULL_RETURN = 500.0
CHUNK = 20_480


def expert(seed: int, limit: int) -> tuple[PPO, list[float]]:
    """Trains in chunks until every evaluation episode is perfect, and returns those episodes."""
    model = PPO(
        "MlpPolicy",
        make_vec_env(TASK, n_envs=8, seed=seed),
        n_steps=256,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        learning_rate=1e-3,
        seed=seed,
        device="cpu",
    )
    testing = make_vec_env(TASK, n_envs=8, seed=EVALUATION_SEED + seed)
    returns: list[float] = [0.0]
    while min(returns) < FULL_RETURN:
        if model.num_timesteps >= limit:
            raise SystemExit(f"no expert after {model.num_timesteps} steps: try another seed")
        model.learn(CHUNK, reset_num_timesteps=False)
        returns, _ = evaluate_policy(
            model, testing, EPISODES, deterministic=True, return_episode_rewards=True
        )
    return model, returns


def record(model: PPO, venv: VecEnv) -> tuple[np.ndarray, np.ndarray]:
    """Plays one deterministic episode in each environment: observations and actions."""
    observations = [venv.reset()]
    actions = []
    for _ in range(HORIZON):
        chosen, _ = model.predict(observations[-1], deterministic=True)
        following, _, dones, infos = venv.step(chosen)
        if dones.all():
            following = np.stack([info["terminal_observation"] for info in infos])
        observations.append(following)
        actions.append(chosen)
    return (
        np.stack(observations, axis=1).astype(np.float32),
        np.stack(actions, axis=1).astype(np.int64),
    )


def main() -> None:
    """Reads the command line, trains, writes the file and prints what it holds."""
    warm_torch()
    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--count", type=int, default=64, help="episodes to write")
    parser.add_argument("--limit", type=int, default=600_000, help="environment steps at most")
    options = parser.parse_args()

    began = time.process_time()
    model, returns = expert(options.seed, options.limit)
    cpu_seconds = time.process_time() - began
    venv = make_vec_env(TASK, n_envs=options.count, seed=2 * EVALUATION_SEED + options.seed)
    observations, actions = record(model, venv)
    np.savez_compressed(options.write, obs=observations, acts=actions)
    report(
        peer="sb3",
        task=f"{TASK}/expert",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=model.num_timesteps,
        returns=returns,
        extra={"obs": list(observations.shape), "acts": list(actions.shape)},
    )


if __name__ == "__main__":
    main()
