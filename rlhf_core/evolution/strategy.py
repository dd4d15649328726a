"""The base of all evolution strategies: generations until the environment steps are used up."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float
from pydantic import Field, PositiveInt

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.distributed import (
    GenerationStart,
    WorkItem,
    close_idle,
    evaluate_distributed,
    is_stepped_one_by_one,
    play_members,
)
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.play import play
from rlhf_core.evolution.progress import EvolutionProgress, newest_trajectories
from rlhf_core.evolution.search import Population, SearchState
from rlhf_core.normaliser import Normaliser
from rlhf_core.policies import (
    DEFAULT_CONTEXT,
    Cloned,
    OptimisationContext,
    Optimised,
    Optimiser,
    PolicyState,
)
from rlhf_core.rewards import ObservingReward, Reward
from rlhf_core.sizes import COPY, features, parameters, value_bytes
from rlhf_core.types import Metrics, RolloutRewards, Rollouts

REPLAYED_STEPS = 16384
"""Steps of the last generation that are played again for questions, if its members were played in
other processes, which return their fitness alone. At most so many, but at least one member."""

PROCESS = 100 * 2**20
"""Bytes of a process that has imported what playing an episode needs."""


class EvolutionStrategy(Optimiser):
    """A search among the parameters of a policy that needs no gradients.

    Every generation, `ask` draws a population around the state of the search, the members play
    their episodes, and `tell` makes the next state of their fitness.
    """

    stochastic: ClassVar[bool] = False
    population: PositiveInt = 32
    """P, members of a generation."""
    episodes: PositiveInt = 1
    """E, episodes of each member, the same starts for all: common random numbers."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the hidden layers; none is a linear policy."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and standard deviation 1 by the moments of all generations."""
    processes: PositiveInt = Field(1, le=1024)
    """Processes among which the members of a generation are divided; the numbers are the same with
    any. Used for environments whose copies are stepped one by one, with a reward that does not
    learn from rollouts."""

    @abstractmethod
    def start(self, mean: Float[np.ndarray, " D"]) -> SearchState:
        """Return the state before the first generation."""

    @abstractmethod
    def restore(
        self, mean: Float[np.ndarray, " D"], arrays: Mapping[str, np.ndarray]
    ) -> SearchState:
        """Return the state with this mean whose other arrays are given by `SearchState.arrays`."""

    @abstractmethod
    def sampling_state(self, state: SearchState) -> SearchState:
        """Return the state without the arrays that `ask` does not read, to be sent to processes."""

    @abstractmethod
    def ask(self, state: SearchState, rng: np.random.Generator) -> Population:
        """Draw a population."""

    @abstractmethod
    def tell(
        self, state: SearchState, population: Population, fitness: Float[np.ndarray, " P"]
    ) -> SearchState:
        """Return the next state, from the fitness of the members; more is better."""

    @abstractmethod
    def search_std(self, state: SearchState) -> float:
        """Return the root mean square distance of members from the mean, over parameters."""

    def rollout_steps(self, environment: Environment) -> int:
        """Return the steps of one generation in which no episode ends early."""
        return self.population * self.episodes * environment.horizon()

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return the bytes of the members' parameters and of their copies of the environment."""
        observations = environment.spaces().observation
        copy = COPY + 3 * value_bytes(observations)
        return {
            "hidden": 8 * self.size(environment),
            "population": self.population * 8 * self.size(environment),
            "episodes": self.population * self.episodes * copy,
            "processes": (self.processes - 1) * PROCESS,
        }

    def size(self, environment: Environment) -> int:
        """Return D, the number of parameters of a policy."""
        spaces = environment.spaces()
        return parameters([features(spaces.observation), *self.hidden, features(spaces.action)])

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Return a network whose outputs are all 0."""
        network = PolicyNetwork(spaces, self.hidden)
        mean = network.initial(np.random.default_rng(seed))
        normaliser = Normaliser.fresh(network.widths[0])
        return _policy(self.start(mean), normaliser, 0)

    def optimise(
        self,
        state: PolicyState,
        environment: Environment,
        reward: Reward,
        steps: int,
        total_steps: int,
        seed: int,
        context: OptimisationContext = DEFAULT_CONTEXT,
    ) -> Optimised:
        """Play generations while another one is sure to fit into `steps`, and at least one."""
        divided = is_stepped_one_by_one(environment) and not isinstance(reward, ObservingReward)
        largest = self.rollout_steps(environment)
        saved = context.checkpoints.load()
        progress = saved if isinstance(saved, EvolutionProgress) else EvolutionProgress(state, 0, 0)
        if isinstance(reward, ObservingReward) and progress.reward is not None:
            reward = reward.resumed(progress.reward)
        vector = None if divided else environment.make_vector(self.population * self.episodes)
        try:
            while not progress.generations or progress.taken + largest <= steps:
                taken = progress.taken
                start = self._generation_start(progress.policy, seed, progress.generations)
                if vector is None:
                    progress = self._divided(progress, start, environment, reward, context)
                else:
                    progress, reward = self._batched(progress, start, environment, vector, reward)
                context.report(progress.taken - taken)
                context.checkpoints.save(progress)
            if progress.previous is not None:
                progress = self._replayed(progress, progress.previous, environment, seed)
        finally:
            close_idle()
            if vector is not None:
                vector.close()
        assert progress.rollouts is not None, "at least one generation was played"
        assert progress.rewards is not None, "rollouts come with their rewards"
        metrics = self._metrics(progress)
        return Optimised(progress.policy, progress.rollouts, progress.rewards, metrics, reward)

    def _generation_start(self, policy: PolicyState, seed: int, generation: int) -> GenerationStart:
        search = self.restore(policy.parameters["mean"], policy.optimizer_state)
        return GenerationStart(search, Normaliser.from_arrays(policy.parameters), seed, generation)

    def _divided(
        self,
        progress: EvolutionProgress,
        start: GenerationStart,
        environment: Environment,
        reward: Reward,
        context: OptimisationContext,
    ) -> EvolutionProgress:
        """Play a generation in several processes, which return fitness and moments alone."""
        sampled = replace(start, search=self.sampling_state(start.search))
        whole = WorkItem(self, environment, reward, sampled, 0, self.population)
        fitness = evaluate_distributed(whole, self.processes, context.executor)
        _, population = start.population(self)
        search = self.tell(start.search, population, fitness.returns)
        normaliser = start.normaliser
        if self.normalise_observations:
            normaliser = fitness.merged_into(normaliser)
        steps = int(fitness.steps.sum())
        mean_reward = float(fitness.returns.sum() * self.episodes / steps)
        policy = _policy(search, normaliser, progress.policy.steps + steps)
        advanced = progress.advanced(policy, steps, mean_reward, fitness.returns)
        return replace(advanced, previous=progress.policy, lengths=fitness.steps)

    def _batched(
        self,
        progress: EvolutionProgress,
        start: GenerationStart,
        environment: Environment,
        vector: VectorEnv[Any, Any, Any],
        reward: Reward,
    ) -> tuple[EvolutionProgress, Reward]:
        """Play a generation as one batch; return what a reward that observes has become, too."""
        rng = np.random.default_rng([start.seed, start.generation])
        seeds = episode_seeds(rng, self.episodes)
        population = self.ask(start.search, rng)
        network, horizon = PolicyNetwork(environment.spaces(), self.hidden), environment.horizon()
        generation = play(vector, network, start.normaliser, population.members, seeds, horizon)
        if isinstance(reward, ObservingReward):
            reward = reward.observe(generation.observed_transitions(), None, rng)
        fitness, mean_reward = generation.fitness(reward)
        search = self.tell(start.search, population, fitness)
        normaliser = start.normaliser
        if self.normalise_observations:
            observations = generation.record.observations[generation.counted]
            normaliser = normaliser.updated(network.features(observations))
        policy = _policy(search, normaliser, progress.policy.steps + generation.steps)
        rollouts, rewards = newest_trajectories(progress, generation, rng)
        learned = reward.state if isinstance(reward, ObservingReward) else None
        advanced = progress.advanced(policy, generation.steps, mean_reward, fitness)
        return replace(advanced, rollouts=rollouts, rewards=rewards, reward=learned), reward

    def _replayed(
        self,
        progress: EvolutionProgress,
        previous: PolicyState,
        environment: Environment,
        seed: int,
    ) -> EvolutionProgress:
        """Add trajectories of members of the last generation, chosen at random."""
        order = np.random.default_rng([seed, progress.generations, 1]).permutation(self.population)
        count = max(1, int((progress.lengths[order].cumsum() <= REPLAYED_STEPS).sum()))
        start = self._generation_start(previous, seed, progress.generations - 1)
        network = PolicyNetwork(environment.spaces(), self.hidden)
        generation = play_members(self, environment, network, start, np.sort(order[:count]))
        copies = np.arange(count * self.episodes)
        trajectories, rewards = generation.trajectories(copies, previous.steps)
        return replace(
            progress,
            rollouts=Rollouts(tuple(trajectories)),
            rewards=RolloutRewards(tuple(rewards)),
        )

    def _metrics(self, progress: EvolutionProgress) -> Metrics:
        policy = progress.policy
        search = self.restore(policy.parameters["mean"], policy.optimizer_state)
        return {
            "proxy/return_mean": float(progress.fitness.mean()),
            "proxy/gain": progress.last_reward - progress.first_reward,
            "policy/fitness_best": float(progress.fitness.max()),
            "policy/search_std": self.search_std(search),
            "policy/generations": float(progress.generations),
        }

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> Cloned:
        """Return the policy whose mean was trained to act as the demonstrations do."""
        from rlhf_core.cloning import clone_network

        network = PolicyNetwork(spaces, self.hidden)
        normaliser = Normaliser.from_arrays(state.parameters)
        if self.normalise_observations and not normaliser.count:
            normaliser = normaliser.updated(network.features(cloning.demonstrations.observations))
        mean = np.asarray(state.parameters["mean"])
        cloned, metrics = clone_network(
            network, normaliser, mean, cloning, np.random.default_rng(seed)
        )
        return Cloned(replace(state, parameters={"mean": cloned, **normaliser.arrays()}), metrics)

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """Return the mean policy or, to explore, members of the next population.

        The member that acts is chosen by the observation's place in the batch, and stays the same.
        """
        network = PolicyNetwork(spaces, self.hidden)
        normaliser = Normaliser.from_arrays(state.parameters)
        members = np.asarray(state.parameters["mean"])[None]
        if not deterministic:
            search = self.restore(members[0], state.optimizer_state)
            members = self.ask(search, np.random.default_rng(seed)).members
        layers = network.layers(members)

        def choose(observations: np.ndarray) -> np.ndarray:
            features = normaliser(network.features(observations))
            member = np.arange(len(features)) % len(members)
            if len(members) == 1:
                outputs = network.outputs(layers, features[None])[0]
            else:
                chosen = [(weights[member], biases[member]) for weights, biases in layers]
                outputs = network.outputs(chosen, features[:, None])[:, 0]
            return network.actions(outputs)

        return choose


def _policy(search: SearchState, normaliser: Normaliser, steps: int) -> PolicyState:
    parameters = {"mean": search.mean.copy(), **normaliser.arrays()}
    return PolicyState(parameters, search.arrays(), steps)
