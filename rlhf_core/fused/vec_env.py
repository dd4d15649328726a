"""A Gymnasium vector environment as a `VecEnv` of Stable-Baselines3."""

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from rlhf_core.errors import ConfigurationError


class GymnasiumVecEnv(VecEnv):
    """A Gymnasium vector environment as a `VecEnv`, with the returns of ended episodes.

        env = GymnasiumVecEnv(GymEnv("CartPole-v1").make_vector(32))
        model = FusedPPO("MlpPolicy", env).learn(100_000)

    As with `make_vec_env` of Stable-Baselines3, `infos` hold the final observation of an ended
    episode, whether it was truncated, and under `episode` its return, length and time.
    """

    def __init__(self, environment: VectorEnv[Any, Any, Any]) -> None:
        """Wrap a vector environment.

        Raises:
            ConfigurationError: it does not reset a copy in the step in which its episode ends.
        """
        mode = environment.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ConfigurationError(
                f"environment: expected autoreset_mode {AutoresetMode.SAME_STEP}, actual: {mode}"
            )
        self.environment = environment
        super().__init__(
            environment.num_envs,
            environment.single_observation_space,
            environment.single_action_space,
        )
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._start_time = time.time()
        self._actions = np.empty(0)

    def reset(self) -> np.ndarray:
        """Reset all copies, from the seeds of the last call of `seed`."""
        seeds: Any = None if self._seeds[0] is None else self._seeds
        observations, _ = self.environment.reset(seed=seeds)
        self._reset_seeds()
        self._returns[:], self._lengths[:] = 0.0, 0
        first: np.ndarray = observations
        return first

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies."""
        observations, rewards, terminated, truncated, info = self.environment.step(self._actions)
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = terminated | truncated
        for index in np.flatnonzero(done):
            infos[index] = {
                "terminal_observation": info["final_obs"][index],
                "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                "episode": {
                    "r": float(self._returns[index]),
                    "l": int(self._lengths[index]),
                    "t": round(time.time() - self._start_time, 6),
                },
            }
            self._returns[index], self._lengths[index] = 0.0, 0
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the vector environment."""
        self.environment.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the vector environment's attribute, once for each copy."""
        value = getattr(self.environment, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Raise `NotImplementedError`."""
        raise NotImplementedError("the copies of a vector environment share their attributes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        """Raise `NotImplementedError`."""
        raise NotImplementedError("the copies of a vector environment have no methods of their own")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Return False for each copy: no wrapper belongs to a single one."""
        return [False for _ in self._get_indices(indices)]
