"""From a reward to a policy: the optimisers, one file each; what they are is in `policies`."""

from typing import Annotated

from rlhf_core.plugin import Family
from rlhf_core.policies import Optimiser

OPTIMISERS = Family(Optimiser, default="ppo")
AnyOptimiser = Annotated[Optimiser, OPTIMISERS]
