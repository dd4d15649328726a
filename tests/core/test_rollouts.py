"""What a batch of environments did, cut into trajectories by hand."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from rlhf_core.acting import Act
from rlhf_core.environments import Environment
from rlhf_core.packing import pack
from rlhf_core.recording import Record, Recorder, join
from rlhf_core.reservoir import Reservoir, trajectories
from rlhf_core.rollouts import collect, finished_returns
from tests.core.examples import HERE


def always(action: int) -> Act:
    return lambda observations: np.full(len(observations), action)


def corridor(count: int = 1, **options: int) -> Environment:
    return Environment(id=f"{HERE}:Corridor-v0", count=count, **options)


def test_the_final_observation_of_an_episode_is_kept() -> None:
    rollouts, rewards = collect(corridor().make_vector(), always(1), 3, [0])
    (found,) = rollouts.trajectories
    np.testing.assert_array_equal(found.observations, [[0], [1], [2], [3]])
    np.testing.assert_array_equal(found.actions, [1, 1, 1])
    np.testing.assert_array_equal(rewards.rewards[0].values, [1, 2, 3])
    assert (found.terminated, found.truncated) == (True, False)


def test_a_time_limit_truncates_and_its_final_observation_is_kept() -> None:
    actions = cycle([1, 1, 0])
    vector = corridor(time_limit=3).make_vector()
    rollouts, rewards = collect(vector, lambda o: np.array([next(actions)]), 6, [0])
    assert len(rollouts.trajectories) == 2
    for found, paid in zip(rollouts.trajectories, rewards.rewards, strict=True):
        np.testing.assert_array_equal(found.observations, [[0], [1], [2], [1]])
        np.testing.assert_array_equal(paid.values, [1, 2, 1])
        assert (found.terminated, found.truncated) == (False, True)


def test_terminated_wins_over_a_time_limit_in_the_same_step() -> None:
    rollouts, _ = collect(corridor(time_limit=3).make_vector(), always(1), 3, [0])
    (found,) = rollouts.trajectories
    assert found.terminated
    assert not found.truncated


def test_an_episode_that_still_runs_counts_as_truncated() -> None:
    rollouts, rewards = collect(corridor(count=2).make_vector(), always(1), 4, [0, 1])
    assert [len(t) for t in rollouts.trajectories] == [3, 3, 1, 1]
    assert [t.terminated for t in rollouts.trajectories] == [True, True, False, False]
    assert [t.truncated for t in rollouts.trajectories] == [False, False, True, True]
    np.testing.assert_array_equal(rollouts.trajectories[2].observations, [[0], [1]])
    np.testing.assert_array_equal(rewards.rewards[2].values, [1])
    assert rollouts.steps == 8


def test_trajectories_are_cut_where_the_flags_say() -> None:
    # Two copies, five steps. Copy 0 ends at step 1 (terminated) and step 4 (truncated);
    # copy 1 ends at step 0 (truncated) and still runs at the end.
    observations = np.array([[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]], dtype=np.float32)[
        ..., None
    ]
    after = observations + 0.5
    flags = np.zeros((5, 2), dtype=bool)
    terminated, truncated = flags.copy(), flags.copy()
    terminated[1, 0] = truncated[4, 0] = truncated[0, 1] = True
    record = Record(
        observations,
        after,
        np.arange(10).reshape(5, 2),
        terminated,
        truncated,
        observations[..., 0],
    )
    rollouts, rewards = trajectories(record, policy_version=7)

    found = rollouts.trajectories
    expected: list[tuple[list[float], list[int], bool]] = [
        ([10, 10.5], [1], False),
        ([0, 1, 1.5], [0, 2], True),
        ([2, 3, 4, 4.5], [4, 6, 8], False),
        ([11, 12, 13, 14, 14.5], [3, 5, 7, 9], False),
    ]
    assert len(found) == len(expected)
    for trajectory, paid, (numbers, actions, ended) in zip(
        found, rewards.rewards, expected, strict=True
    ):
        np.testing.assert_array_equal(trajectory.observations[:, 0], numbers)
        np.testing.assert_array_equal(trajectory.actions, actions)
        np.testing.assert_array_equal(paid.values, numbers[:-1])
        assert trajectory.terminated is ended
        assert trajectory.truncated is not ended
        assert trajectory.policy_version == 7


def test_returns_of_finished_episodes_come_in_the_order_in_which_they_ended() -> None:
    """So that the last ten are the newest of all copies, and not those of the last copies."""
    terminated = np.zeros((6, 2), dtype=bool)
    # Copy 0 ends at steps 2, 4 and 5, copy 1 at step 0; its second episode is unfinished.
    terminated[[2, 4, 5], 0] = terminated[0, 1] = True
    observations = np.zeros((6, 2, 1), dtype=np.float32)
    paid = np.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60]], dtype=np.float64)
    record = Record(
        observations, observations, np.zeros((6, 2)), terminated, np.zeros_like(terminated), paid
    )
    rollouts, rewards = trajectories(record, policy_version=0)
    assert finished_returns(rollouts, rewards, horizon=9).tolist() == [10, 6, 9, 6]


def test_the_record_of_two_halves_is_the_record_of_the_whole() -> None:
    def play(parts: list[int]) -> Record:
        recorder = Recorder(Environment(id="Pendulum-v1", count=2).make_vector())
        recorder.reset([3, 4])
        records = []
        for steps in parts:
            for _ in range(steps):
                recorder.step(recorder.observation[:, :1])
            records.append(recorder.take())
        return join(records)

    whole, halves = play([6]), play([2, 4])
    for name in Record.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(whole, name), getattr(halves, name))
    np.testing.assert_array_equal(whole.observations[1:], whole.next_observations[:-1])


def test_a_recorder_counts_steps_and_tells_which_episodes_ended() -> None:
    recorder = Recorder(corridor(count=2).make_vector())
    recorder.reset([0, 1])
    ended = [recorder.step(np.array([1, 0])).tolist() for _ in range(3)]
    assert ended == [[False, False], [False, False], [True, False]]
    assert recorder.steps == 6
    np.testing.assert_array_equal(recorder.observation, [[0], [0]])


@pytest.mark.parametrize("kind", ["discrete", "multi_binary", "bytes", "dict"])
def test_observations_of_any_kind_are_recorded(kind: str) -> None:
    options = {"observation": kind, "ends_at": 2}
    vector = Environment(id=f"{HERE}:Shapes-v0", options=options).make_vector(1)
    rollouts, _ = collect(vector, always(0), 4, [0])
    first, second = rollouts.trajectories
    assert first.observations.shape == (3, *(vector.single_observation_space.shape or ()))
    np.testing.assert_array_equal(first.observations, second.observations)
    assert not np.array_equal(first.observations[0], first.observations[2])


def wandering(steps: int, count: int, seed: int) -> Record:
    """A record with episodes of all lengths, whose observations count the steps."""
    rng = np.random.default_rng(seed)
    terminated, truncated = rng.random((2, steps, count)) < 0.05
    observations = np.broadcast_to(np.arange(steps)[:, None, None], (steps, count, 1)).astype(
        np.float32
    )
    actions = np.broadcast_to(np.arange(count), (steps, count)).copy()
    return Record(
        observations,
        observations + 1,
        actions,
        terminated,
        truncated & ~terminated,
        observations[..., 0] * 1.0,
    )


def part(record: Record, start: int, stop: int) -> Record:
    return Record(*(column[start:stop] for column in vars(record).values()))


@pytest.mark.parametrize("pieces", [1, 7])
def test_all_is_kept_that_fits_however_it_came(pieces: int) -> None:
    record = wandering(140, 3, 0)
    reservoir = Reservoir(420, 5, np.random.default_rng(0))
    for piece in range(pieces):
        reservoir.add(part(record, 140 * piece // pieces, 140 * (piece + 1) // pieces))
    assert pack(reservoir.trajectories()[0]) == pack(trajectories(record, 5)[0])
    assert pack(reservoir.trajectories()[1]) == pack(trajectories(record, 5)[1])
    assert reservoir.trajectories()[0].steps == 420


def test_of_what_does_not_fit_whole_episodes_stay_each_as_likely_as_the_others() -> None:
    record = wandering(400, 2, 1)
    everything = {
        (t.actions[0], t.observations[0, 0]): pack(t)
        for t in trajectories(record, 0)[0].trajectories
    }
    chosen: dict[object, int] = dict.fromkeys(everything, 0)
    for seed in range(60):
        reservoir = Reservoir(200, 0, np.random.default_rng(seed))
        for start in range(0, 400, 40):
            reservoir.add(part(record, start, start + 40))
        found, paid = reservoir.trajectories()
        # Two episodes run on at the end.
        assert sum(len(t) for t in found.trajectories[:-2]) <= 200
        for trajectory, rewards in zip(found.trajectories, paid.rewards, strict=True):
            name = (trajectory.actions[0], trajectory.observations[0, 0])
            assert pack(trajectory) == everything[name]
            np.testing.assert_array_equal(rewards.values, trajectory.observations[:-1, 0])
            chosen[name] += 1
    counts = np.array(list(chosen.values())[:-2])
    halves = np.array_split(counts, 2)
    assert abs(halves[0].mean() - halves[1].mean()) < 0.3 * counts.mean()
    assert counts.min() > 0.2 * counts.mean()


def test_one_episode_stays_even_if_it_is_too_long() -> None:
    record = wandering(50, 1, 0)
    terminated = np.zeros((50, 1), dtype=bool)
    terminated[30] = True
    reservoir = Reservoir(10, 0, np.random.default_rng(0))
    reservoir.add(replace(record, terminated=terminated, truncated=np.zeros_like(terminated)))
    assert [len(t) for t in reservoir.trajectories()[0].trajectories] == [31, 19]
