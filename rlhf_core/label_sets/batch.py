"""Judgements that came from one place at one time."""

from collections.abc import Mapping
from dataclasses import dataclass

from rlhf_core.labels import Evidence
from rlhf_core.types import Value, expect


@dataclass(frozen=True, eq=False)
class LabelBatch(Value):
    """Evidence with its origin and age."""

    evidence: Evidence
    origin: str
    """Where it comes from: `run ID`, or what an import says."""
    collected_at: float
    """Unix time, in seconds."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Judgements by form of feedback."""
        return {form: len(made) for form, made in sorted(self.evidence.judgements.items())}

    def _check(self) -> None:
        expect(bool(self.origin), self, "an origin", repr(self.origin))
        expect(self.collected_at >= 0, self, "a time from 1970 on", self.collected_at)
