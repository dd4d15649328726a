"""Recording what a batch of environments does, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rlhf_core.errors import ConfigurationError


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


class Recorder:
    """Steps a vector environment and remembers every transition, final observations included."""

    def __init__(self, environment: VectorEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.observation: np.ndarray = np.empty(0)
        self.steps = 0
        self._rows: list[tuple[np.ndarray, ...]] = []

    def reset(self, seeds: list[int]) -> np.ndarray:
        """Start all copies afresh."""
        self.observation, _ = self.environment.reset(seed=seeds)  # type: ignore[arg-type]
        return self.observation

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step all copies once; returns (count,) which episodes ended."""
        before = self.observation
        after, rewards, terminated, truncated, info = self.environment.step(actions)
        if not np.isfinite(rewards).all():
            name = self.environment.spec.id if self.environment.spec else "the environment"
            raise ConfigurationError(
                f"environment.id: {name} paid {rewards[~np.isfinite(rewards)][0]} in step "
                f"{len(self._rows) + 1} of a rollout; rewards must be finite numbers"
            )
        done: np.ndarray = np.logical_or(terminated, truncated)
        final = after
        if done.any():
            # The batch already shows the next episode's first observation.
            final = after.copy()
            which = np.flatnonzero(done)
            final[which] = np.stack(list(info["final_obs"][which]))
        self._rows.append(
            (before, final, np.array(actions), terminated.copy(), truncated.copy(), rewards.copy())
        )
        self.observation = after
        self.steps += len(done)
        return done

    def cut(self, copies: np.ndarray) -> None:
        """End the episodes of some copies (a mask) after the last step, as a time limit does."""
        truncated = self._rows[-1][4]
        truncated |= copies
        started, _ = self.environment.reset(options={"reset_mask": copies})
        kept = copies.reshape(-1, *[1] * (started.ndim - 1))
        self.observation = np.where(kept, started, self.observation)

    def take(self) -> Record:
        """The record since the last call, and forget it."""
        record = Record(*(np.stack(column) for column in zip(*self._rows, strict=True)))
        self._rows = []
        return record


def join(records: list[Record]) -> Record:
    """Consecutive records of the same environments as one."""
    columns = [[getattr(r, name) for r in records] for name in Record.__dataclass_fields__]
    return Record(*(np.concatenate(column) for column in columns))
