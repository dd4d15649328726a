"""Progress of an evolution strategy within one call, and the trajectories that it keeps."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.evolution.play import Generation
from rlhf_core.policies import PolicyState
from rlhf_core.reservoir import RESERVOIR_STEPS
from rlhf_core.types import RolloutRewards, Rollouts, Value


@dataclass(frozen=True, eq=False)
class EvolutionProgress(Value):
    """Progress of one call of `optimise` after some generations."""

    policy: PolicyState
    generations: int
    taken: int
    """Environment steps of this call."""
    first_reward: float = 0.0
    """Mean reward of a step in the first generation."""
    last_reward: float = 0.0
    """Mean reward of a step in the last generation."""
    fitness: Float[np.ndarray, " P"] = field(default_factory=lambda: np.empty(0))
    """Of the last generation."""
    rollouts: Rollouts | None = None
    """Newest trajectories, oldest first; None while members are played in other processes."""
    rewards: RolloutRewards | None = None
    """Their true rewards."""
    reward: Value | None = None
    """State of a reward that learns from rollouts."""
    previous: PolicyState | None = None
    """The policy before the last generation, if its members were played in other processes."""
    lengths: Int[np.ndarray, " members"] = field(
        default_factory=lambda: np.empty(0, dtype=np.int64)
    )
    """Environment steps of each of those members."""

    def advanced(
        self,
        policy: PolicyState,
        steps: int,
        mean_reward: float,
        fitness: Float[np.ndarray, " P"],
    ) -> "EvolutionProgress":
        """Return the progress after one more generation, without its trajectories."""
        first = self.first_reward if self.generations else mean_reward
        return EvolutionProgress(
            policy, self.generations + 1, self.taken + steps, first, mean_reward, fitness
        )


def newest_trajectories(
    progress: EvolutionProgress, generation: Generation, rng: np.random.Generator
) -> tuple[Rollouts, RolloutRewards]:
    """Add a generation's trajectories to the earlier ones, and keep the newest ones.

    Of a generation that is longer than that itself, a random part is kept.
    """
    copies = generation.counted.shape[1]
    room = max(1, int(RESERVOIR_STEPS * copies / max(generation.steps, 1)))
    chosen = np.sort(rng.permutation(copies)[: min(room, copies)])
    trajectories, rewards = generation.trajectories(chosen, progress.policy.steps)
    if progress.rollouts is not None:
        trajectories = [*progress.rollouts.trajectories, *trajectories]
    if progress.rewards is not None:
        rewards = [*progress.rewards.rewards, *rewards]
    lengths = np.array([len(trajectory) for trajectory in trajectories])
    # The newest come last.
    fits = lengths[::-1].cumsum()[::-1] <= RESERVOIR_STEPS
    fits[-1] = True
    first = int(fits.argmax())
    return Rollouts(tuple(trajectories[first:])), RolloutRewards(tuple(rewards[first:]))
