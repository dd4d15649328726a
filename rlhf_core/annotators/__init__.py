"""Who answers: synthetic teachers here; people and crowds are further kinds."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np

from rlhf_core.plugin import Family, Plugin
from rlhf_core.types import Annotations, Request, TrueRewards


class Annotator(Plugin):
    """Answers requests. The wait for an answer belongs to the flow, never to the library."""

    family: ClassVar[str] = "rlhf_core.annotators"

    @abstractmethod
    def answer(
        self, request: Request, rewards: TrueRewards, rng: np.random.Generator
    ) -> Annotations:
        """Judge every query of a request.

        Args:
            request: what is asked.
            rewards: true rewards (S, L) of `request.segments`, 0 where padded.
            rng: the source of the annotator's noise.
        """


ANNOTATORS = Family(Annotator, default="synthetic")
AnyAnnotator = Annotated[Annotator, ANNOTATORS]
