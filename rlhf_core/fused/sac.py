"""`stable_baselines3.SAC` with acting and update overridden for policies that are covered."""

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.sac.policies import SACPolicy

from rlhf_core.fused.actor_critic import critics, dense, is_plain_model
from rlhf_core.fused.minibatches import draw
from rlhf_core.fused.off_policy import FusedOffPolicy
from rlhf_core.fused.soft_update import SoftUpdate


class FusedSAC(FusedOffPolicy[SoftUpdate], SAC):
    """SAC (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905) by Stable-Baselines3.

    Same constructor, policies, callbacks, saved files, random draws and learning rule as
    `stable_baselines3.SAC`; parameters agree with its own up to rounding. Dense actors and critics
    with ReLU or tanh on Box observations act and are updated in preallocated arrays, without
    automatic differentiation; for all others the methods are Stable-Baselines3's own.

        model = FusedSAC("MlpPolicy", "Pendulum-v1").learn(10_000)
    """

    def _made(self) -> SoftUpdate | None:
        if type(self.policy) is not SACPolicy or self.use_sde or not is_plain_model(self):
            return None
        network, twins = dense([*self.actor.latent_pi, self.actor.mu]), critics(self)
        log_std: torch.nn.Module | torch.nn.Parameter = self.actor.log_std
        if network is None or twins is None or not isinstance(log_std, torch.nn.Linear):
            return None
        return SoftUpdate(self, network, log_std, twins)

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
