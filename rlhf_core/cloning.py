"""Behaviour cloning: the policy that makes the demonstrated actions likely.

    L = -mean log pi(a | s)   over the steps of the demonstrations

(Pomerleau 1991, doi:10.1162/neco.1991.3.1.88). Errors add up in states that no demonstration
visits: with few demonstrations it is a start for an optimiser rather than an end. The likelihood of
held-out episodes says when to stop. The standard deviation of continuous actions is the most likely
one on held-out steps, and no less than a fraction of their range:

    std_j = max(sqrt(mean (a_j - mean_j(s))^2), smallest_std (high_j - low_j) / 2)
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from jaxtyping import Bool, Float, Shaped
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from rlhf_core.cloning_settings import Cloning, CloningSettings
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.normaliser import Normaliser
from rlhf_core.types import Metrics

EVALUATION_UPDATES = 100
"""Gradient steps between two looks at the held-out likelihood."""
EVALUATION_ROWS = 4096
"""Rows of one forward pass over held-out steps."""


def clone_actor(
    policy: ActorCriticPolicy,
    observations: Shaped[np.ndarray, "B ..."],
    cloning: Cloning,
    rng: np.random.Generator,
) -> Metrics:
    """Train the actor of a Stable-Baselines3 policy in place, and set its standard deviation.

    Args:
        policy: a policy of actor and critic.
        observations: those of the demonstrations, as the policy reads them.
        cloning: demonstrations, and when to stop.
        rng: order of the minibatches.

    Returns:
        The metrics of `descend`.
    """
    inputs, _ = policy.obs_to_tensor(observations)
    space = policy.action_space
    actions = torch.from_numpy(np.array(cloning.demonstrations.actions, dtype=np.float32))
    if isinstance(space, gym_spaces.Discrete):
        actions = actions.long()
    parameters = [p for name, p in policy.named_parameters() if name != "log_std"]

    def loss(rows: Tensor) -> Tensor:
        assert isinstance(inputs, Tensor)
        return -log_prob(policy, policy.get_distribution(inputs[rows]), actions[rows]).mean()

    def set_std(rows: Tensor) -> None:
        assert isinstance(inputs, Tensor)
        assert isinstance(space, gym_spaces.Box)
        distribution = policy.get_distribution(inputs[rows])
        fit_std(policy, action_errors(space, distribution, actions[rows]), cloning)

    prepare = set_std if isinstance(space, gym_spaces.Box) else None
    policy.set_training_mode(True)
    metrics = descend(parameters, loss, cloning.heldout(), cloning.settings, rng, prepare)
    policy.set_training_mode(False)
    return metrics


def log_prob(
    policy: ActorCriticPolicy, distribution: Distribution, actions: Shaped[Tensor, "B *act"]
) -> Float[Tensor, " B"]:
    """Compute the log-likelihood of actions, with means beyond a bound as in `action_errors`.

    Args:
        policy: whose distribution it is.
        distribution: of the actions in B states.
        actions: the demonstrated ones.
    """
    if not isinstance(policy.action_space, gym_spaces.Box):
        return distribution.log_prob(actions)
    log_std = policy.log_std
    assert isinstance(log_std, Tensor)
    scaled = action_errors(policy.action_space, distribution, actions) / log_std.exp()
    return -(0.5 * scaled.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)


def action_errors(
    space: gym_spaces.Box, distribution: Distribution, actions: Shaped[Tensor, "B *act"]
) -> Float[Tensor, "B A"]:
    """Return mean less demonstrated action, in the unit of the action.

    A mean beyond a bound acts as the bound does: it is right where the action lies on that bound.
    """
    low, high = (torch.from_numpy(b.astype(np.float32).ravel()) for b in (space.low, space.high))
    mean, wanted = (a.reshape(len(a), -1) for a in (distribution.mode(), actions))
    return _bounded_errors(mean, wanted, low, high)


def _bounded_errors(outputs: Tensor, target: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return outputs less targets, 0 where both are at or beyond the same bound."""
    beyond = ((outputs >= high) & (target >= high)) | ((outputs <= low) & (target <= low))
    return torch.where(beyond, torch.zeros_like(outputs), outputs - target)


def fit_std(policy: ActorCriticPolicy, errors: Float[Tensor, "B A"], cloning: Cloning) -> None:
    """Set the standard deviation of continuous actions to the most likely one within its bound.

    Args:
        policy: a policy of continuous actions.
        errors: of the means, in the unit of the action.
        cloning: holds the least standard deviation.
    """
    space = policy.action_space
    assert isinstance(space, gym_spaces.Box)
    half_width = torch.from_numpy((space.high - space.low).astype(np.float32).ravel() / 2)
    likely = errors.square().mean(dim=0).sqrt()
    std = torch.maximum(likely, cloning.settings.smallest_std * half_width)
    policy.log_std.data.copy_(std.log())


def clone_outputs(
    parameters: Iterable[Tensor],
    outputs: Callable[[Tensor], Tensor],
    space: gym_spaces.Space[object],
    cloning: Cloning,
    rng: np.random.Generator,
) -> Metrics:
    """Train parameters in place until their outputs stand for the demonstrated actions.

    Args:
        parameters: the tensors to train.
        outputs: computes, for rows of the demonstrations, numbers from -1 to 1 or logits.
        space: of the actions.
        cloning: demonstrations, and when to stop.
        rng: order of the minibatches.

    Returns:
        The metrics of `descend`.
    """
    target = _target(space, cloning.demonstrations.actions)

    def loss(rows: Tensor) -> Tensor:
        return _distance(space, outputs(rows), target[rows])

    return descend(parameters, loss, cloning.heldout(), cloning.settings, rng)


def clone_network(
    network: PolicyNetwork,
    normaliser: Normaliser,
    mean: Float[np.ndarray, " D"],
    cloning: Cloning,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " D"], Metrics]:
    """Return the parameters of an evolution strategy's policy after training, and its metrics.

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

    metrics = descend(layers, loss, cloning.heldout(), cloning.settings, rng)
    flat = [layer.detach().numpy().ravel() for layer in layers]
    return np.concatenate(flat).astype(np.float64), metrics


def _target(space: gym_spaces.Space[object], actions: np.ndarray) -> Tensor:
    """Return actions scaled to [-1, 1], or as categories."""
    if isinstance(space, gym_spaces.Box):
        middle, half_width = (space.high + space.low) / 2, (space.high - space.low) / 2
        outputs = ((actions - middle) / half_width).reshape(len(actions), -1)
        return torch.from_numpy(outputs.astype(np.float32))
    return torch.from_numpy(np.array(actions, dtype=np.int64).reshape(len(actions), -1))


def _distance(space: gym_spaces.Space[object], outputs: Tensor, target: Tensor) -> Tensor:
    if isinstance(space, gym_spaces.Box):
        bound = torch.ones(())
        return _bounded_errors(outputs, target, -bound, bound).square().mean()
    if isinstance(space, gym_spaces.MultiBinary):
        return softplus(torch.where(target > 0, -outputs, outputs)).mean()
    sizes = [int(space.n)] if isinstance(space, gym_spaces.Discrete) else space.nvec.tolist()  # type: ignore[attr-defined]
    groups = torch.split(outputs, sizes, dim=1)
    losses = [cross_entropy(group, target[:, i]) for i, group in enumerate(groups)]
    return torch.stack(losses).sum()


def descend(
    parameters: Iterable[Tensor],
    loss: Callable[[Tensor], Tensor],
    heldout: Bool[np.ndarray, " B"],
    settings: CloningSettings,
    rng: np.random.Generator,
    prepare: Callable[[Tensor], None] | None = None,
    batch_size: int | None = None,
) -> Metrics:
    """Minimise a loss in place by Adam until its value on held-out rows has stopped to fall.

    Args:
        parameters: the tensors to train; at the end they are those of the least held-out loss.
        loss: the mean loss of some rows (a tensor of indices).
        heldout: rows that tell when to stop; where it is none or all, all rows do both.
        settings: step size, batch size, patience and most gradient steps.
        rng: order of the rows in each pass.
        prepare: called with the held-out rows before each look at their loss, and at the end.
        batch_size: rows of a minibatch; None: as in the settings.

    Returns:
        `cloning/updates`, the gradient steps taken, and `cloning/heldout_loss`, the least loss of
        the held-out rows.
    """
    tensors = list(parameters)
    everything = np.ones(len(heldout), dtype=bool)
    split = heldout.any() and not heldout.all()
    training, testing = (
        torch.from_numpy(np.flatnonzero(mask))
        for mask in ((~heldout, heldout) if split else (everything, everything))
    )

    @torch.no_grad()
    def heldout_loss() -> float:
        """Return the loss of the held-out rows."""
        if prepare is not None:
            prepare(testing)
        parts = [(len(rows), loss(rows).item()) for rows in testing.split(EVALUATION_ROWS)]
        return sum(count * value for count, value in parts) / len(testing)

    optimizer = torch.optim.Adam(tensors, lr=settings.learning_rate)
    least, best_update, update = heldout_loss(), 0, 0
    best = [tensor.detach().clone() for tensor in tensors]
    while update < settings.updates and update - best_update < settings.patience:
        order = training[torch.from_numpy(rng.permutation(len(training)))]
        for rows in order.split(batch_size or settings.batch_size):
            optimizer.zero_grad()
            loss(rows).backward()
            optimizer.step()
            update += 1
            if update % EVALUATION_UPDATES == 0 or update == settings.updates:
                value = heldout_loss()
                if value < least:
                    least, best_update = value, update
                    best = [tensor.detach().clone() for tensor in tensors]
            if update == settings.updates:
                break
    with torch.no_grad():
        for tensor, saved in zip(tensors, best, strict=True):
            tensor.copy_(saved)
        if prepare is not None:
            prepare(testing)
    return {"cloning/updates": float(update), "cloning/heldout_loss": least}
