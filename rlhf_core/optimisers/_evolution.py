"""What all evolution strategies share: generations until the steps are spent."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt

from rlhf_core.environments.factory import Environment, Spaces, episode_seeds
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.normaliser import Normaliser
from rlhf_core.evolution.play import Generation, play
from rlhf_core.evolution.search import Search
from rlhf_core.optimisers import (
    Checkpoints,
    Cloning,
    NoCheckpoints,
    Optimised,
    Optimiser,
    PolicyState,
    Report,
)
from rlhf_core.rewards import ObservingReward, Reward
from rlhf_core.rollouts import Act
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value

KEPT_STEPS = 65536
"""Steps of the newest generations that are kept for questions, at the most."""


@dataclass(frozen=True, eq=False)
class Evolved(Value):
    """How far a call has come."""

    policy: PolicyState
    generations: int
    taken: int
    """Environment steps of this call."""
    first_reward: float = 0.0
    """Mean reward of a step in the first generation."""
    last_reward: float = 0.0
    fitness: Float[np.ndarray, " P"] = field(default_factory=lambda: np.empty(0))
    """Of the last generation."""
    rollouts: Rollouts | None = None
    rewards: RolloutRewards | None = None
    reward: Value | None = None
    """What a reward that observes has learned."""


class EvolutionStrategy(Optimiser):
    """Search among the parameters of a policy by trying many, without gradients."""

    stochastic: ClassVar[bool] = False
    population: PositiveInt = 32
    """P, members of a generation."""
    episodes: PositiveInt = 1
    """E, episodes of each member, the same starts for all: common random numbers."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the hidden layers; none is a linear policy."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and deviation 1 by all that was seen."""

    @abstractmethod
    def search(self, mean: Float[np.ndarray, " D"], memory: Mapping[str, np.ndarray]) -> Search:
        """The search, gone on with from what it wrote down; an empty memory begins it."""

    def rollout_steps(self, environment: Environment) -> int:
        """One generation in which no episode ends early."""
        return self.population * self.episodes * environment.horizon()

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """A network whose outputs are all 0."""
        network = PolicyNetwork(spaces, self.hidden)
        mean = network.initial(np.random.default_rng(seed))
        normaliser = Normaliser.fresh(network.widths[0])
        search = self.search(mean, {})
        return PolicyState({"mean": mean, **normaliser.memory()}, search.memory())

    def optimise(
        self,
        state: PolicyState,
        environment: Environment,
        reward: Reward,
        steps: int,
        total_steps: int,
        seed: int,
        report: Report = lambda steps: None,
        checkpoints: Checkpoints = NoCheckpoints(),  # noqa: B008 - it keeps nothing
    ) -> Optimised:
        """Generations as long as another one is sure to fit into `steps`; one at the least."""
        network = PolicyNetwork(environment.spaces(), self.hidden)
        largest, horizon = self.rollout_steps(environment), environment.horizon()
        saved = checkpoints.load()
        now = saved if isinstance(saved, Evolved) else Evolved(state, 0, 0)
        search = self.search(now.policy.parameters["mean"], now.policy.optimiser)
        if isinstance(reward, ObservingReward) and now.reward is not None:
            reward = reward.resumed(now.reward)
        vector = environment.make_vector(self.population * self.episodes)
        try:
            while not now.generations or now.taken + largest <= steps:
                rng = np.random.default_rng([seed, now.generations])
                starts = episode_seeds(rng, self.episodes)
                normaliser = Normaliser.restored(now.policy.parameters)
                population = search.ask(rng)
                played = play(vector, network, normaliser, population, starts, horizon)
                if isinstance(reward, ObservingReward):
                    reward = reward.observe(played.transitions(), None, rng)
                now = self._told(now, search, played, normaliser, reward, network, rng)
                report(played.steps)
                checkpoints.save(now)
        finally:
            vector.close()
        assert now.rollouts is not None, "one generation was played"
        assert now.rewards is not None, "and paid"
        metrics = self._metrics(now, search)
        return Optimised(now.policy, now.rollouts, now.rewards, metrics, reward)

    def _told(
        self,
        now: Evolved,
        search: Search,
        played: Generation,
        normaliser: Normaliser,
        reward: Reward,
        network: PolicyNetwork,
        rng: np.random.Generator,
    ) -> Evolved:
        """After a generation: the search moved on, its newest trajectories kept."""
        fitness, mean_reward = played.fitness(reward)
        search.tell(fitness)
        if self.normalise_observations:
            seen = network.features(played.record.observations[played.counted])
            normaliser = normaliser.observed(seen)
        policy = PolicyState(
            {"mean": search.mean.copy(), **normaliser.memory()},
            search.memory(),
            now.policy.steps + played.steps,
        )
        rollouts, rewards = _newest(now, played, rng)
        return Evolved(
            policy,
            now.generations + 1,
            now.taken + played.steps,
            now.first_reward if now.generations else mean_reward,
            mean_reward,
            fitness,
            rollouts,
            rewards,
            reward.state if isinstance(reward, ObservingReward) else None,
        )

    def _metrics(self, now: Evolved, search: Search) -> Metrics:
        return {
            "proxy/return_mean": float(now.fitness.mean()),
            "proxy/gain": now.last_reward - now.first_reward,
            "policy/fitness_best": float(now.fitness.max()),
            "policy/search_deviation": search.deviation(),
            "policy/generations": float(now.generations),
        }

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> PolicyState:
        """The mean moved to a policy that acts as the demonstrations do."""
        from rlhf_core.inverse_rl.behaviour_cloning import clone_network

        network = PolicyNetwork(spaces, self.hidden)
        normaliser = Normaliser.restored(state.parameters)
        if self.normalise_observations and not normaliser.seen:
            normaliser = normaliser.observed(network.features(cloning.shown.observations))
        mean = np.asarray(state.parameters["mean"])
        cloned = clone_network(network, normaliser, mean, cloning, np.random.default_rng(seed))
        return replace(state, parameters={"mean": cloned, **normaliser.memory()})

    def expert(self) -> Optimiser:
        """By gradients, since trying at random takes a hundred times the steps."""
        from rlhf_core.optimisers.ppo import PPO

        return PPO()

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """The mean policy; or, to explore, a member of the next population for each observation.

        The member belongs to the observation's place in the batch, for as long as it is asked.
        """
        network = PolicyNetwork(spaces, self.hidden)
        normaliser = Normaliser.restored(state.parameters)
        members = np.asarray(state.parameters["mean"])[None]
        if not deterministic:
            search = self.search(members[0], state.optimiser)
            members = search.ask(np.random.default_rng(seed))
        layers = network.layers(members)

        def choose(observations: np.ndarray) -> np.ndarray:
            features = normaliser(network.features(observations))
            whose = np.arange(len(features)) % len(members)
            if len(members) == 1:
                outputs = network.outputs(layers, features[None])[0]
            else:
                chosen = [(weights[whose], biases[whose]) for weights, biases in layers]
                outputs = network.outputs(chosen, features[:, None])[:, 0]
            return network.actions(outputs)

        return choose


def _newest(
    now: Evolved, played: Generation, rng: np.random.Generator
) -> tuple[Rollouts, RolloutRewards]:
    """The trajectories kept so far and this generation's, cut down to `KEPT_STEPS`.

    Older generations go first; of a generation that is too large itself a random part is kept.
    """
    copies = played.counted.shape[1]
    room = max(1, int(KEPT_STEPS * copies / max(played.steps, 1)))
    chosen = np.sort(rng.permutation(copies)[: min(room, copies)])
    found, paid = played.trajectories(chosen, now.policy.steps)
    old = [] if now.rollouts is None else list(now.rollouts.trajectories)
    old_paid = [] if now.rewards is None else list(now.rewards.rewards)
    found, paid = old + found, old_paid + paid
    lengths = np.array([len(trajectory) for trajectory in found])
    # The newest come last.
    kept = lengths[::-1].cumsum()[::-1] <= KEPT_STEPS
    kept[-1] = True
    first = int(kept.argmax())
    return Rollouts(tuple(found[first:])), RolloutRewards(tuple(paid[first:]))
