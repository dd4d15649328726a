"""Evolution strategies: their arithmetic, their populations, and that they learn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.play import play
from rlhf_core.evolution.search import SearchState, antithetic, centred_ranks
from rlhf_core.evolution.strategy import EvolutionStrategy
from rlhf_core.normaliser import Normaliser
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.ars import ARS
from rlhf_core.optimisers.cma_es import CMAES
from rlhf_core.optimisers.openai_es import OpenAIES
from rlhf_core.optimisers.pgpe import PGPE
from rlhf_core.packing import pack
from rlhf_core.policies import OptimisationContext, PolicyState
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.types import Value

KINDS = [n for n, kind in OPTIMISERS.kinds().items() if issubclass(kind, EvolutionStrategy)]
SEEN = spaces.Box(-1, 1, (3,))
TRUE = EnvironmentReward()


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(kind: str, **fields: Any) -> EvolutionStrategy:
    strategy = OPTIMISERS.get(kind).model_validate(fields)
    assert isinstance(strategy, EvolutionStrategy)
    return strategy


def test_every_strategy_is_tested_here() -> None:
    assert KINDS == ["ars", "cma_es", "openai_es", "pgpe", "sb3_ars"]


def test_ranks_lie_evenly_around_nothing_and_equals_share_theirs() -> None:
    np.testing.assert_allclose(centred_ranks(np.array([3.0, -1.0, 8.0])), [0, -0.5, 0.5])
    np.testing.assert_allclose(centred_ranks(np.array([5.0, 5.0, 9.0, 1.0])), [0, 0, 0.5, -0.5])
    np.testing.assert_allclose(centred_ranks(np.full(4, 7.0)), np.zeros(4))


def test_pairs_are_opposites() -> None:
    found = antithetic(np.array([1.0, 2.0]), np.array([[0.5, 0.0], [0.0, -1.0]]))
    np.testing.assert_array_equal(found, [[1.5, 2], [1, 1], [0.5, 2], [1, 3]])


def step(
    strategy: EvolutionStrategy,
    state: SearchState,
    objective: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> SearchState:
    """One generation whose fitness is a function of the members (P, D)."""
    population = strategy.ask(state, draws(seed))
    return strategy.tell(state, population, objective(population.members))


def test_ars_takes_the_step_of_its_paper() -> None:
    strategy = ARS(population=6, best=2, deviation=0.5, learning_rate=0.1)
    state = strategy.start(np.zeros(2))
    population = strategy.ask(state, draws())
    noise = population.members[:3] / 0.5
    # Directions are worth 4, 9 and 1: the first two count, with returns 4, 9 and 2, -3.
    after = strategy.tell(state, population, np.array([4.0, 9.0, 1.0, 2.0, -3.0, 0.0]))
    std = np.std([4, 9, 2, -3])
    expected = 0.1 / (2 * std) * (2 * noise[0] + 12 * noise[1])
    np.testing.assert_allclose(after.mean, expected)


def test_ars_stays_where_all_returns_are_alike() -> None:
    strategy = ARS(population=4)
    after = step(strategy, strategy.start(np.ones(3)), lambda members: np.full(4, -7.0), 0)
    np.testing.assert_array_equal(after.mean, np.ones(3))


def test_openai_es_follows_ranks_with_adam() -> None:
    strategy = OpenAIES(population=4, deviation=0.2, learning_rate=0.01, weight_decay=0.5)
    start = np.array([2.0, -1.0])
    state = strategy.start(start)
    population = strategy.ask(state, draws())
    noise = (population.members[:2] - start) / 0.2
    after = strategy.tell(state, population, np.array([10.0, 3.0, 1.0, 2.0]))
    # Ranks 1/2, 1/6, -1/2, -1/6.
    gradient = (1.0 * noise[0] + 1 / 3 * noise[1]) / (4 * 0.2) - 0.5 * start
    np.testing.assert_allclose(after.mean, start + 0.01 * np.sign(gradient), rtol=1e-6)


def test_pgpe_moves_with_momentum_and_never_too_far() -> None:
    strategy = PGPE(population=2, deviation=1.0, fastest=0.4)
    state = strategy.start(np.zeros(2))
    for index in range(5):
        population = strategy.ask(state, draws(index))
        after = strategy.tell(state, population, population.members.sum(axis=1))
        moved = np.linalg.norm(after.mean - state.mean)
        assert moved <= 0.4 + 1e-12
        if index == 0:
            noise = population.members[0]
            expected = 0.2 * noise * np.sign(noise.sum()) / np.linalg.norm(noise)
            np.testing.assert_allclose(after.mean, expected)
        state = after


def test_pgpe_narrows_at_the_top_and_widens_on_a_slope_of_one_side() -> None:
    strategy = PGPE(population=64, deviation=0.5)
    top = valley = strategy.start(np.zeros(3))
    for index in range(10):
        top, valley = (
            step(
                strategy, state, lambda m, s=state, f=sign: f * np.square(m - s.mean).sum(1), index
            )
            for state, sign in ((top, -1), (valley, 1))
        )
    assert strategy.search_std(top) < 0.45
    assert strategy.search_std(valley) > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_climbs_a_hill(kind: str) -> None:
    top = np.linspace(-1, 1, 6)
    # ClipUp's steps do not become shorter near the top.
    shorter = {"fastest": 0.05} if kind == "pgpe" else {}
    strategy = made(kind, population=32, deviation=0.1, **shorter)
    state = strategy.start(np.zeros(6))
    for index in range(300):
        state = step(strategy, state, lambda members: -np.square(members - top).sum(1), index)
    assert np.abs(state.mean - top).max() < 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_restored_from_its_arrays_to_the_last_bit(kind: str) -> None:
    strategy = made(kind, population=12)
    whole = broken = strategy.start(np.zeros(5))
    for index in range(60):
        if index % 7 == 0:
            broken = strategy.restore(broken.mean, broken.arrays())
        whole, broken = (
            step(strategy, state, lambda members: -np.abs(members - 2).sum(1), index)
            for state in (whole, broken)
        )
        np.testing.assert_array_equal(whole.mean, broken.mean)
    assert strategy.search_std(whole) == strategy.search_std(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_ask_and_tell_leave_the_state_and_the_population_as_they_are(kind: str) -> None:
    strategy = made(kind, population=8)
    state = step(strategy, strategy.start(np.ones(4)), lambda members: members[:, 0], 0)
    before = {"mean": state.mean.copy(), **{n: a.copy() for n, a in state.arrays().items()}}
    population = strategy.ask(state, draws(1))
    members, noise = population.members.copy(), population.noise.copy()
    first = strategy.tell(state, population, members[:, 1])
    again = strategy.tell(state, population, members[:, 1])
    np.testing.assert_array_equal(first.mean, again.mean)
    for name, array in {"mean": state.mean, **state.arrays()}.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(population.members, members)
    np.testing.assert_array_equal(population.noise, noise)
    sent = strategy.sampling_state(state)
    np.testing.assert_array_equal(strategy.ask(sent, draws(1)).members, members)


def test_cma_es_searches_among_more_parameters_than_pycmas_other_step_size_begins_at() -> None:
    strategy = CMAES(population=8, deviation=0.1)
    state = strategy.start(np.ones(320))
    for index in range(3):
        restored = strategy.restore(state.mean, state.arrays())
        state, again = (
            step(strategy, each, lambda members: -np.square(members).sum(1), index)
            for each in (state, restored)
        )
        np.testing.assert_array_equal(state.mean, again.mean)
    assert np.square(state.mean).sum() < 320


ACTIONS: list[tuple[spaces.Space[Any], list[list[float]], Any]] = [
    (spaces.Discrete(3), [[0.1, 0.5, -1.0], [2.0, 0.0, 1.0]], [1, 0]),
    (spaces.MultiDiscrete([2, 3]), [[1.0, 0.0, 0.0, 0.0, 5.0]], [[0, 2]]),
    (spaces.MultiBinary(2), [[-0.1, 0.1]], [[0, 1]]),
    (spaces.Box(np.array([0, -2], np.float32), np.array([4, 2], np.float32)),
     [[0.0, 0.5], [-3.0, 1.0], [1.0, 9.0]], [[2, 1], [0, 2], [4, 2]]),
]  # fmt: skip


@pytest.mark.parametrize(("space", "outputs", "expected"), ACTIONS, ids=lambda a: type(a).__name__)
def test_outputs_become_actions(space: spaces.Space[Any], outputs: Any, expected: Any) -> None:
    network = PolicyNetwork(Spaces(SEEN, space), ())
    actions = network.actions(np.array(outputs, dtype=np.float32))
    np.testing.assert_allclose(actions, expected)
    assert all(space.contains(action) for action in actions)
    assert network.widths == (3, len(outputs[0]))
    assert network.size == 4 * len(outputs[0])


def test_a_population_is_evaluated_as_its_members_would_be_alone() -> None:
    network = PolicyNetwork(Spaces(SEEN, spaces.Discrete(4)), (5, 6))
    population = draws().normal(size=(7, network.size))
    features = draws(1).normal(size=(7, 2, 3)).astype(np.float32)
    together = network.outputs(network.layers(population), features)
    for member, seen, found in zip(population, features, together, strict=True):
        hidden, start = seen.astype(np.float64), 0
        for index, (fan_in, fan_out) in enumerate([(3, 5), (5, 6), (6, 4)]):
            weights = member[start : start + fan_in * fan_out].reshape(fan_in, fan_out)
            start += fan_in * fan_out
            hidden = hidden @ weights + member[start : start + fan_out]
            start += fan_out
            hidden = np.tanh(hidden) if index < 2 else hidden
        np.testing.assert_allclose(found, hidden, rtol=1e-4, atol=1e-5)
    assert start == network.size


def test_a_fresh_network_prefers_nothing() -> None:
    network = PolicyNetwork(Spaces(SEEN, spaces.Box(-1, 1, (2,))), (8,))
    fresh = network.layers(network.initial(draws())[None])
    np.testing.assert_array_equal(network.outputs(fresh, np.ones((1, 4, 3), np.float32)), 0)


def test_observations_are_normalised_by_all_that_was_seen() -> None:
    parts = [draws(i).normal([5, -1, 0], [2, 0.1, 0], (30, 3)) for i in range(3)]
    normaliser = Normaliser.fresh(3)
    np.testing.assert_array_equal(normaliser(np.ones((1, 3))), np.ones((1, 3)))
    for part in parts:
        normaliser = Normaliser.from_arrays(normaliser.updated(part).arrays())
    everything = np.concatenate(parts)
    found = normaliser(everything)
    np.testing.assert_allclose(found[:, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:, :2].std(axis=0), 1, rtol=1e-4)
    # A number that never varied is only shifted.
    np.testing.assert_array_equal(found[:, 2], 0)
    assert normaliser(np.full((1, 3), 1e9))[0, 0] == 10


@pytest.mark.parametrize("batching", ["auto", "single"])
def test_a_generation_counts_the_first_episode_of_every_copy(batching: Any) -> None:
    environment = Environment(id="CartPole-v1", count=1, batching=batching)
    network = PolicyNetwork(environment.spaces(), ())
    population = draws().normal(size=(5, network.size))
    population[4] = population[1]
    seeds = [11, 12, 13]
    played = play(environment.make_vector(15), network, Normaliser.fresh(4), population, seeds, 500)
    fitness, mean = played.fitness(TRUE)
    lengths = []
    for member in population:
        layers = network.layers(member[None])

        def act(seen: np.ndarray, layers: Any = layers) -> np.ndarray:
            return network.actions(network.outputs(layers, seen[None])[0])

        alone = environment.make_vector(3)
        lengths.append(evaluate(alone, act, seeds).returns)
    np.testing.assert_array_equal(fitness, np.mean(lengths, axis=1))
    # The same starts for all: a member that is there twice is as fit twice.
    assert fitness[4] == fitness[1]
    assert played.steps == np.sum(lengths)
    assert mean == 1.0

    def position(seen: Any, acted: Any, after: Any, ended: Any) -> np.ndarray:
        return after[:, 0] - 10.0 * ended.astype(np.float32)

    learned, _ = played.fitness(position)
    found, paid = played.trajectories(np.arange(15), 3)
    sums = [position(None, None, t.observations[1:], np.zeros(len(t))).sum() - 10.0 for t in found]
    np.testing.assert_allclose(learned, np.reshape(sums, (5, 3)).mean(axis=1), rtol=1e-5)
    assert [len(t) for t in found] == np.ravel(lengths).tolist()
    assert [r.values.sum() for r in paid] == np.ravel(lengths).tolist()
    assert all(t.terminated and not t.truncated for t in found)


class Notebook:
    """Checkpoints that break the call after some generations."""

    def __init__(self, patience: int) -> None:
        self.patience, self.value = patience, None

    def load(self) -> Value | None:
        return self.value

    def save(self, value: Value) -> None:
        self.value = value  # type: ignore[assignment]
        self.patience -= 1
        if self.patience == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_optimisation_goes_on_to_the_same_bits(kind: str) -> None:
    environment = GymEnv("CartPole-v1", time_limit=50)
    strategy = made(kind, population=8, hidden=[4])
    start = strategy.initial(environment.spaces(), 0)
    whole = strategy.optimise(start, environment, TRUE, 3000, 3000, 5)
    notebook = Notebook(3)
    with pytest.raises(KeyboardInterrupt):
        strategy.optimise(
            start, environment, TRUE, 3000, 3000, 5, OptimisationContext(checkpoints=notebook)
        )
    resumed = strategy.optimise(
        start, environment, TRUE, 3000, 3000, 5, OptimisationContext(checkpoints=notebook)
    )
    assert pack(resumed.state) == pack(whole.state)
    assert pack(resumed.rollouts) == pack(whole.rollouts)
    assert resumed.metrics == whole.metrics
    assert whole.metrics["policy/generations"] > 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_strategy_balances_the_pole(kind: str) -> None:
    environment = GymEnv("CartPole-v1")
    strategy = made(kind, population=32, hidden=[])
    state = strategy.initial(environment.spaces(), 0)

    def returns(state: PolicyState) -> float:
        act = strategy.act(state, environment.spaces(), deterministic=True)
        return float(evaluate(environment.make_vector(20), act, list(range(20))).returns.mean())

    assert returns(state) < 30
    for call in range(40):
        state = strategy.optimise(state, environment, TRUE, 16000, 10**6, call).state
        if returns(state) > 475:
            return
    pytest.fail(f"{kind} reached {returns(state)} in {state.steps} steps")


def test_rollouts_for_questions_are_the_newest_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rlhf_core.evolution.progress.RESERVOIR_STEPS", 300)
    environment = GymEnv("Pendulum-v1", time_limit=20)
    strategy = made("ars", population=8)
    start = replace(strategy.initial(environment.spaces(), 0), steps=1000)
    found = strategy.optimise(start, environment, TRUE, 160 * 6, 10**4, 0)
    assert found.state.steps == 1960
    assert found.rollouts.steps <= 300
    versions = [t.policy_version for t in found.rollouts.trajectories]
    assert versions == sorted(versions)
    assert versions[-1] == 1000 + 160 * 5
    large = strategy.optimise(start, GymEnv("Pendulum-v1", time_limit=100), TRUE, 800, 10**4, 0)
    assert large.rollouts.steps == 300
    paid = [len(r.values) for r in large.rewards.rewards]
    assert paid == [len(t) for t in large.rollouts.trajectories]


def test_exploring_uses_members_and_exploiting_the_mean() -> None:
    environment = GymEnv("Pendulum-v1")
    strategy = made("pgpe", hidden=[])
    state = strategy.initial(environment.spaces(), 0)
    seen = np.tile([[0.5, 0.5, 1.0]], (6, 1)).astype(np.float32)
    calm = strategy.act(state, environment.spaces(), True)(seen)
    np.testing.assert_array_equal(calm, np.zeros((6, 1)))
    lively = strategy.act(state, environment.spaces(), False, 1)
    assert len(np.unique(lively(seen))) == 6
    np.testing.assert_array_equal(lively(seen), lively(seen))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("ars", {"population": 5}, "multiple of 2"),
        ("ars", {"population": 8, "best": 5}, "best: expected at most 4"),
        ("openai_es", {"population": 0}, "greater than or equal to 2"),
        ("pgpe", {"deviation": 0}, "greater than 0"),
        ("cma_es", {"population": 2}, "greater than or equal to 3"),
    ],
)
def test_wrong_settings_are_refused(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(kind, **fields)


def test_seeds_are_the_same_for_all_members_and_other_ones_each_generation() -> None:
    first, second = (episode_seeds(np.random.default_rng([3, i]), 4) for i in range(2))
    assert first != second


def test_cma_es_learns_what_goes_together() -> None:
    strategy = CMAES(population=16, deviation=0.3)

    def ridge(members: np.ndarray) -> np.ndarray:
        """A narrow ridge along the diagonal of the first two."""
        along, across = members[:, 0] + members[:, 1] - 2, members[:, 0] - members[:, 1]
        return -np.square(along) - 1e4 * np.square(across) - np.square(members[:, 2:]).sum(1)

    state = strategy.start(np.zeros(4))
    for index in range(150):
        state = step(strategy, state, ridge, index)
    np.testing.assert_allclose(state.mean, [1, 1, 0, 0], atol=1e-3)
