"""Policies of sb3-contrib that remember the episode in an LSTM."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces as gym_spaces
from jaxtyping import Bool, Int, Shaped
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor

from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.spaces import Spaces, flattened, within
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.relabelling import Critic
from rlhf_core.types import Transitions

PIECE = 32
"""Steps that are cloned from at a stretch, from an empty memory, at the most."""
BATCH = 16
"""Pieces a gradient step."""


class RecurrentAct:
    """The policy as a function of batches of observations that follow one another."""

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
        self._memory = nothing(policy, 0)
        self._first = np.zeros(0, dtype=bool)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """The actions; a batch of another size than the last one begins anew."""
        count = len(observations)
        if len(self._first) != count:
            self._memory = nothing(self._policy, count)
            self._first = np.ones(count, dtype=bool)
        shown = flattened(self._spaces.observation, observations)
        seen, _ = self._policy.obs_to_tensor(shown)
        assert isinstance(seen, Tensor)
        starts = torch.from_numpy(self._first.astype(np.float32))
        with torch.no_grad(), isolated(int(self._rng.integers(2**31))):
            actions, memory = self._policy._predict(
                seen, self._memory, starts, deterministic=self._deterministic
            )
        self._memory = (memory[0], memory[1])
        self._first = np.zeros(count, dtype=bool)
        return within(self._spaces, actions.numpy())

    def forget(self, copies: np.ndarray) -> None:
        """New episodes begin in these copies (a mask)."""
        self._first = self._first | copies if len(self._first) == len(copies) else copies.copy()
        if self._memory[0].shape[1] != len(copies):
            self._memory = nothing(self._policy, len(copies))


def nothing(policy: RecurrentActorCriticPolicy, count: int) -> tuple[Tensor, Tensor]:
    """The memory of so many episodes that have not begun."""
    layers, _, width = policy.lstm_hidden_state_shape
    return torch.zeros(layers, count, width), torch.zeros(layers, count, width)


def recurrent_critic() -> Critic:
    """Of a policy with a memory: it goes on from what it remembers after the step."""
    return Critic(finals=_finals, after=_after, density=False)


def _finals(model: OnPolicyAlgorithm, shown: PyTorchObs, cut: np.ndarray) -> Tensor:
    assert isinstance(model, RecurrentPPO)
    assert isinstance(shown, Tensor)
    buffer: Any = model.rollout_buffer
    last = model._last_lstm_states
    assert last is not None
    steps, copies = np.nonzero(cut)
    memory = []
    for before, after in zip(
        (buffer.hidden_states_vf, buffer.cell_states_vf), last.vf, strict=True
    ):
        # What is remembered before each step and after the last: (T + 1, layers, copies, width).
        every = np.concatenate([before, after.numpy()[None]])
        memory.append(
            torch.from_numpy(every[steps + 1, :, copies].astype(np.float32)).swapaxes(0, 1)
        )
    goes_on = torch.zeros(len(steps))
    policy = model.policy
    return policy.predict_values(shown, (memory[0].contiguous(), memory[1].contiguous()), goes_on)


def _after(model: OnPolicyAlgorithm, known: dict[str, Any]) -> Tensor:
    assert isinstance(model, RecurrentPPO)
    assert isinstance(model._last_obs, np.ndarray)
    assert model._last_lstm_states is not None
    seen = obs_as_tensor(model._last_obs, model.device)
    assert isinstance(seen, Tensor)
    starts = torch.from_numpy(known["dones"].astype(np.float32))
    return model.policy.predict_values(seen, model._last_lstm_states.vf, starts)


def pieces(shown: Transitions) -> tuple[Int[np.ndarray, "pieces steps"], Bool[np.ndarray, "..."]]:
    """Rows that follow one another, in pieces of at most `PIECE`; and a mask of what is real."""
    follows = (shown.next_observations[:-1] == shown.observations[1:]).reshape(
        len(shown.terminated) - 1, -1
    )
    goes_on = follows.all(axis=1) & ~shown.terminated[:-1]
    starts, length = [0], 1
    for row, more in enumerate(goes_on, start=1):
        if not more or length == PIECE:
            starts.append(row)
            length = 0
        length += 1
    lengths = np.diff([*starts, len(shown.terminated)])
    offsets = np.arange(lengths.max())
    mask = offsets < lengths[:, None]
    return np.where(mask, np.array(starts)[:, None] + offsets, 0), mask


def clone_actor(
    policy: ActorCriticPolicy,
    observations: Shaped[np.ndarray, "B ..."],
    cloning: Cloning,
    rng: np.random.Generator,
) -> None:
    """Train the actor in place on pieces of the demonstrations; its exploration stays as it is.

    Args:
        policy: a policy with a memory.
        observations: those of the demonstrations, as the policy reads them.
        cloning: what to clone from, and for how long.
        rng: order of the minibatches.
    """
    from rlhf_core.cloning import descend

    assert isinstance(policy, RecurrentActorCriticPolicy)
    seen, _ = policy.obs_to_tensor(observations)
    assert isinstance(seen, Tensor)
    acted = torch.from_numpy(np.array(cloning.shown.actions, dtype=np.float32))
    if isinstance(policy.action_space, gym_spaces.Discrete):
        acted = acted.long()
    rows, real = (torch.from_numpy(array) for array in pieces(cloning.shown))
    parameters = [p for name, p in policy.named_parameters() if name != "log_std"]

    def loss(chosen: Tensor) -> Tensor:
        flat, kept = rows[chosen].flatten(), real[chosen].flatten()
        memory = nothing(policy, len(chosen))
        drawn, _ = policy.get_distribution(seen[flat], memory, torch.zeros(len(flat)))
        return -drawn.log_prob(acted[flat])[kept].mean()

    policy.set_training_mode(True)
    descend(parameters, loss, len(rows), cloning.epochs, rng, BATCH)
    policy.set_training_mode(False)
