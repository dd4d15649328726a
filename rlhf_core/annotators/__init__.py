"""Who answers: teachers that know the true reward, a simulated crowd, a demonstrator."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from rlhf_core.environments.factory import Environment
from rlhf_core.evidence import Answers, Request
from rlhf_core.plugin import Family, Plugin
from rlhf_core.policies import Optimiser
from rlhf_core.types import Truth, Value


@dataclass(frozen=True, eq=False)
class AnnotatorState(Value):
    """What annotators carry from round to round: how tired they are, who was dismissed.

    An annotator that keeps more derives its own state from this one.
    """

    judgements: int = 0
    """Judgements given so far."""
    right: float = 0.0
    """Answers so far that put clips in the true order, kept by those who know it."""
    judged: float = 0.0
    """Answers so far that put clips in an order at all."""
    memory: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Anything else as arrays."""


class Annotator(Plugin):
    """Answers requests. The wait for an answer belongs to the flow, never to the library."""

    family: ClassVar[str] = "rlhf_core.annotators"

    @abstractmethod
    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """The state before the first question: workers drawn, an expert trained.

        Args:
            environment: what the policy will act in.
            optimiser: the run's own; an expert is trained with it where nothing else is set.
            demonstrations: whole episodes that will be asked for, at the most.
            rng: the source of randomness.
        """

    @abstractmethod
    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Raise `ConfigurationError` where the annotator cannot work.

        Args:
            environment: what is judged.
            demonstrates: whether whole episodes will be asked for.
        """

    @abstractmethod
    def label_price(self) -> float:
        """The most that one label may cost, all judgements of it together."""

    @abstractmethod
    def answer(
        self, state: AnnotatorState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[AnnotatorState, Answers]:
        """Judge every question of a request.

        Args:
            state: what the annotator carries.
            request: what is asked.
            truth: true rewards of the same clips.
            rng: the source of the annotator's noise.
        """


ANNOTATORS = Family(Annotator, default="synthetic")
AnyAnnotator = Annotated[Annotator, ANNOTATORS]
