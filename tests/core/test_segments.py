"""Clips of trajectories: cut at the right place, padded, and all equally likely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rlhf_core.segments import cut, sample_segments, true_rewards
from rlhf_core.types import Rollouts
from tests.core.examples import played, trajectory


def test_a_clip_holds_what_was_seen_and_done() -> None:
    rollouts, rewards = played(5, 4)
    clips = cut(rollouts, np.array([[0, 1], [1, 0]]), 3)
    np.testing.assert_array_equal(clips.observations[..., 0], [[1, 2, 3, 4], [100, 101, 102, 103]])
    np.testing.assert_array_equal(clips.actions, [[1, 0, 1], [0, 1, 0]])
    assert clips.mask.all()
    assert clips.steps == 3
    np.testing.assert_array_equal(true_rewards(rewards, clips).values, [[2, 3, 4], [101, 102, 103]])


def test_a_clip_of_a_shorter_episode_is_padded_and_masked() -> None:
    rollouts, rewards = played(5, 2)
    clips = cut(rollouts, np.array([[1, 0]]), 4)
    np.testing.assert_array_equal(clips.observations[..., 0], [[100, 101, 102, 102, 102]])
    np.testing.assert_array_equal(clips.mask, [[True, True, False, False]])
    np.testing.assert_array_equal(true_rewards(rewards, clips).values, [[101, 102, 0, 0]])


def test_only_the_last_step_of_a_terminated_episode_is_terminal() -> None:
    ended, cut_off = trajectory(3, terminated=True), trajectory(3, terminated=False)
    clips = cut(Rollouts((ended, cut_off)), np.array([[0, 0], [0, 1], [1, 1], [0, 0]]), 2)
    np.testing.assert_array_equal(clips.terminated, [[0, 0], [0, 1], [0, 0], [0, 0]])


def test_padding_is_not_terminal_but_the_step_before_it_is() -> None:
    clips = cut(Rollouts((trajectory(2, terminated=True),)), np.array([[0, 0]]), 4)
    np.testing.assert_array_equal(clips.terminated, [[False, True, False, False]])


def test_the_origin_says_where_a_clip_was_cut() -> None:
    rollouts, _ = played(6, 3, 1)
    clips = sample_segments(rollouts, 9, 2, np.random.default_rng(0))
    for origin, observations in zip(clips.origin, clips.observations[..., 0], strict=True):
        assert observations[0] == 100 * origin[0] + origin[1]


def test_clips_are_distinct_while_there_are_enough() -> None:
    rollouts, _ = played(5, 3, 1)  # 4 + 2 + 1 clips of 2 steps
    clips = sample_segments(rollouts, 7, 2, np.random.default_rng(0))
    assert sorted(map(tuple, clips.origin.tolist())) == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0),
    ]  # fmt: skip


def test_more_clips_than_there_are_repeat_some() -> None:
    rollouts, _ = played(3)
    clips = sample_segments(rollouts, 50, 2, np.random.default_rng(0))
    assert set(map(tuple, clips.origin.tolist())) == {(0, 0), (0, 1)}


def test_every_clip_that_exists_is_equally_likely() -> None:
    rollouts, _ = played(6, 2, 4, 1)  # 4 + 1 + 2 + 1 clips of 3 steps
    rng = np.random.default_rng(0)
    counts: dict[tuple[int, int], int] = {}
    for _ in range(4000):
        (trajectory_, start) = sample_segments(rollouts, 1, 3, rng).origin[0]
        counts[trajectory_, start] = counts.get((trajectory_, start), 0) + 1
    assert len(counts) == 8
    assert chisquare(list(counts.values())).pvalue > 0.01


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    steps=st.integers(1, 6),
    count=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_clips_and_their_true_rewards_stay_together(
    lengths: list[int], steps: int, count: int, seed: int
) -> None:
    rollouts, rewards = played(*lengths)
    clips = sample_segments(rollouts, count, steps, np.random.default_rng(seed))
    values = true_rewards(rewards, clips).values
    assert values.shape == clips.mask.shape == (count, steps)
    # `played` pays in each step what it then shows.
    np.testing.assert_array_equal(values, np.where(clips.mask, clips.observations[:, 1:, 0], 0))
    real = np.minimum(np.array(lengths)[clips.origin[:, 0]], steps)
    np.testing.assert_array_equal(clips.mask.sum(axis=1), real)
    assert len(np.unique(clips.origin, axis=0)) == count or count > sum(
        max(length - steps + 1, 1) for length in lengths
    )


def test_the_same_generator_draws_the_same_clips() -> None:
    rollouts, _ = played(20, 30)
    first, second = (sample_segments(rollouts, 5, 4, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.origin, second.origin)


@pytest.mark.parametrize("steps", [1, 500])
def test_a_clip_may_be_one_step_or_longer_than_any_episode(steps: int) -> None:
    rollouts, rewards = played(3, 2)
    clips = sample_segments(rollouts, 2, steps, np.random.default_rng(0))
    assert clips.steps == steps
    assert true_rewards(rewards, clips).values.shape == (2, steps)
