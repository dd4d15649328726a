"""Banks of rewards: what runs learned, as files for later tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rlhf_core.errors import RunError, StoreError
from rlhf_core.packing import write_value
from rlhf_core.rewards.bank import SUFFIX
from rlhf_core.rewards.saved import SavedReward
from tasks.home import Home
from tasks.runs import snapshots


def write_bank(home: Home, folder: Path, addresses: Sequence[str]) -> list[Path]:
    """Write the rewards that runs had learned, one file each, beside those already there.

    Args:
        home: in whose store the runs are.
        folder: of the bank.
        addresses: `RUN_ID`, for the last round that was played, or `RUN_ID@ROUND`.

    Returns:
        The files, in the order of the addresses.

    Raises:
        RunError: a run or a round is unknown, it learned no reward, or one on other spaces.
        StoreError: the folder cannot be written, or holds other files of that ending.
    """
    saved: dict[Path, SavedReward] = {}
    for address in addresses:
        snapshot = snapshots.read(home, address, "RUN_ID")
        strategy, spaces = snapshot.experiment.feedback, snapshot.experiment.environment.spaces()
        reward = SavedReward.of(strategy, snapshot.feedback, spaces)
        try:
            reward.check_usable()
        except RunError as error:
            raise RunError(f"run {snapshot.address}: {error}") from error
        saved[folder / f"{snapshot.run_id}-{snapshot.round}{SUFFIX}"] = reward.without_labels()
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder, actual: a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = {path: SavedReward.read(path) for path in folder.glob(f"*{SUFFIX}")}
    except OSError as error:
        raise StoreError(
            f"{folder}: expected a folder that can be written, actual: {error}"
        ) from error
    _check_same_spaces({**before, **saved})
    for path, reward in saved.items():
        write_value(path, reward)
    return list(saved)


def _check_same_spaces(rewards: Mapping[Path, SavedReward]) -> None:
    """Raise `RunError` where rewards of one bank are on different observations or actions."""
    (first, one), *others = rewards.items()
    for path, reward in others:
        if reward.spaces != one.spaces:
            raise RunError(
                f"{path}: expected observations and actions as of {first}, since a bank is for one "
                f"task: {one.parts()[1]}, actual: {reward.parts()[1]}"
            )
