"""Tiny environments whose answers are known on paper.

Made by id, such as `tests.core.environments:Corridor-v0`: Gymnasium imports this file first.

==================  ============================================================================
Corridor-v0         places 0 to `length` (3); action 1 walks on, action 0 back; the reward of a
                    step is the place it ends on; ends (terminated, success) at the last place;
                    10 steps at the most. Always on: 1, 2, 3. Always back: 0, ten times. With a
                    `pit`, to step back from place 0 ends it without success. `success` is the
                    key of `info` that tells it, as a truth value or as a `text`.
Cue-v0              8 steps; a fair coin (-1 or 1) is shown, and action 1 is right for 1, action 0
                    for -1. Reward 1 or 0. Optimal return 8; a policy that ignores the cue: 4.
Drift-v0            Box actions in [-1, 1]: the place moves by the action, the reward is minus the
                    new place squared, which is a function of what is seen; 5 steps, truncated.
Shapes-v0           6 steps with the observation and the action space of your choice; the reward
                    is 1 where the action is `right_action`, else 0. `ends_at` ends it earlier.
Stuck-v0            Drift-v0 that raises an error in its third step.
Fleet-v0            Drift-v0 with a vector form of its own, that does what single ones do but for
                    the `fault` that it is given: one_seed, next_step, no_final, no_mask, no_limit.
Picture-v0          Discrete observations as plain integers, and a picture of them; 6 steps.
==================  ============================================================================
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

Info = dict[str, Any]


class Corridor(gymnasium.Env[np.ndarray, Any]):
    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self, length: int = 3, pit: bool = False, success: str = "is_success", text: bool = False
    ) -> None:
        if length < 1:
            raise ValueError("a corridor has at least one step")
        self.success, self.text = success, text
        self.length = length
        self.pit = pit
        self.observation_space = spaces.Box(0, length, (1,))
        self.action_space = spaces.Discrete(2)
        self.place = 0

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        super().reset(seed=seed)
        self.place = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        fell = self.pit and self.place == 0 and not action
        self.place = max(0, self.place + (1 if action else -1))
        there = self.place == self.length
        success = ("yes" if there else "no") if self.text else there
        return self._seen(), float(self.place), there or fell, False, {self.success: success}

    def _seen(self) -> np.ndarray:
        return np.array([self.place], dtype=np.float32)


class Cue(gymnasium.Env[np.ndarray, Any]):
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1, 1, (1,))
        self.action_space = spaces.Discrete(2)
        self.cue = 1

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        super().reset(seed=seed)
        return self._toss(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        reward = float(action == (self.cue > 0))
        return self._toss(), reward, False, False, {}

    def _toss(self) -> np.ndarray:
        self.cue = 2 * int(self.np_random.integers(2)) - 1
        return np.array([self.cue], dtype=np.float32)


class Drift(gymnasium.Env[np.ndarray, Any]):
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-10, 10, (1,))
        self.action_space = spaces.Box(-1, 1, (1,))
        self.place = np.zeros(1, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.place, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.place = self.place + action
        return self.place, -float(np.square(self.place)[0]), False, False, {}


class Stuck(Drift):
    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        self.taken = 0
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        self.taken += 1
        if self.taken == 3:
            raise ArithmeticError("the motor is stuck")
        return super().step(action)


class Ship(Drift):
    def __init__(self, fault: str | None = None) -> None:
        super().__init__()


class Fleet(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    def __init__(self, num_envs: int, max_episode_steps: int, fault: str | None = None) -> None:
        self.num_envs, self.limit, self.fault = num_envs, max_episode_steps, fault
        mode = AutoresetMode.NEXT_STEP if fault == "next_step" else AutoresetMode.SAME_STEP
        self.metadata = {"autoreset_mode": mode}
        one = Drift()
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        self.places = np.zeros((num_envs, 1), dtype=np.float32)
        self.taken = np.zeros(num_envs, dtype=np.int64)
        self.draws: list[np.random.Generator] = []

    def reset(self, *, seed: Any = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        which = np.ones(self.num_envs, dtype=bool)
        if options and self.fault != "no_mask":
            which = options["reset_mask"]
        if seed is not None:
            seeds = [seed[0]] * self.num_envs if self.fault == "one_seed" else seed
            self.draws = [seeding.np_random(one)[0] for one in seeds]
            if self.fault == "one_seed":
                self.draws = self.draws[:1] * self.num_envs
        self._start(which)
        return self.places.copy(), {}

    def _start(self, which: np.ndarray) -> None:
        for copy in np.flatnonzero(which):
            self.places[copy] = self.draws[copy].uniform(-1, 1, 1)
        self.taken[which] = 0

    def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, Info]:
        self.places = self.places + actions
        self.taken += 1
        rewards = -np.square(self.places[:, 0]).astype(np.float64)
        done = self.taken >= (5 if self.fault == "no_limit" else self.limit)
        info = {"final_obs": self.places.copy(), "_final_obs": done} if done.any() else {}
        self._start(done)
        ended = np.zeros(self.num_envs, dtype=bool)
        shown = self.places.copy()
        return shown, rewards, ended, done, {} if self.fault == "no_final" else info


STEPS = 6
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(0, STEPS, (2,)),
    "bytes": spaces.Box(0, 255, (2, 3), dtype=np.uint8),
    "discrete": spaces.Discrete(STEPS + 1),
    "discrete_from_1": spaces.Discrete(STEPS + 1, start=1),
    "multi_discrete": spaces.MultiDiscrete([STEPS + 1, 3]),
    "multi_discrete_from_1": spaces.MultiDiscrete([STEPS + 1, 3], start=[1, 1]),
    "multi_discrete_2d": spaces.MultiDiscrete([[STEPS + 1, 3], [2, 2]]),
    "multi_binary": spaces.MultiBinary(STEPS),
    "multi_binary_2d": spaces.MultiBinary([2, 3]),
    "dict": spaces.Dict({"count": spaces.Discrete(STEPS + 1), "half": spaces.Box(0, STEPS, (1,))}),
    "tuple": spaces.Tuple([spaces.Discrete(STEPS + 1), spaces.MultiBinary(2)]),
    "text": spaces.Text(4),
    "nested_text": spaces.Dict({"word": spaces.Text(4), "number": spaces.Box(0, 1, (1,))}),
}
ACTIONS: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(np.array([-1, 2]), np.array([1, 5]), dtype=np.float32),
    "box_2d": spaces.Box(-1, 1, (2, 2)),
    "unbounded": spaces.Box(-np.inf, np.inf, (2,)),
    "integers": spaces.Box(0, 3, (2,), dtype=np.int64),
    "discrete": spaces.Discrete(3),
    "discrete_from_1": spaces.Discrete(3, start=1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_discrete_2d": spaces.MultiDiscrete([[2, 3], [2, 2]]),
    "multi_discrete_from_1": spaces.MultiDiscrete([2, 3], start=[1, 1]),
    "multi_binary": spaces.MultiBinary(3),
    "multi_binary_2d": spaces.MultiBinary([2, 2]),
    "dict": spaces.Dict({"a": spaces.Discrete(2)}),
}


def observed(kind: str, step: int) -> Any:
    """What Shapes-v0 shows after so many steps."""
    half = np.array([step / 2], dtype=np.float32)
    bits = (np.arange(STEPS) < step).astype(np.int8)
    seen: dict[str, Any] = {
        "box": np.array([step, step / 2], dtype=np.float32),
        "bytes": np.full((2, 3), 10 * step, dtype=np.uint8),
        "discrete": step,
        "discrete_from_1": step + 1,
        "multi_discrete": np.array([step, step % 3]),
        "multi_discrete_from_1": np.array([step + 1, step % 3 + 1]),
        "multi_discrete_2d": np.array([[step, step % 3], [step % 2, 0]]),
        "multi_binary": bits,
        "multi_binary_2d": bits.reshape(2, 3),
        "dict": {"count": step, "half": half},
        "tuple": (step, bits[:2]),
    }
    return seen[kind]


class Shapes(gymnasium.Env[Any, Any]):
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self, observation: str = "box", action: str = "discrete", ends_at: int = STEPS + 1
    ) -> None:
        self.observation = observation
        self.observation_space = OBSERVATIONS[observation]
        self.action_space = ACTIONS[action]
        self.ends_at = ends_at
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        super().reset(seed=seed)
        self.taken = 0
        return observed(self.observation, 0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Info]:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.taken += 1
        reward = float(np.all(np.asarray(action) > 0))
        return observed(self.observation, self.taken), reward, self.taken == self.ends_at, False, {}


class Picture(gymnasium.Env[int, Any]):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(STEPS + 1)
        self.action_space = spaces.Discrete(2)
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[int, Info]:
        super().reset(seed=seed)
        self.taken = 0
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, Info]:
        self.taken += 1
        return self.taken, 0.0, self.taken == STEPS, False, {}

    def render(self) -> np.ndarray:  # type: ignore[override]
        return np.full((20, 30, 3), 40 * self.taken, dtype=np.uint8)


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=10)
gymnasium.register("Cue-v0", Cue, max_episode_steps=8)
gymnasium.register("Drift-v0", Drift, max_episode_steps=5)
gymnasium.register("Stuck-v0", Stuck, max_episode_steps=5)
gymnasium.register("Fleet-v0", Ship, vector_entry_point=Fleet, max_episode_steps=5)
gymnasium.register("Shapes-v0", Shapes, max_episode_steps=STEPS)
gymnasium.register("Picture-v0", Picture, max_episode_steps=6)
gymnasium.register("Endless-v0", Corridor)
