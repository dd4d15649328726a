"""`stable_baselines3.SAC` with acting and update overridden for policies that are covered."""

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.sac.policies import SACPolicy

from rlhf_core.fused.acting import scaled_actions
from rlhf_core.fused.actor_critic import critics, dense, is_plain_model
from rlhf_core.fused.minibatches import draw
from rlhf_core.fused.soft_update import SoftUpdate


class FusedSAC(SAC):
    """SAC (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905) by Stable-Baselines3.

    Same constructor, policies, callbacks, saved files, random draws and learning rule as
    `stable_baselines3.SAC`; parameters agree with its own up to rounding. Dense actors and critics
    with ReLU or tanh on Box observations act and are updated in preallocated arrays, without
    automatic differentiation; for all others the methods are Stable-Baselines3's own.

        model = FusedSAC("MlpPolicy", "Pendulum-v1").learn(10_000)
    """

    _engine: SoftUpdate | None = None

    @property
    def fused(self) -> bool:
        """Whether the fused arithmetic covers this model."""
        return self._prepared() is not None

    def _prepared(self) -> SoftUpdate | None:
        """Return the fused arithmetic joined to the policy, or None if it is not covered."""
        engine = self._engine
        if engine is None or not engine.belongs_to(self):
            engine = self._engine = self._made()
        return engine

    def _made(self) -> SoftUpdate | None:
        if type(self.policy) is not SACPolicy or self.use_sde or not is_plain_model(self):
            return None
        network, twins = dense([*self.actor.latent_pi, self.actor.mu]), critics(self)
        log_std: torch.nn.Module | torch.nn.Parameter = self.actor.log_std
        if network is None or twins is None or not isinstance(log_std, torch.nn.Linear):
            return None
        return SoftUpdate(self, network, log_std, twins)

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

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Update the policy on minibatches, by the algorithm of the base class."""
        engine = self._prepared()
        if engine is None or not gradient_steps:
            super().train(gradient_steps, batch_size)
            return
        # Training mode makes no difference to dense layers, and setting it takes its time.
        temperature = self.ent_coef_optimizer
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        self._update_learning_rate(optimizers + ([temperature] if temperature else []))
        assert isinstance(self.target_entropy, float)
        assert isinstance(self.replay_buffer, ReplayBuffer)
        minibatches = draw(self.replay_buffer, batch_size, gradient_steps, self.gamma)
        with torch.no_grad():
            engine.bind()
            for index, minibatch in enumerate(minibatches):
                engine.step(minibatch, self.target_entropy)
                if index % self.target_update_interval == 0:
                    engine.approach(self.tau)
            engine.share()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in engine.logged().items():
            self.logger.record(f"train/{name}", value)
