"""A bank of rewards that were learned on earlier tasks, whose outputs a new reward is made of.

    x_k = (r_k(s, a, s') - mean_k) / deviation_k

r_k is an earlier reward, of whatever strategy learned it; mean and deviation are those on the
policy's steps when the first questions were asked, so that the rewards of a bank are on one scale.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError, RunError, StoreError
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.rewards.saved import SavedReward, spaces_json

if TYPE_CHECKING:
    from rlhf_core.rewards import RewardFunction

FIELD = "feedback.reward_model.bank"
SUFFIX = ".safetensors"


def read_bank(folder: str, spaces: Spaces) -> tuple[SavedReward, ...]:
    """Read every reward of a folder, in the order of their names.

    Args:
        folder: with files that `LearnedReward.save` or `rlhf rewards` wrote.
        spaces: of the observations and actions that the rewards must have been learned on.

    Raises:
        ConfigurationError: there are none, or a file holds no reward on these spaces.
    """
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise ConfigurationError(
            f"{FIELD}: expected a folder of rewards, actual: '{folder}' ({error.strerror})"
        ) from error
    if not files:
        raise ConfigurationError(
            f"{FIELD}: expected a folder with files that end in {SUFFIX}, actual: none in "
            f"'{folder}'; `rlhf rewards {folder} RUN_ID` writes them"
        )
    return tuple(_read(path, spaces) for path in files)


def _read(path: Path, spaces: Spaces) -> SavedReward:
    try:
        saved = SavedReward.read(path)
    except StoreError as error:
        raise ConfigurationError(
            f"{FIELD}: {path}: expected a reward that `rlhf rewards` wrote, actual: another file"
        ) from error
    try:
        saved.check_usable()
    except RunError as error:
        raise ConfigurationError(f"{FIELD}: {path}: {error}") from error
    if saved.spaces != spaces_json(spaces):
        own = saved.parts()[1]
        raise ConfigurationError(
            f"{FIELD}: {path}: expected a reward on observations {spaces.observation} and actions "
            f"{spaces.action}, actual: {own.observation} and {own.action}"
        )
    return saved.without_labels()


def functions(bank: Sequence[SavedReward]) -> "list[RewardFunction]":
    """Return the rewards of a bank, each as a function of steps."""
    rewards = []
    for saved in bank:
        strategy, spaces = saved.parts()
        reward = strategy.reward(saved.state, spaces)
        assert not isinstance(reward, EnvironmentReward), "check_usable refuses it"
        rewards.append(reward)
    return rewards


def outputs(
    rewards: "Sequence[RewardFunction]",
    observation: Shaped[np.ndarray, "B *obs"],
    action: Shaped[np.ndarray, "B *act"],
    next_observation: Shaped[np.ndarray, "B *obs"],
    terminated: Bool[np.ndarray, " B"],
) -> Float[np.ndarray, "B K"]:
    """Compute the reward of each step by each of K earlier rewards."""
    steps = (observation, action, next_observation, terminated)
    return np.stack([reward(*steps) for reward in rewards], axis=1)
