"""An agent as a file has it, and what must fit before it is loaded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import describe
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.loop import Progress
from rlhf_core.packing import read_value
from rlhf_core.policies import Optimiser, PolicyState
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Value


def parts_of(
    environment: Environment,
    optimiser: Optimiser,
    feedback: FeedbackStrategy,
    annotator: Annotator,
) -> str:
    """What a saved agent is made of, as JSON: what the agent that loads it must have too."""
    spaces = environment.spaces()
    return json.dumps(
        {
            "environment": environment.id,
            "observation": describe(spaces.observation),
            "action": describe(spaces.action),
            "optimiser": optimiser.kind,
            "feedback": feedback.model_dump(mode="json"),
            "annotator": annotator.kind,
        }
    )


@dataclass(frozen=True, eq=False)
class SavedAgent(Value):
    """Everything that an agent needs to act and to learn on."""

    parts: str
    """See `parts_of`."""
    seed: int
    calls: int
    """Calls of `learn` so far: each draws its own random numbers."""
    steps: int
    policy: PolicyState
    feedback: FeedbackState | None
    """None where only a policy is known; so are all that follow."""
    annotator: AnnotatorState | None
    rollouts: Sequence[Rollouts]
    """The newest, and those of the first policy."""
    rewards: Sequence[RolloutRewards]
    """True rewards of both."""
    history: Sequence[Metrics]

    @staticmethod
    def read(path: str | Path) -> "SavedAgent":
        """Read a file. Raises `StoreError` where it holds no agent."""
        return read_value(path, SavedAgent, "Agent.save")

    def check_fit(self, parts: str) -> None:
        """Raise `ConfigurationError` where an agent of these parts cannot take it over."""
        own, other = json.loads(parts), json.loads(self.parts)
        for name in ("observation", "action"):
            if own[name] != other[name]:
                raise ConfigurationError(
                    f"environment: expected {name}s as of '{other['environment']}', where the "
                    f"agent was saved: {_short(other[name])}, actual: {_short(own[name])} of "
                    f"'{own['environment']}'"
                )
        if own["optimiser"] != other["optimiser"]:
            raise ConfigurationError(
                f"optimiser: expected kind '{other['optimiser']}', which the saved agent learned "
                f"with, actual: '{own['optimiser']}'"
            )
        if self.feedback is None:
            return
        ours, theirs = own["feedback"], other["feedback"]
        for name in sorted({*ours, *theirs}, key=lambda name: (name != "kind", name)):
            if ours.get(name) != theirs.get(name):
                raise ConfigurationError(
                    f"feedback.{name}: expected {theirs.get(name)!r}, by which the saved agent "
                    f"learned its reward, actual: {ours.get(name)!r}"
                )
        if own["annotator"] != other["annotator"]:
            raise ConfigurationError(
                f"annotator: expected kind '{other['annotator']}', who answered the saved agent, "
                f"actual: '{own['annotator']}'"
            )

    def progress(self) -> Progress[Any] | None:
        """Where training stood; None where only a policy is known."""
        if self.feedback is None:
            return None
        return Progress(
            round=0,
            policy=self.policy,
            trusted=self.policy,
            feedback=self.feedback,
            annotator=self.annotator,
            rollouts=self.rollouts[0],
            rewards=self.rewards[0],
            first=(self.rollouts[1], self.rewards[1]),
            opening={},
            history=tuple(self.history),
        )


def _short(description: dict[str, Any]) -> str:
    """A space without its bounds."""
    if description["type"] != "Box":
        return f"{description['type']}({description.get('n') or description})"
    return f"Box{np.shape(description['low'])}"
