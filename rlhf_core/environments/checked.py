"""The one gate through which everything passes that a batch of environments does.

Environments are somebody else's code. Whatever form their copies are stepped in, what they raise
and what they return is looked at here, once a batched step.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers import FlattenObservation

from rlhf_core.environments.packages import packages_of
from rlhf_core.errors import BrokenEnvironmentError, DivergedError, RlhfError
from rlhf_core.finite import all_finite
from rlhf_core.origin import described, origin, source

RETURNED = {
    "reset": "two values (observation, info)",
    "step": "five values (observation, reward, terminated, truncated, info)",
}


class CheckedEnv(VectorWrapper[Any, Any, Any, Any, Any]):
    """A batch of environments whose faults are told with environment, step and copy.

    Raises `BrokenEnvironmentError` where the environment raises, exits, or returns an observation
    of a wrong shape or a number that is not finite, and `DivergedError` where it is given an
    action that is not finite.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], id: str) -> None:
        super().__init__(env)
        self._id = id
        self._shape = env.observation_space.shape
        self._counts = _categories(env.single_observation_space)
        self._steps = 0
        """Of every copy, since all were reset."""

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all copies, or those of a mask."""
        if not (options and "reset_mask" in options):
            self._steps = 0
        try:
            observations, info = self.env.reset(seed=seed, options=options)
        except RlhfError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken("reset", error) from error
        self._check(observations)
        return observations, info

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every copy once."""
        self._steps += 1
        if not all_finite(actions):
            (copy, *_), value = _first(actions)
            raise DivergedError(
                f"optimiser: the policy gave an action of {value} in {self._place(copy)}; its "
                "weights or inputs have grown too large, lower optimiser.learning_rate or set "
                "optimiser.normalise_observations"
            )
        try:
            observations, rewards, terminated, truncated, info = self.env.step(actions)
        except RlhfError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken("step", error) from error
        self._check(observations)
        if not all_finite(rewards):
            (copy, *_), value = _first(rewards)
            raise BrokenEnvironmentError(
                f"environment.id: '{self._id}' returned a reward of {value} in "
                f"{self._place(copy)}; rewards must be finite numbers"
            )
        if "final_obs" in info:
            self._check_final(info["final_obs"], np.flatnonzero(terminated | truncated))
        return observations, rewards, terminated, truncated, info

    def close(self, **kwargs: Any) -> None:
        """Close all copies. An error that is on its way goes before one of closing."""
        pending = sys.exception()
        try:
            self.env.close(**kwargs)
        except (Exception, SystemExit) as error:
            # Gymnasium would close it once more when it is collected.
            self.env.closed = True
            broken = self._broken("close", error)
            if pending is None:
                raise broken from error
            pending.add_note(str(broken))

    def _check(self, observations: np.ndarray) -> None:
        if observations.shape != self._shape:
            raise BrokenEnvironmentError(
                f"environment.id: '{self._id}' returned observations of shape "
                f"{observations.shape} in step {self._steps}, expected: {self._shape}"
            )
        if not all_finite(observations):
            self._refuse(*_first(observations))
        if self._counts is not None:
            start, count = self._counts
            wrong = (observations < start) | (observations >= start + count)
            if wrong.any():
                index = tuple(int(place) for place in np.argwhere(wrong)[0])
                self._refuse(index, observations[index])

    def _check_final(self, final: np.ndarray, which: np.ndarray) -> None:
        """Check the last observations of the episodes that ended."""
        if final.dtype != object and all_finite(final):
            return
        for copy in which.tolist():
            observation = np.asarray(final[copy])
            if not all_finite(observation):
                index, value = _first(observation)
                self._refuse((copy, *index), value)

    def _refuse(self, index: tuple[int, ...], value: Any) -> None:
        copy, *rest = index
        part = self._part(rest)
        at = f" ({part})" if part else ""
        hint = "observations must be finite numbers"
        if self._counts is not None:
            hint = f"expected a value of {self.single_observation_space}"
        elif np.isinf(value):
            hint += ", environment.observation_bound cuts infinite ones off"
        raise BrokenEnvironmentError(
            f"environment.id: '{self._id}' returned an observation of {value}{at} in "
            f"{self._place(copy)}; {hint}"
        )

    def _place(self, copy: int) -> str:
        when = f"step {self._steps}" if self._steps else "the reset"
        return f"{when} of copy {copy + 1}"

    def _part(self, index: Sequence[int]) -> str:
        """Which part of an observation a position is, such as "key 'speed', number 2"."""
        if not index:
            return ""
        vector = self.env
        if isinstance(vector, SyncVectorEnv) and len(index) == 1:
            env: Any = vector.envs[0]
            while env is not env.unwrapped:
                if isinstance(env, FlattenObservation):
                    return key_of(env.env.observation_space, index[0])
                env = env.env
        place = index[0] if len(index) == 1 else tuple(index)
        return f"number {place}"

    def _broken(self, method: str, error: BaseException) -> BrokenEnvironmentError:
        """The error that tells what the environment raised, with its file and line."""
        vector = self.env.unwrapped
        single = vector.envs[0].unwrapped if isinstance(vector, SyncVectorEnv) else vector
        place = origin(error, packages_of(self._id))
        text = described(error)
        if place is None:
            # It returned, and what it returned could not be used.
            misshapen = self._misshapen(vector) if isinstance(vector, SyncVectorEnv) else None
            if misshapen is not None:
                text = misshapen
            elif method in RETURNED:
                text = f"{text}; {method}() must return {RETURNED[method]}"
            place = source(getattr(type(single), method, type(single)))
        when = f" in step {self._steps}" if method == "step" else ""
        at = f" ({place})" if place else ""
        return BrokenEnvironmentError(
            f"environment.id: '{self._id}' failed in {method}(){when}: {text}{at}"
        )

    def _misshapen(self, vector: SyncVectorEnv) -> str | None:
        """What is wrong with the shape of the newest observations; None where nothing is."""
        expected = self.single_observation_space.shape
        for copy, observation in enumerate(vars(vector).get("_env_obs", ())):
            shape = np.shape(observation)
            if isinstance(observation, np.ndarray) and shape != expected:
                return f"copy {copy + 1} returned shape {shape}, expected: {expected}"
        return None


def key_of(space: spaces.Space[Any], position: int) -> str:
    """The key of a Dict or Tuple observation to which a position of its flat form belongs."""
    names: list[str] = []
    while isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for name, inner in parts:
            size = spaces.flatdim(inner)
            if position < size:
                names.append(str(name))
                space = inner
                break
            position -= size
        else:
            return f"number {position}"
    return f"key '{'.'.join(names)}', number {position}"


def _categories(space: spaces.Space[Any]) -> tuple[Any, Any] | None:
    """First category and number of categories of a space; None where it has none."""
    if isinstance(space, spaces.Discrete):
        return space.start, space.n
    return (space.start, space.nvec) if isinstance(space, spaces.MultiDiscrete) else None


def _first(array: np.ndarray) -> tuple[tuple[int, ...], Any]:
    """Place and value of the first number that is not finite."""
    index = tuple(int(place) for place in np.argwhere(~np.isfinite(array))[0])
    return index, array[index]
