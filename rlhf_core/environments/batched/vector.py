"""A vector environment whose copies are the columns of one array."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Shaped

from rlhf_core.environments.fixed_horizon import HorizonForm
from rlhf_core.errors import ConfigurationError


class Dynamics(ABC):
    """Dynamics of many copies of an environment. States are columns: (D, count)."""

    observation_space: spaces.Box
    action_space: spaces.Space[Any]

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "count D"]:
        """Draw first states, one in each row, in the order of draws of single environments."""

    @abstractmethod
    def observe(self, state: Float[np.ndarray, "D count"]) -> Float[np.ndarray, "count obs"]:
        """Compute the observations of states."""

    @abstractmethod
    def step(
        self, state: Float[np.ndarray, "D count"], actions: Shaped[np.ndarray, "count *act"]
    ) -> tuple[
        Float[np.ndarray, "D count"], Float[np.ndarray, " count"], Bool[np.ndarray, " count"]
    ]:
        """Compute next states, rewards, and whether the environment terminates there."""


class BatchedEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Copies of one environment, stepped as arrays; a copy resets in the step in which it ends.

    Given a list of seeds, copy i does exactly what a single environment reset with seed i does,
    later episodes included. Given one seed or none, all copies draw from one generator, which is
    faster with thousands of copies. `info["final_obs"]` holds a row for every copy; the rows of
    `info["_final_obs"]` are last observations of episodes.

    ==================  ======================================================================
    observation         the environment's; with an absorbing horizon one number more, 1 after
                        the end; with an evolving one the box is unbounded
    action              the environment's; ignored in an absorbing state
    reward              the environment's; 0 where an ended episode goes on to a fixed horizon
    end                 the environment's, or truncated after `max_episode_steps`, or (never
                        terminated) after `fixed_horizon` steps
    ==================  ======================================================================
    """

    def __init__(
        self,
        dynamics: Dynamics,
        num_envs: int,
        max_episode_steps: int | None,
        fixed_horizon: int | None = None,
        horizon_form: HorizonForm = "absorbing",
        observation_bound: float | None = None,
    ) -> None:
        """Make copies of an environment.

        Args:
            dynamics: of the states.
            num_envs: how many copies.
            max_episode_steps: steps after which an episode is cut off.
            fixed_horizon: let every episode last this many steps.
            horizon_form: what comes after an early end, as in `fixed_horizon.py`.
            observation_bound: clip observations to [-bound, bound], in their own units.
        """
        if num_envs < 1:
            raise ConfigurationError(f"num_envs: expected at least 1, actual: {num_envs}")
        self.num_envs = num_envs
        self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self._dynamics = dynamics
        self._bound = observation_bound
        self._absorbing = fixed_horizon is not None and horizon_form == "absorbing"
        self._evolving = fixed_horizon is not None and horizon_form == "evolving"
        self._limit = fixed_horizon or max_episode_steps or np.iinfo(np.int64).max
        self.single_observation_space = self._observation_box()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = dynamics.action_space
        self.action_space = batch_space(dynamics.action_space, num_envs)
        self._generators: list[np.random.Generator] | None = None
        self._begun: list[int | Mapping[str, Any] | None] = [None] * num_envs
        self._state = np.empty(0)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def _observation_box(self) -> spaces.Box:
        box = self._dynamics.observation_space
        low, high = box.low, box.high
        if self._evolving:
            low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
        if self._bound is not None:
            low, high = (np.clip(side, -self._bound, self._bound) for side in (low, high))
        if self._absorbing:
            low, high = np.append(low, np.float32(0)), np.append(high, np.float32(1))
        return spaces.Box(low, high, dtype=np.float32)

    @property
    def state(self) -> np.ndarray:
        """States of all copies (count, D), in the variables of the dynamics."""
        return self._state.T.copy()

    def begun(self, copy: int) -> int | Mapping[str, Any] | None:
        """How the running episode of a copy began: its seed, or its generator's state before.

        None where a single environment cannot begin in the same way.
        """
        return self._begun[copy]

    def reset(
        self,
        *,
        seed: int | list[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all copies, or those of `options={"reset_mask": (count,)}`.

        With `options={"state": (count, D)}` they start in these states.
        """
        if options and "reset_mask" in options:
            which = np.flatnonzero(options["reset_mask"])
            self._state[:, which] = self._drawn(which)
            self._steps[which], self._ended[which] = 0, False
            return self._observe(self._state, self._ended), {}
        if isinstance(seed, (list, tuple)):
            if len(seed) != self.num_envs:
                raise ValueError(f"seed: expected {self.num_envs} seeds, actual: {len(seed)}")
            self._generators = [seeding.np_random(one)[0] for one in seed]
        elif seed is not None:
            super().reset(seed=seed)
            self._generators, self._begun = None, [None] * self.num_envs
        self._state = self._drawn(np.arange(self.num_envs))
        if isinstance(seed, (list, tuple)):
            self._begun = [int(one) for one in seed]
        if options and "state" in options:
            self._begun = [None] * self.num_envs
            states = np.asarray(options["state"], dtype=self._state.dtype)
            if states.T.shape != self._state.shape:
                raise ValueError(
                    f"options['state']: expected shape {self._state.T.shape}, "
                    f"actual: {states.shape}"
                )
            self._state = states.T.copy()
        self._steps[:] = 0
        self._ended[:] = False
        return self._observe(self._state, self._ended), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every copy once."""
        state, rewards, terminated = self._dynamics.step(self._state, np.asarray(actions))
        self._steps += 1
        if self._absorbing:
            state = np.where(self._ended, self._state, state)
            rewards = np.where(self._ended, 0.0, rewards)
            self._ended |= terminated
        if self._evolving:
            rewards = np.where(terminated, 0.0, rewards)
        if self._absorbing or self._evolving:
            terminated = np.zeros(self.num_envs, dtype=bool)
        truncated = self._steps >= self._limit
        self._state = state
        observations = self._observe(state, self._ended)
        done = terminated | truncated
        if not done.any():
            return observations, rewards, terminated, truncated, {}
        which = np.flatnonzero(done)
        final = observations.copy()
        state[:, which] = self._drawn(which)
        self._steps[which] = 0
        self._ended[which] = False
        observations[which] = self._observe(state[:, which], self._ended[which])
        info = {"final_obs": final, "_final_obs": done}
        return observations, rewards, terminated, truncated, info

    def _drawn(self, copies: np.ndarray) -> np.ndarray:
        """Draw first states (D, copies)."""
        if self._generators is None:
            return self._dynamics.draw(self.np_random, len(copies)).T.copy()
        for copy in copies:
            self._begun[copy] = self._generators[copy].bit_generator.state
        rows = [self._dynamics.draw(self._generators[copy], 1) for copy in copies]
        return np.concatenate(rows).T.copy()

    def _observe(self, state: np.ndarray, ended: np.ndarray) -> np.ndarray:
        observations = self._dynamics.observe(state)
        if self._bound is not None:
            observations = np.clip(observations, -self._bound, self._bound)
        if self._absorbing:
            observations = np.concatenate([observations, ended[:, None].astype(np.float32)], axis=1)
        return observations
