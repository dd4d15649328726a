"""Any Gymnasium vector environment as one of Stable-Baselines3."""

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from rlhf_core.errors import ConfigurationError


class GymnasiumVecEnv(VecEnv):
    """Copies that a Gymnasium vector environment steps as one, with returns of ended episodes.

        env = GymnasiumVecEnv(GymEnv("CartPole-v1").make_vector(32))
        model = FusedPPO("MlpPolicy", env).learn(100_000)

    As `make_vec_env` of Stable-Baselines3 does, it tells in `infos` the last observation of an
    episode, whether a time limit struck, and under `episode` its return, length and time.
    """

    def __init__(self, environment: VectorEnv[Any, Any, Any]) -> None:
        """Wrap a vector environment.

        Raises:
            ConfigurationError: it does not reset copies in the step in which they end.
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
        self._began = time.time()
        self._actions = np.empty(0)

    def reset(self) -> np.ndarray:
        """Start all copies afresh, from the seeds that `seed` was given."""
        seeds: Any = None if self._seeds[0] is None else self._seeds
        observations, _ = self.environment.reset(seed=seeds)
        self._reset_seeds()
        self._returns[:], self._lengths[:] = 0.0, 0
        seen: np.ndarray = observations
        return seen

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies."""
        seen, rewards, terminated, truncated, info = self.environment.step(self._actions)
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
                    "t": round(time.time() - self._began, 6),
                },
            }
            self._returns[index], self._lengths[index] = 0.0, 0
        return seen, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the vector environment."""
        self.environment.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The vector environment's attribute, once for each copy."""
        value = getattr(self.environment, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused."""
        raise NotImplementedError("the copies of a vector environment share their attributes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        """Refused."""
        raise NotImplementedError("the copies of a vector environment have no methods of their own")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Nothing wraps a single copy."""
        return [False for _ in self._get_indices(indices)]
