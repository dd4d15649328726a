"""A Gymnasium vector environment as a recorded `VecEnv` of Stable-Baselines3, without rewards."""

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.environments.spaces import flat, flattened
from rlhf_core.recording import Recorder


class RecordingVecEnv(VecEnv):
    """A Gymnasium vector environment whose steps are recorded and whose rewards are replaced by 0.

    No time limit is reported either: once a rollout is complete, `OnPolicyRelabelling` or
    `ReplayRelabelling` computes rewards and time limits from the record.
    """

    render_mode: str | None = None

    def __init__(self, environment: Environment, rng: np.random.Generator, stagger: bool) -> None:
        """Make copies of an environment.

        Args:
            environment: the environment.
            rng: draws the seeds of the copies.
            stagger: whether the first episodes of the copies are cut at evenly spaced times.
        """
        self._cuts: np.ndarray | None = None
        if stagger:
            horizon, count = environment.horizon(), environment.count
            self._cuts = (np.arange(count) + 1) * horizon // count
        self.recorder = Recorder(environment.make_vector())
        vector = self.recorder.environment
        super().__init__(
            environment.count, flat(vector.single_observation_space), vector.single_action_space
        )
        self._own_space = vector.single_observation_space
        self._rng = rng
        self._zero_rewards = np.zeros(self.num_envs, dtype=np.float32)
        self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._actions = np.empty(0)

    def reset(self) -> np.ndarray:
        return self.flattened(self.recorder.reset(episode_seeds(self._rng, self.num_envs)))

    def flattened(self, observations: np.ndarray) -> np.ndarray:
        """Return observations as the policy reads them."""
        return flattened(self._own_space, observations)

    def step_async(self, actions: np.ndarray) -> None:
        # MultiBinary actions leave the network as floats.
        self._actions = actions.astype(self.action_space.dtype, copy=False)

    def step_wait(self) -> VecEnvStepReturn:
        done = self.recorder.step(self._actions)
        if self._cuts is not None:
            steps = self.recorder.steps // self.num_envs
            cut = (self._cuts == steps) & ~done
            if cut.any():
                self.recorder.cut(cut)
                done = done | cut
        return self.flattened(self.recorder.observation), self._zero_rewards, done, self._infos

    def close(self) -> None:
        self.recorder.environment.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the environments of a run are not changed while it trains")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        raise NotImplementedError("the environments of a run are not called while it trains")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        return [False] * self.num_envs
