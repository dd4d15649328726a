"""Many answers to one query become one soft label."""

from abc import abstractmethod
from typing import Annotated, ClassVar

from rlhf_core.plugin import Family, Plugin
from rlhf_core.types import Annotations, Preferences, Queries


class Aggregator(Plugin):
    """Turns judgements into preferences with targets and weights."""

    family: ClassVar[str] = "rlhf_core.aggregation"

    @abstractmethod
    def aggregate(self, queries: Queries, annotations: Annotations) -> Preferences:
        """One preference for every query that somebody answered; skipped ones are left out."""


AGGREGATION = Family(Aggregator, default="majority")
AnyAggregator = Annotated[Aggregator, AGGREGATION]
