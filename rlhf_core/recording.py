"""Recording what a batch of environments does, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rlhf_core.environments.episodes import episode_starts
from rlhf_core.environments.filming import films
from rlhf_core.environments.fixed_horizon import absorbing_steps
from rlhf_core.types import Trajectory


def _nothing() -> np.ndarray:
    return np.empty((0, 0), dtype=object)


@dataclass(frozen=True)
class Record:
    """`steps` consecutive steps of `count` environments; time first, then environment."""

    observations: np.ndarray
    """(steps, count, *obs), before each step."""
    next_observations: np.ndarray
    """(steps, count, *obs), after each step; at the end of an episode its final observation."""
    actions: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    rewards: np.ndarray
    """(steps, count) true rewards."""
    starts: np.ndarray = field(default_factory=_nothing)
    """(steps, count) texts: how the episode began whose first step this is; else None."""
    frames: np.ndarray = field(default_factory=_nothing)
    """(steps, count) pictures (H, W, 3) of the observations, or None."""
    next_frames: np.ndarray = field(default_factory=_nothing)
    """(steps, count) pictures of the next observations, or None."""
    absorbing_steps: np.ndarray = field(default_factory=_nothing)
    """(steps, count) of an episode that ended early with this step, the steps of its absorbing
    state that are left to the horizon; else -1."""

    def __post_init__(self) -> None:
        if self.absorbing_steps.shape != self.rewards.shape:
            object.__setattr__(self, "absorbing_steps", np.full(self.rewards.shape, -1))
        for name in ("starts", "frames", "next_frames"):
            if getattr(self, name).shape != self.rewards.shape:
                empty = np.broadcast_to(np.array(None, dtype=object), self.rewards.shape)
                object.__setattr__(self, name, empty)

    def trajectory(self, copy: int, start: int, stop: int, policy_version: int) -> Trajectory:
        """The steps `start` to `stop` (exclusive) of one copy, which belong to one episode."""
        steps, last = slice(start, stop), stop - 1
        final = self.next_observations[last, copy][None]
        terminated = bool(self.terminated[last, copy])
        frames = None
        if self.frames[start, copy] is not None:
            frames = np.stack([*self.frames[steps, copy], self.next_frames[last, copy]])
        return Trajectory(
            observations=np.concatenate([self.observations[steps, copy], final]),
            actions=self.actions[steps, copy].copy(),
            terminated=terminated,
            truncated=not terminated,
            policy_version=policy_version,
            start=self.starts[start, copy],
            frames=frames,
            absorbing_steps=max(int(self.absorbing_steps[last, copy]), 0),
        )


class Recorder:
    """Step a vector environment and record every transition, final observations included."""

    def __init__(self, environment: VectorEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.observation: np.ndarray = np.empty(0)
        self.steps = 0
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._films = films(environment)
        self._none = np.full(environment.num_envs, None, dtype=object)
        self._starts = self._none
        """(count,) of the episodes whose first step comes next."""
        self._frames = self._none
        """(count,) of the observation."""

    def reset(self, seeds: list[int]) -> np.ndarray:
        """Start all copies afresh."""
        self.observation, _ = self.environment.reset(seed=seeds)  # type: ignore[arg-type]
        self._starts = self._none.copy()
        self._starts[:] = episode_starts(self.environment, range(len(seeds)))
        self._frames = self._pictures()
        return self.observation

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step all copies once; returns (count,) which episodes ended."""
        before, started, frames = self.observation, self._starts, self._frames
        after, rewards, terminated, truncated, info = self.environment.step(actions)
        done: np.ndarray = np.logical_or(terminated, truncated)
        final, self._starts = after, self._none
        if done.any():
            # The batch already holds the next episode's first observation.
            final = after.copy()
            which = np.flatnonzero(done)
            final[which] = np.stack(list(info["final_obs"][which]))
            self._starts = self._none.copy()
            self._starts[which] = episode_starts(self.environment, which.tolist())
        self._frames = self._pictures()
        final_frames = self._final_pictures(done)
        self._rows.append(
            (
                before, final, np.array(actions), terminated.copy(), truncated.copy(),
                rewards.copy(), absorbing_steps(info, len(done)), started, frames, final_frames,
            )
        )  # fmt: skip
        self.observation = after
        self.steps += len(done)
        return done

    def cut(self, copies: np.ndarray) -> None:
        """End the episodes of some copies (a mask) after the last step, as a time limit does."""
        truncated = self._rows[-1][4]
        truncated |= copies
        started, _ = self.environment.reset(options={"reset_mask": copies})
        mask = copies.reshape(-1, *[1] * (started.ndim - 1))
        self.observation = np.where(mask, started, self.observation)
        which = np.flatnonzero(copies)
        self._starts = self._starts.copy()
        self._starts[which] = episode_starts(self.environment, which.tolist())
        self._frames = self._pictures()

    def take(self) -> Record:
        """Return the record since the last call and begin another one."""
        *arrays, absorbing, started, frames, next_frames = zip(*self._rows, strict=True)
        columns = [np.stack(column) for column in arrays]
        columns += [self._objects(column) for column in (started, frames, next_frames)]
        columns.append(np.stack(absorbing))
        record = Record(*columns)
        self._rows = []
        return record

    def _pictures(self) -> np.ndarray:
        """(count,) of the observations now."""
        if not self._films:
            return self._none
        row = self._none.copy()
        for copy, film in enumerate(self._films):
            row[copy] = film.frame
        return row

    def _final_pictures(self, done: np.ndarray) -> np.ndarray:
        """(count,) after the last step, final observations included."""
        row = self._frames
        if self._films and done.any():
            row = row.copy()
            for copy in np.flatnonzero(done).tolist():
                row[copy] = self._films[copy].final_frame
        return row

    def _objects(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        shape = (len(rows), len(self._none))
        if all(row is self._none for row in rows):
            return np.broadcast_to(np.array(None, dtype=object), shape)
        column = np.full(shape, None, dtype=object)
        for step, row in enumerate(rows):
            if row is not self._none:
                column[step] = row
        return column


def join(records: list[Record]) -> Record:
    """Consecutive records of the same environments as one."""
    columns = [[getattr(r, name) for r in records] for name in Record.__dataclass_fields__]
    return Record(*(np.concatenate(column) for column in columns))
