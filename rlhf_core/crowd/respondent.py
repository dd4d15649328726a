"""A simulated crowd that answers the queries of one request."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.crowd.assignment import pick_distinct
from rlhf_core.crowd.pairs import judge_pairs
from rlhf_core.crowd.settings import CrowdSettings
from rlhf_core.crowd.workers import (
    CrowdState,
    honest_probability,
    longest_seconds,
    on_scale,
    rank,
    rate,
    standardised_qualities,
    standardised_returns,
)
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import EXPERT, Choice
from rlhf_core.questions import Request
from rlhf_core.types import Truth


@dataclass(frozen=True)
class CrowdRespondent:
    """The crowd in the course of one request."""

    settings: CrowdSettings
    request: Request
    truth: Truth
    crowd: CrowdState
    seconds: float
    """Duration of the round so far, with all workers in parallel."""
    rng: np.random.Generator

    def compare(self, pairs: Int[np.ndarray, "N 2"]) -> tuple["CrowdRespondent", Comparisons]:
        """The judgements, with the expert's first."""
        settings, rng = self.settings, self.rng
        advantage = np.diff(self._quality[pairs], axis=1)[:, 0]
        gold = self._gold(len(advantage))
        expert_seconds = settings.draw_seconds(len(gold), rng)
        crowd, judged, seconds = judge_pairs(
            self.crowd, advantage, gold, float(expert_seconds.sum()), settings, rng
        )
        sign = np.sign(advantage[gold]).astype(np.int64)
        choice = np.array([Choice.LEFT, Choice.EQUAL, Choice.RIGHT])[1 + sign]
        return self._after(crowd, seconds), Comparisons(
            query=np.concatenate([gold, judged.query]),
            worker=np.concatenate([np.full(len(gold), EXPERT), judged.worker]),
            choice=np.concatenate([choice, np.where(judged.right == 1, Choice.RIGHT, Choice.LEFT)]),
            seconds=np.concatenate([expert_seconds, judged.seconds]),
            cost=settings.costs(len(gold), len(judged.query)),
        )

    def rank(
        self, items: Int[np.ndarray, "N K"], places: int
    ) -> tuple["CrowdRespondent", Rankings]:
        """Every group by `redundancy` workers, and a share of them by the expert."""
        settings, rng, quality = self.settings, self.rng, self._quality
        gold = self._gold(len(items))
        group, worker = pick_distinct(len(items), settings.redundancy, self.crowd.active, rng)
        honest = honest_probability(self.crowd, worker, places, settings.half_life)
        utilities = settings.beta * quality[items[group]]
        roles = self.crowd.role[worker]
        order = rank(roles, honest, utilities, settings.position_bias, rng)
        best = np.argsort(-quality[items[gold]], axis=1, kind="stable")
        everyone = np.concatenate([np.full(len(gold), EXPERT), worker])
        seconds = places * settings.draw_seconds(len(everyone), rng)
        rankings = Rankings(
            items=np.take_along_axis(
                items[np.concatenate([gold, group])], np.concatenate([best, order]), axis=1
            ),
            places=np.full(len(everyone), places),
            worker=everyone,
            seconds=seconds,
            cost=places * settings.costs(len(gold), len(worker)),
        )
        return self._after(
            self.crowd.after(worker, places), longest_seconds(everyone, seconds)
        ), rankings

    def rate(
        self, clips: Int[np.ndarray, " N"], steps: Int[np.ndarray, " N"]
    ) -> tuple["CrowdRespondent", Ratings]:
        """Every clip by `redundancy` workers, and a share of them by the expert."""
        settings, rng = self.settings, self.rng
        quality = standardised_qualities(
            clips, steps, self.request, self.truth, settings.delay_steps
        )
        gold = self._gold(len(quality))
        clip, worker = pick_distinct(len(quality), settings.redundancy, self.crowd.active, rng)
        honest = honest_probability(self.crowd, worker, 1, settings.half_life)
        levels = settings.rating_levels
        value = rate(self.crowd, worker, honest, quality[clip], settings.rating_noise, levels, rng)
        everyone = np.concatenate([np.full(len(gold), EXPERT), worker])
        seconds = settings.draw_seconds(len(everyone), rng)
        asked = np.concatenate([gold, clip])
        ratings = Ratings(
            segment=clips[asked],
            step=steps[asked],
            value=np.concatenate([on_scale(quality[gold], levels), value]),
            worker=everyone,
            seconds=seconds,
            cost=settings.costs(len(gold), len(worker)),
        )
        return self._after(self.crowd.after(worker), longest_seconds(everyone, seconds)), ratings

    def demonstrate(self, episodes: int) -> tuple["CrowdRespondent", Demonstrations]:
        """A crowd judges; it does not play."""
        raise ConfigurationError("annotator.kind: a crowd gives no demonstrations")

    def _after(self, crowd: CrowdState, seconds: float) -> "CrowdRespondent":
        return replace(self, crowd=crowd, seconds=self.seconds + seconds)

    @cached_property
    def _quality(self) -> Float[np.ndarray, " clips"]:
        """Standardised true returns of the request's segments and then of its reference."""
        return standardised_returns(self.truth)

    def _gold(self, count: int) -> Int[np.ndarray, " G"]:
        """Positions of the queries that the expert answers too."""
        chosen: np.ndarray = self.rng.permutation(count)[: int(self.settings.gold * count + 1e-9)]
        return chosen
