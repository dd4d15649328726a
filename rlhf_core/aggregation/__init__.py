"""Many answers to one query become one soft label, and tell what each worker is worth."""

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from rlhf_core.answers import Comparisons
from rlhf_core.labels import Preferences, Workers
from rlhf_core.plugin import Family, Plugin
from rlhf_core.questions import Queries


class Aggregated(NamedTuple):
    """What an aggregator makes of all judgements."""

    preferences: Preferences
    """One soft label for every query that somebody answered, in the order of the queries."""
    workers: Workers
    """What it thinks of those who answered."""


class Aggregator(Plugin):
    """Turns judgements of pairs into preferences with targets and weights."""

    family: ClassVar[str] = "rlhf_core.aggregation"

    @abstractmethod
    def aggregate(self, queries: Queries, annotations: Comparisons) -> Aggregated:
        """Make labels of all judgements of a run so far.

        Args:
            queries: all pairs that were ever asked about, (N, 2).
            annotations: all judgements; those of `EXPERT` are known to be right. A query that
                nobody answered, or that everybody skipped, gets no label.
        """


AGGREGATION = Family(Aggregator, default="majority")
AnyAggregator = Annotated[Aggregator, AGGREGATION]
