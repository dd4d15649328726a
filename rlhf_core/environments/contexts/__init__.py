"""Contexts: parameters of an environment's physics, drawn anew for every episode.

    environment:
      id: CartPole-v1
      contexts: {length: [0.25, 0.75], mass: [[0.01, 0.05], [0.5, 1.0]], force: 10}

A policy that is trained over many contexts generalises to others (Packer et al. 2018,
https://arxiv.org/abs/1810.12282). With `context_visible` the observations end with the context.
"""

from rlhf_core.environments.contexts.batched import ContextDynamics
from rlhf_core.environments.contexts.ranges import ContextRange, check_ranges
from rlhf_core.environments.contexts.wrapper import ContextEnv

__all__ = ["ContextDynamics", "ContextEnv", "ContextRange", "check_ranges"]
