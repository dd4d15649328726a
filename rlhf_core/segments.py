"""Segments: short clips of trajectories, gathered in one indexing operation."""

from collections.abc import Sequence

import numpy as np

from rlhf_core.types import (
    Replays,
    RolloutRewards,
    Rollouts,
    Segments,
    Trajectory,
    TrueRewards,
)


def sample_segments(
    rollouts: Rollouts,
    count: int,
    steps: int,
    rng: np.random.Generator,
    replayable: bool = False,
) -> Segments:
    """Draw `count` clips of `steps` steps, uniformly over all clips that exist.

    A trajectory of T >= L steps holds T - L + 1 clips. A shorter one holds one, padded with its
    final observation and masked, so that episodes which end early can be asked about too. Clips
    are distinct where there are at least `count` of them.

    Args:
        rollouts: where to cut from.
        count: S, the number of clips.
        steps: L, the steps of a clip.
        rng: the source of randomness.
        replayable: add the replays of the clips, where the rollouts hold what is needed.
    """
    lengths = np.array([len(t) for t in rollouts.trajectories])
    windows = np.maximum(lengths - steps + 1, 1)
    total = int(windows.sum())
    chosen = rng.choice(total, size=count, replace=count > total)
    ends = np.cumsum(windows)
    trajectory = np.searchsorted(ends, chosen, side="right")
    start = chosen - (ends[trajectory] - windows[trajectory])
    return cut(rollouts, np.stack([trajectory, start], axis=1), steps, replayable)


def clips_in(rollouts: Rollouts, steps: int) -> int:
    """Count the clips of `steps` steps; a shorter trajectory holds one."""
    return sum(max(len(trajectory) - steps + 1, 1) for trajectory in rollouts.trajectories)


def cut(rollouts: Rollouts, origin: np.ndarray, steps: int, replayable: bool = False) -> Segments:
    """The clips of `steps` steps that begin at `origin` (S, 2): trajectory, first step.

    With `replayable`, their replays are added where the rollouts hold what is needed.
    """
    trajectories = rollouts.trajectories
    lengths = np.array([len(t) for t in trajectories])
    at = origin[:, 1:] + np.arange(steps + 1)
    length = lengths[origin[:, :1]]
    # Observations have one row more than actions in each trajectory.
    first_observation = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])[origin[:, :1]]
    first_action = np.concatenate([[0], np.cumsum(lengths)[:-1]])[origin[:, :1]]
    ended = np.array([t.terminated for t in trajectories])[origin[:, :1]]
    observations = np.concatenate([t.observations for t in trajectories])
    actions = np.concatenate([t.actions for t in trajectories])
    step = at[:, :-1]
    return Segments(
        observations=observations[first_observation + np.minimum(at, length)],
        actions=actions[first_action + np.minimum(step, length - 1)],
        terminated=ended & (step == length - 1),
        mask=step < length,
        origin=origin,
        replays=_replays(trajectories, origin, steps) if replayable else None,
    )


def _replays(trajectories: Sequence[Trajectory], origin: np.ndarray, steps: int) -> Replays | None:
    """Replays of the clips; None where a trajectory has neither frames nor a start."""
    chosen = [(trajectories[index], int(first)) for index, first in origin]
    nothing = np.empty(0, dtype=np.int64)
    frames = [t.frames for t in trajectories if t.frames is not None]
    if len(frames) == len(trajectories):
        shape = (len(chosen), steps + 1, *frames[0].shape[1:])
        pictures = np.empty(shape, dtype=np.uint8)
        for clip, (trajectory, first) in enumerate(chosen):
            rows = np.minimum(first + np.arange(steps + 1), len(trajectory))
            pictures[clip] = np.asarray(trajectory.frames)[rows]
        return Replays((), nothing, nothing, nothing, pictures)
    starts = [trajectory.start for trajectory, _ in chosen if trajectory.start is not None]
    if len(starts) < len(chosen):
        return None
    ends = [min(first + steps, len(trajectory)) for trajectory, first in chosen]
    actions = [trajectory.actions[:end] for (trajectory, _), end in zip(chosen, ends, strict=True)]
    return Replays(
        tuple(starts),
        np.concatenate([trajectories[0].actions[:0], *actions]),
        np.array(ends, dtype=np.int64),
        origin[:, 1],
    )


def true_rewards(rewards: RolloutRewards, segments: Segments) -> TrueRewards:
    """The true rewards (S, L) of segments that were cut from these rollouts, 0 where padded."""
    parts: Sequence[TrueRewards] = rewards.rewards
    lengths = np.array([len(part.values) for part in parts])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])[segments.origin[:, :1]]
    step = segments.origin[:, 1:] + np.arange(segments.steps)
    last = lengths[segments.origin[:, :1]] - 1
    values = np.concatenate([part.values for part in parts])[first + np.minimum(step, last)]
    return TrueRewards(np.where(segments.mask, values, 0.0))


def transitions(segments: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All steps of all segments as a flat batch: observation, action, next, terminated."""
    observations = segments.observations

    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *array.shape[2:])

    return (
        flat(observations[:, :-1]),
        flat(segments.actions),
        flat(observations[:, 1:]),
        flat(segments.terminated),
    )
