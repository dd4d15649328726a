"""When an episode counts as a success."""

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator

from rlhf_core.acting import Act, reset
from rlhf_core.plugin import Config


class Success(Config):
    """One condition on an episode.

    Packer et al. 2018 (https://arxiv.org/abs/1810.12282) count CartPole from 195 steps on,
    MountainCar up to 110, Acrobot up to 80, and Pendulum where its angle stays within pi/3 of the
    upright, whose cosine is 0.5, for the last 100 steps.
    """

    return_at_least: float | None = None
    """The true return."""
    steps_at_least: PositiveInt | None = None
    """The number of steps."""
    steps_at_most: PositiveInt | None = None
    """The number of steps."""
    observation_at_least: float | None = None
    """One number of the observation, in each of the last steps."""
    observation: int = Field(0, ge=0)
    """Which number of the observation, from 0."""
    last_steps: PositiveInt = 100
    """How many of the last steps."""

    @model_validator(mode="after")
    def _one_condition(self) -> "Success":
        names = ("return_at_least", "steps_at_least", "steps_at_most", "observation_at_least")
        chosen = [name for name in names if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ValueError(f"expected one of {', '.join(names)}, actual: {chosen or 'none'}")
        return self

    def of(
        self,
        returns: Float[np.ndarray, " E"],
        lengths: Int[np.ndarray, " E"],
        steps_above: Int[np.ndarray, " E"],
    ) -> Bool[np.ndarray, " E"]:
        """Return which episodes are successes.

        Args:
            returns: true returns.
            lengths: steps.
            steps_above: last steps in a row in which the observation was above its bound.
        """
        if self.return_at_least is not None:
            return returns >= self.return_at_least
        if self.steps_at_least is not None:
            return lengths >= self.steps_at_least
        if self.steps_at_most is not None:
            return lengths <= self.steps_at_most
        return steps_above >= self.last_steps


class ObservationWatch:
    """A policy that counts the steps in a row in which an observation is above its bound.

    It counts in the first episode of every copy and keeps the count at its end.
    """

    def __init__(self, act: Act, success: Success, copies: int) -> None:
        self._act, self._success = act, success
        self._first_episode = np.ones(copies, dtype=bool)
        self._begun = False
        self.steps_above = np.zeros(copies, dtype=np.int64)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Count, then return the policy's actions."""
        self._begun = True
        bound = self._success.observation_at_least
        if bound is not None:
            above = observations[:, self._success.observation] >= bound
            counts = np.where(above, self.steps_above + 1, 0)
            self.steps_above = np.where(self._first_episode, counts, self.steps_above)
        return self._act(observations)

    def reset(self, copies: np.ndarray) -> None:
        """Empty the recurrent state in these copies, where an episode begins or is over."""
        reset(self._act, copies)
        if self._begun:
            self._first_episode &= ~copies
