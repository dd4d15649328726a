"""Aggregators: several answers to one query become one soft label, with estimates of workers."""

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from rlhf_core.answers import Comparisons
from rlhf_core.labels import Preferences, Workers
from rlhf_core.plugin import Family, Plugin
from rlhf_core.questions import Queries


class Aggregated(NamedTuple):
    """Labels and estimates of workers from all judgements."""

    preferences: Preferences
    """One soft label for every query with an answer, in the order of the queries."""
    workers: Workers
    """Estimates of those who answered."""


class Aggregator(Plugin):
    """Make preferences with targets and weights of judgements of pairs."""

    family: ClassVar[str] = "rlhf_core.aggregation"

    @abstractmethod
    def aggregate(
        self, queries: Queries, annotations: Comparisons, earlier: Preferences | None = None
    ) -> Aggregated:
        """Aggregate all judgements of a run so far.

        Args:
            queries: all pairs that were ever asked about, (N, 2).
            annotations: all judgements; those of `EXPERT` are known to be right. A query without an
                answer, or with skips alone, gets no label.
            earlier: labels that were made before the newest judgements came.
        """


AGGREGATION = Family(Aggregator, default="majority")
AnyAggregator = Annotated[Aggregator, AGGREGATION]
