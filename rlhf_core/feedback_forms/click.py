"""Click what is worth it, in a list of which not every position is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator

from rlhf_core.feedback_forms import FeedbackForm, Respondent, Simulated
from rlhf_core.judgements import (
    Agreement,
    Choice,
    Entries,
    Judgements,
    concatenate,
    joined_text,
    select,
    shares,
)
from rlhf_core.labels import Columns, LabelSet, Workers
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments, expect, expect_shape

if TYPE_CHECKING:
    from torch import Tensor

    from rlhf_core.rewards.terms import Term


@dataclass(frozen=True, eq=False)
class Clicks(Judgements):
    """Whether each position of a list was clicked, with the chance that it was looked at."""

    query: Int[np.ndarray, " R"]
    """(R,), position of the list in the queries."""
    clip: Int[np.ndarray, " R"]
    """(R,), position of the clip in the segments."""
    clicked: Bool[np.ndarray, " R"]
    propensity: Float[np.ndarray, " R"]
    """e, probability that the position is examined, in (0, 1]."""
    worker: Int[np.ndarray, " R"]
    seconds: Float[np.ndarray, " R"]
    cost: Float[np.ndarray, " R"]

    @property
    def labels(self) -> int:
        """Number of positions of lists that somebody looked through."""
        return len(np.unique(np.stack([self.query, self.clip], axis=1), axis=0))

    @property
    def skipped(self) -> int:
        """None: a position that a worker did not want to judge has no row."""
        return 0

    def joined(self, later: "Clicks") -> "Clicks":
        """Append later clicks."""
        return concatenate(self, later)

    def moved(self, clips: int, queries: int) -> "Clicks":
        """Add these numbers to the positions of clips and of lists."""
        return replace(self, clip=self.clip + clips, query=self.query + queries)

    def orders(self) -> None:
        """No click need not mean that a clip is worse: it may not have been looked at."""

    def stated_orders(self) -> Int[np.ndarray, "P 2"]:
        """Pairs of rows of one list that one worker saw: a clicked one, and one that was not."""
        viewing = np.stack([self.query, self.worker], axis=1)
        _, group = np.unique(viewing, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(group.ravel()))
        pairs = [np.empty((0, 2), dtype=np.int64)]
        for rows in np.split(order, ends[:-1]):
            clicked = self.clicked[rows]
            first, second = np.meshgrid(rows[clicked], rows[~clicked], indexing="ij")
            pairs.append(np.stack([first.ravel(), second.ravel()], axis=1))
        stated = np.concatenate(pairs)
        return stated[np.lexsort((stated[:, 1], stated[:, 0]))]

    def agreement(self, queries: Queries | None, returns: Float[np.ndarray, " S"]) -> Agreement:
        """A click counts by the share of the positions of its list, not clicked, that it is better
        than; the propensities are not corrected for.
        """
        first, second = self.stated_orders().T
        gap = returns[self.clip[first]] - returns[self.clip[second]]
        correct, ordered = (
            np.bincount(first[counted], minlength=len(self)) for counted in (gap > 0, gap != 0)
        )
        return shares(correct, ordered)

    def entries(self, queries: Queries | None) -> Entries:
        """The list with the clip after a colon, and whether it was clicked."""
        assert queries is not None, "clicks answer queries"
        lists = [joined_text(items) for items in queries.items[self.query].tolist()]
        named = [f"{text}: {clip}" for text, clip in zip(lists, self.clip.tolist(), strict=True)]
        return Entries(named, ["click" if c else "no click" for c in self.clicked], self.worker)

    def _check(self) -> None:
        for name in ("clip", "clicked", "propensity", "worker", "seconds", "cost"):
            expect_shape(self, name, (len(self.query),))
        possible = (self.propensity > 0) & (self.propensity <= 1)
        expect(bool(possible.all()), self, "propensities in (0, 1]", self.propensity[~possible][:5])


@dataclass(frozen=True, eq=False)
class ClickLabels(LabelSet):
    """Clicks with a weight each."""

    clicks: Clicks
    weight: Float[np.ndarray, " R"]

    def about(self, chosen: Bool[np.ndarray, " S"]) -> "ClickLabels":
        """Return the rows whose clip is among the chosen ones."""
        rows = chosen[self.clicks.clip]
        columns = {name: getattr(self.clicks, name)[rows] for name in Clicks.__dataclass_fields__}
        return ClickLabels(Clicks(**columns), self.weight[rows])

    def shuffled(self, rng: np.random.Generator) -> "ClickLabels":
        """Clicks in random order, propensities left where they are."""
        clicked = self.clicks.clicked[rng.permutation(len(self))]
        return replace(self, clicks=replace(self.clicks, clicked=clicked))

    def reversed(self) -> "ClickLabels":
        """A click where there was none, and none where there was one."""
        return replace(self, clicks=replace(self.clicks, clicked=~self.clicks.clicked))

    def teaches(self, ties: str) -> bool:
        """Return whether any row has a weight above 0."""
        return bool((self.weight > 0).any())

    def columns(self) -> Columns:
        """Return one row for each position of a list."""
        names = ("query", "clip", "clicked", "propensity", "worker")
        return {**{name: getattr(self.clicks, name) for name in names}, "weight": self.weight}

    def _check(self) -> None:
        expect_shape(self, "weight", (len(self.clicks),))


class Click(FeedbackForm):
    """Show a list of clips, and see which ones are clicked: implicit feedback.

        P(click at k) = e_k sigmoid(s R + b)

    The position-based click model: the clip at position k is examined with probability e_k, and
    clicked if it was examined and is preferred to a typical clip (Richardson et al. 2007,
    doi:10.1145/1242572.1242643). s and b are fitted with the reward; since e_k is part of the
    likelihood, clips at the end of a list are not mistaken for bad ones. A position counts as a
    label. An annotator prefers a clip if it chooses it over a random one of the policy's own.
    """

    ordinal: ClassVar[bool] = True
    kind: Literal["click"] = "click"
    examination: tuple[float, ...] = Field((1.0, 0.7, 0.45, 0.3), min_length=1, max_length=50)
    """e_k, probability that position k is looked at, in (0, 1], for each clip of the list."""
    assumed_examination: tuple[float, ...] | None = None
    """What the fit takes e_k to be; null: the same. All 1 is the naive reading, in which a clip
    that was not clicked is a bad one."""

    @model_validator(mode="after")
    def _examinations_are_probabilities(self) -> "Click":
        for field in ("examination", "assumed_examination"):
            values = getattr(self, field)
            if values is not None and not all(0 < value <= 1 for value in values):
                raise ValueError(f"{field}: expected probabilities in (0, 1], actual: {values}")
        assumed = self.assumed_examination
        if assumed is not None and len(assumed) != len(self.examination):
            raise ValueError(
                f"assumed_examination: expected one for each of the {len(self.examination)} "
                f"positions of examination, actual: {len(assumed)}"
            )
        return self

    def size(self) -> int:
        """Return the number of clips in a list."""
        return len(self.examination)

    def worth(self) -> int:
        """Return one label for each position of the list."""
        return len(self.examination)

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Compare each clip with a random one of the reference; look at some positions only."""
        clips, positions = queries.items.ravel(), self.size()
        typical = len(request.segments) + rng.integers(len(request.reference), size=len(clips))
        respondent, compared = respondent.compare(np.stack([typical, clips], axis=1))
        # Whoever does not say which clip is better has not looked at the position.
        compared = select(compared, np.flatnonzero(compared.choice != Choice.SKIP))
        place = compared.query
        examined = rng.random(len(place)) < np.array(self.examination)[place % positions]
        # A tie is preferred as often as not.
        drawn = rng.random(len(place)) < 0.5
        preferred = (compared.choice == Choice.RIGHT) | ((compared.choice == Choice.EQUAL) & drawn)
        assumed = np.array(self.assumed_examination or self.examination)
        clicks = Clicks(
            query=place // positions,
            clip=clips[place],
            clicked=examined & preferred,
            propensity=assumed[place % positions],
            worker=compared.worker,
            seconds=compared.seconds,
            cost=compared.cost,
        )
        return Simulated(respondent, clicks)

    def label(
        self, judgements: Judgements, preferences: LabelSet | None, workers: Workers | None
    ) -> LabelSet:
        """Clicks, each at weight 1: the worth of workers is not modelled."""
        assert isinstance(judgements, Clicks)
        return ClickLabels(judgements, np.ones(len(judgements)))

    def term(
        self, labels: LabelSet, segments: Segments, likelihoods: Likelihoods, smoothing: float
    ) -> "Term":
        """The position-based model. A mistake is a click with the chance that clicks have."""
        import torch

        from rlhf_core.rewards.terms import Term, question_numbers

        assert isinstance(labels, ClickLabels)
        clicks = labels.clicks
        clicked = torch.from_numpy(np.array(clicks.clicked, dtype=np.float32))
        propensity = torch.from_numpy(np.array(clicks.propensity, dtype=np.float32))
        share = clicked.mean().clamp(0.01, 0.99)
        chance_loss = -(clicked * torch.log(share) + (1 - clicked) * torch.log1p(-share))
        lists = np.array(clicks.query)

        def loss(scores: "Tensor", index: "Tensor", heads: "Mapping[str, Tensor]") -> "Tensor":
            line = heads["click.log_scale"].exp() * scores[:, :, 0] + heads["click.offset"]
            return position_based(line, clicked[index], propensity[index])

        def margins(scores: "Tensor") -> "tuple[Tensor, Tensor]":
            stated = torch.from_numpy(clicks.stated_orders())
            return scores[:, stated[:, 0], 0] - scores[:, stated[:, 1], 0], stated

        return Term(
            items=torch.from_numpy(np.array(clicks.clip, dtype=np.int64))[:, None],
            weight=torch.from_numpy(labels.weight.astype(np.float32)),
            question=question_numbers(lists[:, None]),
            loss=loss,
            mistaken_loss=lambda loss, scores, index, heads: chance_loss[index].expand_as(loss),
            margins=margins,
            heads=lambda members: {
                "click.log_scale": torch.zeros(members, 1),
                "click.offset": torch.zeros(members, 1),
            },
            calibrated=False,
        )


def position_based(score: "Tensor", clicked: "Tensor", propensity: "Tensor") -> "Any":
    """Negative log-likelihood of clicks under the position-based model.

        click:     -log e - log sigmoid(x)
        no click:  -log(1 - e sigmoid(x))

    Args:
        score: x (M, N), log-odds that an examined clip is clicked.
        clicked: (N,), 1 where there was a click.
        propensity: e (N,), probability of being examined, in (0, 1].
    """
    import torch
    from torch.nn.functional import logsigmoid

    hit = -torch.log(propensity) - logsigmoid(score)
    # 1 - e sigmoid(x) = sigmoid(-x) + (1 - e) sigmoid(x); its first part alone where e is 1.
    missed = -torch.logaddexp(logsigmoid(-score), torch.log1p(-propensity) + logsigmoid(score))
    return torch.where(clicked > 0, hit, missed)
