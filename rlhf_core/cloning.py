"""Behaviour cloning: the policy that makes the demonstrated actions likely.

    L = -mean log pi(a | s)   over the steps of the demonstrations

(Pomerleau 1991, doi:10.1162/neco.1991.3.1.88). Errors add up in states that no demonstration
visits: with few demonstrations it is a start for an optimiser rather than an end.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from jaxtyping import Float, Shaped
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, softplus

from rlhf_core.demonstrations import CLONING_BATCH, Cloning
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.normaliser import Normaliser

LEARNING_RATE = 1e-3


def clone_actor(
    policy: ActorCriticPolicy,
    observations: Shaped[np.ndarray, "B ..."],
    cloning: Cloning,
    rng: np.random.Generator,
) -> None:
    """Train the actor of a Stable-Baselines3 policy in place, except for its exploration noise.

    Args:
        policy: a policy of actor and critic.
        observations: those of the demonstrations, as the policy reads them.
        cloning: demonstrations and number of epochs.
        rng: order of the minibatches.
    """
    inputs, _ = policy.obs_to_tensor(observations)
    actions = torch.from_numpy(np.array(cloning.demonstrations.actions, dtype=np.float32))
    if isinstance(policy.action_space, gym_spaces.Discrete):
        actions = actions.long()
    parameters = [p for name, p in policy.named_parameters() if name != "log_std"]

    def loss(rows: Tensor) -> Tensor:
        assert isinstance(inputs, Tensor)
        _, log_prob, _ = policy.evaluate_actions(inputs[rows], actions[rows])
        return -log_prob.mean()

    policy.set_training_mode(True)
    descend(parameters, loss, len(actions), cloning.epochs, rng)
    policy.set_training_mode(False)


def clone_outputs(
    parameters: Iterable[Tensor],
    outputs: Callable[[Tensor], Tensor],
    space: gym_spaces.Space[object],
    cloning: Cloning,
    rng: np.random.Generator,
) -> None:
    """Train parameters in place until their outputs stand for the demonstrated actions.

    Args:
        parameters: the tensors to train.
        outputs: computes, for rows of the demonstrations, numbers from -1 to 1 or logits.
        space: of the actions.
        cloning: demonstrations and number of epochs.
        rng: order of the minibatches.
    """
    target = _target(space, cloning.demonstrations.actions)

    def loss(rows: Tensor) -> Tensor:
        return _distance(space, outputs(rows), target[rows])

    descend(parameters, loss, len(target), cloning.epochs, rng)


def clone_network(
    network: PolicyNetwork,
    normaliser: Normaliser,
    mean: Float[np.ndarray, " D"],
    cloning: Cloning,
    rng: np.random.Generator,
) -> Float[np.ndarray, " D"]:
    """Return the parameters of an evolution strategy's policy after training by gradients.

    The loss is the cross entropy for categories and bits, and the squared distance for numbers.
    """
    demonstrations, space = cloning.demonstrations, network.spaces.action
    features = torch.from_numpy(normaliser(network.features(demonstrations.observations)))
    layers = [
        torch.from_numpy(array[0].copy()).requires_grad_()
        for pair in network.layers(mean[None])
        for array in pair
    ]
    target = _target(space, demonstrations.actions)

    def loss(rows: Tensor) -> Tensor:
        hidden = features[rows]
        for index in range(0, len(layers), 2):
            hidden = hidden @ layers[index] + layers[index + 1]
            if index + 2 < len(layers):
                hidden = torch.tanh(hidden)
        return _distance(space, hidden, target[rows])

    descend(layers, loss, len(features), cloning.epochs, rng)
    flat = [layer.detach().numpy().ravel() for layer in layers]
    return np.concatenate(flat).astype(np.float64)


def _target(space: gym_spaces.Space[object], actions: np.ndarray) -> Tensor:
    """Return actions scaled to [-1, 1], or as categories."""
    if isinstance(space, gym_spaces.Box):
        middle, half_width = (space.high + space.low) / 2, (space.high - space.low) / 2
        outputs = ((actions - middle) / half_width).reshape(len(actions), -1)
        return torch.from_numpy(outputs.astype(np.float32))
    return torch.from_numpy(np.asarray(actions, dtype=np.int64).reshape(len(actions), -1))


def _distance(space: gym_spaces.Space[object], outputs: Tensor, target: Tensor) -> Tensor:
    if isinstance(space, gym_spaces.Box):
        return mse_loss(outputs, target)
    if isinstance(space, gym_spaces.MultiBinary):
        return softplus(torch.where(target > 0, -outputs, outputs)).mean()
    sizes = [int(space.n)] if isinstance(space, gym_spaces.Discrete) else space.nvec.tolist()  # type: ignore[attr-defined]
    groups = torch.split(outputs, sizes, dim=1)
    losses = [cross_entropy(group, target[:, i]) for i, group in enumerate(groups)]
    return torch.stack(losses).sum()


def descend(
    parameters: Iterable[Tensor],
    loss: Callable[[Tensor], Tensor],
    count: int,
    epochs: int,
    rng: np.random.Generator,
    batch: int = CLONING_BATCH,
) -> None:
    """Minimise a loss in place by Adam.

    Args:
        parameters: the tensors to train.
        loss: of some rows (a tensor of indices).
        count: number of rows.
        epochs: passes over the rows.
        rng: order of the rows in each pass.
        batch: rows of a minibatch.
    """
    optimiser = torch.optim.Adam(list(parameters), lr=LEARNING_RATE)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(count))
        for rows in order.split(batch):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
