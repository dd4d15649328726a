"""Clips come out the same when they are shown again, whatever environment they were cut from."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from rlhf_core.environments import Environment
from rlhf_core.environments.episodes import EpisodeStart, restart
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.clips import replay
from rlhf_core.in_process import InProcess
from rlhf_core.judgements import concatenate
from rlhf_core.loop import advance, begin
from rlhf_core.packing import pack, unpack
from rlhf_core.recording import Recorder, join
from rlhf_core.reservoir import trajectories
from rlhf_core.segments import cut, sample_segments
from rlhf_core.types import Replays, Rollouts, Segments
from tests.core.environments import Drift
from tests.core.examples import HERE, tiny

ABSORBING: dict[str, Any] = {"fixed_horizon": 40}
EVOLVING: dict[str, Any] = {"fixed_horizon": 40, "horizon_form": "evolving"}
CASES: dict[str, dict[str, Any]] = {
    "cartpole": {"id": "CartPole-v1"},
    "cartpole-absorbing": {"id": "CartPole-v1", **ABSORBING},
    "cartpole-evolving": {"id": "CartPole-v1", **EVOLVING},
    "cartpole-bounded": {"id": "CartPole-v1", **EVOLVING, "observation_bound": 0.5},
    "pendulum": {"id": "Pendulum-v1", "time_limit": 30},
    "acrobot": {"id": "Acrobot-v1", "time_limit": 40},
    "acrobot-absorbing": {"id": "Acrobot-v1", **ABSORBING},
    "mountain-car": {"id": "MountainCar-v0", "time_limit": 40},
    "mountain-car-evolving": {"id": "MountainCar-v0", **EVOLVING},
    "maze": {"id": "rlhf/PointMazeLeft-v0", "time_limit": 30},
    "corridor": {"id": f"{HERE}:Corridor-v0"},
    "corridor-absorbing": {"id": f"{HERE}:Corridor-v0", "fixed_horizon": 8},
    "cue": {"id": f"{HERE}:Cue-v0"},
    "drift": {"id": f"{HERE}:Drift-v0"},
    "dict": {"id": f"{HERE}:Shapes-v0", "options": {"observation": "dict", "ends_at": 3}},
    "picture": {"id": f"{HERE}:Picture-v0"},
}
COPIES = 3


def played(
    environment: Environment, steps: int = 100, cuts: tuple[int, ...] = (), seed: int = 0
) -> Rollouts:
    """What random actions do, recorded in two parts; at the times of `cuts` copy 1 is cut off."""
    vector = environment.make_vector(COPIES)
    recorder, records = Recorder(vector), []
    recorder.reset([seed + 5, seed + 6, seed + 7])
    vector.action_space.seed(seed)
    for step in range(steps):
        recorder.step(vector.action_space.sample())
        if step in cuts:
            recorder.cut(np.array([False, True, False]))
        if step in (steps // 3, steps - 1):
            records.append(recorder.take())
    vector.close()
    return trajectories(join(records), policy_version=0)[0]


def clips(rollouts: Rollouts, steps: int = 6, count: int = 12) -> Segments:
    return sample_segments(rollouts, count, steps, np.random.default_rng(0), replayable=True)


def expect_the_same(environment: Environment, segments: Segments) -> None:
    # Batched and single environments round otherwise, by less than single precision holds.
    tolerance = 0.0 if environment.is_stepped_one_by_one() else 2e-6
    for index in range(len(segments)):
        observations, frames = replay(environment, segments, index)
        recorded = segments.observations[index]
        assert observations.dtype == recorded.dtype
        np.testing.assert_allclose(observations, recorded, rtol=tolerance, atol=tolerance)
        assert frames is None or len(frames) == len(observations)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of classic control take a while to draw."""
    monkeypatch.setattr(Environment, "can_render", lambda self: False)


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("batching", ["auto", "single"])
@pytest.mark.parametrize("case", CASES)
def test_clips_replay_to_the_same_observations(case: str, batching: str) -> None:
    environment = Environment(batching=batching, count=COPIES, **CASES[case])  # type: ignore[arg-type]
    assert environment.clips() == "replay"
    rollouts = played(environment, cuts=(2, 50))
    # Several episodes a copy, and the first one of copy 1 is a short one.
    assert len(rollouts.trajectories) >= 2 * COPIES
    began = [trajectory.start for trajectory in rollouts.trajectories]
    assert all(began)
    first = {trajectory.observations[0].tobytes() for trajectory in rollouts.trajectories}
    assert len(set(began)) >= len(first)
    assert sum("seed" in str(start) for start in began) == COPIES
    segments = clips(rollouts)
    assert len(np.unique(segments.origin[:, 0])) > 3
    expect_the_same(environment, segments)


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("batching", ["auto", "single"])
@pytest.mark.parametrize(
    "optimiser",
    [
        {"kind": "ppo", "steps": 32, "batch_size": 32, "epochs": 1, "hidden": [8], "stagger": True},
        {"kind": "openai_es", "population": 4},
        {"kind": "dqn", "hidden": [8]},
    ],
    ids=lambda optimiser: str(optimiser["kind"]),
)
def test_what_optimisers_play_can_be_replayed(optimiser: dict[str, Any], batching: str) -> None:
    experiment = tiny(
        "CartPole-v1",
        environment_batching=batching,
        environment_time_limit=25,
        optimiser=optimiser,
        budget={"env_steps": 600, "labels": 4, "rounds": 1, "initial_steps": 64},
    )
    stages = InProcess(experiment)
    progress = begin(stages)
    expect_the_same(experiment.environment, clips(progress.rollouts))
    progress = advance(experiment, stages, progress)
    assert all(trajectory.start for trajectory in progress.rollouts.trajectories)
    expect_the_same(experiment.environment, clips(progress.rollouts))


@pytest.mark.usefixtures("blind")
def test_replays_go_with_their_clips() -> None:
    environment = Environment(id="CartPole-v1", count=COPIES)
    first, second = (clips(played(environment, seed=seed)) for seed in (0, 1))
    both = concatenate(first, second)
    assert len(both) == 24
    expect_the_same(environment, both)
    taken = both.take(np.array([20, 3, 3, 11]))
    expect_the_same(environment, taken)
    np.testing.assert_array_equal(taken.observations[1], both.observations[3])
    expect_the_same(environment, unpack(pack(taken), Segments))
    assert both.take(np.empty(0, dtype=np.int64)).replays is not None
    without = cut(played(environment), first.origin, first.steps)
    assert without.replays is None
    assert without.take(np.array([1])).replays is None
    assert concatenate(first, without).replays is None
    assert concatenate(without, first).replays is None


def test_a_clip_of_a_short_episode_repeats_its_end() -> None:
    environment = Environment(id=f"{HERE}:Picture-v0", count=1)
    segments = cut(played(environment, steps=6), np.array([[0, 0]]), 9, replayable=True)
    observations, frames = replay(environment, segments, 0)
    np.testing.assert_array_equal(observations, [0, 1, 2, 3, 4, 5, 6, 6, 6, 6])
    assert frames is not None
    np.testing.assert_array_equal(frames[:, 0, 0, 0], 40 * np.minimum(np.arange(10), 6))
    assert frames.shape == (10, 20, 30, 3)


def test_only_clips_that_are_asked_for_hold_what_shows_them_again() -> None:
    rollouts = played(Environment(id="CartPole-v1", count=COPIES))
    plain = sample_segments(rollouts, 12, 6, np.random.default_rng(0))
    asked = clips(rollouts)
    assert plain.replays is None
    assert asked.replays is not None
    np.testing.assert_array_equal(plain.origin, asked.origin)
    np.testing.assert_array_equal(asked.replays.first, asked.origin[:, 1])
    assert asked.replays.lengths.sum() == len(asked.replays.actions)
    # No clip at all still belongs to rollouts that can be replayed.
    nothing = cut(rollouts, np.empty((0, 2), dtype=np.int64), 6, replayable=True)
    assert nothing.replays is not None
    assert concatenate(nothing, asked).replays is not None


def test_the_first_observation_of_any_episode_comes_back() -> None:
    env = Environment(id="Pendulum-v1").make()
    assert isinstance(env, EpisodeStart)
    env.reset(seed=3)
    for _ in range(3):
        expected, _ = env.reset()
        start = env.start
        assert start is not None
        again = restart(Environment(id="Pendulum-v1").make(), start)
        np.testing.assert_array_equal(again, expected)
    env.reset(options={"x_init": 0.1})
    assert env.start is None


# Frames


def filmed(**fields: Any) -> Environment:
    return Environment(id=f"{HERE}:Picture-v0", count=COPIES, frames=15, **fields)


def test_frames_are_recorded_beside_every_observation() -> None:
    environment = filmed()
    assert environment.clips() == "frames"
    rollouts = played(environment, steps=20, cuts=(3,))
    for trajectory in rollouts.trajectories:
        assert trajectory.frames is not None
        assert trajectory.frames.shape == (len(trajectory) + 1, 10, 15, 3)
        np.testing.assert_array_equal(
            trajectory.frames[:, 4, 7, 1], 40 * trajectory.observations.astype(np.int64)
        )
    plain = played(filmed().model_copy(update={"frames": None}), steps=20, cuts=(3,))
    for one, other in zip(rollouts.trajectories, plain.trajectories, strict=True):
        np.testing.assert_array_equal(one.observations, other.observations)
        assert other.frames is None


def test_clips_with_frames_are_shown_without_playing(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = filmed()
    segments = concatenate(*(clips(played(environment, steps=20, seed=s), 8, 5) for s in (0, 1)))
    assert segments.replays is not None
    assert segments.replays.starts == ()
    segments = segments.take(np.array([7, 0, 3]))
    monkeypatch.setattr(Environment, "make", lambda *_: pytest.fail("nothing need be played"))
    for index in range(3):
        observations, frames = replay(environment, segments, index)
        assert frames is not None
        np.testing.assert_array_equal(observations, segments.observations[index])
        np.testing.assert_array_equal(frames[:, 0, 0, 0], 40 * observations.astype(np.int64))


def test_classic_control_is_stepped_one_by_one_when_it_is_filmed() -> None:
    environment = Environment(id="CartPole-v1", count=COPIES, frames=30)
    assert environment.is_stepped_one_by_one()
    rollouts = played(environment, steps=5)
    for trajectory in rollouts.trajectories:
        assert trajectory.frames is not None
        assert trajectory.frames.shape[1:] == (20, 30, 3)
        assert trajectory.frames.std() > 0


def test_frames_are_refused_where_nothing_is_drawn() -> None:
    with pytest.raises(ValueError, match="frames: expected none with batching envpool"):
        filmed(batching="envpool")
    with pytest.raises(ConfigurationError, match=r"environment\.frames: .*Corridor-v0"):
        Environment(id=f"{HERE}:Corridor-v0", frames=20).spaces()


# What cannot be shown again


class Forgetful(Drift):
    """Draws its places from a generator of its own, which nobody knows of."""

    draws = np.random.default_rng(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = self.draws.uniform(-1, 1, 1).astype(np.float32)
        return self.place, {}


gymnasium.register("Forgetful-v0", Forgetful, max_episode_steps=5)


def test_a_clip_that_comes_out_differently_is_refused() -> None:
    environment = Environment(id="Forgetful-v0", count=COPIES)
    with pytest.raises(ConfigurationError, match="does not repeat an episode from its start"):
        replay(environment, clips(played(environment, steps=10), 3, 2), 0)


def test_of_foreign_batches_nothing_is_known() -> None:
    environment = Environment(id=f"{HERE}:Fleet-v0", count=COPIES)
    assert environment.clips() == "none"
    assert Environment(id="CartPole-v1", batching="envpool").clips() == "none"
    rollouts = played(environment, steps=10)
    assert {trajectory.start for trajectory in rollouts.trajectories} == {None}
    segments = clips(rollouts, 3, 2)
    assert segments.replays is None
    with pytest.raises(ConfigurationError, match=r"environment\.frames: clips of .* set a width"):
        replay(environment, segments, 0)


def test_frames_and_starts_do_not_mix() -> None:
    starts = Replays(('{"seed": 1}',), np.zeros(2), np.array([2]), np.array([0]))
    nothing = np.empty(0, dtype=np.int64)
    frames = Replays((), nothing, nothing, nothing, np.zeros((1, 3, 2, 2, 3), dtype=np.uint8))
    assert starts.joined(frames) is None
    assert frames.joined(starts) is None
    assert len(frames) == 1
