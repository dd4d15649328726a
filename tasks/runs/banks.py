"""Banks of rewards: what runs learned, as files for later tasks."""

from collections.abc import Sequence
from pathlib import Path

from rlhf_core.agents.learned_reward import LearnedReward
from rlhf_core.errors import StoreError
from tasks.home import Home
from tasks.runs import snapshots


def write_bank(home: Home, folder: Path, addresses: Sequence[str]) -> list[Path]:
    """Write the rewards that runs had learned, one file each, and return the files.

    Args:
        home: in whose store the runs are.
        folder: of the bank.
        addresses: `RUN_ID`, for the last round that was played, or `RUN_ID@ROUND`.

    Raises:
        RunError: a run or a round is unknown, or its strategy learns no reward.
        StoreError: the folder cannot be written.
    """
    found = [snapshots.read(home, address, "RUN_ID") for address in addresses]
    rewards = {
        f"{snapshot.run_id}-{snapshot.round}": LearnedReward(
            snapshot.experiment.feedback,
            snapshot.feedback,
            snapshot.experiment.environment.spaces(),
        )
        for snapshot in found
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error}") from error
    written = []
    for name, reward in rewards.items():
        path = folder / f"{name}.safetensors"
        reward.save(path)
        written.append(path)
    return written
