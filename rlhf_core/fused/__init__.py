"""Stable-Baselines3's PPO, SAC and TD3 fused: the same algorithms in a fraction of the time.

On a CPU and with the small networks of control tasks, Stable-Baselines3 spends most of its time
between operations: it builds graphs, checks distributions, and updates tensors one by one.
`FusedPPO`, `FusedSAC` and `FusedTD3` are its classes with two methods overridden: those that act
and update. For the policies that they cover, a minibatch is one pass of hand-written forward and
backward arithmetic over one flat vector of parameters; all others use Stable-Baselines3's own code.

    from rlhf_core.fused import FusedPPO

    model = FusedPPO("MlpPolicy", "CartPole-v1").learn(100_000)   # as stable_baselines3.PPO
"""

from rlhf_core.fused.ppo import FusedPPO
from rlhf_core.fused.sac import FusedSAC
from rlhf_core.fused.td3 import FusedTD3

__all__ = ["FusedPPO", "FusedSAC", "FusedTD3"]
