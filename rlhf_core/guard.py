"""A watch on rewards that cannot be trusted, and on policies that exploit them.

Three things are tested once a round. Do the workers of a crowd tell which clips are the better
ones, or would their answers fit the opposite as well? Do the labels agree with each other? Where a
reward orders the answers that it was not fitted to little better than chance, it has learned
mistakes, and the policy follows them. And does the reward hold for what the policy does now? Where
the proxy return rises and the reward puts most fresh clips in the wrong order, the policy has found
its holes (Gao et al. 2023, https://arxiv.org/abs/2210.10760).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydantic import Field, model_validator

from rlhf_core.crowd.sign import SURE_LOG_ODDS
from rlhf_core.plugin import Config
from rlhf_core.types import Metrics

SIGN = "feedback/sign_log_odds"
LEAST_ANSWERS = 20
"""Held-out answers, or answers of a worker, below which nothing is concluded."""


class Reaction(StrEnum):
    """What follows an alarm."""

    REPORT = "report"
    ASK_MORE = "ask_more"
    ROLL_BACK = "roll_back"
    STOP = "stop"


@dataclass(frozen=True)
class Verdict:
    """What a round does next, and why."""

    reaction: Reaction | None = None
    """None: nothing is wrong."""
    reason: str = ""
    contradiction: bool = False
    """Whether it is the labels that are wrong."""

    @property
    def metrics(self) -> Metrics:
        """Whether there was an alarm, and whether of the labels, for the record."""
        return {
            "guard/alarm": float(self.reaction is not None),
            "guard/contradiction": float(self.contradiction),
        }


FINE = Verdict()


class Guard(Config):
    """Two one-sided binomial tests a round, at levels that cover all rounds together.

    Of n answers that the fit was not given, the reward orders k as they do. In round r, counted
    from 0, the labels contradict each other where

        P(X <= k) < (1 - confidence) / (2 r (r + 1)),    X ~ Binomial(n, least_accuracy)

    which is reported once. The levels add up to 1 - confidence over any number of rounds. Of n
    fresh pairs the reward that the policy was optimised on orders k as the annotators do. The
    policy exploits the reward where the proxy return rose in the last round and the same holds with
    X ~ Binomial(n, 1/2): clips are chosen for being hard to tell apart, so chance alone can be
    expected of an honest reward, and less than chance cannot.
    """

    reaction: Reaction = Reaction.REPORT
    """report: say so; ask_more: spend the reserve on the newest clips and fit again; roll_back: go
    on from the policy before the last round, with the reward refitted to the fresh labels; stop:
    end the run with the policy before the last round."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Probability that a run in which nothing is wrong ends without an alarm."""
    least_accuracy: float = Field(0.8, ge=0.5, lt=1)
    """Share of held-out comparisons, rankings and choices that the reward should order as they do.
    Below it the answers contradict each other, or the reward model cannot express them; 0.5 allows
    for any answers. Ratings and clicks are not tested."""
    reserve: float = Field(0.2, ge=0, lt=1)
    """Share of the labels that ask_more keeps back for an alarm; unused ones are asked in the last
    round."""

    @model_validator(mode="after")
    def _more_can_be_asked(self) -> "Guard":
        if self.reaction is Reaction.ASK_MORE and self.reserve == 0:
            raise ValueError("reserve: expected more than 0 for reaction ask_more, actual: 0")
        return self

    def judge(self, history: Sequence[Metrics], now: Metrics) -> Verdict:
        """Return what to do.

        Args:
            history: metrics of earlier rounds, verdicts included.
            now: metrics of this round's fit.
        """
        if _unknown_sign(now) and not any(_unknown_sign(earlier) for earlier in history):
            # More answers of the same workers would not tell either.
            return Verdict(
                Reaction.REPORT,
                f"the odds that the labels are not turned round are {np.exp(now[SIGN]):.2g} to 1: "
                "too many workers contradict the others for their answers to tell which clips are "
                "the better ones; have an expert answer some questions (annotator.gold: 0.1)",
            )
        if not history:
            return FINE
        level = (1 - self.confidence) / (2 * len(history) * (len(history) + 1))
        reported = any(earlier.get("guard/contradiction") for earlier in history)
        if not reported and self._contradicts(now, level):
            answers = now["reward/heldout_answers"]
            share = now["reward/heldout_agreeing"] / answers
            return Verdict(
                self.reaction,
                f"the reward orders {share:.0%} of {answers:.0f} held-out answers as they do "
                f"(expected {self.least_accuracy:.0%}): the answers contradict each other, or the "
                "reward model cannot express them",
                contradiction=True,
            )
        pairs = now.get("reward/fresh_pairs", 0.0)
        if history[-1].get("proxy/gain", 0.0) <= 0 or not pairs:
            return FINE
        share = now["reward/fresh_accuracy"]
        if not _below(share, pairs, 0.5, level):
            return FINE
        return Verdict(
            self.reaction,
            f"the proxy return rose, and the reward orders {share:.0%} of {pairs:.0f} fresh pairs "
            "as the annotators do, less than chance: the policy exploits the reward",
        )

    def _contradicts(self, metrics: Metrics, level: float) -> bool:
        answers = metrics.get("reward/heldout_answers", 0.0)
        if answers < LEAST_ANSWERS:
            return False
        share = metrics["reward/heldout_agreeing"] / answers
        return _below(share, answers, self.least_accuracy, level)


def _unknown_sign(metrics: Metrics) -> bool:
    """Whether workers have answered much, and still leave it open which way is up."""
    answers = metrics.get("feedback/answers_per_worker", 0.0)
    return answers >= LEAST_ANSWERS and metrics.get(SIGN, np.inf) < SURE_LOG_ODDS


def _below(share: float, trials: float, expected: float, level: float) -> bool:
    """Whether a share of trials is significantly below the expected one, by the exact test."""
    from scipy.special import bdtr

    count = round(trials)
    return bool(bdtr(round(share * trials), count, expected) < level)
