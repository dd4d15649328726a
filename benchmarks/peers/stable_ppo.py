"""PPO of the Stable-Baselines family: one run for SB3 and for SBX, which share their interface."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

from measure import EPISODES, EVALUATION_SEED, report
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

DEFAULT_EPOCHS = 10


def linear(start: float) -> Callable[[float], float]:
    """Returns a schedule that falls from its start to zero over the run."""
    return lambda remaining: start * remaining


ZOO: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "envs": 8,
        "frames": 100_000,
        "n_steps": 32,
        "batch_size": 256,
        "gae_lambda": 0.8,
        "gamma": 0.98,
        "n_epochs": 20,
        "learning_rate": linear(1e-3),
        "clip_range": linear(0.2),
    },
    "Pendulum-v1": {
        "envs": 4,
        "frames": 100_000,
        "n_steps": 1024,
        "gae_lambda": 0.95,
        "gamma": 0.9,
        "n_epochs": 10,
        "learning_rate": 1e-3,
        "clip_range": 0.2,
        "use_sde": True,
        "sde_sample_freq": 4,
    },
}
"""The tuned settings of rl_zoo3."""


def timed(algorithm: type[Any]) -> type[Any]:
    """Returns the algorithm with a clock around its update."""

    class Timed(algorithm):
        """The same algorithm, which notes when each update began and ended, and at which step."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self.updates: list[tuple[float, float, int]] = []
            super().__init__(*args, **options)

        def train(self) -> None:
            began = time.process_time()
            super().train()
            self.updates.append((began, time.process_time(), self.num_timesteps))

    return Timed


def run(
    peer: str,
    algorithm: type[Any],
    import_cpu_seconds: float,
    make: Callable[..., VecEnv] = make_vec_env,
) -> None:
    """Reads the command line, learns, evaluates and prints the result.

    `make` gives the copies to learn in; evaluation is Stable-Baselines3's for all.
    """
    parser = argparse.ArgumentParser(description=f"PPO of {peer}.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", choices=sorted(ZOO), default="CartPole-v1")
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument(
        "--steps", type=int, default=256, help="steps of each environment a rollout"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--zoo", action="store_true", help="tuned settings instead of the above")
    options = parser.parse_args()

    settings: dict[str, Any] = {
        "envs": options.envs,
        "frames": options.frames,
        "n_steps": options.steps,
        "batch_size": options.batch,
        "n_epochs": DEFAULT_EPOCHS,
    }
    if options.zoo:
        settings = dict(ZOO[options.task])
    envs, frames = settings.pop("envs"), settings.pop("frames")

    began = time.process_time()
    training = make(options.task, n_envs=envs, seed=options.seed)
    model = timed(algorithm)("MlpPolicy", training, seed=options.seed, device="cpu", **settings)
    model.learn(frames)
    ended = time.process_time()
    cpu_seconds = ended - began

    testing = make_vec_env(options.task, n_envs=8, seed=EVALUATION_SEED + options.seed)
    returns, _ = evaluate_policy(
        model, testing, EPISODES, deterministic=True, return_episode_rewards=True
    )
    minibatches = model.n_epochs * math.ceil(envs * model.n_steps / model.batch_size)
    seconds = [end - begin for begin, end, _ in model.updates]
    warm = seconds[1:] or seconds
    _, warm_began, cold_steps = model.updates[0]
    warm_steps = model.num_timesteps - cold_steps
    report(
        peer=peer,
        task=f"{options.task}/ppo" + ("-zoo" if options.zoo else ""),
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=model.num_timesteps,
        returns=returns,
        extra={
            "envs": envs,
            "steps": model.n_steps,
            "batch": model.batch_size,
            "epochs": model.n_epochs,
            "frames_per_second": round(model.num_timesteps / cpu_seconds),
            "warm_frames_per_second": round(warm_steps / (ended - warm_began)),
            "microseconds_per_minibatch": round(1e6 * sum(warm) / len(warm) / minibatches),
            "train_cpu_seconds": round(sum(seconds), 3),
            "first_train_cpu_seconds": round(seconds[0], 3),
        },
    )
