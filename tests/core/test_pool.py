"""EnvPool's environments: Gymnasium's dynamics from where they are, and episodes without a gap."""

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from scipy.stats import ks_2samp

from rlhf_core.environments import Environment, GymEnv
from rlhf_core.environments.fixed_horizon import absorbing_steps
from rlhf_core.environments.pool import PoolEnv
from rlhf_core.errors import ConfigurationError
from rlhf_core.recording import Recorder

COPIES = 16
CLASSIC = [
    "CartPole-v1",
    "Pendulum-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Acrobot-v1",
]


def pool(id: str = "CartPole-v1", count: int = COPIES, **fields: Any) -> VectorEnv[Any, Any, Any]:
    pytest.importorskip("envpool")
    vector = Environment(id=id, batching="envpool", **fields).make_vector(count)
    assert isinstance(vector.unwrapped, PoolEnv)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    return vector


def put(env: gymnasium.Env[Any, Any], seen: np.ndarray) -> None:
    """Bring Gymnasium's environment into an observed state."""
    inside: Any = env.unwrapped
    if inside.spec.id == "Acrobot-v1":
        angles = np.arctan2(seen[1:4:2], seen[0:4:2])
        inside.state = np.array([*angles, *seen[4:]], dtype=np.float64)
    elif inside.spec.id == "Pendulum-v1":
        inside.state = np.array([np.arctan2(seen[1], seen[0]), seen[2]], dtype=np.float64)
    else:
        inside.state = seen.astype(np.float64)


@pytest.mark.parametrize("id", CLASSIC)
def test_every_step_is_gymnasiums_from_the_observed_state(id: str) -> None:
    vector, single = pool(id, time_limit=60), gymnasium.make(id)
    assert vector.single_observation_space == single.observation_space
    assert vector.single_action_space == single.action_space
    recorder = Recorder(vector)
    recorder.reset(list(range(COPIES)))
    vector.action_space.seed(0)
    for _ in range(130):
        recorder.step(vector.action_space.sample())
    record = recorder.take()
    assert record.observations.dtype == single.observation_space.dtype
    length = np.zeros(COPIES, dtype=int)
    single.reset(seed=0)
    for time in range(130):
        length += 1
        for copy in range(COPIES):
            # The environment itself, without its wrappers, knows no time limit.
            put(single, record.observations[time, copy])
            inside: Any = single.unwrapped
            inside.steps_beyond_terminated = None
            observations, rewards, ended, *_ = inside.step(record.actions[time, copy])
            # EnvPool's pendulum turns with the speed that it had before it was held at 8.
            same = slice(2, 3) if id == "Pendulum-v1" and abs(observations[2]) == 8 else slice(None)
            found = record.next_observations[time, copy]
            np.testing.assert_allclose(found[same], observations[same], atol=1e-5)
            np.testing.assert_allclose(record.rewards[time, copy], rewards, atol=1e-4)
            assert record.terminated[time, copy] == ended
        np.testing.assert_array_equal(record.truncated[time], length >= 60)
        done = record.terminated[time] | record.truncated[time]
        if time < 129:
            moved = record.next_observations[time] != record.observations[time + 1]
            np.testing.assert_array_equal(moved.any(axis=1), done)
        length[done] = 0


@pytest.mark.parametrize("id", CLASSIC)
def test_first_states_are_distributed_as_gymnasiums(id: str) -> None:
    count = 2000
    observations = pool(id, count).reset(seed=list(range(count)))[0]  # type: ignore[arg-type]
    single = gymnasium.make(id)
    expected = np.stack([single.reset(seed=seed)[0] for seed in range(count)])
    for column in range(observations.shape[1]):
        if expected[:, column].std() == 0:
            np.testing.assert_array_equal(observations[:, column], expected[:, column])
        else:
            assert ks_2samp(observations[:, column], expected[:, column]).pvalue > 1e-4


def test_a_copy_depends_on_its_own_seed_alone() -> None:
    def play(seeds: list[int]) -> np.ndarray:
        vector = pool(count=len(seeds), time_limit=7)
        rows = [vector.reset(seed=seeds)[0]]  # type: ignore[arg-type]
        rows += [vector.step(np.ones(len(seeds), dtype=np.int64))[0] for _ in range(30)]
        vector.close()
        return np.stack(rows)

    observations = play([3, 5, 3, 8])
    np.testing.assert_array_equal(observations[:, 0], observations[:, 2])
    np.testing.assert_array_equal(observations[:, [3, 1]], play([8, 5]))
    assert not np.array_equal(observations[:, 0], observations[:, 1])
    # Later episodes begin elsewhere.
    assert len(np.unique(observations[::7, 0], axis=0)) == 5


def test_an_absorbing_horizon_holds_what_was_seen_last() -> None:
    vector = pool(fixed_horizon=40, horizon_form="played")
    single = Environment(id="CartPole-v1", fixed_horizon=40).spaces()
    assert vector.single_observation_space == single.observation
    observations, _ = vector.reset(seed=list(range(COPIES)))  # type: ignore[arg-type]
    held = np.zeros(COPIES, dtype=bool)
    for step in range(1, 81):
        before = observations
        observations, rewards, terminated, truncated, info = vector.step(
            np.zeros(COPIES, dtype=np.int64)
        )
        after = info.get("final_obs", observations)
        np.testing.assert_array_equal(after[held], before[held])
        np.testing.assert_array_equal(rewards, np.where(held, 0.0, 1.0))
        assert not terminated.any()
        assert truncated.all() if step % 40 == 0 else not truncated.any()
        held = after[:, -1] == 1
        fallen = (np.abs(after[:, 0]) > 2.4) | (np.abs(after[:, 2]) > 12 * 2 * np.pi / 360)
        np.testing.assert_array_equal(held, fallen)
        if step % 40 == 0:
            assert held.all()
            assert (observations[:, -1] == 0).all()
            held = np.zeros(COPIES, dtype=bool)


def test_an_absorbing_horizon_is_cut_off_and_tells_the_steps_that_are_left() -> None:
    vector = pool(fixed_horizon=40)
    vector.reset(seed=list(range(COPIES)))  # type: ignore[arg-type]
    ages = np.zeros(COPIES, dtype=np.int64)
    for _ in range(60):
        *_, terminated, truncated, info = vector.step(np.zeros(COPIES, dtype=np.int64))
        ages += 1
        assert not terminated.any()
        left = absorbing_steps(info, COPIES)
        np.testing.assert_array_equal(left, np.where(truncated, 40 - ages, -1))
        if truncated.any():
            assert (info["final_obs"][truncated, -1] == 1).all()
        ages[truncated] = 0
    assert ages.max() < 15, "a pole that is pushed to one side falls"


def test_observations_are_clipped_and_options_passed_on() -> None:
    vector = pool("Pendulum-v1", observation_bound=0.5)
    observations, _ = vector.reset(seed=0)
    assert np.abs(observations).max() == 0.5
    assert vector.single_observation_space.contains(observations[0])


def test_some_copies_start_afresh_while_others_go_on() -> None:
    vector = pool(count=2, time_limit=5)
    vector.reset(seed=[0, 1])  # type: ignore[arg-type]
    for _ in range(3):
        observations, *_ = vector.step(np.zeros(2, dtype=np.int64))
    again, _ = vector.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(again[1], observations[1])
    assert np.abs(again[0]).max() <= 0.05
    vector.step(np.zeros(2, dtype=np.int64))
    *_, truncated, _ = vector.step(np.zeros(2, dtype=np.int64))
    np.testing.assert_array_equal(truncated, [False, True])


def test_floats_of_another_precision_are_converted() -> None:
    pytest.importorskip("mujoco")
    vector = pool("Swimmer-v5", 2)
    assert vector.single_action_space == gymnasium.make("Swimmer-v5").action_space
    vector.reset(seed=[0, 1])  # type: ignore[arg-type]
    observations, *_ = vector.step(np.full((2, 2), 0.5, dtype=np.float32))
    assert observations.dtype == vector.single_observation_space.dtype


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "Corrider-v9"}, r"environment\.id: cannot make 'Corrider-v9'"),
        ({"id": "tests.core.environments:Cue-v0"}, r"environment\.id: EnvPool has no '.*Cue-v0'"),
        ({"id": "Blackjack-v1"}, r"environment\.batching: 'Blackjack-v1' .* does not flatten"),
        ({"id": "Pendulum-v1", "g": 9.81}, r"environment\.options: EnvPool's 'Pendulum-v1'"),
    ],
)
def test_what_the_pool_does_not_have_is_refused(fields: dict[str, Any], message: str) -> None:
    pytest.importorskip("envpool")
    with pytest.raises(ConfigurationError, match=message):
        GymEnv(batching="envpool", **{"time_limit": 9, **fields})


def test_the_evolving_horizon_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon_form: 'evolving' steps an environment beyond"):
        GymEnv("CartPole-v1", batching="envpool", fixed_horizon=9, horizon_form="evolving")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ConfigurationError, match=r"batching: envpool .* 'rlhf-flows\[envpool\]'"):
        GymEnv("CartPole-v1", batching="envpool")
