"""A share of a generation, played wherever there is room.

What goes out is the policy that the search stands at, a seed and which members to play: the noise
is drawn again from the seed (Salimans et al. 2017, https://arxiv.org/abs/1703.03864, section 2.1).
What comes back is each member's fitness and the moments of what it saw. Every number belongs to one
member and is computed from that member's episodes alone, so it is the same however the members are
divided.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int

from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.normaliser import Normaliser
from rlhf_core.evolution.play import Generation, play
from rlhf_core.evolution.search import Search
from rlhf_core.executor import Spread, processes
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.threads import limited

MOST_KEPT = 2
"""Vector environments that wait for the next share; shares are of two sizes at the most."""


@runtime_checkable
class Strategy(Protocol):
    """What a share needs to know of an evolution strategy."""

    @property
    def episodes(self) -> int:
        """E, episodes of each member."""
        ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        ...

    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """The search, gone on with."""
        ...


@dataclass(frozen=True)
class Centre:
    """Where a search stands before a generation."""

    parameters: Mapping[str, np.ndarray]
    """The mean, and the moments of the observations."""
    memory: Mapping[str, np.ndarray]
    """What else the population is drawn from."""
    seed: int
    generation: int

    def drawn(self, strategy: Strategy) -> tuple[list[int], Float[np.ndarray, "P D"]]:
        """The episodes' seeds and the population."""
        rng = np.random.default_rng([self.seed, self.generation])
        starts = episode_seeds(rng, strategy.episodes)
        return starts, strategy.search(self.parameters["mean"], self.memory).ask(rng)


@dataclass(frozen=True)
class Share:
    """Members `first` to `last` (exclusive) of a generation."""

    strategy: Strategy
    environment: Environment
    reward: Reward
    centre: Centre
    first: int
    last: int
    threads: int = 1
    """Of torch: sums of a learned reward come out the same only with the same number."""


@dataclass(frozen=True)
class Scores:
    """How members did; n of them."""

    fitness: Float[np.ndarray, " n"]
    steps: Int[np.ndarray, " n"]
    """Environment steps of each."""
    mean: Float[np.ndarray, "n F"]
    """Of the features that each saw."""
    square: Float[np.ndarray, "n F"]
    """Sum of squared distances from that mean."""

    def observed(self, normaliser: Normaliser) -> Normaliser:
        """With what the members saw taken in, one after the other."""
        for steps, mean, square in zip(self.steps, self.mean, self.square, strict=True):
            normaliser = normaliser.joined(Normaliser(mean, square, float(steps)))
        return normaliser


def is_stepped_one_by_one(environment: Environment) -> bool:
    """Whether members can be played apart without losing the speed of arrays."""
    return environment.is_stepped_one_by_one()


def play_apart(whole: Share, count: int, spread: Spread | None) -> Scores:
    """Play a share in `count` parts; without a `spread` in as many processes."""
    if not isinstance(whole.reward, EnvironmentReward):
        import torch

        whole = replace(whole, threads=torch.get_num_threads())
    parts = divided(whole.last, count)
    shares = [replace(whole, first=first, last=last) for first, last in parts]
    scores = (spread or processes(count))(play_share, shares)
    columns = [[getattr(part, name) for part in scores] for name in Scores.__dataclass_fields__]
    return Scores(*(np.concatenate(column) for column in columns))


def divided(members: int, count: int) -> list[tuple[int, int]]:
    """First and last member (exclusive) of each part; sizes differ by one at the most."""
    ends = [members * index // count for index in range(count + 1)]
    return [(first, last) for first, last in pairwise(ends) if first < last]


def play_share(share: Share) -> Scores:
    """Draw the population, play some of its members, score them."""
    members = np.arange(share.first, share.last)
    network = PolicyNetwork(share.environment.spaces(), share.strategy.hidden)
    played = played_members(share.strategy, share.environment, network, share.centre, members)
    rows = []
    learned = not isinstance(share.reward, EnvironmentReward)
    with limited(share.threads) if learned else nullcontext():
        for member in range(len(members)):
            alone = played.member(member)
            seen = network.features(alone.record.observations[alone.counted])
            moments = Normaliser.fresh(network.widths[0]).observed(seen)
            returns, _ = alone.fitness(share.reward)
            rows.append((returns[0], alone.steps, moments.mean, moments.square))
    return Scores(*(np.array(column) for column in zip(*rows, strict=True)))


def played_members(
    strategy: Strategy,
    environment: Environment,
    network: PolicyNetwork,
    centre: Centre,
    members: Int[np.ndarray, " n"],
) -> Generation:
    """The episodes of some members, as often as one likes the same."""
    starts, population = centre.drawn(strategy)
    normaliser = Normaliser.restored(centre.parameters)
    with _borrowed(environment, len(members) * len(starts)) as vector:
        chosen = population[members]
        return play(vector, network, normaliser, chosen, starts, environment.horizon())


_idle: dict[str, VectorEnv[Any, Any, Any]] = {}


@contextmanager
def _borrowed(environment: Environment, copies: int) -> Iterator[VectorEnv[Any, Any, Any]]:
    """Copies that nobody else in this process uses meanwhile, kept for the next share."""
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
    while len(_idle) > MOST_KEPT:
        _idle.pop(next(iter(_idle))).close()


def close_idle() -> None:
    """Close what was kept for another share in this process."""
    while _idle:
        _idle.popitem()[1].close()
