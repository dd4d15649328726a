"""Generations divided among processes: the same bits, small messages, nobody left behind."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil
import pytest

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.errors import BrokenEnvironmentError, RunError
from rlhf_core.evolution.distributed import divided
from rlhf_core.evolution.strategy import REPLAYED_STEPS, EvolutionStrategy
from rlhf_core.executor import Done, Executor, Job, in_turn, processes
from rlhf_core.packing import pack
from rlhf_core.policies import OptimisationContext, Optimised
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import initial
from rlhf_core.rollouts import collect
from rlhf_core.segments import sample_segments
from tests.core.examples import HERE
from tests.core.test_evolution import KINDS, Notebook, made

POLE = Environment(id="CartPole-v1", time_limit=60, batching="single")
DRIFT = GymEnv(f"{HERE}:Drift-v0")
TRUE = EnvironmentReward()


def learned(environment: Environment) -> Reward:
    """An ensemble that was told nothing yet, its inputs scaled on random steps."""
    vector = environment.make_vector(4)
    vector.action_space.seed(0)
    rollouts, _ = collect(vector, lambda seen: vector.action_space.sample(), 20, [0, 1, 2, 3])
    rng = np.random.default_rng(0)
    clips = sample_segments(rollouts, 8, 4, rng)
    return initial(RewardModel(hidden=(16,)), environment.spaces(), clips, rng)


def trained(
    strategy: EvolutionStrategy,
    environment: Environment,
    reward: Reward = TRUE,
    executor: Executor | None = None,
    generations: int = 4,
) -> Optimised:
    steps = generations * strategy.rollout_steps(environment)
    start = strategy.initial(environment.spaces(), 0)
    return strategy.optimise(
        start, environment, reward, steps, steps, 5, OptimisationContext(executor=executor)
    )


def same(one: Optimised, other: Optimised) -> None:
    assert pack(one.state) == pack(other.state)
    assert pack(one.rollouts) == pack(other.rollouts)
    assert pack(one.rewards) == pack(other.rewards)
    assert one.metrics == other.metrics


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_the_same_however_the_members_are_divided(kind: str) -> None:
    def strategy(count: int) -> EvolutionStrategy:
        return made(kind, population=10, episodes=2, hidden=[5], processes=count)

    for reward in (TRUE, learned(POLE)):
        whole = trained(strategy(1), POLE, reward, generations=2)
        same(whole, trained(strategy(3), POLE, reward, in_turn, 2))


@pytest.mark.parametrize("environment", [POLE, DRIFT], ids=lambda e: e.id)
def test_processes_give_the_same_bits_as_this_one(environment: Environment) -> None:
    for reward in (TRUE, learned(environment)):
        one, two = (made("ars", population=6, episodes=2, processes=count) for count in (1, 2))
        same(*(trained(each, environment, reward, generations=2) for each in (one, two)))


def test_playing_apart_finds_what_playing_together_finds() -> None:
    strategy = made("ars", population=8, episodes=2)
    together = POLE.model_copy(update={"batching": "auto"})
    apart, beside = trained(strategy, POLE), trained(strategy, together)
    assert apart.state.steps == beside.state.steps
    for name, value in beside.state.parameters.items():
        np.testing.assert_allclose(apart.state.parameters[name], value, rtol=1e-6, atol=1e-9)
    for name, number in beside.metrics.items():
        assert apart.metrics[name] == pytest.approx(number)


def test_seeds_and_the_centre_go_out_and_fitness_comes_back() -> None:
    sizes: list[tuple[int, int]] = []

    def weighed(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        done = []
        for job in jobs:
            message = pickle.dumps((function, job))
            function, job = pickle.loads(message)
            done.append(pickle.loads(answer := pickle.dumps(function(job))))
            sizes.append((len(message), len(answer)))
        return done

    strategy = made("openai_es", population=32, hidden=[64, 64], processes=2)
    found = trained(strategy, POLE, executor=weighed, generations=3)
    parameters = found.state.parameters["mean"].nbytes
    assert parameters > 30_000
    assert len(sizes) >= 2 * found.metrics["policy/generations"] >= 6
    for out, back in sizes:
        assert out < parameters + 3000
        assert back < 16 * 8 * 10 + 1000


def test_an_interrupted_search_goes_on_to_the_same_bits() -> None:
    strategy = made("pgpe", population=6, processes=2)
    whole = trained(strategy, POLE, executor=in_turn, generations=6)
    steps = 6 * strategy.rollout_steps(POLE)
    start = strategy.initial(POLE.spaces(), 0)
    for patience in (1, int(whole.metrics["policy/generations"])):
        notebook = Notebook(patience)
        with pytest.raises(KeyboardInterrupt):
            strategy.optimise(
                start, POLE, TRUE, steps, steps, 5, OptimisationContext(checkpoints=notebook)
            )
        same(
            whole,
            strategy.optimise(
                start, POLE, TRUE, steps, steps, 5, OptimisationContext(checkpoints=notebook)
            ),
        )


def test_questions_are_asked_about_members_of_the_last_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rlhf_core.evolution.strategy.REPLAYED_STEPS", 100)
    fitness: list[float] = []

    def noted(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        done = in_turn(function, jobs)
        parts: Any = done
        fitness[:] = [value for part in parts for value in part.returns]
        return done

    found = trained(made("ars", population=12, deviation=1.0), POLE, executor=noted)
    returns = [float(paid.values.sum()) for paid in found.rewards.rewards]
    assert 1 < len(returns) < 12
    assert found.rollouts.steps <= 100 < REPLAYED_STEPS
    for value in returns:
        assert fitness.count(value) >= returns.count(value)


def test_members_are_divided_evenly() -> None:
    assert divided(7, 3) == [(0, 2), (2, 4), (4, 7)]
    assert divided(2, 5) == [(0, 1), (1, 2)]


def test_an_error_of_an_environment_arrives_with_its_file_and_line() -> None:
    for count in (1, 2):
        with pytest.raises(
            BrokenEnvironmentError,
            match=r"step 3: ArithmeticError: the motor is stuck \(.*environments\.py:\d+\)",
        ):
            trained(made("ars", population=4, processes=count), GymEnv(f"{HERE}:Stuck-v0"))


def test_a_worker_that_dies_is_an_error_and_the_next_call_has_new_ones() -> None:
    with pytest.raises(RunError, match="a worker process ended before its work was done"):
        processes(2)(os._exit, [1, 1])
    assert processes(2)(abs, [-1, -2]) == [1, 2]


ENDLESS = """
import time
from rlhf_core.executor import processes
processes(2)(time.sleep, [0.01, 0.01])
print("ready", flush=True)
processes(2)(time.sleep, [100, 100])
"""


def test_workers_end_with_a_killed_parent() -> None:
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert len(workers) >= 2
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
