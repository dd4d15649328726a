"""Environments that do what environments must not do; `fault` says what, from step `at` on.

Made by id: `tests.core.faulty:Faulty-v0`, or with the fault as the option of the same name. Its
observation is a number, or a Dict with `form=dict`.
"""

import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

Info = dict[str, Any]
BOX = spaces.Box(-np.inf, np.inf, (2,))


class Faulty(gymnasium.Env[Any, Any]):
    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, fault: str = "none", form: str = "box", at: int = 3) -> None:
        if fault == "constructor":
            raise ZeroDivisionError("no motor")
        if fault != "no_observation_space":
            speed = spaces.Dict({"place": spaces.Box(-9, 9, (3,)), "speed": BOX})
            self.observation_space = speed if form == "dict" else BOX
        if fault != "no_action_space":
            self.action_space = spaces.Box(-1, 1, (1,))
        self.fault, self.form, self.at, self.taken = fault, form, at, 0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Any:
        super().reset(seed=seed)
        self.taken = 0
        if self.fault == "reset":
            raise KeyError("door")
        if self.fault == "old_reset":
            return self._observed(0.0)
        if self.fault == "nan_at_reset":
            return self._observed(np.nan), {}
        print("an environment that talks")
        return self._observed(0.0), {}

    def step(self, action: Any) -> Any:
        self.taken += 1
        if self.taken < self.at:
            return self._observed(0.5), 0.0, False, False, {}
        match self.fault:
            case "nan" | "inf":
                return self._observed(float(self.fault)), 0.0, False, False, {}
            case "last_nan":
                return self._observed(np.nan), 0.0, True, False, {}
            case "nan_reward":
                return self._observed(0.0), float("nan"), False, False, {}
            case "step":
                raise ArithmeticError("the motor is stuck")
            case "exit":
                sys.exit(0)
            case "shape":
                return np.zeros(5, dtype=np.float32), 0.0, False, False, {}
            case "four":
                return self._observed(0.0), 0.0, False, {}
            case "no_info":
                return self._observed(0.0), 0.0, False, False, None
            case "text_reward":
                return self._observed(0.0), "much", False, False, {}
        return self._observed(0.5), 0.0, False, False, {}

    def close(self) -> None:
        if self.fault == "close":
            raise OSError("the cable is gone")

    def _observed(self, speed: float) -> Any:
        numbers = np.array([0.0, speed], dtype=np.float32)
        if self.form == "box":
            return numbers
        return {"place": np.zeros(3, dtype=np.float32), "speed": numbers}


class Grid(gymnasium.Env[Any, Any]):
    """Categories, of which one is out of range."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, value: int = 4) -> None:
        self.observation_space, self.action_space = spaces.Discrete(4), spaces.Discrete(2)
        self.value = value

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Any:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: Any) -> Any:
        return self.value, 0.0, False, False, {}


gymnasium.register("Faulty-v0", Faulty, max_episode_steps=20)
gymnasium.register("Grid-v0", Grid, max_episode_steps=20)
