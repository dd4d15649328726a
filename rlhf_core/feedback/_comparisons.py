"""What all strategies that learn from comparisons of two segments share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import PositiveInt

from rlhf_core.aggregation import AnyAggregator
from rlhf_core.aggregation.majority import Majority
from rlhf_core.environments.factory import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback import FeedbackState, FeedbackStrategy
from rlhf_core.feedback._nothing import ask_nothing, reference_count
from rlhf_core.queries import AnyQuerySelector
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import RewardModel
from rlhf_core.segments import sample_segments
from rlhf_core.evidence import Annotations, Preferences, Queries, Request, concatenate
from rlhf_core.types import Metrics, Rollouts


class Comparisons(FeedbackStrategy):
    """Ask for preferences between segments and fit a Bradley-Terry reward ensemble to them."""

    segment_steps: PositiveInt = 50
    """L, steps of a segment."""
    queries: AnyQuerySelector = Disagreement()
    """Which pairs are asked about."""
    aggregation: AnyAggregator = Majority()
    """How several judgements of one pair become a label."""
    reward_model: RewardModel = RewardModel()
    """The reward ensemble and its fit."""

    @abstractmethod
    def labels(self, preferences: Preferences, rng: np.random.Generator) -> Preferences:
        """What the fit is told, given what the annotators said."""

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Refuse no labels, more labels than pairs, and segments longer than any episode."""
        if sum(labels) == 0:
            raise ConfigurationError(
                f"budget.labels: expected at least 1 for feedback kind '{self.kind}', actual: 0"
            )
        if self.segment_steps > horizon:
            raise ConfigurationError(
                f"feedback.segment_steps: expected at most {horizon}, the longest that an episode "
                f"can be, actual: {self.segment_steps}"
            )
        for round, (wanted, seen) in enumerate(zip(labels, steps, strict=True)):
            if wanted > seen // 2:
                raise ConfigurationError(
                    f"budget.labels: expected at most {seen // 2} in round {round + 1}, whose "
                    f"pairs are cut from {seen} steps, actual: {wanted}"
                )

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Draw candidate pairs from the rollouts and let the selector choose among them."""
        from rlhf_core.rewards.network import restore

        if labels == 0:
            return ask_nothing(rollouts, self.segment_steps, rng)
        steps, model = self.segment_steps, self.reward_model
        reference = sample_segments(rollouts, reference_count(steps), steps, rng)
        # More candidates than there are clips would be the same clips again.
        drawn = max(labels, min(self.queries.candidates(labels), rollouts.steps // 2))
        segments = sample_segments(rollouts, 2 * drawn, steps, rng)
        candidates = Queries(np.arange(2 * drawn).reshape(-1, 2))
        # Before the first fit the random ensemble stands in: its disagreement is as good as any.
        ensemble = restore(state.ensemble, model, spaces, reference, rng)
        chosen = self.queries.select(
            candidates, segments, ensemble.segment_returns(segments), labels, rng
        )
        asked, position = np.unique(chosen.pair, return_inverse=True)
        return Request(segments.take(asked), Queries(position.reshape(-1, 2)), reference)

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        annotations: Annotations,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Add the labels to all earlier ones, fit, and set the reward's scale on the reference."""
        from rlhf_core.rewards.fitting import fit_preferences
        from rlhf_core.rewards.network import restore

        model = self.reward_model
        segments, preferences = state.segments, state.preferences
        if len(request.queries):
            new = self.labels(self.aggregation.aggregate(request.queries, annotations), rng)
            if segments is None or preferences is None:
                segments, preferences = request.segments, new
            else:
                moved = replace(new, pair=new.pair + len(segments))
                segments = concatenate(segments, request.segments)
                preferences = concatenate(preferences, moved)
        ensemble = restore(state.ensemble, model, spaces, request.reference, rng)
        metrics: Metrics = {}
        if segments is not None and preferences is not None and len(preferences):
            ensemble, metrics = fit_preferences(ensemble, model, segments, preferences, rng)
        ensemble = ensemble.normalised_on(request.reference)
        return FeedbackState(segments, preferences, ensemble.state), metrics

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The normalised mean of the ensemble."""
        from rlhf_core.rewards.network import RewardEnsemble

        assert state.ensemble is not None, "reward() comes after tell()"
        return RewardEnsemble(state.ensemble, spaces, self.reward_model.inputs)
