"""A learned reward as a value: what a file has of it, and what a bank of rewards is made of."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_core.environments.spaces import Spaces, build, describe
from rlhf_core.errors import RunError, StoreError
from rlhf_core.packing import read_value
from rlhf_core.types import Value

if TYPE_CHECKING:
    from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy


@dataclass(frozen=True, eq=False)
class SavedReward(Value):
    """A learned reward as a file has it."""

    strategy: str
    """The feedback strategy, as JSON."""
    spaces: str
    """Observations and actions, as JSON."""
    state: "FeedbackState"

    @staticmethod
    def of(strategy: "FeedbackStrategy", state: "FeedbackState", spaces: Spaces) -> "SavedReward":
        """Put together what a reward is called with."""
        return SavedReward(strategy.model_dump_json(), spaces_json(spaces), state)

    @staticmethod
    def read(path: str | Path) -> "SavedReward":
        """Read a file. Raises `StoreError` where it holds no reward that is known here."""
        saved = read_value(path, SavedReward, "LearnedReward.save")
        try:
            saved.parts()
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path}: expected a reward of a strategy and spaces that are known here: {error}"
            ) from error
        return saved

    def parts(self) -> "tuple[FeedbackStrategy, Spaces]":
        """Return the strategy and the spaces."""
        from pydantic import TypeAdapter

        from rlhf_core.feedback import AnyFeedbackStrategy

        strategy = TypeAdapter(AnyFeedbackStrategy).validate_json(self.strategy)
        return strategy, Spaces(*map(build, json.loads(self.spaces)))

    def check_usable(self) -> None:
        """Raise `RunError` where no reward of a task was learned, as with a null control."""
        strategy, _ = self.parts()
        if strategy.needs_true_reward or strategy.null_control or not strategy.asks:
            raise RunError(
                "expected a reward that was learned from answers, actual: that of feedback kind "
                f"'{strategy.kind}'"
            )
        if all(part is None for part in self.state.learned.values()):
            raise RunError("expected a reward that was learned, actual: one before its first fit")

    def without_labels(self) -> "SavedReward":
        """Return the reward without what it was learned from."""
        strategy, _ = self.parts()
        return replace(self, state=replace(strategy.initial(), **self.state.learned))


def spaces_json(spaces: Spaces) -> str:
    """Describe observations and actions as JSON."""
    return json.dumps([describe(space) for space in spaces])
