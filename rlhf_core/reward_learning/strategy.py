"""What all strategies that learn a reward from judgements share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import ceil

import numpy as np
from pydantic import Field, PositiveInt

from rlhf_core.aggregation import Aggregated, AnyAggregator
from rlhf_core.aggregation.majority import Majority
from rlhf_core.demonstrations import Cloning
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.statistics import spearman
from rlhf_core.evidence import WHOLE, Answers, Request
from rlhf_core.feedback_strategy import Evidence, FeedbackState, FeedbackStrategy
from rlhf_core.policies import Optimiser
from rlhf_core.queries import AnyQuerySelector
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.reward_learning.forms import Form
from rlhf_core.reward_learning.labels import (
    aggregated,
    gathered,
    rating_weights,
    spoken_of,
    worker_metrics,
)
from rlhf_core.reward_learning.no_questions import ask_nothing, reference_count
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import Labels, Likelihoods, RewardModel
from rlhf_core.segments import sample_segments
from rlhf_core.types import Metrics, Rollouts

Information = Callable[[Form], float]
"""Expected information of one label of a form, in nats."""


class RewardLearning(FeedbackStrategy):
    """Ask for judgements and fit a reward ensemble to all of them, whatever their form."""

    segment_steps: PositiveInt = 50
    """L, steps of a clip."""
    group_size: int = Field(4, ge=2, le=20)
    """K, clips that are ranked together."""
    queries: AnyQuerySelector = Disagreement()
    """Which clips are asked about."""
    aggregation: AnyAggregator = Majority()
    """How several judgements of one pair become a label."""
    audit: float = Field(0.0, ge=0, le=1)
    """Share of the questions that are drawn at random, rounded up; if there are any, the guard
    looks at them alone, since chosen questions are the hard ones."""
    likelihoods: Likelihoods = Likelihoods()
    """How judgements are thought to come about."""
    reward_model: RewardModel = RewardModel()
    """The reward ensemble and its fit."""

    @abstractmethod
    def forms(self) -> Sequence[Form]:
        """The forms of judgement that may be asked for."""

    @abstractmethod
    def split(
        self, labels: int, asked: Mapping[Form, int], information: Information
    ) -> Mapping[Form, int]:
        """How many labels of each form to ask for, together at most `labels`.

        Args:
            labels: to be asked for now.
            asked: labels of each form that were asked for before.
            information: what one label of a form is expected to tell.
        """

    @abstractmethod
    def told(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """What the fit is told, given what the annotators said."""

    def smallest_question(self) -> int:
        """That of the form with the fewest labels a question."""
        return min(form.worth(self.group_size) for form in self.forms())

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Refuse no labels, more questions than clips, and clips longer than any episode."""
        worth = self.smallest_question()
        if sum(labels) < worth:
            raise ConfigurationError(
                f"budget.labels: expected at least {worth} for feedback kind '{self.kind}' "
                f"({', '.join(self.forms())}), actual: {sum(labels)}"
            )
        if self.segment_steps > horizon:
            raise ConfigurationError(
                f"feedback.segment_steps: expected at most {horizon}, the longest that an episode "
                f"can be, actual: {self.segment_steps}"
            )
        if self.likelihoods.delay_steps[0] >= self.segment_steps:
            raise ConfigurationError(
                f"feedback.likelihoods.delay_steps: expected less than the {self.segment_steps} "
                f"steps of a clip, actual: {self.likelihoods.delay_steps}"
            )
        for round, (wanted, seen) in enumerate(zip(labels, steps, strict=True)):
            # Each episode has fewer clips than steps, by the length of a clip less one.
            clips = max(seen - -(-seen // horizon) * (self.segment_steps - 1), 1)
            for form, share in self.split(wanted, {}, lambda form: 1.0).items():
                most = clips // form.size(self.group_size) * form.worth(self.group_size)
                if share > most:
                    raise ConfigurationError(
                        f"budget.labels: expected at most {most} in round {round + 1}, whose "
                        f"questions ({form}) are cut from the {clips} clips of {seen} steps, "
                        f"actual: {share}"
                    )

    def ask(
        self,
        state: FeedbackState,
        rollouts: Rollouts,
        labels: int,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> Request:
        """Draw candidates from the rollouts and let the selector choose among them."""
        from rlhf_core.reward_learning import questions
        from rlhf_core.rewards.network import restore

        steps, group = self.segment_steps, self.group_size
        reference = sample_segments(rollouts, reference_count(steps), steps, rng)
        ensemble = restore(state.ensemble, self.reward_model, spaces, reference, rng)
        fitted = self._was_taught(state)

        def information(form: Form) -> float:
            """Until something was learned, every form is thought to tell the same."""
            return questions.information(form, group, reference, ensemble) if fitted else 1.0

        counts = self.split(labels, self._asked(state), information)
        chosen = []
        for form, wanted in counts.items():
            count = wanted // form.worth(group)
            audited = ceil(self.audit * count)
            for number, audit in ((count - audited, False), (audited, True)):
                if number:
                    part = questions.choose(
                        form, group, number, rollouts, ensemble, fitted, self.queries, steps,
                        audit, rng,
                    )  # fmt: skip
                    chosen.append(part)
        if not chosen:
            return ask_nothing(reference)
        return questions.compose(chosen, group, self.likelihoods.delay_steps, reference, rng)

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Add the answers to all earlier ones, fit, and set the reward's scale on the reference."""
        from rlhf_core.rewards.fitting import fit, ordered_right
        from rlhf_core.rewards.network import restore

        evidence = state.evidence
        if any(len(form) for form in answers.forms):
            evidence = gathered(evidence, request, answers)
        before = restore(state.ensemble, self.reward_model, spaces, request.reference, rng)
        after, metrics, found = before, dict[str, float](), None
        if evidence is not None:
            found, labels = self._labels(evidence, rng)
            known = 0 if state.evidence is None else len(state.evidence.segments)
            if state.evidence is not None and evidence is not state.evidence:
                fresh = spoken_of(labels, self._fresh(evidence, request, known))
                right, pairs = ordered_right(before, evidence.segments, fresh, self.likelihoods)
                if pairs:
                    metrics["reward/fresh_accuracy"] = right / pairs
                    metrics["reward/fresh_pairs"] = pairs
            after, fitted = fit(
                before, evidence.segments, labels, self.likelihoods, request.reference, rng
            )
            metrics |= {**fitted, **worker_metrics(evidence, found.workers)}
        after = after.normalised_on(request.reference)
        accuracy = metrics.get("reward/heldout_accuracy", np.nan)
        stability = np.nan
        if state.ensemble is not None:
            clips = request.reference
            stability = spearman(before.mean_returns(clips), after.mean_returns(clips)) or 0.0
            metrics["reward/rank_stability"] = stability
        # Labels that were fitted anew say nothing about what further ones would change.
        moved = [[accuracy, stability]] if request.labels else np.empty((0, 2))
        return FeedbackState(
            evidence=evidence,
            preferences=None if found is None else found.preferences,
            workers=None if found is None else found.workers,
            ensemble=after.state,
            asked=state.asked + request.labels,
            asked_ranked=state.asked_ranked + request.ranked,
            asked_rated=state.asked_rated + request.rated(WHOLE),
            asked_signals=state.asked_signals + request.rated() - request.rated(WHOLE),
            trace=np.concatenate([state.trace, moved]),
        ), metrics

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The normalised ensemble."""
        from rlhf_core.rewards.network import RewardEnsemble

        assert state.ensemble is not None, "reward() comes after tell()"
        return RewardEnsemble(state.ensemble, spaces, self.reward_model)

    def demonstrations_wanted(self) -> int:
        """None."""
        return 0

    def check_optimiser(self, optimiser: Optimiser) -> None:
        """Any will do."""

    def cloning(self, state: FeedbackState, round: int) -> Cloning | None:
        """Nothing is shown."""
        return None

    def observed(self, state: FeedbackState, reward: Reward) -> FeedbackState:
        """Rollouts teach this reward nothing."""
        return state

    def _asked(self, state: FeedbackState) -> Mapping[Form, int]:
        """Labels of each form so far."""
        compared = state.asked - state.asked_ranked - state.asked_rated - state.asked_signals
        return {
            Form.COMPARISON: compared,
            Form.RANKING: state.asked_ranked,
            Form.BEST_OF: state.asked_ranked,
            Form.RATING: state.asked_rated,
            Form.SIGNAL: state.asked_signals,
        }

    def _fresh(self, evidence: Evidence, request: Request, known: int) -> np.ndarray:
        """Which segments (S,) tell how the last reward does: the new ones, of an audit if any."""
        asked = len(request.segments)
        fresh = np.arange(len(evidence.segments)) >= known
        # Demonstrations that came back are beside the clips that were asked about, not among them.
        fresh[known + asked :] = False
        if request.audit is not None and request.audit.any():
            fresh[known : known + asked] = request.audit
        return fresh

    def _labels(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Aggregated, Labels]:
        found, ranking_weight = aggregated(self.aggregation, evidence)
        labels = Labels(
            found.preferences,
            evidence.rankings,
            ranking_weight,
            evidence.ratings,
            rating_weights(evidence.ratings),
        )
        told = self.told(labels, rng)
        return found._replace(preferences=told.preferences), told

    def _was_taught(self, state: FeedbackState) -> bool:
        """Whether the ensemble has learned from any label."""
        if state.evidence is None:
            return False
        if len(state.evidence.rankings) or len(state.evidence.ratings):
            return True
        given = state.preferences
        if given is None:
            return False
        told = given.target != 0.5 if self.likelihoods.ties == "drop" else True
        return bool(((given.weight > 0) & told).any())
