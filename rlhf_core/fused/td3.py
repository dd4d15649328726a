"""`stable_baselines3.TD3` with acting and update overridden for policies that are covered."""

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.td3.policies import TD3Policy

from rlhf_core.fused.actor_critic import critics, dense, is_plain_model
from rlhf_core.fused.delayed_update import DelayedUpdate
from rlhf_core.fused.minibatches import draw
from rlhf_core.fused.off_policy import FusedOffPolicy


class FusedTD3(FusedOffPolicy[DelayedUpdate], TD3):
    """TD3 (Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477) by Stable-Baselines3.

    Same constructor, policies, callbacks, saved files, random draws and learning rule as
    `stable_baselines3.TD3`; parameters agree with its own up to rounding. Dense actors and critics
    with ReLU or tanh on Box observations act and are updated in preallocated arrays, without
    automatic differentiation; for all others the methods are Stable-Baselines3's own.

        model = FusedTD3("MlpPolicy", "Pendulum-v1").learn(10_000)
    """

    def _made(self) -> DelayedUpdate | None:
        if type(self.policy) is not TD3Policy or not is_plain_model(self):
            return None
        *layers, squash = self.actor.mu
        network, twins = dense(layers), critics(self)
        if network is None or twins is None or type(squash) is not torch.nn.Tanh:
            return None
        return DelayedUpdate(self, network, twins)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update the policy on minibatches, by the algorithm of the base class."""
        engine = self._prepared()
        if engine is None or not gradient_steps:
            super().train(gradient_steps, batch_size)
            return
        # Training mode makes no difference to dense layers, and setting it takes its time.
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
        assert isinstance(self.replay_buffer, ReplayBuffer)
        with torch.no_grad():
            engine.bind()
            for minibatch in draw(self.replay_buffer, batch_size, gradient_steps, self.gamma):
                self._n_updates += 1
                engine.step_critics(minibatch, self.target_policy_noise, self.target_noise_clip)
                if self._n_updates % self.policy_delay == 0:
                    engine.step_actor(minibatch)
                    engine.approach(self.tau)
            engine.share()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in engine.logged().items():
            self.logger.record(f"train/{name}", value)
