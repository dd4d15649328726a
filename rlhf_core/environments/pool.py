"""EnvPool's environments, stepped together in C++ (https://github.com/sail-sg/envpool)."""

import importlib
import json
import warnings
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlhf_core.environments.fixed_horizon import HorizonForm, absorbing_info
from rlhf_core.environments.spaces import needs_flattening
from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import closest

Options = Mapping[str, bool | int | float | str | None]


def check_pool(
    id: str,
    options: Options,
    observation: spaces.Space[Any],
    action: spaces.Space[Any],
    flags: bool = False,
) -> None:
    """Raise `ConfigurationError` where EnvPool cannot replace Gymnasium's environment.

    Args:
        id: of the environment, in Gymnasium and in EnvPool.
        options: arguments of the constructor.
        observation: of Gymnasium's environment.
        action: of Gymnasium's environment.
        flags: whether a flag is appended to observations.
    """
    _package()
    categories = not isinstance(observation, spaces.Box)
    if needs_flattening(observation) or (flags and categories):
        raise ConfigurationError(
            f"environment.batching: '{id}' has observations of {observation}, which envpool does "
            "not flatten; use auto"
        )
    for name, own, theirs in zip(
        ("observations", "actions"), (observation, action), _pool_spaces(id, _key(options)),
        strict=True,
    ):  # fmt: skip
        if not _are_alike(own, theirs):
            raise ConfigurationError(
                f"environment.batching: EnvPool's '{id}' has {name} of {theirs}, Gymnasium's of "
                f"{own}; use auto"
            )


def _are_alike(own: spaces.Space[Any], theirs: spaces.Space[Any]) -> bool:
    """Equal but for the precision of floats, which is converted."""
    if isinstance(own, spaces.Box) and isinstance(theirs, spaces.Box):
        floats = [np.issubdtype(box.dtype, np.floating) for box in (own, theirs)]
        return (
            own.shape == theirs.shape
            and floats[0] == floats[1]
            and np.allclose(own.low, theirs.low)
            and np.allclose(own.high, theirs.high)
        )
    return own == theirs


def _key(options: Options) -> str:
    return json.dumps(dict(options), sort_keys=True)


@cache
def _pool_spaces(id: str, options: str) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    pool = _made(id, num_envs=1, **json.loads(options))
    spaces_of_pool = pool.observation_space, pool.action_space
    pool.close()
    return spaces_of_pool


def _made(id: str, **options: Any) -> Any:
    """Make a pool; raise `ConfigurationError` where its arguments are wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = _package()
        known = package.list_all_envs()
        if id not in known:
            close = closest(id, known)
            hint = f"did you mean '{close}'? Else use" if close else "use"
            raise ConfigurationError(
                f"environment.id: EnvPool has no '{id}'; {hint} environment.batching auto"
            )
        try:
            pool = package.make_gymnasium(id, **options)
        except TypeError as error:
            raise ConfigurationError(
                f"environment.options: EnvPool's '{id}' does not take them ({error}); "
                "use environment.batching auto"
            ) from error
        # Worked out when first asked for, with warnings of their boxes' precision.
        _ = pool.observation_space, pool.action_space
        return pool


def _package() -> ModuleType:
    try:
        return importlib.import_module("envpool")
    except ImportError as error:
        raise ConfigurationError(
            f"environment.batching: envpool cannot be imported ({error}); install it with "
            "`pip install 'rlhf-flows[envpool]'`, or use auto"
        ) from error


class PoolEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Copies of an EnvPool environment; a copy resets in the step in which it ends.

    EnvPool itself resets in the step after, and hides an end that falls on the time limit. So its
    own limit is never reached: steps are counted here, and what has ended is reset at once.

    ==================  ======================================================================
    observation         Gymnasium's, in its numbers' type; with a fixed horizon one number more,
                        1 after the end
    action              Gymnasium's; ignored in an absorbing state
    reward              the environment's; 0 in an absorbing state
    end                 the environment's, or truncated after `limit` steps; with a fixed horizon
                        never terminated, and cut off where its state becomes absorbing
    ==================  ======================================================================
    """

    def __init__(
        self,
        id: str,
        num_envs: int,
        observation: spaces.Space[Any],
        action: spaces.Space[Any],
        limit: int,
        options: Options,
        horizon_form: HorizonForm | None = None,
        observation_bound: float | None = None,
    ) -> None:
        """Make copies that begin with their first reset.

        Args:
            id: of the environment, in EnvPool.
            num_envs: copies.
            observation: space of the policy's observations, flag and bound included.
            action: space of the policy's actions.
            limit: steps after which an episode is cut off.
            options: arguments of EnvPool's constructor.
            horizon_form: how an episode that ended goes on to the limit, absorbing or played; None:
                it does not.
            observation_bound: clip observations to [-bound, bound].
        """
        self.num_envs = num_envs
        self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = observation, action
        self.observation_space = batch_space(observation, num_envs)
        self.action_space = batch_space(action, num_envs)
        self._id, self._limit = id, limit
        self._options, self._bound = dict(options), observation_bound
        self._flags, self._cuts_absorbed = horizon_form is not None, horizon_form == "absorbing"
        self._pool: Any = None
        self._last = np.empty(0)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | list[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start copies afresh: all, or those of `options={"reset_mask": (count,)}`.

        With a list of seeds a copy's episodes depend on its own seed alone. A pool takes its seeds
        when it is made, so a new one is made.
        """
        if options and "reset_mask" in options:
            self._restart(np.flatnonzero(options["reset_mask"]))
            return self._observations(), {}
        if seed is not None or self._pool is None:
            if isinstance(seed, (list, tuple)) and len(seed) != self.num_envs:
                raise ValueError(f"seed: expected {self.num_envs} seeds, actual: {len(seed)}")
            self.close_extras()
            self._pool = _made(
                self._id,
                num_envs=self.num_envs,
                max_episode_steps=self._limit + 1,
                seed=int(self.np_random.integers(2**31)) if seed is None else seed,
                **self._options,
            )
        self._last = np.array(self._pool.reset()[0])
        self._steps[:], self._ended[:] = 0, False
        return self._observations(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every copy once."""
        terminated = np.zeros(self.num_envs, dtype=bool)
        rewards = np.zeros(self.num_envs)
        moving = np.flatnonzero(~self._ended)
        if len(moving):
            chosen = np.asarray(actions)[moving].astype(self._pool.action_space.dtype)
            after, rewarded, ended, *_ = self._pool.step(chosen, moving.astype(np.int32))
            self._last[moving], rewards[moving], terminated[moving] = after, rewarded, ended
        self._steps += 1
        if self._flags:
            self._ended |= terminated
            terminated = np.zeros(self.num_envs, dtype=bool)
        truncated = self._steps >= self._limit
        absorbed = self._ended & self._cuts_absorbed
        truncated |= absorbed
        done = terminated | truncated
        observations = self._observations()
        if not done.any():
            return observations, rewards, terminated, truncated, {}
        left = self._limit - self._steps
        info = {"final_obs": observations, "_final_obs": done, **absorbing_info(absorbed, left)}
        self._restart(np.flatnonzero(done))
        return self._observations(), rewards, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Close the pool and its threads."""
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    def _restart(self, which: np.ndarray) -> None:
        if len(which):
            self._last[which] = self._pool.reset(which.astype(np.int32))[0]
            self._steps[which], self._ended[which] = 0, False

    def _observations(self) -> np.ndarray:
        """Return the current observations in a new array."""
        observations = self._last
        if self._bound is not None:
            observations = np.clip(observations, -self._bound, self._bound)
        if self._flags:
            # An image becomes a row here, to which the flag is appended.
            observations = np.concatenate(
                [observations.reshape(self.num_envs, -1), self._ended[:, None]], axis=1
            )
        return observations.astype(self.single_observation_space.dtype)
