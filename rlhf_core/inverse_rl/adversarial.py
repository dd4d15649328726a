"""Rewards of a discriminator between demonstrations and rollouts, trained at every rollout."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped

from rlhf_core.environments.spaces import Spaces
from rlhf_core.inverse_rl.discriminator import initial_state, make_inputs, score, with_rollout
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState, Method
from rlhf_core.inverse_rl.training import train
from rlhf_core.rewards import Density
from rlhf_core.types import Metrics, Transitions, Value

SMOOTHING = 0.9
"""Weight of the former scale of the reward at each rollout."""
SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class AdversarialReward:
    """A reward function whose `observe` trains the discriminator and returns the next reward.

    ================  ========================================================================
    gail              D = sigmoid(g(s, a)) is the probability that a step was demonstrated; the
                      reward is -log(1 - D) (Ho and Ermon 2016, https://arxiv.org/abs/1606.03476)
    airl              D = sigmoid(f - log pi(a|s)) with f = g + discount h(s') - h(s); the reward
                      is f, of which g alone transfers to other dynamics; the policy's own reward
                      is f - w log pi(a|s), w = `entropy_weight`, which for w = 1 is
                      log D - log(1 - D) (Fu et al. 2018, https://arxiv.org/abs/1710.11248)
    maximum_entropy   g follows the gradient of the demonstrations' likelihood, where trajectories
                      have probability proportional to exp(return), sampled by the policy
                      (Finn et al. 2016, https://arxiv.org/abs/1603.00448)
    ================  ========================================================================

    The reward is divided by its standard deviation over recent rollouts. Its mean over them is
    subtracted, so that returns stay small beside their differences, as long as no episode
    terminates: where one does, a constant would change the value of its end.
    """

    method: Method
    model: Discriminator
    spaces: Spaces
    demonstrations: Transitions
    """Steps of the demonstrations."""
    state: DiscriminatorState
    transferable: bool = False
    """Whether the reward is g alone, without the shaping term, which fits one dynamics."""

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """Return the reward of steps of any policy."""
        steps = Transitions(observation, action, next_observation, terminated)
        return self._standard(self._unscaled(steps))

    def policy_rewards(
        self, transitions: Transitions, density: Density | None
    ) -> Float[np.ndarray, " B"]:
        """Return the reward of the policy's own steps, with the entropy term of airl."""
        return self._standard(self._unscaled(transitions, density))

    def resumed(self, state: Value) -> "AdversarialReward":
        """Return the same reward with another state."""
        assert isinstance(state, DiscriminatorState)
        return replace(self, state=state)

    def observe(
        self, transitions: Transitions, density: Density | None, rng: np.random.Generator
    ) -> "AdversarialReward":
        """Return the reward after training on a rollout, scaled by that rollout.

        Args:
            transitions: the steps of the rollout.
            density: log-probability of actions under its policy; airl needs it.
            rng: draws the minibatches.
        """
        normalised = with_rollout(self.state, self.model, self.spaces, transitions)
        state = train(
            self.method, self.model, self.spaces, normalised, self.demonstrations, transitions,
            density, rng,
        )  # fmt: skip
        trained = replace(self, state=state)
        rewards = trained._unscaled(transitions, density)
        std, mean = float(rewards.std()), float(rewards.mean())
        first = not self.state.updates
        scale = std if first else SMOOTHING * self.state.scale + (1 - SMOOTHING) * std
        shift = mean if first else SMOOTHING * self.state.shift + (1 - SMOOTHING) * mean
        ends = (self.demonstrations.terminated, transitions.terminated)
        terminates = self.state.terminates or any(bool(end.any()) for end in ends)
        return replace(
            trained,
            state=replace(
                state,
                scale=max(scale, SMALLEST_SCALE),
                shift=0.0 if terminates else shift,
                terminates=terminates,
            ),
        )

    def metrics(self, transitions: Transitions) -> Metrics:
        """Return the discriminator's accuracy on demonstrations and on the policy's steps."""
        demonstrated, own = (self._scores(s) for s in (self.demonstrations, transitions))
        return {
            "reward/demonstration_accuracy": float((demonstrated > 0).mean()),
            "reward/rollout_accuracy": float((own < 0).mean()),
        }

    def _standard(self, rewards: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
        """Return (reward - shift) / scale."""
        return (rewards - np.float32(self.state.shift)) / np.float32(self.state.scale)

    def _unscaled(
        self, steps: Transitions, density: Density | None = None
    ) -> Float[np.ndarray, " B"]:
        scores = self._scores(steps)
        if self.method == "gail":
            return np.logaddexp(0, scores, dtype=np.float32)
        weight = np.float32(self.model.entropy_weight)
        if self.method == "airl" and weight and density is not None:
            scores = scores - weight * density(steps.observations, steps.actions)
        return scores

    def _scores(self, steps: Transitions) -> Float[np.ndarray, " B"]:
        """Compute g, or f for airl unless the reward is transferable."""
        parameters = {n: torch.tensor(np.asarray(p)) for n, p in self.state.parameters.items()}
        with torch.no_grad():
            inputs = make_inputs(self.method, self.model, self.spaces, self.state, steps)
            shaped = self.method == "airl" and not self.transferable
            return score(self.model, parameters, inputs, shaped).numpy()


def initial(
    method: Method,
    model: Discriminator,
    spaces: Spaces,
    demonstrations: Transitions,
    rng: np.random.Generator,
) -> AdversarialReward:
    """Return the reward of an untrained discriminator: D = 1/2 for every step."""
    state = initial_state(method, model, spaces, demonstrations, rng)
    return AdversarialReward(method, model, spaces, demonstrations, state)
