"""What all evolution strategies share: generations until the steps are spent."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveInt

from rlhf_core.acting import Act
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.distributed import (
    Centre,
    Scores,
    Share,
    close_idle,
    is_stepped_one_by_one,
    play_apart,
    played_members,
)
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.normaliser import Normaliser
from rlhf_core.evolution.play import Generation, play
from rlhf_core.evolution.search import Search
from rlhf_core.executor import Spread
from rlhf_core.policies import (
    Checkpoints,
    NoCheckpoints,
    Optimised,
    Optimiser,
    PolicyState,
    Report,
)
from rlhf_core.reservoir import RESERVOIR_STEPS
from rlhf_core.rewards import ObservingReward, Reward
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value

REPLAYED_STEPS = 16384
"""Steps of the last generation that are played once more for questions, where members were played
apart and nothing but their fitness came back; at the most, but one member at the least."""


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
    before: PolicyState | None = None
    """The policy before the last generation, where its members were played apart."""
    lengths: Int[np.ndarray, " members"] = field(
        default_factory=lambda: np.empty(0, dtype=np.int64)
    )
    """Environment steps of its members there."""


class EvolutionStrategy(Optimiser):
    """Search among the parameters of a policy by trying many, without gradients."""

    stochastic: ClassVar[bool] = False
    drawn_from: ClassVar[Sequence[str] | None] = None
    """What of its memory a search draws the next population from; None: all of it."""
    population: PositiveInt = 32
    """P, members of a generation."""
    episodes: PositiveInt = 1
    """E, episodes of each member, the same starts for all: common random numbers."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the hidden layers; none is a linear policy."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and deviation 1 by all that was seen."""
    processes: PositiveInt = 1
    """Processes that share the members of a generation; the numbers are the same with any. Used for
    environments whose copies are stepped one by one, with a reward that does not learn from what
    members do."""

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
        spread: Spread | None = None,
    ) -> Optimised:
        """Generations as long as another one is sure to fit into `steps`; one at the least."""
        apart = is_stepped_one_by_one(environment) and not isinstance(reward, ObservingReward)
        network = PolicyNetwork(environment.spaces(), self.hidden)
        largest = self.rollout_steps(environment)
        saved = checkpoints.load()
        now = saved if isinstance(saved, Evolved) else Evolved(state, 0, 0)
        search = self.search(now.policy.parameters["mean"], now.policy.optimiser)
        if isinstance(reward, ObservingReward) and now.reward is not None:
            reward = reward.resumed(now.reward)
        vector = None if apart else environment.make_vector(self.population * self.episodes)
        try:
            while not now.generations or now.taken + largest <= steps:
                before, rng = now.taken, np.random.default_rng([seed, now.generations])
                starts = episode_seeds(rng, self.episodes)
                population = search.ask(rng)
                if vector is None:
                    centre = self._centre(now.policy, seed, now.generations)
                    whole = Share(self, environment, reward, centre, 0, self.population)
                    now = self._scored(now, search, play_apart(whole, self.processes, spread))
                else:
                    normaliser = Normaliser.restored(now.policy.parameters)
                    horizon = environment.horizon()
                    played = play(vector, network, normaliser, population, starts, horizon)
                    if isinstance(reward, ObservingReward):
                        reward = reward.observe(played.transitions(), None, rng)
                    now = self._told(now, search, played, normaliser, reward, network, rng)
                report(now.taken - before)
                checkpoints.save(now)
            if now.before is not None:
                now = self._replayed(now, environment, network, seed)
        finally:
            close_idle()
            if vector is not None:
                vector.close()
        assert now.rollouts is not None, "one generation was played"
        assert now.rewards is not None, "and paid"
        metrics = self._metrics(now, search)
        return Optimised(now.policy, now.rollouts, now.rewards, metrics, reward)

    def _centre(self, policy: PolicyState, seed: int, generation: int) -> Centre:
        names = policy.optimiser.keys() if self.drawn_from is None else self.drawn_from
        memory = {name: policy.optimiser[name] for name in names}
        return Centre(policy.parameters, memory, seed, generation)

    def _scored(self, now: Evolved, search: Search, scores: Scores) -> Evolved:
        """After a generation that was played apart."""
        search.tell(scores.fitness)
        normaliser = Normaliser.restored(now.policy.parameters)
        if self.normalise_observations:
            normaliser = scores.observed(normaliser)
        steps = int(scores.steps.sum())
        mean_reward = float(scores.fitness.sum() * self.episodes / steps)
        policy = PolicyState(
            {"mean": search.mean.copy(), **normaliser.memory()},
            search.memory(),
            now.policy.steps + steps,
        )
        return Evolved(
            policy,
            now.generations + 1,
            now.taken + steps,
            now.first_reward if now.generations else mean_reward,
            mean_reward,
            scores.fitness,
            before=now.policy,
            lengths=scores.steps,
        )

    def _replayed(
        self, now: Evolved, environment: Environment, network: PolicyNetwork, seed: int
    ) -> Evolved:
        """With trajectories of members of the last generation, chosen at random."""
        assert now.before is not None, "what was played apart can be played again"
        order = np.random.default_rng([seed, now.generations, 1]).permutation(self.population)
        count = max(1, int((now.lengths[order].cumsum() <= REPLAYED_STEPS).sum()))
        centre = self._centre(now.before, seed, now.generations - 1)
        played = played_members(self, environment, network, centre, np.sort(order[:count]))
        found, paid = played.trajectories(np.arange(count * self.episodes), now.before.steps)
        return replace(now, rollouts=Rollouts(tuple(found)), rewards=RolloutRewards(tuple(paid)))

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
        from rlhf_core.cloning import clone_network

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
    """The trajectories kept so far and this generation's, cut down to `RESERVOIR_STEPS`.

    Older generations go first; of a generation that is too large itself a random part is kept.
    """
    copies = played.counted.shape[1]
    room = max(1, int(RESERVOIR_STEPS * copies / max(played.steps, 1)))
    chosen = np.sort(rng.permutation(copies)[: min(room, copies)])
    found, paid = played.trajectories(chosen, now.policy.steps)
    old = [] if now.rollouts is None else list(now.rollouts.trajectories)
    old_paid = [] if now.rewards is None else list(now.rewards.rewards)
    found, paid = old + found, old_paid + paid
    lengths = np.array([len(trajectory) for trajectory in found])
    # The newest come last.
    kept = lengths[::-1].cumsum()[::-1] <= RESERVOIR_STEPS
    kept[-1] = True
    first = int(kept.argmax())
    return Rollouts(tuple(found[first:])), RolloutRewards(tuple(paid[first:]))
