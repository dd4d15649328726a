"""What `FusedSAC` and `FusedTD3` share: the arithmetic that they are joined to, and acting."""

from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlhf_core.fused.acting import scaled_actions


@runtime_checkable
class Update(Protocol):
    """The fused arithmetic of a model's acting and update."""

    def belongs_to(self, model: Any, /) -> bool:
        """Whether it is joined to the model's present networks and optimisers."""
        ...

    def act(self, observations: np.ndarray, /) -> np.ndarray:
        """Return actions, scaled to [-1, 1]."""
        ...


Arithmetic = TypeVar("Arithmetic", bound=Update)


class FusedOffPolicy(OffPolicyAlgorithm, Generic[Arithmetic]):
    """An off-policy algorithm that acts by fused arithmetic where its policy is covered."""

    _engine: Arithmetic | None = None

    @property
    def fused(self) -> bool:
        """Whether the fused arithmetic covers this model."""
        return self._prepared() is not None

    def _prepared(self) -> Arithmetic | None:
        """Return the fused arithmetic joined to the policy, or None if it is not covered."""
        engine = self._engine
        if engine is None or not engine.belongs_to(self):
            engine = self._engine = self._made()
        return engine

    @abstractmethod
    def _made(self) -> Arithmetic | None:
        """Return new arithmetic for the policy, or None if it is not covered."""

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_engine"]

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return actions and the same scaled to [-1, 1], by the draws of the base class."""
        engine = None if self.num_timesteps < learning_starts else self._prepared()
        if engine is None:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        assert isinstance(self._last_obs, np.ndarray), "covered policies read arrays"
        assert isinstance(self.action_space, spaces.Box), "covered policies act in a Box"
        return scaled_actions(self.action_space, engine.act(self._last_obs), action_noise)
