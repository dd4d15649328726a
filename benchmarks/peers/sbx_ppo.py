"""Measures PPO of SBX on CartPole-v1 or Pendulum-v1."""

from __future__ import annotations

import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

from measure import warm_torch
from sbx import PPO
from stable_ppo import run

if __name__ == "__main__":
    warm_torch()
    run("sbx", PPO, time.process_time())
