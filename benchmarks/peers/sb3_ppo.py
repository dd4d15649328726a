"""Measures PPO of Stable-Baselines3 on CartPole-v1 or Pendulum-v1."""

from __future__ import annotations

import time

from measure import warm_torch
from stable_baselines3 import PPO
from stable_ppo import run

if __name__ == "__main__":
    warm_torch()
    run("sb3", PPO, time.process_time())
