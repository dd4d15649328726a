"""Transition tables that environments publish, as finite Markov decision processes."""

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces as gym_spaces
from jaxtyping import Bool, Float, Int

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.types import Value


@dataclass(frozen=True, eq=False)
class TransitionTable(Value):
    """The possible transitions of an environment: n rows (s, a, s'), and its first states."""

    state: Int[np.ndarray, " n"]
    action: Int[np.ndarray, " n"]
    next_state: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    """P(s'|s, a); rows of the same s, a and s' add up."""
    terminated: Bool[np.ndarray, " n"]
    """Whether the episode ends with this transition."""
    initial: Float[np.ndarray, " S"]
    """Distribution of the first state."""
    actions: int
    horizon: int
    """T, time limit of an episode."""

    def dense(self) -> tuple[Float[np.ndarray, "S A S"], Bool[np.ndarray, " S"]]:
        """Return P(s'|s, a) and the terminal states, which are absorbing."""
        states = len(self.initial)
        transitions = np.zeros((states, self.actions, states))
        np.add.at(transitions, (self.state, self.action, self.next_state), self.probability)
        terminal = np.zeros(states, dtype=bool)
        terminal[self.next_state[self.terminated & (self.probability > 0)]] = True
        transitions[terminal] = 0.0
        transitions[terminal, :, terminal] = 1.0
        return transitions, terminal

    def visits(self, demonstrations: Demonstrations) -> Float[np.ndarray, "S A"]:
        """Return the mean number of times that demonstrations take each action in each state.

        After termination an episode stays in its final state until the horizon, with all actions
        alike, so that the visits sum to T.

        Raises:
            ConfigurationError: an episode ends before the horizon without termination.
        """
        from rlhf_core.inverse_rl.maximum_entropy import demonstrated_visits

        episodes = demonstrations.trajectories()
        final_visits = np.zeros((len(self.initial), self.actions))
        for episode in episodes:
            length, final = len(episode), int(episode.observations[-1])
            if length > self.horizon or (length < self.horizon and not episode.terminated):
                raise ConfigurationError(
                    f"demonstrations: expected episodes that terminate or last {self.horizon} "
                    f"steps, the horizon of the environment, actual: one of {length} steps"
                )
            final_visits[final] += (self.horizon - length) / self.actions
        states = [episode.observations[:-1] for episode in episodes]
        actions = [episode.actions for episode in episodes]
        shape = (len(self.initial), self.actions)
        return demonstrated_visits(states, actions, shape) + final_visits / len(episodes)


def read_table(environment: Environment, field: str) -> TransitionTable:
    """Read the transition table of Gymnasium's toy-text environments.

    They publish `P[state][action]`, rows of probability, next state, reward and termination, and
    `initial_state_distrib`. The rewards are not read.

    Args:
        environment: the environment.
        field: the configured field that needs a table, for the message.

    Raises:
        ConfigurationError: the environment has no such table.
    """
    if environment.fixed_horizon is not None:
        raise ConfigurationError(
            f"{field} expected an environment without a fixed_horizon, whose episodes "
            f"terminate, actual: {environment.fixed_horizon}"
        )
    env = environment.make()
    try:
        rows, initial = env.get_wrapper_attr("P"), env.get_wrapper_attr("initial_state_distrib")
    except AttributeError as error:
        raise ConfigurationError(
            f"{field} expected an environment with a transition table, such as FrozenLake-v1, "
            f"actual: '{environment.id}' has none; use maximum_entropy"
        ) from error
    finally:
        env.close()
    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, gym_spaces.Discrete) or observations.n != len(initial):
        raise ConfigurationError(
            f"{field} expected the {len(initial)} states of '{environment.id}' as observations, "
            f"actual: {observations}"
        )
    assert isinstance(actions, gym_spaces.Discrete), "a table has one column for each action"
    listed = [
        (state, action, after, probability, terminated)
        for state in range(len(initial))
        for action in range(int(actions.n))
        for probability, after, _, terminated in rows[state][action]
    ]
    columns = [np.array(column) for column in zip(*listed, strict=True)]
    table = TransitionTable(
        columns[0],
        columns[1],
        columns[2].astype(np.int64),
        columns[3].astype(np.float64),
        columns[4].astype(bool),
        np.asarray(initial, dtype=np.float64),
        int(actions.n),
        environment.horizon(),
    )
    _check_terminal(table, f"{field} expected terminal states in which every episode ends")
    return table


def _check_terminal(table: TransitionTable, message: str) -> None:
    """Raise `ConfigurationError` where an episode can also enter a terminal state and go on."""
    transitions, terminal = table.dense()
    reached = table.initial > 0
    while True:
        after = (transitions[reached & ~terminal].sum(axis=(0, 1)) > 0) | reached
        if (after == reached).all():
            break
        reached = after
    going_on = ~table.terminated & (table.probability > 0) & terminal[table.next_state]
    wrong = going_on & reached[table.state] & ~terminal[table.state]
    if wrong.any() or (reached & terminal & (table.initial > 0)).any():
        raise ConfigurationError(f"{message}, actual: one that episodes also continue from")
