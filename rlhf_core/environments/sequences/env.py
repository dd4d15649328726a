"""A task on texts as an environment: one at a time, and many copies at once."""

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, UInt8

from rlhf_core.environments.batched.vector import Dynamics
from rlhf_core.environments.sequences.task import TextTask
from rlhf_core.environments.text_picture import picture

if TYPE_CHECKING:
    from rlhf_core.labelling.clips.views import Text


class SequenceDynamics(Dynamics):
    """Many texts at once. A state is a column of tokens; a step moves it up and appends one."""

    def __init__(self, task: TextTask) -> None:
        size = len(task.vocabulary)
        self.task = task
        self.observation_space = spaces.MultiDiscrete([size + 1] * task.longest)
        self.action_space = spaces.Discrete(size)

    def draw(self, rng: np.random.Generator, count: int) -> Int[np.ndarray, "count T"]:
        """Draw prompts uniformly."""
        prompts: np.ndarray = self.task.prompts[rng.integers(len(self.task.prompts), size=count)]
        return prompts

    def observe(self, state: Int[np.ndarray, "T count"]) -> Int[np.ndarray, "count T"]:
        """Return the texts so far, a row each."""
        return state.T.copy()

    def step(
        self, state: Int[np.ndarray, "T count"], actions: Int[np.ndarray, " count"]
    ) -> tuple[Int[np.ndarray, "T count"], Float[np.ndarray, " count"], Bool[np.ndarray, " count"]]:
        """Append a token; a text that is whole then gets its score."""
        after = np.concatenate([state[1:], actions[None].astype(state.dtype)])
        terminated = self.task.ends[actions] | (after[0] != self.task.padding)
        rewards = np.zeros(len(actions))
        if terminated.any():
            rewards[terminated] = self.task.score(after[:, terminated].T)
        return after, rewards, terminated


class SequenceEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Base of environments in which an episode is a text."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, task: TextTask, render_mode: str | None = None) -> None:
        self._dynamics = SequenceDynamics(task)
        self.observation_space = self._dynamics.observation_space
        self.action_space = self._dynamics.action_space
        self.render_mode = render_mode
        self._state = np.full((task.longest, 1), task.padding)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, by the number of their token."""
        return self._dynamics.task.vocabulary

    @property
    def corpus(self) -> Int[np.ndarray, "texts T"]:
        """Whole texts, as the last observation of an episode shows them."""
        return self._dynamics.task.corpus()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a prompt."""
        super().reset(seed=seed)
        self._state = self._dynamics.draw(self.np_random, 1).T
        return self._dynamics.observe(self._state)[0], {}

    def step(self, action: np.int64 | int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Append a token."""
        self._state, rewards, terminated = self._dynamics.step(self._state, np.array([action]))
        observation = self._dynamics.observe(self._state)[0]
        return observation, float(rewards[0]), bool(terminated[0]), False, {}

    def text(self, observation: Int[np.ndarray, " T"]) -> str:
        """Return an observation as people read it."""
        task = self._dynamics.task
        return task.written([int(token) for token in observation if token != task.padding])

    def clip_view(self, observations: np.ndarray, actions: np.ndarray) -> "Text":
        """Show a clip as the text that it ends with."""
        from rlhf_core.labelling.clips.views import Text

        return Text(self.text(observations[-1]))

    def render(self) -> str | UInt8[np.ndarray, "height width 3"] | None:
        """Return the text so far, written or drawn."""
        if self.render_mode is None:
            return None
        text = self.text(self._state[:, 0])
        return text if self.render_mode == "ansi" else picture([text], 320, 120)
