"""A watch on reward hacking: the policy pleases the learned reward and no longer the annotators.

Once a round there are labels on clips of the newest policy that the reward it was optimised on has
never seen. While the proxy return rises and that reward puts such fresh clips in order worse than
it used to, the policy has found its holes (Gao et al. 2023, https://arxiv.org/abs/2210.10760).
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import NormalDist
from typing import Literal

from pydantic import Field, model_validator

from rlhf_core.plugin import Config
from rlhf_core.types import Metrics

LEAST_PAIRS = 5
"""Ordered pairs, before and now, below which nothing is concluded."""


class Verdict(StrEnum):
    """What a round does next."""

    FINE = "fine"
    REPORT = "report"
    ASK_MORE = "ask_more"
    ROLL_BACK = "roll_back"
    STOP = "stop"

    @property
    def metrics(self) -> Metrics:
        """Whether there was an alarm, for the record."""
        return {"guard/alarm": float(self is not Verdict.FINE)}


class Guard(Config):
    """Compares the reward's accuracy on fresh clips with what it was in earlier rounds.

    With right_0 of n_0 fresh pairs in all earlier rounds together and right of n now, pooled share
    p = (right_0 + right) / (n_0 + n):

        z = (right_0 / n_0 - right / n) / sqrt(p (1 - p) (1 / n_0 + 1 / n))

    The alarm is raised when the proxy return rose in the last round and z is beyond the quantile
    of `confidence`.
    """

    reaction: Literal["report", "ask_more", "roll_back", "stop"] = "report"
    """report: say so; ask_more: spend the reserve on the newest clips and fit again; roll_back: go
    on from the policy before the last round, with the reward refitted to the fresh labels; stop:
    end the run with the policy before the last round."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """How sure the fall of accuracy must be."""
    reserve: float = Field(0.2, ge=0, lt=1)
    """Share of the labels that ask_more keeps back for an alarm; unused ones are asked in the last
    round."""

    @model_validator(mode="after")
    def _more_can_be_asked(self) -> "Guard":
        if self.reaction == "ask_more" and self.reserve == 0:
            raise ValueError("reserve: expected more than 0 for reaction ask_more, actual: 0")
        return self

    def judge(self, history: Sequence[Metrics], now: Metrics) -> Verdict:
        """What to do, given the metrics of earlier rounds and of this round's fit."""
        if not history or history[-1].get("proxy/gain", 0.0) <= 0:
            return Verdict.FINE
        earlier = [
            (m["reward/fresh_accuracy"], m["reward/fresh_pairs"])
            for m in history
            if "reward/fresh_pairs" in m
        ]
        pairs = sum(count for _, count in earlier)
        fresh = now.get("reward/fresh_pairs", 0.0)
        if min(pairs, fresh) < LEAST_PAIRS:
            return Verdict.FINE
        before = sum(share * count for share, count in earlier) / pairs
        accuracy = now["reward/fresh_accuracy"]
        pooled = (before * pairs + accuracy * fresh) / (pairs + fresh)
        variance = pooled * (1 - pooled) * (1 / pairs + 1 / fresh)
        fell = before - accuracy > NormalDist().inv_cdf(self.confidence) * variance**0.5
        return Verdict(self.reaction) if fell else Verdict.FINE
