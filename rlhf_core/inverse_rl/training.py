"""Gradient steps of a discriminator on demonstrations and one rollout."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from rlhf_core.environments.spaces import Spaces
from rlhf_core.inverse_rl.discriminator import Inputs, Parameters, make_inputs, network, score
from rlhf_core.inverse_rl.model import Discriminator, DiscriminatorState, Method
from rlhf_core.rewards import Density
from rlhf_core.types import Transitions


def train(
    method: Method,
    model: Discriminator,
    spaces: Spaces,
    state: DiscriminatorState,
    demonstrations: Transitions,
    rollout: Transitions,
    density: Density | None,
    rng: np.random.Generator,
) -> DiscriminatorState:
    """Return the state after `model.updates_of(steps of the rollout)` steps of Adam.

    gail and airl minimise the cross entropy of D, maximum_entropy the negative log-likelihood of
    the demonstrations under trajectories with probability proportional to exp(return):

        gail, airl        mean softplus(-x) over demonstrations + mean softplus(x) over the rollout
        maximum_entropy   mean x over the rollout - mean x over demonstrations
                          + output_penalty mean x^2

    with x = g, or f - log pi(a|s) for airl; and gradient_penalty mean |dg / dinputs|^2.

    Args:
        method: the loss.
        model: hyper-parameters.
        spaces: of the environment.
        state: the state before.
        demonstrations: steps of the demonstrations.
        rollout: steps of the policy.
        density: log-probability of actions under that policy; airl needs it.
        rng: draws the minibatches.
    """
    size = (model.updates_of(len(rollout.actions)), model.batch_size)
    drawn: list[Transitions] = []
    rows: list[np.ndarray] = []
    for steps in (demonstrations, rollout):
        # The inputs of a step that is drawn more than once are computed once.
        unique, inverse = np.unique(
            rng.integers(len(steps.actions), size=size), return_inverse=True
        )
        rows.append(inverse.reshape(size) + sum(len(part.actions) for part in drawn))
        drawn.append(Transitions(*(column[unique] for column in steps)))
    together = Transitions(*(np.concatenate(parts) for parts in zip(*drawn, strict=True)))
    inputs = make_inputs(method, model, spaces, state, together)
    log_prob: Tensor | None = None
    if method == "airl":
        assert density is not None, "check_optimiser refuses optimisers without one"
        log_prob = torch.from_numpy(density(together.observations, together.actions))

    def loss(parameters: Parameters, index: Tensor) -> Tensor:
        """Compute the loss of a batch: rows of demonstrations, then as many of the rollout."""
        batch = inputs.take(index)
        outputs = score(model, parameters, batch, method == "airl")
        if log_prob is not None:
            outputs = outputs - log_prob[index]
        demonstrated, own = outputs.chunk(2)
        if method == "maximum_entropy":
            value = own.mean() - demonstrated.mean()
            value = value + model.output_penalty * outputs.square().mean()
        else:
            value = softplus(-demonstrated).mean() + softplus(own).mean()
        if model.gradient_penalty:
            penalty = _squared_gradient(parameters, batch, rng)
            value = value + model.gradient_penalty * penalty
        return value

    batches = torch.from_numpy(np.concatenate(rows, axis=1))
    return _descend(state, loss, batches, model.learning_rate)


def _descend(
    state: DiscriminatorState,
    loss: Callable[[Parameters, Tensor], Tensor],
    batches: Tensor,
    learning_rate: float,
) -> DiscriminatorState:
    """Return the state after one step of Adam for each batch (a row of indices)."""
    parameters = {
        name: torch.tensor(np.asarray(array), requires_grad=True)
        for name, array in state.parameters.items()
    }
    optimizer = torch.optim.Adam(list(parameters.values()), lr=learning_rate)
    for name, tensor in parameters.items():
        if state.updates:
            optimizer.state[tensor] = {
                "step": torch.tensor(float(state.updates)),
                "exp_avg": torch.tensor(np.asarray(state.moments[f"first/{name}"])),
                "exp_avg_sq": torch.tensor(np.asarray(state.moments[f"second/{name}"])),
            }
    for index in batches:
        optimizer.zero_grad()
        loss(parameters, index).backward()
        optimizer.step()
    moments = {}
    for name, tensor in parameters.items():
        moments[f"first/{name}"] = optimizer.state[tensor]["exp_avg"].numpy().copy()
        moments[f"second/{name}"] = optimizer.state[tensor]["exp_avg_sq"].numpy().copy()
    return replace(
        state,
        parameters={n: t.detach().numpy().copy() for n, t in parameters.items()},
        moments=moments,
        updates=state.updates + len(batches),
    )


def _squared_gradient(parameters: Parameters, batch: Inputs, rng: np.random.Generator) -> Tensor:
    """Compute the mean squared gradient of g at random points between the two halves of a batch."""
    demonstrated, own = batch.features.chunk(2)
    weight = torch.from_numpy(rng.random((len(demonstrated), 1), dtype=np.float32))
    between = (weight * demonstrated + (1 - weight) * own).requires_grad_()
    output = network(parameters, "reward", between).sum()
    (gradient,) = torch.autograd.grad(output, between, create_graph=True)
    return gradient.square().sum(dim=1).mean()
