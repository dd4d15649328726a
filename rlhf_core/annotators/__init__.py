"""Who answers: teachers that know the true reward, a simulated crowd, a demonstrator, people."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from rlhf_core.answers import Answers
from rlhf_core.environments.factory import Environment
from rlhf_core.feedback_forms import Respondent, parse
from rlhf_core.judgements import Judgements, concatenate
from rlhf_core.plugin import Family, Plugin
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.types import Segments, Truth, Value

if TYPE_CHECKING:
    from rlhf_core.labelling.store.records import Gold
    from rlhf_core.labelling.store.settings import CampaignSettings


@dataclass(frozen=True, eq=False)
class AnnotatorState(Value):
    """What annotators carry from round to round: how tired they are, who was dismissed."""

    judgements: int = 0
    """Judgements so far."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Everything else, as arrays by name."""


@dataclass(frozen=True)
class Deadline:
    """When a run waits for people no longer, and what becomes of it then."""

    hours: float
    """From the moment at which the questions were asked."""
    then: str
    """continue with the answers there are, extend by the same time, or fail. Where there is no
    answer at all, `continue` extends too."""


@runtime_checkable
class People(Protocol):
    """People who can be asked, for one round of one run."""

    def answers(
        self,
        title: str,
        settings: "CampaignSettings",
        request: Request,
        gold: "Sequence[Gold]",
        deadline: Deadline | None,
    ) -> Answers:
        """Their answers to a request. Who asks again, also from another process, gets the same.

        Args:
            title: what people read; empty: the run's own.
            settings: how they are asked.
            request: what is asked.
            gold: questions whose answers are known, about clips of the request.
            deadline: until when is waited; None: for ever.

        Raises:
            AnswersPendingError: they have not answered enough yet; ask again later.
            RunError: the deadline is over and the run is to fail, or the campaign was closed
                before anybody answered.
        """
        ...


class Annotator(Plugin):
    """Answers requests. The wait for an answer belongs to the flow, never to the library."""

    family: ClassVar[str] = "rlhf_core.annotators"

    @abstractmethod
    def needs_true_reward(self) -> bool:
        """Whether it judges by the environment's reward; it cannot work where there is none."""

    @abstractmethod
    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """The state before the first query: workers drawn, an expert trained.

        Args:
            environment: what the policy will act in.
            optimiser: the run's own; an expert is trained with it where nothing else is set.
            demonstrations: whole episodes that will be asked for, at the most.
            rng: the source of randomness.
        """

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes that a run needs at the least, by the field that decides.

        Args:
            environment: what is judged.
            demonstrations: whole episodes that will be asked for, at the most.
        """
        return {}

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
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Answer every query of a request.

        Args:
            state: what the annotator carries.
            request: what is asked.
            truth: true rewards of the same clips; None where the environment has none.
            rng: the source of the annotator's noise.

        Raises:
            AnswersPendingError: people have not answered enough yet; ask again later.
        """

    def answer_with_people(
        self,
        people: People | None,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Answer every query of a request; who is simulated does it alone.

        Args:
            people: who can be asked; None: nobody.
            state: what the annotator carries.
            request: what is asked.
            truth: true rewards of the same clips; None where the environment has none.
            rng: the source of the annotator's noise.
        """
        return self.answer(state, request, truth, rng)

    def worker_count(self) -> int:
        """How many workers of its own it has; people are numbered after them."""
        return 1


R = TypeVar("R", bound=Respondent)


def simulate(request: Request, respondent: R, rng: np.random.Generator) -> tuple[R, Answers]:
    """Let a simulated annotator answer all queries of a request, form by form.

    Returns:
        The respondent afterwards, and its answers.
    """
    judgements: dict[str, Judgements] = {}
    brought: Segments | None = None
    for kind, queries in sorted(request.queries.items()):
        first = len(request.segments) + (0 if brought is None else len(brought))
        simulated = parse(queries).simulate(queries, request, respondent, first, rng)
        respondent, judgements[kind] = simulated.respondent, simulated.judgements
        if simulated.brought is not None:
            more = simulated.brought
            brought = more if brought is None else concatenate(brought, more)
    return respondent, Answers(judgements, brought)


ANNOTATORS = Family(Annotator, default="synthetic")
AnyAnnotator = Annotated[Annotator, ANNOTATORS]
SIMULATED = Family(Annotator, default="synthetic", without=("human", "click_log", "signs"))
AnySimulated = Annotated[Annotator, SIMULATED]
"""Annotators that answer every question without people, whatever the environment."""
