"""Forms of feedback: what is asked, what is answered, and what the answer says about a reward.

One form a file. A form that needs a data type of its own for its answers derives it from
`rlhf_core.judgements.Judgements` in the same file, and one for its labels from
`rlhf_core.labels.LabelSet`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from pydantic import Field, TypeAdapter

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.crowd.weights import competence_weights, rating_weights
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.judgements import Judgements
from rlhf_core.labels import LabelSet, RankingLabels, RatingLabels, Workers
from rlhf_core.plugin import Family, Plugin
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


@runtime_checkable
class Respondent(Protocol):
    """A simulated annotator, as a form of feedback asks it.

    Every method returns the respondent as it is afterwards (more tired, say) and its judgements.
    Positions point into the segments of the request and run on into those of its reference sample.
    """

    def compare(self, pairs: Int[np.ndarray, "N 2"]) -> tuple["Respondent", Comparisons]:
        """Which of two clips is better? Queries are numbered from 0."""
        ...

    def rank(self, items: Int[np.ndarray, "N K"], places: int) -> tuple["Respondent", Rankings]:
        """Which are the best `places` of K clips, in order?"""
        ...

    def rate(
        self, clips: Int[np.ndarray, " N"], steps: Int[np.ndarray, " N"]
    ) -> tuple["Respondent", Ratings]:
        """How good is a clip, or (by `steps`) what happened just before a moment of it?"""
        ...

    def demonstrate(self, episodes: int) -> tuple["Respondent", Demonstrations]:
        """Whole episodes that show how it is done."""
        ...


class Simulated(NamedTuple):
    """What a simulated annotator answered to the queries of one form."""

    respondent: Any
    """The `Respondent` afterwards."""
    judgements: Judgements
    brought: Segments | None = None
    """Clips that the annotator brought; judgements point to them from `first_brought` on."""


class FeedbackForm(Plugin):
    """One form of feedback."""

    family: ClassVar[str] = "rlhf_core.feedback_forms"
    ordinal: ClassVar[bool]
    """Whether an answer puts clips in order; else it gives a clip a number, or is an episode."""

    @abstractmethod
    def size(self) -> int:
        """K, the clips in one query."""

    @abstractmethod
    def worth(self) -> int:
        """Labels that one query counts as."""

    def compose(
        self,
        items: Int[np.ndarray, "N K"],
        segments: Segments,
        likelihoods: Likelihoods,
        rng: np.random.Generator,
    ) -> Queries:
        """The queries about these clips.

        Args:
            items: positions in `segments`, as the selector chose them.
            segments: the clips.
            likelihoods: how judgements are modelled; a moment must have something to react to.
            rng: the source of randomness.
        """
        return Queries(items, worth=self.worth(), form=self.model_dump_json())

    @abstractmethod
    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Let a simulated annotator answer.

        Args:
            queries: of this form.
            request: they belong to.
            respondent: the annotator.
            first_brought: position that the first clip takes which the annotator brings.
            rng: randomness of the form itself, such as which positions of a list are examined.
        """

    @abstractmethod
    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet | None:
        """What a fit is given, made of all judgements of this form; None where nothing is.

        Args:
            judgements: of this form, by everybody.
            preferences: what the aggregator made of comparisons; None without any.
            workers: what it thinks of the workers; None where their worth is not modelled.
        """

    @abstractmethod
    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term | None":
        """The likelihood of the labels as a term of a fit; None where there is none.

        Args:
            labels: made by `label`, at least one.
            segments: the clips that they are about.
            likelihoods: how judgements are modelled.
            smoothing: share of a comparison's target that is replaced by 1/2.
        """


class GroupForm(FeedbackForm):
    """Base of forms in which the best clips of a group are named, in order.

    They differ in how many places an answer names, which is `worth`.
    """

    ordinal: ClassVar[bool] = True
    group_size: int = Field(4, ge=2, le=20)
    """K, clips in a group."""

    def size(self) -> int:
        """Return K, the clips in a group."""
        return self.group_size

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator for the best clips of every group, in order."""
        return Simulated(*respondent.rank(queries.items, queries.worth))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Return the rankings, each weighed by how far its worker is above chance."""
        assert isinstance(judgements, Rankings)
        return RankingLabels(judgements, competence_weights(judgements.worker, workers))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Return the Plackett-Luce likelihood of the places that were named."""
        from rlhf_core.rewards.terms import ranking_term

        assert isinstance(labels, RankingLabels)
        return ranking_term(labels, likelihoods.ties)


class ScaleForm(FeedbackForm):
    """Base of forms in which one clip, or a moment of it, is rated on a scale."""

    ordinal: ClassVar[bool] = False

    def size(self) -> int:
        """Return 1: a question is about one clip."""
        return 1

    def worth(self) -> int:
        """Return 1: a rating counts as one label."""
        return 1

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Return the ratings, each weighed by how far its worker agrees with the others."""
        assert isinstance(judgements, Ratings)
        return RatingLabels(judgements, rating_weights(judgements))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Return the likelihood of the ratings: Gaussian around a line in R, or ordinal."""
        from rlhf_core.rewards.terms import rating_term

        assert isinstance(labels, RatingLabels)
        return rating_term(labels, segments, likelihoods, self.kind)


FORMS = Family(FeedbackForm, default="comparison")
AnyForm = Annotated[FeedbackForm, FORMS]


def form_of(kind: str, own: Sequence[FeedbackForm]) -> FeedbackForm:
    """The form of that kind among a strategy's own ones, else the kind with its defaults."""
    for form in own:
        if form.kind == kind:
            return form
    return FORMS.get(kind)(kind=kind)


def parse(queries: Queries) -> FeedbackForm:
    """The form that queries carry with them, with its settings."""
    form: FeedbackForm = TypeAdapter(AnyForm).validate_json(queries.form)
    return form
