"""Measures PPO of rlhf-flows on CartPole-v1 or Pendulum-v1, in batched environments."""

from __future__ import annotations

import time

from measure import warm_torch
from stable_ppo import run

from rlhf_core.environments import GymEnv
from rlhf_core.fused import FusedPPO
from rlhf_core.fused.vec_env import GymnasiumVecEnv


def make(task: str, *, n_envs: int, seed: int) -> GymnasiumVecEnv:
    """Returns the copies, seeded as `make_vec_env` of Stable-Baselines3 seeds them."""
    environment = GymnasiumVecEnv(GymEnv(task, count=n_envs).make_vector())
    environment.seed(seed)
    return environment


if __name__ == "__main__":
    warm_torch()
    run("rlhf-flows", FusedPPO, time.process_time(), make)
