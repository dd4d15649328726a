"""The gradient step of soft actor-critic, with gradients by hand."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from torch import nn

from rlhf_core.fused.acting import ActorPass
from rlhf_core.fused.actor_critic import Dense, is_joined, linear_layers, owner
from rlhf_core.fused.dense import Pass
from rlhf_core.fused.flat import Adam, Flat
from rlhf_core.fused.minibatches import Minibatch, Pairs
from rlhf_core.fused.squashed_gaussian import SquashedGaussian

if TYPE_CHECKING:
    from rlhf_core.fused.sac import FusedSAC


class Losses(NamedTuple):
    """Losses of one gradient step, before it, as Stable-Baselines3 logs them."""

    ent_coef: float
    actor: float
    critic: float
    temperature: float


class Buffers:
    """Arrays for minibatches of one size, and views of their parts."""

    def __init__(self, engine: "SoftUpdate", batch: int) -> None:
        actor, critic, twins = engine.actor.widths, engine.critic.widths, engine.twins
        features = actor[0]
        self.observations = torch.empty(1, 2 * batch, features)
        """Observations, and after them the next observations."""
        self.both = self.observations.view(2, batch, features)
        self.now, self.later = self.both[:1], self.both[1:]
        size = critic[0] - features
        self.pairs, self.next_pairs = (Pairs(batch, features, size, twins) for _ in range(2))
        self.acting = Pass.of(actor, 1, 2 * batch, engine.activations[0])
        self.acting_now = self.acting.part(1, batch)
        self.gaussian = SquashedGaussian(self.acting.outputs[0], parts=2)
        self.actions, self.next_actions = self.gaussian.actions.chunk(2)
        self.valuing = Pass.of(critic, twins, batch, engine.activations[1])


class SoftUpdate:
    """Parameters of a covered SAC model, and its gradient step.

        y = r + discount (min Q'(s', a') - alpha log p(a'|s'))
        L_Q = 1/2 sum over critics of mean (Q(s, a) - y)^2
        L_p = mean (alpha log p(a|s) - min Q(s, a))
        L_alpha = -mean log alpha (log p(a|s) + target entropy)

    (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905, equations 5 to 9 and 18.)
    """

    def __init__(
        self, model: "FusedSAC", actor: Dense, log_std: nn.Linear, critics: list[Dense]
    ) -> None:
        """Join the arithmetic to a model.

        Args:
            model: the model.
            actor: its policy network, whose outputs are means.
            log_std: the layer beside the last one, whose outputs are log standard deviations.
            critics: its critics, of equal widths.
        """
        self._owner = _owner(model)
        self.twins = len(critics)
        self.activations = actor.activation, critics[0].activation
        self._size = actor.widths[-1]
        widths = (*actor.widths[:-1], 2 * self._size)
        self.actor = Flat(widths, [[*actor.layers, log_std]])
        self.critic = Flat(critics[0].widths, [network.layers for network in critics])
        targets = [linear_layers(network) for network in model.critic_target.q_networks]
        self.target = Flat(critics[0].widths, targets)
        self._actor_adam = Adam.of(model.actor.optimizer, self.actor)
        self._actor_gradient = self.actor.parts(self._actor_adam.gradient)
        self._critic_adam = Adam.of(model.critic.optimizer, self.critic)
        self._critic_gradient = self.critic.parts(self._critic_adam.gradient)
        self._log_temperature = model.log_ent_coef
        self._temperature_adam: Adam | None = None
        if model.ent_coef_optimizer is not None and model.log_ent_coef is not None:
            self._temperature_adam = Adam(
                model.ent_coef_optimizer,
                [model.log_ent_coef],
                model.log_ent_coef.detach(),
                lambda vector: [vector],
            )
        self._fixed = None if self._temperature_adam else float(model.ent_coef_tensor)
        self._buffers: dict[int, Buffers] = {}
        self._acting = ActorPass(self.actor, actor.activation)
        self._losses: list[Losses] = []

    def belongs_to(self, model: "FusedSAC") -> bool:
        """Return whether these are still the model's networks, all of them trained."""
        parameters = (*self.actor.parameters, *self.critic.parameters)
        return is_joined(_owner(model), self._owner, parameters)

    def act(self, observations: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B act"]:
        """Return actions scaled to [-1, 1], drawn from torch's generator."""
        outputs = self._acting.outputs(observations)
        mean, raw = outputs[:, : self._size], outputs[:, self._size :]
        noise = torch.empty(len(outputs), self._size).normal_().numpy()
        std = np.exp(np.minimum(np.maximum(raw, LOG_STD_MIN), LOG_STD_MAX))
        actions: np.ndarray = np.tanh(mean + std * noise)
        return actions

    def bind(self) -> None:
        """Take over parameters and moments that were changed elsewhere."""
        self._losses = []
        for flat in (self.actor, self.critic, self.target):
            flat.bind()
        for adam in (self._actor_adam, self._critic_adam, self._temperature_adam):
            if adam is not None:
                adam.bind()

    def share(self) -> None:
        """Let torch's optimisers have the moments."""
        for adam in (self._actor_adam, self._critic_adam, self._temperature_adam):
            if adam is not None:
                adam.share()

    def step(self, minibatch: Minibatch, target_entropy: float) -> None:
        """Take a gradient step on temperature, critics and actor."""
        batch = len(minibatch.actions)
        if batch not in self._buffers:
            self._buffers[batch] = Buffers(self, batch)
        buffers = self._buffers[batch]
        gaussian, valuing, critic = buffers.gaussian, buffers.valuing, self.critic.networks
        buffers.both.copy_(minibatch.observations)
        buffers.acting.forward(self.actor.networks, buffers.observations)
        gaussian.sample()
        log_prob, next_log_prob = gaussian.log_prob().chunk(2)
        mean_log_prob = float(log_prob.mean())
        temperature, temperature_loss = self._temperature(mean_log_prob, target_entropy)

        pairs, next_pairs = buffers.pairs, buffers.next_pairs
        next_pairs.observations.copy_(buffers.later[0])
        next_pairs.actions.copy_(buffers.next_actions)
        pairs.observations.copy_(buffers.now[0])
        pairs.actions.copy_(minibatch.actions)
        target = valuing.forward(self.target.networks, next_pairs.inputs).amin(dim=0)
        target.sub_(next_log_prob, alpha=temperature)
        target.mul_(minibatch.discounts).add_(minibatch.rewards)
        values = valuing.forward(critic, pairs.inputs)
        error = torch.sub(values, target, out=valuing.output_gradient)
        critic_loss = 0.5 * float(error.square().sum()) / batch
        error.div_(batch)
        valuing.backward(critic, self._critic_gradient, pairs.inputs)
        self._critic_adam.step()

        pairs.actions.copy_(buffers.actions)
        smallest, chosen = valuing.forward(critic, pairs.inputs).min(dim=0)
        features = self.actor.widths[0]
        by_actions = valuing.chosen_input_gradient(critic, chosen[:, 0], -1 / batch, features)
        actor_loss = temperature * mean_log_prob - float(smallest.mean())
        acting = buffers.acting_now
        acting.output_gradient[0] = gaussian.gradient(by_actions, temperature / batch)
        acting.backward(self.actor.networks, self._actor_gradient, buffers.now)
        self._actor_adam.step()
        self._losses.append(Losses(temperature, actor_loss, critic_loss, temperature_loss))

    def approach(self, rate: float) -> None:
        """Move the target critics to the critics by this fraction of the distance."""
        self.target.approach(self.critic, rate)

    def _temperature(self, mean_log_prob: float, target_entropy: float) -> tuple[float, float]:
        """Return the temperature before its gradient step, and its loss."""
        if self._fixed is not None:
            return self._fixed, 0.0
        adam, log_value = self._temperature_adam, self._log_temperature
        assert adam is not None
        assert log_value is not None
        log_temperature, temperature = float(log_value), float(torch.exp(log_value))
        excess = mean_log_prob + target_entropy
        adam.gradient.fill_(-excess)
        adam.step()
        return temperature, -log_temperature * excess

    def logged(self) -> dict[str, float]:
        """Return means over the gradient steps, by the names in Stable-Baselines3's log."""
        ent_coef, actor, critic, temperature = np.array(self._losses).mean(axis=0)
        losses = {"ent_coef": ent_coef, "actor_loss": actor, "critic_loss": critic}
        return losses if self._fixed is not None else {**losses, "ent_coef_loss": temperature}


def _owner(model: "FusedSAC") -> tuple[object, ...]:
    """Return what the arithmetic is joined to."""
    return (*owner(model), model.ent_coef_optimizer, model.log_ent_coef)
