"""A vector environment whose copies are the columns of one array."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Shaped

from rlhf_core.environments.fixed_horizon import HorizonForm, absorbing_info
from rlhf_core.errors import ConfigurationError


class Dynamics(ABC):
    """Dynamics of many copies of an environment. States are columns: (D, count)."""

    parameters: ClassVar[tuple[str, ...]] = ()
    """Attributes that a context can set: one number, or one for each copy."""
    observation_space: spaces.Box | spaces.MultiDiscrete
    action_space: spaces.Space[Any]

    def with_parameters(self, parameters: Mapping[str, Float[np.ndarray, " count"]]) -> "Dynamics":
        """Return the dynamics with other parameters for each copy."""
        changed = copy(self)
        changed.__dict__.update(parameters)
        return changed

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


@runtime_checkable
class TellsInfos(Protocol):
    """Dynamics whose states tell more than observations and rewards, such as success."""

    def infos(
        self, state: Float[np.ndarray, "D count"]
    ) -> Mapping[str, Bool[np.ndarray, " count"]]:
        """Compute what `info` tells of states, by its key."""
        ...


class BatchedEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Copies of one environment, stepped as arrays; a copy resets in the step in which it ends.

    Given a list of seeds, copy i does exactly what a single environment reset with seed i does,
    later episodes included. Given one seed or none, all copies draw from one generator, which is
    faster with thousands of copies. `info["final_obs"]` holds a row for every copy; the rows of
    `info["_final_obs"]` are last observations of episodes. `info["final_info"]` holds what the
    dynamics tell of last states, such as success.

    ==================  ======================================================================
    observation         the environment's; with an absorbing horizon one number more, 1 after
                        the end; with an evolving one the box is unbounded
    action              the environment's; ignored in an absorbing state
    reward              the environment's; 0 where an ended episode goes on to a fixed horizon
    end                 the environment's, or truncated after `max_episode_steps`, or (never
                        terminated) after `fixed_horizon` steps, and where the state becomes
                        absorbing
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
        self._flags = fixed_horizon is not None and horizon_form in ("absorbing", "played")
        self._cuts_absorbed = horizon_form == "absorbing"
        self._evolving = fixed_horizon is not None and horizon_form == "evolving"
        self._limit = fixed_horizon or max_episode_steps or np.iinfo(np.int64).max
        self.single_observation_space = self._observations()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = dynamics.action_space
        self.action_space = batch_space(dynamics.action_space, num_envs)
        self._generators: list[np.random.Generator] | None = None
        self._begun: list[int | Mapping[str, Any] | None] = [None] * num_envs
        self._state = np.empty(0)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def _observations(self) -> spaces.Space[Any]:
        box = self._dynamics.observation_space
        if not isinstance(box, spaces.Box):
            if self._flags or self._evolving or self._bound is not None:
                raise ConfigurationError(
                    "fixed_horizon, observation_bound: expected neither with observations of "
                    f"{type(box).__name__}"
                )
            return box
        low, high = box.low, box.high
        if self._evolving:
            low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
        if self._bound is not None:
            low, high = (np.clip(side, -self._bound, self._bound) for side in (low, high))
        if self._flags:
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
        if self._flags:
            state = np.where(self._ended, self._state, state)
            rewards = np.where(self._ended, 0.0, rewards)
            self._ended |= terminated
        if self._evolving:
            rewards = np.where(terminated, 0.0, rewards)
        if self._flags or self._evolving:
            terminated = np.zeros(self.num_envs, dtype=bool)
        truncated = self._steps >= self._limit
        absorbed = self._ended & self._cuts_absorbed
        truncated |= absorbed
        self._state = state
        observations = self._observe(state, self._ended)
        done = terminated | truncated
        if not done.any():
            return observations, rewards, terminated, truncated, {}
        which = np.flatnonzero(done)
        final = observations.copy()
        infos = self._final_infos(state, done)
        left = self._limit - self._steps
        state[:, which] = self._drawn(which)
        self._steps[which] = 0
        self._ended[which] = False
        observations[which] = self._observe(state[:, which], self._ended[which])
        info = {"final_obs": final, "_final_obs": done, **absorbing_info(absorbed, left)}
        if infos:
            info |= {"final_info": infos | info.get("final_info", {}), "_final_info": done}
        return observations, rewards, terminated, truncated, info

    def _final_infos(self, state: np.ndarray, done: np.ndarray) -> dict[str, np.ndarray]:
        """What the dynamics tell of last states, as Gymnasium batches it: values and a mask."""
        if not isinstance(self._dynamics, TellsInfos):
            return {}
        infos = {key: values & done for key, values in self._dynamics.infos(state).items()}
        return infos | {f"_{key}": done for key in infos}

    def _drawn(self, copies: np.ndarray) -> np.ndarray:
        """Draw first states (D, copies)."""
        if self._generators is None:
            return self._dynamics.draw(self.np_random, len(copies)).T.copy()
        for index in copies:
            self._begun[index] = self._generators[index].bit_generator.state
        rows = [self._dynamics.draw(self._generators[index], 1) for index in copies]
        return np.concatenate(rows).T.copy()

    def _observe(self, state: np.ndarray, ended: np.ndarray) -> np.ndarray:
        observations = self._dynamics.observe(state)
        if self._bound is not None:
            observations = np.clip(observations, -self._bound, self._bound)
        if self._flags:
            observations = np.concatenate([observations, ended[:, None].astype(np.float32)], axis=1)
        return observations
