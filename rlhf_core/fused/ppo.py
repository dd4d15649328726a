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
from rlhf_core.fused.update import Rule, Samples, Update


class FusedPPO(PPO):
    """PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) as Stable-Baselines3 has it.

    Same constructor, policies, callbacks, saved files, random draws and learning rule as
    `stable_baselines3.PPO`; parameters agree with its own up to rounding. Policies that
    `rlhf_core.fused.layout.shape_of` covers are collected with and updated in NumPy, in memory
    that is used again; for all others both methods are Stable-Baselines3's own.
    """

    _engine: Engine | None = None

    @property
    def fused(self) -> bool:
        """Whether this model's policy is covered."""
        return self._prepared() is not None

    def _prepared(self) -> Engine | None:
        """The policy in fused form, with the parameters it has now."""
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
        """Fill the buffer with what the policy does; contract and draws as in the base class."""
        engine = self._prepared()
        if engine is None:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        # What is covered observes and acts in arrays.
        seen = self._last_obs
        assert isinstance(seen, np.ndarray), "No previous observation was provided"
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        # A callback may have changed the policy.
        engine.memory.read()
        network, parts = engine.network(env.num_envs), engine.memory.parts
        acting = self.action_space
        shape = rollout_buffer.observations.shape[1:]
        n_steps = 0
        while n_steps < n_rollout_steps:
            features = engine.features(seen)
            outputs, estimated = network.forward(parts, features)
            actions, log_probability = engine.head.sample(outputs, parts.deviations)
            # Names that callbacks know from the base class.
            values = torch.from_numpy(estimated[:, None])
            log_probs = torch.from_numpy(log_probability)
            clipped_actions = actions.reshape(-1, *(acting.shape or ()))
            if isinstance(acting, spaces.Box):
                clipped_actions = np.clip(clipped_actions, acting.low, acting.high)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                rewards = self._bootstrapped(rewards, dones, infos)
            rollout_buffer.observations[n_steps] = seen.reshape(shape)
            rollout_buffer.actions[n_steps] = actions
            rollout_buffer.rewards[n_steps] = rewards
            rollout_buffer.episode_starts[n_steps] = self._last_episode_starts
            rollout_buffer.values[n_steps] = estimated
            rollout_buffer.log_probs[n_steps] = log_probability
            n_steps += 1
            assert isinstance(new_obs, np.ndarray)
            self._last_obs = seen = new_obs
            self._last_episode_starts = dones
        rollout_buffer.pos, rollout_buffer.full = n_steps, True
        values = torch.from_numpy(network.forward(parts, engine.features(seen))[1][:, None])
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _bootstrapped(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> np.ndarray:
        """Rewards, with the value of the last observation added where a time limit struck."""
        for index in np.flatnonzero(dones):
            final = infos[index].get("terminal_observation")
            if final is not None and infos[index].get("TimeLimit.truncated", False):
                seen = self.policy.obs_to_tensor(final)[0]
                with torch.no_grad():
                    rewards[index] += self.gamma * float(self.policy.predict_values(seen)[0])
        return rewards

    def train(self) -> None:
        """Update the policy on the rollout; the learning rule of the base class."""
        engine = self._prepared()
        if engine is None:
            super().train()
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        engine.memory.read_moments()
        left = self._current_progress_remaining
        # `PPO.__init__` makes functions of these fields.
        clip, value_clip = cast(Schedule, self.clip_range), cast(Schedule, self.clip_range_vf)
        rule = Rule(
            batch_size=self.batch_size,
            clip_range=clip(left),
            value_clip_range=None if value_clip is None else value_clip(left),
            normalise_advantages=self.normalize_advantage,
            entropy_coefficient=self.ent_coef,
            value_coefficient=self.vf_coef,
            max_gradient_norm=self.max_grad_norm,
            target_kl=self.target_kl,
        )
        update = Update(engine.memory, engine.head, engine.networks, rule)
        samples = self._samples(engine)
        for epoch in range(self.n_epochs):
            # The generator and the order of Stable-Baselines3's own minibatches.
            going_on = update.epoch(samples.take(np.random.permutation(len(samples.values))))
            self._n_updates += 1
            if not going_on:
                if self.verbose >= 1:
                    kl = update.losses[-1].approx_kl
                    print(f"Early stopping at step {epoch} due to reaching max kl: {kl:.2f}")
                break
        engine.memory.write()
        self._record(update)

    def _samples(self, engine: Engine) -> Samples:
        """The whole rollout, environment by environment."""
        buffer = self.rollout_buffer
        if not buffer.generator_ready:
            # Its own generator flattens the arrays in place the first time that it is asked.
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
        """The base class's log."""
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
        log("train/clip_range", update.rule.clip_range)
        if update.rule.value_clip_range is not None:
            log("train/clip_range_vf", update.rule.value_clip_range)
