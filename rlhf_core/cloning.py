"""Behaviour cloning: the policy that makes the demonstrated actions likely.

    L = -mean log pi(a | s)   over the steps of the demonstrations

(Pomerleau 1991, doi:10.1162/neco.1991.3.1.88). Errors add up away from what was shown: with few
demonstrations it is a start for an optimiser rather than an end.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from jaxtyping import Float, Shaped
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, softplus

from rlhf_core.demonstrations import Cloning
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.normaliser import Normaliser

LEARNING_RATE = 1e-3
BATCH = 128


def clone_actor(
    policy: ActorCriticPolicy,
    observations: Shaped[np.ndarray, "B ..."],
    cloning: Cloning,
    rng: np.random.Generator,
) -> None:
    """Train the actor of a Stable-Baselines3 policy in place; its exploration stays as it is.

    Args:
        policy: a policy of actor and critic.
        observations: those of the demonstrations, as the policy reads them.
        cloning: what to clone from, and for how long.
        rng: order of the minibatches.
    """
    seen, _ = policy.obs_to_tensor(observations)
    acted = torch.from_numpy(np.array(cloning.shown.actions, dtype=np.float32))
    if isinstance(policy.action_space, gym_spaces.Discrete):
        acted = acted.long()
    parameters = [p for name, p in policy.named_parameters() if name != "log_std"]

    def loss(rows: Tensor) -> Tensor:
        assert isinstance(seen, Tensor)
        _, likelihood, _ = policy.evaluate_actions(seen[rows], acted[rows])
        return -likelihood.mean()

    policy.set_training_mode(True)
    descend(parameters, loss, len(acted), cloning.epochs, rng)
    policy.set_training_mode(False)


def clone_outputs(
    parameters: Iterable[Tensor],
    outputs: Callable[[Tensor], Tensor],
    space: gym_spaces.Space[object],
    cloning: Cloning,
    rng: np.random.Generator,
) -> None:
    """Train parameters in place until their outputs mean the demonstrated actions.

    Args:
        parameters: what is moved.
        outputs: of some rows of the demonstrations: numbers from -1 to 1, or a score a category.
        space: of the actions.
        cloning: what to clone from, and for how long.
        rng: order of the minibatches.
    """
    target = _target(space, cloning.shown.actions)

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
    """Parameters of a policy without gradients of its own, trained with them for once.

    Categories by their cross entropy, bits by theirs, numbers by the squared distance in outputs.
    """
    shown, space = cloning.shown, network.spaces.action
    features = torch.from_numpy(normaliser(network.features(shown.observations)))
    layers = [
        torch.from_numpy(array[0].copy()).requires_grad_()
        for pair in network.layers(mean[None])
        for array in pair
    ]
    target = _target(space, shown.actions)

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
    """Actions as outputs that mean them, or as categories."""
    if isinstance(space, gym_spaces.Box):
        middle, reach = (space.high + space.low) / 2, (space.high - space.low) / 2
        outputs = ((actions - middle) / reach).reshape(len(actions), -1)
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
    batch: int = BATCH,
) -> None:
    """Adam over shuffled minibatches."""
    optimiser = torch.optim.Adam(list(parameters), lr=LEARNING_RATE)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(count))
        for rows in order.split(batch):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
