"""A language model in training: its start policy, its gradient steps, the texts that it writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float
from torch import Tensor

from rlhf_core.environments.factory import Environment, episode_seeds
from rlhf_core.evolution.play import Generation
from rlhf_core.language.likelihood import divergence, sampler
from rlhf_core.language.model import (
    ADAM,
    ARCHITECTURE,
    START,
    Weights,
    restore,
    restore_start,
    weights,
    with_prefix,
)
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.language.tokens import Texts, played_texts
from rlhf_core.policies import PolicyState
from rlhf_core.recording import Recorder
from rlhf_core.reservoir import RESERVOIR_STEPS
from rlhf_core.types import RolloutRewards, Rollouts, Trajectory, TrueRewards


class Learner:
    """The model, its start policy and Adam during one call of `optimise`."""

    def __init__(
        self,
        optimiser: LanguageOptimiser,
        state: PolicyState,
        environment: Environment,
        rng: np.random.Generator,
    ) -> None:
        """Restore everything from a state.

        Args:
            optimiser: step size and largest norm of gradients.
            state: of the policy.
            environment: whose prompts are completed.
            rng: prompts and tokens.
        """
        self.vocabulary = optimiser.vocabulary(environment.spaces())
        self.model, self.start = restore(state), restore_start(state)
        self.steps = 0
        """Environment steps of this call."""
        self._state, self._rng, self._horizon = state, rng, environment.horizon()
        self._norm = optimiser.max_gradient_norm
        self._adam = torch.optim.Adam(self.model.parameters(), lr=optimiser.learning_rate)
        self._restore_moments()
        self._trajectories: list[Trajectory] = []
        self._rewards: list[TrueRewards] = []

    def write(self, vector: VectorEnv[Any, Any, Any], group_size: int) -> Generation:
        """Complete one prompt in each copy, the same one in each group of neighbouring copies.

        The prompt of a copy follows from its seed alone, so equal seeds give equal prompts.
        """
        seeds = episode_seeds(self._rng, vector.num_envs // group_size)
        act = sampler(self.model, self.vocabulary, False, self._rng)
        recorder = Recorder(vector)
        recorder.reset(np.repeat(seeds, group_size).tolist())
        running = np.ones(vector.num_envs, dtype=bool)
        counted: list[np.ndarray] = []
        while running.any() and len(counted) < self._horizon:
            # Copies whose text is whole go on with another one, which does not count.
            actions = np.zeros(vector.num_envs, dtype=np.int64)
            actions[running] = act(recorder.observation[running])
            done = recorder.step(actions)
            counted.append(running)
            running = running & ~done
        written = Generation(recorder.take(), np.stack(counted), vector.num_envs)
        self.steps += written.steps
        self._remember(written)
        return written

    def texts(self, written: Generation) -> Texts:
        """Return the texts of episodes."""
        return played_texts(written, self.vocabulary.size)

    def descend(self, loss: Tensor) -> None:
        """Take one gradient step."""
        self._adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._norm)
        self._adam.step()

    def metrics(
        self, texts: Texts, returns: Float[np.ndarray, " B"], means: Sequence[float]
    ) -> dict[str, float]:
        """Return the metrics of one call of `optimise`.

        Args:
            texts: of the last rollout.
            returns: of these texts, by the reward that is maximised.
            means: the mean return of every rollout.
        """
        whole = texts.take(np.arange(len(texts.tokens)))
        from_start = divergence(self.model, self.start, whole, self.vocabulary)
        return {
            "proxy/return_mean": float(returns.mean()),
            "proxy/gain": means[-1] - means[0],
            "policy/kl_to_start": from_start.kl,
            "policy/entropy": from_start.entropy,
        }

    def state(self) -> PolicyState:
        """Return the policy, with the environment steps of this call counted."""
        kept = {
            name: array
            for name, array in self._state.optimizer_state.items()
            if name == ARCHITECTURE or name.startswith(START)
        }
        return PolicyState(
            weights(self.model), {**kept, **self._moments()}, self._state.steps + self.steps
        )

    def rollouts(self) -> tuple[Rollouts, RolloutRewards]:
        """Return the newest texts, at most `RESERVOIR_STEPS` steps of them, oldest first."""
        return Rollouts(tuple(self._trajectories)), RolloutRewards(tuple(self._rewards))

    def _remember(self, written: Generation) -> None:
        copies = np.arange(written.counted.shape[1])
        trajectories, rewards = written.trajectories(copies, self._state.steps)
        self._trajectories += trajectories
        self._rewards += rewards
        lengths = np.array([len(trajectory) for trajectory in self._trajectories])
        fits = lengths[::-1].cumsum()[::-1] <= RESERVOIR_STEPS
        first = int(fits.argmax()) if fits.any() else len(lengths) - 1
        del self._trajectories[:first], self._rewards[:first]

    def _moments(self) -> Weights:
        """Return Adam's moments and counts by the parameter's name."""
        return {
            f"{ADAM}{name}/{key}": value.detach().numpy().copy()
            for name, parameter in self.model.named_parameters()
            for key, value in self._adam.state.get(parameter, {}).items()
        }

    def _restore_moments(self) -> None:
        moments = with_prefix(self._state.optimizer_state, ADAM)
        for name, parameter in self.model.named_parameters():
            own = with_prefix(moments, f"{name}/")
            if own:
                self._adam.state[parameter] = {
                    key: torch.from_numpy(np.array(value)) for key, value in own.items()
                }
