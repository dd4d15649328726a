"""Recurrent policies of sb3-contrib: acting, relabelling and behaviour cloning."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from jaxtyping import Bool, Int, Shaped
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor

from rlhf_core.cloning_settings import Cloning, heldout_rows
from rlhf_core.environments.spaces import Spaces, flattened, within
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.relabelling import Critic
from rlhf_core.types import Metrics

PIECE = 32
"""Largest number of consecutive steps that are cloned from; each piece starts with state 0."""
BATCH = 16
"""Pieces a gradient step."""

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state (layers, copies, width)."""


class RecurrentAct:
    """A recurrent policy as a function of batches of consecutive observations."""

    def __init__(
        self,
        policy: ActorCriticPolicy,
        spaces: Spaces,
        deterministic: bool,
        rng: np.random.Generator,
    ) -> None:
        assert isinstance(policy, RecurrentActorCriticPolicy)
        self._policy, self._spaces = policy, spaces
        self._deterministic, self._rng = deterministic, rng
        self._state = zero_state(policy, 0)
        self._first = np.zeros(0, dtype=bool)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return actions; a batch of another size than the last one starts with state 0."""
        count = len(observations)
        if len(self._first) != count:
            self._state = zero_state(self._policy, count)
            self._first = np.ones(count, dtype=bool)
        inputs, _ = self._policy.obs_to_tensor(flattened(self._spaces.observation, observations))
        assert isinstance(inputs, Tensor)
        starts = torch.from_numpy(self._first.astype(np.float32))
        with torch.no_grad(), isolated(int(self._rng.integers(2**31))):
            actions, state = self._policy._predict(
                inputs, self._state, starts, deterministic=self._deterministic
            )
        self._state = (state[0], state[1])
        self._first = np.zeros(count, dtype=bool)
        return within(self._spaces, actions.numpy())

    def reset(self, copies: np.ndarray) -> None:
        """Set the state of these copies (a mask) to 0."""
        self._first = self._first | copies if len(self._first) == len(copies) else copies.copy()
        if self._state[0].shape[1] != len(copies):
            self._state = zero_state(self._policy, len(copies))


def zero_state(policy: RecurrentActorCriticPolicy, count: int) -> LSTMState:
    """Return the LSTM state of `count` episodes at their start."""
    layers, _, width = policy.lstm_hidden_state_shape
    return torch.zeros(layers, count, width), torch.zeros(layers, count, width)


def recurrent_critic() -> Critic:
    """Return the critic of a recurrent policy, whose values follow from the LSTM state."""
    return Critic(final_values=_final_values, next_values=_next_values, density=False)


def _final_values(
    model: OnPolicyAlgorithm, observations: PyTorchObs, truncated: np.ndarray
) -> Tensor:
    assert isinstance(model, RecurrentPPO)
    assert isinstance(observations, Tensor)
    buffer: Any = model.rollout_buffer
    last = model._last_lstm_states
    assert last is not None
    steps, copies = np.nonzero(truncated)
    states = []
    for before, after in zip(
        (buffer.hidden_states_vf, buffer.cell_states_vf), last.vf, strict=True
    ):
        # States before each step and after the last one: (T + 1, layers, copies, width).
        every = np.concatenate([before, after.numpy()[None]])
        states.append(
            torch.from_numpy(every[steps + 1, :, copies].astype(np.float32)).swapaxes(0, 1)
        )
    starts = torch.zeros(len(steps))
    state = (states[0].contiguous(), states[1].contiguous())
    return model.policy.predict_values(observations, state, starts)


def _next_values(model: OnPolicyAlgorithm, variables: dict[str, Any]) -> Tensor:
    assert isinstance(model, RecurrentPPO)
    assert isinstance(model._last_obs, np.ndarray)
    assert model._last_lstm_states is not None
    observations = obs_as_tensor(model._last_obs, model.device)
    assert isinstance(observations, Tensor)
    starts = torch.from_numpy(variables["dones"].astype(np.float32))
    return model.policy.predict_values(observations, model._last_lstm_states.vf, starts)


def pieces(
    lengths: Int[np.ndarray, " E"],
) -> tuple[Int[np.ndarray, "pieces steps"], Bool[np.ndarray, "pieces steps"]]:
    """Cut episodes that follow one another into pieces of at most `PIECE` steps.

    Args:
        lengths: steps of each episode.

    Returns:
        The rows of each piece, filled up with row 0, and a mask that is False where filled up.
    """
    ends = np.cumsum(lengths)
    starts = [
        row
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        for row in range(end - length, end, PIECE)
    ]
    sizes = np.diff([*starts, int(ends[-1])])
    offsets = np.arange(sizes.max())
    mask = offsets < sizes[:, None]
    return np.where(mask, np.array(starts)[:, None] + offsets, 0), mask


def clone_actor(
    policy: ActorCriticPolicy,
    observations: Shaped[np.ndarray, "B ..."],
    cloning: Cloning,
    rng: np.random.Generator,
) -> Metrics:
    """Train the actor in place on pieces of the demonstrations, and set its standard deviation.

    Args:
        policy: a recurrent policy.
        observations: those of the demonstrations, as the policy reads them.
        cloning: demonstrations, and when to stop.
        rng: order of the minibatches.

    Returns:
        The metrics of `rlhf_core.cloning.descend`.
    """
    from rlhf_core.cloning import action_errors, descend, fit_std, log_prob

    assert isinstance(policy, RecurrentActorCriticPolicy)
    inputs, _ = policy.obs_to_tensor(observations)
    assert isinstance(inputs, Tensor)
    actions = torch.from_numpy(np.array(cloning.demonstrations.actions, dtype=np.float32))
    space = policy.action_space
    if isinstance(space, gym_spaces.Discrete):
        actions = actions.long()
    rows, mask = (torch.from_numpy(array) for array in pieces(cloning.lengths))
    parameters = [p for name, p in policy.named_parameters() if name != "log_std"]

    def loss(chosen: Tensor) -> Tensor:
        flat, real = rows[chosen].flatten(), mask[chosen].flatten()
        return -log_prob(policy, distribution(chosen), actions[flat])[real].mean()

    def set_std(chosen: Tensor) -> None:
        flat, real = rows[chosen].flatten(), mask[chosen].flatten()
        assert isinstance(space, gym_spaces.Box)
        fit_std(policy, action_errors(space, distribution(chosen), actions[flat])[real], cloning)

    def distribution(chosen: Tensor) -> Distribution:
        flat = rows[chosen].flatten()
        state = zero_state(policy, len(chosen))
        return policy.get_distribution(inputs[flat], state, torch.zeros(len(flat)))[0]

    first = rows[:, 0].numpy()
    heldout = cloning.heldout()[first]
    if len(cloning.lengths) == 1:
        heldout = heldout_rows(len(rows), cloning.settings.heldout_folds)
    prepare = set_std if isinstance(space, gym_spaces.Box) else None
    policy.set_training_mode(True)
    metrics = descend(parameters, loss, heldout, cloning.settings, rng, prepare, BATCH)
    policy.set_training_mode(False)
    return metrics
