"""The gradient step of twin delayed deterministic policy gradients, with gradients by hand."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Shaped

from rlhf_core.fused.acting import ActorPass
from rlhf_core.fused.actor_critic import Dense, is_joined, linear_layers, owner
from rlhf_core.fused.dense import Pass
from rlhf_core.fused.flat import Adam, Flat
from rlhf_core.fused.minibatches import Minibatch, Pairs

if TYPE_CHECKING:
    from rlhf_core.fused.td3 import FusedTD3


class Buffers:
    """Arrays for minibatches of one size."""

    def __init__(self, engine: "DelayedUpdate", batch: int) -> None:
        actor, critic, count = engine.actor.widths, engine.critic.widths, engine.count
        self.observations = torch.empty(2, batch, actor[0])
        """Observations, and after them the next observations."""
        self.now, self.later = self.observations[:1], self.observations[1:]
        self.pairs, self.next_pairs = (Pairs(batch, actor[0], actor[-1], count) for _ in range(2))
        self.noise = torch.empty(batch, actor[-1])
        self.acting = Pass.of(actor, 1, batch, engine.activations[0])
        self.valuing = Pass.of(critic, count, batch, engine.activations[1])
        self.valuing_first = self.valuing.part(1, batch)


class DelayedUpdate:
    """Parameters of a covered TD3 model, and its gradient step.

        y = r + discount min Q'(s', clip(pi'(s') + clip(noise)))
        L_Q = sum over critics of mean (Q(s, a) - y)^2
        L_p = -mean Q_1(s, pi(s))

    (Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477, algorithm 1.)
    """

    def __init__(self, model: "FusedTD3", actor: Dense, critics: list[Dense]) -> None:
        self._owner = owner(model)
        self.count = len(critics)
        self.activations = actor.activation, critics[0].activation
        self.actor = Flat(actor.widths, [actor.layers])
        self.actor_target = Flat(actor.widths, [linear_layers(model.actor_target.mu)])
        self.critic = Flat(critics[0].widths, [network.layers for network in critics])
        targets = [linear_layers(network) for network in model.critic_target.q_networks]
        self.critic_target = Flat(critics[0].widths, targets)
        self._first = self.critic.networks.first()
        self._actor_adam = Adam.of(model.actor.optimizer, self.actor)
        self._actor_gradient = self.actor.parts(self._actor_adam.gradient)
        self._critic_adam = Adam.of(model.critic.optimizer, self.critic)
        self._critic_gradient = self.critic.parts(self._critic_adam.gradient)
        self._buffers: dict[int, Buffers] = {}
        self._acting = ActorPass(self.actor, actor.activation)
        self._actor_losses: list[float] = []
        self._critic_losses: list[float] = []

    def belongs_to(self, model: "FusedTD3") -> bool:
        """Return whether these are still the model's networks, all of them trained."""
        parameters = (*self.actor.parameters, *self.critic.parameters)
        return is_joined(owner(model), self._owner, parameters)

    def act(self, observations: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B act"]:
        """Return the policy's actions scaled to [-1, 1]."""
        return np.tanh(self._acting.outputs(observations))

    def bind(self) -> None:
        """Take over parameters and moments that were changed elsewhere."""
        self._actor_losses, self._critic_losses = [], []
        for flat in (self.actor, self.actor_target, self.critic, self.critic_target):
            flat.bind()
        self._actor_adam.bind()
        self._critic_adam.bind()

    def share(self) -> None:
        """Let torch's optimisers have the moments."""
        self._actor_adam.share()
        self._critic_adam.share()

    def step_critics(self, minibatch: Minibatch, noise_std: float, noise_clip: float) -> None:
        """Take a gradient step on the critics."""
        buffers = self._of(minibatch)
        pairs, next_pairs, valuing = buffers.pairs, buffers.next_pairs, buffers.valuing
        buffers.observations.copy_(minibatch.observations)
        buffers.noise.normal_(0, noise_std).clamp_(-noise_clip, noise_clip)
        actions = buffers.acting.forward(self.actor_target.networks, buffers.later)[0].tanh_()
        torch.add(actions, buffers.noise, out=next_pairs.actions).clamp_(-1, 1)
        next_pairs.observations.copy_(buffers.later[0])
        pairs.observations.copy_(buffers.now[0])
        pairs.actions.copy_(minibatch.actions)
        target = valuing.forward(self.critic_target.networks, next_pairs.inputs).amin(dim=0)
        target.mul_(minibatch.discounts).add_(minibatch.rewards)
        values = valuing.forward(self.critic.networks, pairs.inputs)
        error = torch.sub(values, target, out=valuing.output_gradient)
        batch = len(minibatch.actions)
        self._critic_losses.append(float(error.square().sum()) / batch)
        error.mul_(2 / batch)
        valuing.backward(self.critic.networks, self._critic_gradient, pairs.inputs)
        self._critic_adam.step()

    def step_actor(self, minibatch: Minibatch) -> None:
        """Take a gradient step on the actor, after that on the critics on the same minibatch."""
        buffers = self._of(minibatch)
        pairs, valuing, acting = buffers.pairs, buffers.valuing_first, buffers.acting
        actions = acting.forward(self.actor.networks, buffers.now).tanh_()
        pairs.actions.copy_(actions[0])
        values = valuing.forward(self._first, pairs.inputs[:1])
        self._actor_losses.append(-float(values.mean()))
        valuing.output_gradient.fill_(-1 / len(minibatch.actions))
        by_actions = valuing.input_gradient(self._first, self.actor.widths[0])
        torch.ops.aten.tanh_backward.grad_input(
            by_actions, actions, grad_input=acting.output_gradient
        )
        acting.backward(self.actor.networks, self._actor_gradient, buffers.now)
        self._actor_adam.step()

    def approach(self, rate: float) -> None:
        """Move the target networks to the others by this fraction of the distance."""
        self.critic_target.approach(self.critic, rate)
        self.actor_target.approach(self.actor, rate)

    def logged(self) -> dict[str, float]:
        """Return means over the gradient steps, by the names in Stable-Baselines3's log."""
        losses = {"actor_loss": self._actor_losses, "critic_loss": self._critic_losses}
        return {name: float(np.mean(values)) for name, values in losses.items() if values}

    def _of(self, minibatch: Minibatch) -> Buffers:
        batch = len(minibatch.actions)
        if batch not in self._buffers:
            self._buffers[batch] = Buffers(self, batch)
        return self._buffers[batch]
