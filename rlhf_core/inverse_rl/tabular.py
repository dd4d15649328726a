"""The reward of exact maximum entropy inverse reinforcement learning: a table."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.inverse_rl.tables import TransitionTable
from rlhf_core.types import Value


@dataclass(frozen=True, eq=False)
class RewardTable(Value):
    """A reward for each state and action."""

    values: Float[np.ndarray, "S A"]


@dataclass(frozen=True)
class TabularReward:
    """A reward function that looks up r(observation, action) in a table."""

    table: RewardTable

    def __call__(
        self,
        observation: Int[np.ndarray, " B"],
        action: Int[np.ndarray, " B"],
        next_observation: Int[np.ndarray, " B"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Return the reward of each transition."""
        return self.table.values[observation, action].astype(np.float32)


def fit_table(
    table: TransitionTable, demonstrations: Demonstrations, penalty: float
) -> RewardTable:
    """Fit one reward for each state and action to demonstrations.

    The reward of terminal states is 0, as it is where episodes end there.

    Args:
        table: transitions of the environment.
        demonstrations: whole episodes.
        penalty: weight of the squared rewards, as in `maximum_entropy`.
    """
    from rlhf_core.inverse_rl.maximum_entropy import TabularMDP, maximum_entropy

    transitions, terminal = table.dense()
    mdp = TabularMDP(transitions, table.initial, table.horizon, terminal)
    visits = table.visits(demonstrations)
    features = np.eye(visits.size).reshape(*visits.shape, visits.size)
    solution = maximum_entropy(mdp, visits, features, tolerance=1e-4, penalty=penalty)
    return RewardTable(solution.reward)
