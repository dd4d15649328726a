"""Optimisers of policies, one file each; their base is `rlhf_core.policies.Optimiser`."""

from typing import Annotated

from rlhf_core.plugin import Family
from rlhf_core.policies import Optimiser

OPTIMISERS = Family(Optimiser, default="ppo")
AnyOptimiser = Annotated[Optimiser, OPTIMISERS]
