"""A policy trained on the true reward: its demonstrations and its value function."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Space
from jaxtyping import Bool, Float

from rlhf_core import seeding
from rlhf_core.acting import Act, reset
from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.environments.spaces import Spaces, build, describe, encode
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.values import ValueFunction, fit_values
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.policies import Optimiser
from rlhf_core.recording import Record, Recorder
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.types import Segments, Trajectory

TRUE_RETURNS = "demonstrations/true_returns"
"""Name of the array of the expert's true returns."""
PRACTICE_COPIES = 32
PRACTICE_STEPS = 512
"""Steps of each copy on which the expert's value function is fitted."""


def expert_optimiser(configured: Optimiser | None, run: Optimiser) -> Optimiser:
    """Choose the optimiser that trains an expert.

    Args:
        configured: the annotator's own field.
        run: the optimiser of the run.

    Returns:
        `configured`; where that is None, `run` if its kind is ppo, else ppo with batches of 128.
    """
    if configured is not None:
        return configured
    return run if run.kind == "ppo" else PPO(batch_size=128)


def check_expert(field: str, configured: Optimiser | None, environment: Environment) -> None:
    """Raise `ConfigurationError` where the configured optimiser cannot train an expert.

    Args:
        field: name of the configured field, for the message.
        configured: the annotator's own optimiser, or None.
        environment: what the expert acts in.
    """
    if configured is None:
        return
    try:
        configured.check_spaces(environment.spaces())
        configured.rollout_steps(environment)
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationError(f"{field}: {error}") from error


def train(
    environment: Environment, optimiser: Optimiser, steps: int, rng: np.random.Generator
) -> Act:
    """Train a policy on the true reward and return it as a function of observations.

    Args:
        environment: what the expert acts in.
        optimiser: how it is trained.
        steps: environment steps, rounded up to whole rollouts.
        rng: the source of randomness.
    """
    spaces = environment.spaces()
    rollout = optimiser.rollout_steps(environment)
    whole = -(-steps // rollout) * rollout
    start = optimiser.first_policy(environment, seeding.integer(rng))
    trained = optimiser.optimise(
        start, environment, EnvironmentReward(), whole, whole, seeding.integer(rng)
    ).state
    return optimiser.act(trained, spaces, deterministic=True)


class Demonstrated(NamedTuple):
    """Episodes of an expert, and what the environment paid for each."""

    episodes: Demonstrations
    true_returns: Float[np.ndarray, " E"]


def demonstrate(
    environment: Environment, act: Act, episodes: int, rng: np.random.Generator
) -> Demonstrated:
    """Play whole episodes of a policy, each in its own copy of the environment."""
    record = play(environment, act, episodes, environment.horizon(), rng)
    played = [_first_episode(record, copy) for copy in range(episodes)]
    true_returns = [
        float(record.rewards[: len(episode), copy].sum()) for copy, episode in enumerate(played)
    ]
    return Demonstrated(demonstrations(played), np.array(true_returns))


def _first_episode(record: Record, copy: int) -> Trajectory:
    """Return the first episode of a copy; an episode that ends early is followed by others."""
    ended = np.flatnonzero(record.terminated[:, copy] | record.truncated[:, copy])
    stop = int(ended[0]) + 1 if len(ended) else len(record.rewards)
    return record.trajectory(copy, 0, stop, policy_version=0)


def to_arrays(
    episodes: Demonstrations, true_returns: Float[np.ndarray, " E"] | None = None
) -> dict[str, np.ndarray]:
    """Return demonstrations as arrays by name.

    Args:
        episodes: the demonstrations.
        true_returns: of each of them; None where nobody knows them, as those of a recording.
    """
    names = Demonstrations.__dataclass_fields__
    arrays = {f"demonstrations/{name}": getattr(episodes, name) for name in names}
    return arrays if true_returns is None else {**arrays, TRUE_RETURNS: true_returns}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Demonstrations:
    """Make demonstrations of the arrays of `to_arrays`."""
    names = Demonstrations.__dataclass_fields__
    return Demonstrations(*(arrays[f"demonstrations/{name}"] for name in names))


def next_demonstrations(
    arrays: Mapping[str, np.ndarray], count: int, seconds: float, cost: float
) -> tuple[dict[str, np.ndarray], Demonstrations]:
    """Take the next `count` episodes that were not demonstrated yet.

    Returns:
        The arrays, in which these episodes count as demonstrated, and the episodes.
    """
    start = int(arrays.get("demonstrations/used", np.array(0)))
    taken = from_arrays(arrays).episodes(start, start + count)
    taken = replace(taken, seconds=np.full(len(taken), seconds), cost=np.full(len(taken), cost))
    return {**arrays, "demonstrations/used": np.array(start + len(taken))}, taken


def play(
    environment: Environment, act: Act, copies: int, steps: int, rng: np.random.Generator
) -> Record:
    """Record a policy in `copies` environments for `steps` steps of each."""
    vector = environment.make_vector(copies)
    try:
        recorder = Recorder(vector)
        recorder.reset(episode_seeds(rng, copies))
        reset(act, np.ones(copies, dtype=bool))
        for _ in range(steps):
            reset(act, recorder.step(act(recorder.observation)))
        return recorder.take()
    finally:
        vector.close()


def expert_values(
    environment: Environment, act: Act, discount: float, rng: np.random.Generator
) -> ValueFunction:
    """Fit the expert's value function on states that random actions lead to as well.

    Each copy acts at random and by the expert in turns of random lengths; only transitions of the
    expert's actions are used.
    """
    spaces, turns = environment.spaces(), _turns(rng)
    spaces.action.seed(seeding.integer(rng))
    steered = _Steered(act, turns, spaces.action)
    record = play(environment, steered, PRACTICE_COPIES, PRACTICE_STEPS, rng)
    own = ~turns.T
    return fit_values(
        states(spaces, record.observations[own]),
        states(spaces, record.next_observations[own]),
        record.terminated[own],
        record.rewards[own][:, None].astype(np.float64),
        discount,
        rng,
    )


class _Steered:
    """A policy whose actions are replaced by random ones where `turns` (copies, steps) is True."""

    def __init__(
        self, act: Act, turns: Bool[np.ndarray, "copies steps"], space: Space[Any]
    ) -> None:
        self._act, self._space = act, space
        self._turns = iter(turns.T)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return the actions of one step."""
        actions = np.array(self._act(observations))
        for index in np.flatnonzero(next(self._turns)):
            actions[index] = self._space.sample()
        return actions

    def reset(self, copies: np.ndarray) -> None:
        """Reset the policy in these copies (a mask), if it is recurrent."""
        reset(self._act, copies)


def states(spaces: Spaces, observations: np.ndarray) -> np.ndarray:
    """Encode observations as features."""
    return encode(spaces.observation, observations).astype(np.float64)


def _turns(rng: np.random.Generator) -> np.ndarray:
    """Draw whether each copy acts at random (copies, steps), in turns of 1 to 64 steps."""
    lengths = rng.integers(1, 65, size=(PRACTICE_COPIES, PRACTICE_STEPS))
    ends = lengths.cumsum(axis=1)
    step = np.arange(PRACTICE_STEPS)
    turn = (ends[:, :, None] <= step).sum(axis=1)
    first = rng.integers(2, size=(PRACTICE_COPIES, 1))
    odd: np.ndarray = (turn + first) % 2 == 1
    return odd


def described(spaces: Spaces) -> np.ndarray:
    """Encode spaces as an array of bytes, so that a state can hold them."""
    text = json.dumps([describe(spaces.observation), describe(spaces.action)])
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def regret(
    arrays: Mapping[str, np.ndarray],
    segments: Segments,
    rewards: Float[np.ndarray, "S L"],
    discount: float,
) -> Float[np.ndarray, " S"]:
    """Regret of each clip: the expert's value of its first state less what the clip achieved.

        regret = V(s_0) - (sum over t of discount^t r_t + discount^L V(s_L))

    V(s_L) is 0 where the clip ends with a terminated episode; L is the last real step.
    """
    values = ValueFunction(*(arrays[f"value/{name}"] for name in ValueFunction._fields))
    observation, action = json.loads(bytes(arrays["value/spaces"]).decode())
    spaces = Spaces(build(observation), build(action))
    length = segments.mask.sum(axis=1)
    last = segments.observations[np.arange(len(segments)), length]
    ended = (segments.terminated & segments.mask).any(axis=1)
    earned = (np.power(discount, np.arange(segments.steps)) * rewards).sum(axis=1)
    first_value = values(states(spaces, segments.observations[:, 0]))[:, 0]
    last_value = np.where(ended, 0.0, values(states(spaces, last))[:, 0])
    lost: np.ndarray = first_value - earned - np.power(discount, length) * last_value
    return lost
