"""Members of a generation evaluated in several processes.

A work item holds the state of the search, a seed and a range of members: each process draws the
noise from the seed (Salimans et al. 2017, https://arxiv.org/abs/1703.03864, section 2.1) and
returns the fitness of its members and the moments of their observations. Every number is computed
from the episodes of one member alone, so it does not depend on how the members are divided.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int

from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.play import Generation, play
from rlhf_core.evolution.search import Population, SearchState
from rlhf_core.executor import Executor, processes
from rlhf_core.normaliser import Normaliser
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.threads import limited

IDLE_ENVIRONMENTS = 2
"""Vector environments that a process keeps for its next work item; items have two sizes at most."""


@runtime_checkable
class Strategy(Protocol):
    """The part of an evolution strategy that a work item needs."""

    @property
    def episodes(self) -> int:
        """E, episodes of each member."""
        ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        ...

    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw a population."""
        ...


@dataclass(frozen=True)
class GenerationStart:
    """State of a search before a generation, and the seed of that generation."""

    search: SearchState
    normaliser: Normaliser
    seed: int
    generation: int

    def population(self, strategy: Strategy) -> tuple[list[int], Population]:
        """Draw the seeds of the episodes, then the population."""
        rng = np.random.default_rng([self.seed, self.generation])
        return episode_seeds(rng, strategy.episodes), strategy.ask(self.search, rng)


@dataclass(frozen=True)
class WorkItem:
    """Members `first` to `last` (exclusive) of a generation, to be evaluated by one process."""

    strategy: Strategy
    environment: Environment
    reward: Reward
    start: GenerationStart
    first: int
    last: int
    threads: int = 1
    """Of torch, whose sums depend on the number of threads."""


@dataclass(frozen=True)
class Fitness:
    """Fitness of n members, and the moments of the features that each observed."""

    returns: Float[np.ndarray, " n"]
    """Mean return of each member over its episodes."""
    steps: Int[np.ndarray, " n"]
    """Environment steps of each member."""
    mean: Float[np.ndarray, "n F"]
    square: Float[np.ndarray, "n F"]
    """Sum of squared distances from the mean."""

    def merged_into(self, normaliser: Normaliser) -> Normaliser:
        """Return a normaliser with the observations of all members, one member after the other."""
        for steps, mean, square in zip(self.steps, self.mean, self.square, strict=True):
            normaliser = normaliser.merged(Normaliser(mean, square, float(steps)))
        return normaliser


def is_stepped_one_by_one(environment: Environment) -> bool:
    """Return whether copies are stepped in a Python loop, so that processes lose no speed."""
    return environment.is_stepped_one_by_one()


def evaluate_distributed(whole: WorkItem, count: int, executor: Executor | None) -> Fitness:
    """Evaluate a work item in `count` parts; without an executor in as many processes."""
    if not isinstance(whole.reward, EnvironmentReward):
        import torch

        whole = replace(whole, threads=torch.get_num_threads())
    parts = divided(whole.last, count)
    items = [replace(whole, first=first, last=last) for first, last in parts]
    results = (executor or processes(count))(evaluate, items)
    columns = [[getattr(part, name) for part in results] for name in Fitness.__dataclass_fields__]
    return Fitness(*(np.concatenate(column) for column in columns))


def divided(members: int, count: int) -> list[tuple[int, int]]:
    """Return the first and last member (exclusive) of each part; sizes differ by at most one."""
    ends = [members * index // count for index in range(count + 1)]
    return [(first, last) for first, last in pairwise(ends) if first < last]


def evaluate(item: WorkItem) -> Fitness:
    """Draw the population, play the members of the item, and compute their fitness."""
    members = np.arange(item.first, item.last)
    network = PolicyNetwork(item.environment.spaces(), item.strategy.hidden)
    generation = play_members(item.strategy, item.environment, network, item.start, members)
    rows = []
    learned = not isinstance(item.reward, EnvironmentReward)
    with limited(item.threads) if learned else nullcontext():
        for member in range(len(members)):
            own = generation.member(member)
            features = network.features(own.record.observations[own.counted])
            moments = Normaliser.fresh(network.widths[0]).updated(features)
            returns, _ = own.fitness(item.reward)
            rows.append((returns[0], own.steps, moments.mean, moments.square))
    return Fitness(*(np.array(column) for column in zip(*rows, strict=True)))


def play_members(
    strategy: Strategy,
    environment: Environment,
    network: PolicyNetwork,
    start: GenerationStart,
    members: Int[np.ndarray, " n"],
) -> Generation:
    """Play the episodes of some members; every call gives the same episodes."""
    seeds, population = start.population(strategy)
    with _borrowed(environment, len(members) * len(seeds)) as vector:
        chosen = population.members[members]
        return play(vector, network, start.normaliser, chosen, seeds, environment.horizon())


_idle: dict[str, VectorEnv[Any, Any, Any]] = {}


@contextmanager
def _borrowed(environment: Environment, copies: int) -> Iterator[VectorEnv[Any, Any, Any]]:
    """Lend copies to one work item at a time, and keep them for the next one."""
    key = f"{copies} {environment.model_dump_json()}"
    vector = _idle.pop(key, None)
    if vector is None:
        vector = environment.make_vector(copies)
    try:
        yield vector
    except BaseException:
        vector.close()
        raise
    _idle[key] = vector
    while len(_idle) > IDLE_ENVIRONMENTS:
        _idle.pop(next(iter(_idle))).close()


def close_idle() -> None:
    """Close the environments that this process keeps for another work item."""
    while _idle:
        _idle.popitem()[1].close()
