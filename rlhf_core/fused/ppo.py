"""`stable_baselines3.PPO` with collection and update overridden for policies that are covered."""

from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from rlhf_core.fused.engine import Engine
from rlhf_core.fused.update import Hyperparameters, Samples, Update


class FusedPPO(PPO):
    """PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) by Stable-Baselines3.

    Same constructor, policies, callbacks, saved files, random draws and learning rule as
    `stable_baselines3.PPO`; parameters agree with its own up to rounding. Policies that
    `rlhf_core.fused.layout.shape_of` covers are collected with and updated in NumPy, in
    preallocated arrays; for all others both methods are Stable-Baselines3's own.
    """

    _engine: Engine | None = None

    @property
    def fused(self) -> bool:
        """Whether the fused arithmetic covers this model's policy."""
        return self._prepared() is not None

    def _prepared(self) -> Engine | None:
        """Return the policy in fused form with its current parameters, or None if not covered."""
        if self.use_sde or type(self.rollout_buffer) is not RolloutBuffer:
            return None
        self._engine = Engine.of(self.policy, self._engine)
        return self._engine

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_engine"]

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with a rollout; contract and random draws are those of the base class."""
        engine = self._prepared()
        if engine is None:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        # Covered policies read and return arrays.
        observations = self._last_obs
        assert isinstance(observations, np.ndarray), "No previous observation was provided"
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        # A callback may have changed the policy.
        engine.buffers.read()
        network, parts = engine.network(env.num_envs), engine.buffers.parts
        action_space = self.action_space
        shape = rollout_buffer.observations.shape[1:]
        n_steps = 0
        while n_steps < n_rollout_steps:
            features = engine.features(observations)
            outputs, estimated = network.forward(parts, features)
            actions, log_prob = engine.head.sample(outputs, parts.log_std)
            # Callbacks read these local variables of the base class by name.
            values = torch.from_numpy(estimated[:, None])
            log_probs = torch.from_numpy(log_prob)
            clipped_actions = actions.reshape(-1, *(action_space.shape or ()))
            if isinstance(action_space, spaces.Box):
                clipped_actions = np.clip(clipped_actions, action_space.low, action_space.high)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                rewards = self._bootstrapped(rewards, dones, infos)
            rollout_buffer.observations[n_steps] = observations.reshape(shape)
            rollout_buffer.actions[n_steps] = actions
            rollout_buffer.rewards[n_steps] = rewards
            rollout_buffer.episode_starts[n_steps] = self._last_episode_starts
            rollout_buffer.values[n_steps] = estimated
            rollout_buffer.log_probs[n_steps] = log_prob
            n_steps += 1
            assert isinstance(new_obs, np.ndarray)
            self._last_obs = observations = new_obs
            self._last_episode_starts = dones
        rollout_buffer.pos, rollout_buffer.full = n_steps, True
        values = torch.from_numpy(network.forward(parts, engine.features(observations))[1][:, None])
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _bootstrapped(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> np.ndarray:
        """Add the discounted value of the final observation to rewards of truncated episodes."""
        for index in np.flatnonzero(dones):
            final = infos[index].get("terminal_observation")
            if final is not None and infos[index].get("TimeLimit.truncated", False):
                tensor = self.policy.obs_to_tensor(final)[0]
                with torch.no_grad():
                    rewards[index] += self.gamma * float(self.policy.predict_values(tensor)[0])
        return rewards

    def train(self) -> None:
        """Update the policy on the rollout, by the algorithm of the base class."""
        engine = self._prepared()
        if engine is None:
            super().train()
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        engine.buffers.read_moments()
        left = self._current_progress_remaining
        # `PPO.__init__` turns these fields into functions.
        clip, value_clip = cast(Schedule, self.clip_range), cast(Schedule, self.clip_range_vf)
        hyperparameters = Hyperparameters(
            batch_size=self.batch_size,
            clip_range=clip(left),
            value_clip_range=None if value_clip is None else value_clip(left),
            normalise_advantages=self.normalize_advantage,
            entropy_coefficient=self.ent_coef,
            value_coefficient=self.vf_coef,
            max_gradient_norm=self.max_grad_norm,
            target_kl=self.target_kl,
        )
        update = Update(engine.buffers, engine.head, engine.networks, hyperparameters)
        samples = self._samples(engine)
        for epoch in range(self.n_epochs):
            # The generator and the order of Stable-Baselines3's own minibatches.
            continued = update.epoch(samples.take(np.random.permutation(len(samples.values))))
            self._n_updates += 1
            if not continued:
                if self.verbose >= 1:
                    kl = update.losses[-1].approx_kl
                    print(f"Early stopping at step {epoch} due to reaching max kl: {kl:.2f}")
                break
        engine.buffers.write()
        self._record(update)

    def _samples(self, engine: Engine) -> Samples:
        """Return the whole rollout, one environment after the other."""
        buffer = self.rollout_buffer
        if not buffer.generator_ready:
            # The buffer's generator flattens its arrays in place at the first call.
            state = np.random.get_state()
            next(buffer.get(1))
            np.random.set_state(state)
        observations = buffer.observations.reshape(-1, *(self.observation_space.shape or ()))
        if isinstance(self.observation_space, spaces.Discrete):
            observations = buffer.observations.reshape(-1)
        return Samples(
            engine.features(observations),
            engine.head.encode(buffer.actions),
            buffer.values.ravel(),
            buffer.log_probs.ravel(),
            buffer.advantages.ravel(),
            buffer.returns.ravel(),
        )

    def _record(self, update: Update) -> None:
        """Write the log of the base class."""
        buffer, log = self.rollout_buffer, self.logger.record
        for name, value in update.logged().items():
            log(f"train/{name}", value)
        log(
            "train/explained_variance",
            explained_variance(buffer.values.flatten(), buffer.returns.flatten()),
        )
        if hasattr(self.policy, "log_std"):
            log("train/std", float(self.policy.log_std.detach().exp().mean()))
        log("train/n_updates", self._n_updates, exclude="tensorboard")
        log("train/clip_range", update.hyperparameters.clip_range)
        if update.hyperparameters.value_clip_range is not None:
            log("train/clip_range_vf", update.hyperparameters.value_clip_range)
