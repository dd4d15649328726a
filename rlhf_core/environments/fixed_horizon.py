"""Episodes of one length, so that the end of an episode holds no information about reward.

In CartPole, MountainCar or Acrobot the episode ends at failure or at success, and a constant
reward is enough to learn the task: the reward leaks through termination. In all forms here an
episode that would end early goes on to the limit, is never reported as terminated, and has a true
reward of 0 after its end, so that only the reward can teach the task:

- absorbing: the last observation stays, with a flag raised and a true reward of 0
  (Kostrikov et al. 2019, https://arxiv.org/abs/1809.02925, section 4.2). Nothing happens in such a
  state, so it is not played: the episode is cut off there, and says how many absorbing steps are
  left. Returns, clips and value estimates count these steps as if they had been played.
- played: the same, and the absorbing steps are played one by one. The same returns, for many more
  environment steps.
- evolving: the state keeps moving by the environment's own dynamics, as in seals/CartPole-v0
  (https://github.com/HumanCompatibleAI/seals). Nothing marks the failure, and the numbers may
  leave every bound.
"""

from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Int

from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError

HorizonForm = Literal["absorbing", "played", "evolving"]
ABSORBING_STEPS = "absorbing_steps"
"""Key of `info`, and of `info["final_info"]` of a batch, with the absorbing steps that are left."""


def absorbing_steps(info: Mapping[str, Any], count: int) -> Int[np.ndarray, " count"]:
    """Read from a batched step how many absorbing steps follow it.

    Args:
        info: of the step.
        count: copies.

    Returns:
        For each copy whose episode ended early in this step the steps that are left to the horizon
        (0 where it ended in the last one); -1 for all others.
    """
    steps = np.full(count, -1, dtype=np.int64)
    final = info.get("final_info", {})
    if ABSORBING_STEPS in final:
        absorbed = np.asarray(final[f"_{ABSORBING_STEPS}"])
        steps[absorbed] = np.asarray(final[ABSORBING_STEPS])[absorbed]
    return steps


def absorbing_info(absorbed: np.ndarray, steps: np.ndarray) -> dict[str, Any]:
    """Return the `info` of a batched step in which these copies (a mask) were absorbed."""
    if not absorbed.any():
        return {}
    left = np.where(absorbed, steps, 0)
    final = {ABSORBING_STEPS: left, f"_{ABSORBING_STEPS}": absorbed}
    return {"final_info": final, "_final_info": absorbed}


class FixedHorizon(gymnasium.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Let every episode count `steps` steps; after an early end the state is absorbing.

    ==================  ======================================================================
    observation         the environment's (a one-dimensional Box) and one number more: 0 while
                        the episode runs, 1 in the absorbing state (the other numbers stay)
    action              the environment's; ignored in the absorbing state
    reward              the environment's; 0 in the absorbing state
    end                 never terminated; truncated after `steps` steps, and unless the absorbing
                        state is `played`, where the state becomes absorbing
    info                `absorbing_steps`: of an episode that ended early, the steps that are left
    ==================  ======================================================================
    """

    def __init__(
        self, env: gymnasium.Env[np.ndarray, Any], steps: int, played: bool = False
    ) -> None:
        super().__init__(env)
        box = env.observation_space
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise UnsupportedSpaceError(
                f"environment.fixed_horizon: expected one-dimensional Box observations, "
                f"actual: {box}"
            )
        dtype = np.result_type(box.dtype, np.float32)
        self.observation_space = spaces.Box(
            np.append(box.low, 0).astype(dtype), np.append(box.high, 1).astype(dtype), dtype=dtype
        )
        self.steps, self.played = steps, played
        self._taken = 0
        self._last: np.ndarray | None = None
        self._info: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._taken, self._last = 0, None
        return self._flagged(observation, 0), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take a step; in the absorbing state the observation stays and the reward is 0."""
        self._taken += 1
        reward = 0.0
        if self._last is None:
            observation, step_reward, terminated, truncated, self._info = self.env.step(action)
            reward = float(step_reward)
            if terminated or truncated:
                self._last = observation
        absorbed, info = self._last is not None, self._info
        truncated = self._taken >= self.steps
        if absorbed and not self.played:
            info, truncated = {**info, ABSORBING_STEPS: self.steps - self._taken}, True
        flagged = self._flagged(self._last if self._last is not None else observation, absorbed)
        return flagged, reward, False, truncated, info

    def _flagged(self, observation: np.ndarray, absorbed: bool | int) -> np.ndarray:
        return np.append(observation, absorbed).astype(self.observation_space.dtype)


class EvolvingHorizon(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Let every episode last `steps` steps; after an early end the state goes on moving.

    For tasks that end in failure, or at a goal, and can be stepped beyond it: classic control and
    MuJoCo. A state that has recovered is rewarded again.

    ==================  ======================================================================
    observation         the environment's; a Box of floats is declared unbounded, because the
                        numbers leave the bounds that hold until the episode's end
    action              the environment's; it acts after the end as it did before
    reward              the environment's; 0 for every step into a state that the environment
                        calls terminal (the first such step included, whatever its reward there)
    end                 never terminated; truncated after `steps` steps
    ==================  ======================================================================
    """

    def __init__(self, env: gymnasium.Env[Any, Any], steps: int) -> None:
        super().__init__(env)
        box = env.observation_space
        if isinstance(box, spaces.Box) and np.issubdtype(box.dtype, np.floating):
            self.observation_space = spaces.Box(-np.inf, np.inf, box.shape, dtype=box.dtype.type)
        self.steps = steps
        self._taken = 0
        self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._taken, self._ended = 0, False
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step by the environment's own dynamics, also after its end."""
        self._taken += 1
        try:
            observation, step_reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            if not self._ended:
                raise
            name = self.spec.id if self.spec else str(self.unwrapped)
            raise ConfigurationError(
                f"environment.horizon_form: '{name}' cannot be stepped after its own end "
                f"({type(error).__name__}: {error}); use the absorbing form"
            ) from error
        if terminated or truncated:
            self._ended = True
            _clear_step_counter(self.unwrapped)
        reward = 0.0 if terminated else float(step_reward)
        return observation, reward, False, self._taken >= self.steps, info


def _clear_step_counter(env: gymnasium.Env[Any, Any]) -> None:
    """Clear the counter of steps since the first end in Gymnasium's CartPole.

    With it CartPole returns a reward of 0 after its first end and warns; its dynamics do not depend
    on it. Other environments compute rewards from the state alone and have no such counter.
    """
    if "steps_beyond_terminated" in vars(env):
        vars(env)["steps_beyond_terminated"] = None
