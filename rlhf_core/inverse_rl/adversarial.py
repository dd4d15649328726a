"""Rewards that learn at every rollout to tell it from demonstrations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import silu, softplus

from rlhf_core.environments.spaces import Spaces, encode
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState, Method
from rlhf_core.normaliser import Normaliser
from rlhf_core.rewards import Density
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import raw_features
from rlhf_core.types import Metrics, Transitions, Value

Parameters = Mapping[str, Tensor]
SMOOTHING = 0.9
"""Of the running scale of the reward, a rollout."""


@dataclass(frozen=True)
class AdversarialReward:
    """A reward function that `observe`s rollouts; a new one comes out each time.

    ================  ========================================================================
    gail              D = sigmoid(g(s, a)) is the chance that a step was demonstrated; the
                      reward is -log(1 - D) (Ho and Ermon 2016, https://arxiv.org/abs/1606.03476)
    airl              D = sigmoid(f - log pi(a|s)) with f = g + discount h(s') - h(s); the reward
                      is f, of which g alone transfers; the policy may be paid f - w log pi(a|s),
                      w = `entropy_weight`, which at 1 is log D - log(1 - D) (Fu et al. 2018,
                      https://arxiv.org/abs/1710.11248)
    maximum_entropy   g rises on demonstrations and falls on rollouts, the gradient of the
                      likelihood under trajectories weighed by exp(return), with the policy for
                      the sampler (Finn et al. 2016, https://arxiv.org/abs/1603.00448)
    ================  ========================================================================

    What the policy is paid is divided by its deviation over recent rollouts, and not shifted:
    that would change what the end of an episode is worth.
    """

    method: Method
    model: Discriminator
    spaces: Spaces
    shown: Transitions
    """Steps of the demonstrations."""
    state: DiscriminatorState
    transferable: bool = False
    """Pay g alone, without the shaping that fits one dynamics."""

    def __call__(
        self,
        observation: Shaped[np.ndarray, "B *obs"],
        action: Shaped[np.ndarray, "B *act"],
        next_observation: Shaped[np.ndarray, "B *obs"],
        terminated: Bool[np.ndarray, " B"],
    ) -> Float[np.ndarray, " B"]:
        """The reward of steps, whoever took them."""
        steps = Transitions(observation, action, next_observation, terminated)
        return self._paid(steps) / np.float32(self.state.scale)

    def paid(self, seen: Transitions, density: Density | None) -> Float[np.ndarray, " B"]:
        """What the policy is paid for its own steps."""
        return self._paid(seen, density) / np.float32(self.state.scale)

    def resumed(self, state: Value) -> "AdversarialReward":
        """With the weights of a state."""
        assert isinstance(state, DiscriminatorState)
        return replace(self, state=state)

    def observe(
        self, seen: Transitions, density: Density | None, rng: np.random.Generator
    ) -> "AdversarialReward":
        """Learn from a rollout, and take on its scale.

        Args:
            seen: the steps of the rollout.
            density: of the policy that made it; `airl` needs it.
            rng: draws the minibatches.
        """
        learner = _Learner(self._normalised_by(seen), seen, density, rng)
        learned = learner.learned()
        spread = float(learned._paid(seen, density).std())
        before = self.state.scale if self.state.updates else spread
        scale = SMOOTHING * before + (1 - SMOOTHING) * spread
        return replace(learned, state=replace(learned.state, scale=max(scale, 1e-6)))

    def metrics(self, seen: Transitions) -> Metrics:
        """How often it takes steps for what they are."""
        scores = [self._outputs(steps) for steps in (self.shown, seen)]
        return {
            "reward/demonstrations_told": float((scores[0] > 0).mean()),
            "reward/rollouts_told": float((scores[1] < 0).mean()),
        }

    def _paid(self, steps: Transitions, density: Density | None = None) -> Float[np.ndarray, " B"]:
        outputs = self._outputs(steps)
        if self.method == "gail":
            return np.logaddexp(0, outputs, dtype=np.float32)
        weight = np.float32(self.model.entropy_weight)
        if self.method == "airl" and weight and density is not None:
            outputs = outputs - weight * density(steps.observations, steps.actions)
        return outputs

    def _outputs(self, steps: Transitions) -> Float[np.ndarray, " B"]:
        """g, or f where the shaping counts."""
        tensors = {n: torch.tensor(np.asarray(p)) for n, p in self.state.parameters.items()}
        with torch.no_grad():
            inputs = self._inputs(steps)
            shaped = self.method == "airl" and not self.transferable
            return self.score(tensors, inputs, shaped).numpy()

    def score(self, parameters: Parameters, inputs: "Inputs", shaped: bool) -> Float[Tensor, " B"]:
        """g, plus discount h(s') - h(s) where shaped; a final state has no h."""
        score = _network(parameters, "reward", inputs.features)
        if shaped:
            after = _network(parameters, "shaping", inputs.after) * inputs.going_on
            before = _network(parameters, "shaping", inputs.before)
            score = score + self.model.discount * after - before
        return score

    def _inputs(self, steps: Transitions) -> "Inputs":
        """Normalised features as tensors."""
        features = self._normaliser("input")(_features(self.spaces, self.model, steps))
        states = self._normaliser("state")
        space = self.spaces.observation
        if self.method != "airl":
            nothing = torch.empty(0)
            return Inputs(torch.from_numpy(features), nothing, nothing, nothing)
        return Inputs(
            torch.from_numpy(features),
            torch.from_numpy(states(encode(space, steps.observations))),
            torch.from_numpy(states(encode(space, steps.next_observations))),
            torch.from_numpy((~steps.terminated).astype(np.float32)),
        )

    def _normaliser(self, name: str) -> Normaliser:
        state = self.state
        if name == "input":
            return Normaliser(state.input_mean, state.input_square, state.input_count)
        return Normaliser(state.state_mean, state.state_square, state.input_count)

    def _normalised_by(self, seen: Transitions) -> "AdversarialReward":
        """With a rollout taken into the moments of the inputs."""
        inputs = self._normaliser("input").updated(_features(self.spaces, self.model, seen))
        states = self._normaliser("state").updated(
            encode(self.spaces.observation, seen.observations)
        )
        state = replace(
            self.state,
            input_mean=inputs.mean,
            input_square=inputs.square,
            input_count=inputs.count,
            state_mean=states.mean,
            state_square=states.square,
        )
        return replace(self, state=state)


@dataclass(frozen=True)
class Inputs:
    """Normalised features of steps."""

    features: Float[Tensor, "B features"]
    before: Tensor
    """(B, states), or empty where there is no shaping."""
    after: Tensor
    going_on: Tensor

    def take(self, index: Tensor) -> "Inputs":
        """Some of the steps."""
        if not len(self.before):
            return replace(self, features=self.features[index])
        return Inputs(
            self.features[index], self.before[index], self.after[index], self.going_on[index]
        )


def initial(
    method: Method,
    model: Discriminator,
    spaces: Spaces,
    shown: Transitions,
    rng: np.random.Generator,
) -> AdversarialReward:
    """An untrained discriminator that takes everything for half demonstrated."""
    features = _features(spaces, model, shown)
    states = encode(spaces.observation, shown.observations)
    parameters: dict[str, np.ndarray] = {}
    nets = {"reward": features.shape[1]}
    if method == "airl":
        nets["shaping"] = states.shape[1]
    for name, width in nets.items():
        widths = [width, *model.hidden, 1]
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            bound = (fan_in**-0.5) * (layer < len(model.hidden))
            weights = rng.uniform(-bound, bound, (fan_in, fan_out))
            parameters[f"{name}/weight_{layer}"] = weights.astype(np.float32)
            parameters[f"{name}/bias_{layer}"] = np.zeros(fan_out, dtype=np.float32)
    moments = {
        f"{order}/{name}": np.zeros_like(array)
        for order in ("first", "second")
        for name, array in parameters.items()
    }
    seen = Normaliser.fresh(features.shape[1]).updated(features)
    known = Normaliser.fresh(states.shape[1]).updated(states)
    state = DiscriminatorState(
        parameters, moments, 0, seen.mean, seen.square, seen.count, known.mean, known.square
    )
    return AdversarialReward(method, model, spaces, shown, state)


class _Learner:
    """A few gradient steps on a rollout and the demonstrations."""

    def __init__(
        self,
        reward: AdversarialReward,
        seen: Transitions,
        density: Density | None,
        rng: np.random.Generator,
    ) -> None:
        self.reward, self.model, self.rng = reward, reward.model, rng
        size = (self.model.updates, self.model.batch_size)
        drawn: list[Transitions] = []
        rows: list[np.ndarray] = []
        for steps in (reward.shown, seen):
            # Only what is drawn at all is looked at, and once.
            chosen, where = np.unique(
                rng.integers(len(steps.actions), size=size), return_inverse=True
            )
            rows.append(where.reshape(size) + sum(len(taken.actions) for taken in drawn))
            drawn.append(Transitions(*(part[chosen] for part in steps)))
        self.rows = torch.from_numpy(np.concatenate(rows, axis=1))
        """Of each update (updates, 2 batches): demonstrations before rollouts."""
        both = Transitions(*(np.concatenate(parts) for parts in zip(*drawn, strict=True)))
        self.inputs = reward._inputs(both)
        self.likelihood: Tensor | None = None
        if reward.method == "airl":
            assert density is not None, "check_optimiser refuses optimisers without one"
            self.likelihood = torch.from_numpy(density(both.observations, both.actions))
        state = reward.state
        self.parameters = {
            name: torch.tensor(np.asarray(array), requires_grad=True)
            for name, array in state.parameters.items()
        }
        self.optimiser = torch.optim.Adam(
            list(self.parameters.values()), lr=self.model.learning_rate
        )
        for name, tensor in self.parameters.items():
            if state.updates:
                self.optimiser.state[tensor] = {
                    "step": torch.tensor(float(state.updates)),
                    "exp_avg": torch.tensor(np.asarray(state.moments[f"first/{name}"])),
                    "exp_avg_sq": torch.tensor(np.asarray(state.moments[f"second/{name}"])),
                }

    def learned(self) -> AdversarialReward:
        """The reward after `updates` steps."""
        for rows in self.rows:
            self.optimiser.zero_grad()
            self._loss(rows).backward()
            self.optimiser.step()
        moments = {}
        for name, tensor in self.parameters.items():
            memory = self.optimiser.state[tensor]
            moments[f"first/{name}"] = memory["exp_avg"].numpy().copy()
            moments[f"second/{name}"] = memory["exp_avg_sq"].numpy().copy()
        state = replace(
            self.reward.state,
            parameters={n: t.detach().numpy().copy() for n, t in self.parameters.items()},
            moments=moments,
            updates=self.reward.state.updates + self.model.updates,
        )
        return replace(self.reward, state=state)

    def _loss(self, rows: Tensor) -> Tensor:
        batch = self.inputs.take(rows)
        scores = self.reward.score(self.parameters, batch, self.reward.method == "airl")
        if self.likelihood is not None:
            scores = scores - self.likelihood[rows]
        shown, seen = scores.chunk(2)
        if self.reward.method == "maximum_entropy":
            loss = seen.mean() - shown.mean()
            loss = loss + self.model.output_penalty * scores.square().mean()
        else:
            loss = softplus(-shown).mean() + softplus(seen).mean()
        if self.model.gradient_penalty:
            loss = loss + self.model.gradient_penalty * self._steepness(batch.features)
        return loss

    def _steepness(self, features: Tensor) -> Tensor:
        """Mean squared gradient of g by its inputs between demonstrations and rollouts."""
        shown, seen = features.chunk(2)
        share = torch.from_numpy(self.rng.random((len(shown), 1), dtype=np.float32))
        between = (share * shown + (1 - share) * seen).requires_grad_()
        output = _network(self.parameters, "reward", between).sum()
        (slope,) = torch.autograd.grad(output, between, create_graph=True)
        return slope.square().sum(dim=1).mean()


def _network(parameters: Parameters, name: str, features: Tensor) -> Float[Tensor, " B"]:
    hidden = features
    last = sum(key.startswith(f"{name}/weight_") for key in parameters) - 1
    for layer in range(last + 1):
        weights, bias = parameters[f"{name}/weight_{layer}"], parameters[f"{name}/bias_{layer}"]
        hidden = torch.addmm(bias, hidden, weights)
        if layer < last:
            hidden = silu(hidden)
    return hidden.squeeze(-1)


def _features(
    spaces: Spaces, model: Discriminator, steps: Transitions
) -> Float[np.ndarray, "B features"]:
    """The chosen inputs side by side, categories one-hot; pixels as they are."""
    return raw_features(spaces, RewardModel(inputs=model.inputs, channels=()), *steps)
