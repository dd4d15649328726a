"""Where clips come from: described and drawn from the request and the experiment of a run."""

from functools import lru_cache
from typing import Protocol, runtime_checkable

from rlhf_core.configuration import from_mapping
from rlhf_core.experiment import Experiment
from rlhf_core.labelling.clips import ClipView, Media, describe, render
from rlhf_core.questions import Request
from rlhf_core.yaml_text import parse


@runtime_checkable
class ClipSource(Protocol):
    """Describes and draws clips."""

    def describe(self, experiment: str, request: Request, index: int) -> ClipView:
        """What is known of a clip without drawing it.

        Args:
            experiment: of the run, as YAML.
            request: of the batch.
            index: of the clip in the request's segments.
        """

    def render(self, experiment: str, request: Request, index: int) -> Media:
        """Draw a clip; the arguments are those of `describe`."""


class EnvironmentClips:
    """Draws clips by replaying the environment of the experiment."""

    def describe(self, experiment: str, request: Request, index: int) -> ClipView:
        """What is known of a clip without drawing it."""
        return describe(experiment_of(experiment), request.segments, index)

    def render(self, experiment: str, request: Request, index: int) -> Media:
        """Draw a clip."""
        return render(experiment_of(experiment), request.segments, index)


@lru_cache(maxsize=16)
def experiment_of(text: str) -> Experiment:
    """The experiment of a campaign. Raises `ConfigurationError` where this machine lacks a part."""
    return from_mapping(parse(text, "experiment"))
