"""Bring a better clip."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from rlhf_core.answers import Rankings
from rlhf_core.crowd.weights import competence_weights
from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import Agreement, Entries, Judgements, Orders, concatenate, select
from rlhf_core.labels import LabelSet, RankingLabels, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments, expect_shape

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term


@dataclass(frozen=True, eq=False)
class Corrections(Judgements):
    """Clips that annotators corrected, and what they put in their place."""

    clip: Int[np.ndarray, " R"]
    """The clip that was to be corrected."""
    better: Int[np.ndarray, " R"]
    """The clip that was brought in its place; the same one where none was better."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    @property
    def labels(self) -> int:
        """Number of clips for which a better one was brought."""
        return len(np.unique(self.clip[self._corrected]))

    @property
    def skipped(self) -> int:
        """Number of corrections in which no better clip was found."""
        return int((~self._corrected).sum())

    @property
    def _corrected(self) -> Bool[np.ndarray, " R"]:
        changed: np.ndarray = self.clip != self.better
        return changed

    def joined(self, later: "Corrections") -> "Corrections":
        """Append later corrections."""
        return concatenate(self, later)

    def moved(self, clips: int, queries: int) -> "Corrections":
        """Add this number to the positions of clips."""
        return replace(self, clip=self.clip + clips, better=self.better + clips)

    def orders(self) -> Orders:
        """Each clip that was brought, before the one that it corrects."""
        row = np.flatnonzero(self._corrected)
        return Orders(row, self.worker[row], self.better[row], self.clip[row])

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """The true returns of clips that were brought are not known."""
        return Agreement(0.0, 0.0)

    def entries(self, queries: Queries | None) -> Entries:
        """Return the clip and the one that was brought in its place."""
        return Entries(
            [str(clip) for clip in self.clip.tolist()],
            [str(clip) for clip in self.better.tolist()],
            self.worker,
        )

    def _check(self) -> None:
        for name in ("better", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.clip),))


class Correction(FeedbackForm):
    """Bring a better clip than this one (Mehta et al. 2022, https://arxiv.org/abs/2207.03395).

        P(better one brought) = exp(R(better)) / (exp(R(better)) + exp(R(clip)))

    It is a choice between the clip that was brought and the one that it corrects (reward-rational
    choice, https://arxiv.org/abs/2002.04833). A simulated annotator chooses the best of the clip
    and `alternatives` others of the policy's own; where none is better, the correction is a skip.
    """

    ordinal: ClassVar[bool] = True
    kind: Literal["correction"] = "correction"
    alternatives: int = Field(4, ge=1, le=50)
    """Clips that a simulated annotator looks through for a better one."""

    def size(self) -> int:
        """Return 1: a question is about one clip."""
        return 1

    def worth(self) -> int:
        """Return 1: a correction counts as one label."""
        return 1

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Choose the best of each clip and some of the reference clips."""
        clips, asked = len(request.segments), queries.items
        others = rng.integers(len(request.reference), size=(len(asked), self.alternatives))
        respondent, ranked = respondent.rank(np.concatenate([asked, clips + others], axis=1), 1)
        best = ranked.items[:, 0]
        # Of the ranked clips, only the one that was asked about stands in the request's segments.
        clip = ranked.items[ranked.items < clips]
        brought = best >= clips
        position = first_brought + np.cumsum(brought) - 1
        corrections = Corrections(
            clip=clip,
            better=np.where(brought, position, clip),
            worker=ranked.worker,
            seconds=ranked.seconds,
            cost=ranked.cost,
        )
        return Simulated(respondent, corrections, request.reference.take(best[brought] - clips))

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Rankings of two, each weighed by how far its worker is above chance."""
        assert isinstance(judgements, Corrections)
        made = select(judgements, judgements.orders().row)
        pairs = Rankings(
            np.stack([made.better, made.clip], axis=1),
            np.ones(len(made), dtype=np.int64),
            made.worker,
            made.seconds,
            made.cost,
        )
        return RankingLabels(pairs, competence_weights(made.worker, workers))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """Return the Bradley-Terry likelihood of the clip that was brought."""
        from rlhf_core.rewards.terms import ranking_term

        assert isinstance(labels, RankingLabels)
        return ranking_term(labels, likelihoods.ties)
