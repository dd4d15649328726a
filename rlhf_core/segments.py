"""Segments: short clips of trajectories, gathered in one indexing operation.

A clip begins with a step that was played, and goes on into the absorbing state of an episode that
ended before its fixed horizon: the last observation and the last action stay (actions are ignored
there), and the true reward is 0.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from rlhf_core.types import (
    Replays,
    RolloutRewards,
    Rollouts,
    Segments,
    Trajectory,
    TrueRewards,
)

REACHING = 4
"""One clip in so many, at least, reaches into an absorbing state."""


def sample_segments(
    rollouts: Rollouts,
    count: int,
    steps: int,
    rng: np.random.Generator,
    replayable: bool = False,
) -> Segments:
    """Draw `count` clips of `steps` steps, uniformly over all clips that exist.

    A trajectory of T >= L steps holds T - L + 1 clips. A shorter one holds one, padded with its
    final observation and masked, so that episodes which end early can be asked about too. With n
    absorbing steps after the last one, T counts them, and a trajectory holds as many clips as it
    has played steps, at the most. Clips are distinct where there are at least `count` of them. A
    quarter of the clips at least, as far as there are so many, reach into an absorbing state: of
    what the policy does it may be a small part, and nothing else tells what an early end is worth.

    Args:
        rollouts: where to cut from.
        count: S, the number of clips.
        steps: L, the steps of a clip.
        rng: the source of randomness.
        replayable: add the replays of the clips, where the rollouts hold what is needed.
    """
    windows = _windows(rollouts, steps)
    chosen = _draw(rollouts, windows, count, steps, rng)
    ends = np.cumsum(windows)
    trajectory = np.searchsorted(ends, chosen, side="right")
    start = chosen - (ends[trajectory] - windows[trajectory])
    return cut(rollouts, np.stack([trajectory, start], axis=1), steps, replayable)


def clips_in(rollouts: Rollouts, steps: int) -> int:
    """Count the clips of `steps` steps; a shorter trajectory holds one."""
    return int(_windows(rollouts, steps).sum())


def _draw(
    rollouts: Rollouts,
    windows: Int[np.ndarray, " trajectories"],
    count: int,
    steps: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " count"]:
    """Draw numbers of clips, counted over all trajectories."""
    total = int(windows.sum())
    played = np.array([len(t) for t in rollouts.trajectories])
    absorbed = np.array([t.absorbing_steps > 0 for t in rollouts.trajectories])
    # Clip s of T played steps reaches beyond them if s + L > T.
    reaching = np.where(
        absorbed, np.minimum(windows, np.maximum(windows + steps - 1 - played, 0)), 0
    )
    wanted = min(-(-count // REACHING), int(reaching.sum()))
    if count > total or not wanted:
        drawn: np.ndarray = rng.choice(total, size=count, replace=count > total)
        return drawn
    last = np.cumsum(windows)
    ends = np.concatenate(
        [np.arange(stop - some, stop) for stop, some in zip(last, reaching, strict=True) if some]
    )
    some = rng.choice(ends, size=wanted, replace=False)
    others = np.setdiff1d(np.arange(total), some, assume_unique=True)
    rest = rng.choice(others, size=count - wanted, replace=False)
    return rng.permutation(np.concatenate([some, rest]))


def _windows(rollouts: Rollouts, steps: int) -> Int[np.ndarray, " trajectories"]:
    """Return the number of clips in each trajectory."""
    played = np.array([len(t) for t in rollouts.trajectories])
    absorbing = np.array([t.absorbing_steps for t in rollouts.trajectories])
    windows: np.ndarray = np.clip(played + absorbing - steps + 1, 1, played)
    return windows


def cut(rollouts: Rollouts, origin: np.ndarray, steps: int, replayable: bool = False) -> Segments:
    """The clips of `steps` steps that begin at `origin` (S, 2): trajectory, first step.

    With `replayable`, their replays are added where the rollouts hold what is needed.
    """
    trajectories = rollouts.trajectories
    lengths = np.array([len(t) for t in trajectories])
    at = origin[:, 1:] + np.arange(steps + 1)
    length = lengths[origin[:, :1]]
    counted = length + np.array([t.absorbing_steps for t in trajectories])[origin[:, :1]]
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
        mask=step < counted,
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
    """The true rewards (S, L) of segments that were cut from these rollouts.

    They are 0 where a clip is padded, and in an absorbing state.
    """
    parts: Sequence[TrueRewards] = rewards.rewards
    lengths = np.array([len(part.values) for part in parts])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])[segments.origin[:, :1]]
    step = segments.origin[:, 1:] + np.arange(segments.steps)
    last = lengths[segments.origin[:, :1]] - 1
    values = np.concatenate([part.values for part in parts])[first + np.minimum(step, last)]
    return TrueRewards(np.where(segments.mask & (step <= last), values, 0.0))


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
