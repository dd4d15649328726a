"""What all strategies share that learn a reward from judgements."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, PositiveInt

from rlhf_core.aggregation import AnyAggregator
from rlhf_core.aggregation.majority import Majority
from rlhf_core.answers import Answers
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.statistics import spearman
from rlhf_core.feedback_forms import FeedbackForm, form_of
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy, Imitation
from rlhf_core.labels import Evidence, LabelSet
from rlhf_core.queries import AnyQuerySelector
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.questions import Request
from rlhf_core.reward_learning.evidence import gathered, labelled, total_asked, worker_metrics
from rlhf_core.reward_learning.no_questions import reference_count
from rlhf_core.rewards import Reward
from rlhf_core.rewards.model import Likelihoods, RewardModel
from rlhf_core.segments import sample_segments
from rlhf_core.sizes import TRAINED, row_bytes
from rlhf_core.types import Metrics, Rollouts

if TYPE_CHECKING:
    from rlhf_core.rewards.terms import Term

Information = Callable[[FeedbackForm], float]
"""Expected information of one label of a form, in nats."""
Labels = Mapping[str, LabelSet]
"""What a fit is given, by form of feedback."""
BANK_FORMS = {"comparison", "ranking", "best_of", "correction"}
"""Forms whose answers put clips in order and say nothing else."""


class RewardLearning(FeedbackStrategy):
    """Ask for judgements and fit a reward ensemble to all of them, whatever their form."""

    segment_steps: PositiveInt = 25
    """L, steps of a clip."""
    queries: AnyQuerySelector = Disagreement()
    """Which clips are asked about."""
    same_start: bool = False
    """Ask about clips that begin with the same observation, such as completions of one prompt."""
    aggregation: AnyAggregator = Majority()
    """How several judgements of one pair become a label."""
    audit: float = Field(0.0, ge=0, le=1)
    """Share of the queries that are drawn at random, rounded up; if there are any, the guard
    looks at them alone, since chosen queries are the hard ones."""
    likelihoods: Likelihoods = Likelihoods()
    """How judgements are modelled."""
    reward_model: RewardModel = RewardModel()
    """The reward ensemble and its fit."""

    @abstractmethod
    def forms(self) -> Sequence[FeedbackForm]:
        """The forms of feedback that may be asked for."""

    @abstractmethod
    def split(
        self, labels: int, asked: Mapping[str, int], information: Information
    ) -> Mapping[str, int]:
        """How many labels of each form to ask for, together at most `labels`.

        Args:
            labels: to be asked for now.
            asked: labels of each form that were asked for before.
            information: what one label of a form is expected to tell.
        """

    @abstractmethod
    def fitted_labels(self, labels: Labels, rng: np.random.Generator) -> Labels:
        """What the fit is given, made of the annotators' labels: the same, or a null control."""

    def smallest_question(self) -> int:
        """That of the form with the fewest labels a query."""
        return min(form.worth() for form in self.forms())

    def memory(self, spaces: Spaces) -> Mapping[str, int]:
        """Return the bytes of the ensemble in training, and of the clips of one question."""
        model = self.reward_model
        decays = model.weight_decay
        copies = model.members * (len(decays) if isinstance(decays, tuple) else 1)
        size = model.parameters(spaces)
        field = "members" if copies > size else "hidden"
        return {
            f"reward_model.{field}": copies * size * TRAINED,
            "segment_steps": 2 * self.segment_steps * row_bytes(spaces),
        }

    def check_fit(self, labels: Sequence[int], steps: Sequence[int], horizon: int) -> None:
        """Refuse no labels, more queries than clips, and clips longer than any episode."""
        worth = self.smallest_question()
        if sum(labels) < worth:
            kinds = ", ".join(form.kind for form in self.forms())
            raise ConfigurationError(
                f"budget.labels: expected at least {worth} for feedback kind '{self.kind}' "
                f"({kinds}), actual: {sum(labels)}"
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
        forms = self._by_kind()
        if self.reward_model.family == "bank":
            self._check_bank_forms()
        for round, (wanted, taken) in enumerate(zip(labels, steps, strict=True)):
            # Each episode has fewer clips than steps, by the length of a clip less one.
            clips = max(taken - -(-taken // horizon) * (self.segment_steps - 1), 1)
            for kind, share in self.split(wanted, {}, lambda form: 1.0).items():
                most = clips // forms[kind].size() * forms[kind].worth()
                if share > most:
                    raise ConfigurationError(
                        f"budget.labels: expected at most {most} in round {round + 1}, whose "
                        f"questions ({kind}) are cut from the {clips} clips of {taken} steps, "
                        f"actual: {share}"
                    )

    def start(
        self, environment: Environment, earlier: FeedbackState | None = None
    ) -> FeedbackState:
        """Begin with nothing, or with evidence of another run whose clips are as long as ours."""
        evidence = None if earlier is None else earlier.evidence
        if evidence is not None:
            taken = evidence.segments.steps
            if taken != self.segment_steps:
                raise ConfigurationError(
                    f"feedback.segment_steps: expected {taken}, the length of the clips that are "
                    f"taken over, actual: {self.segment_steps}"
                )
            for form in self.forms():
                queries = evidence.queries.get(form.kind)
                if queries is not None and queries.items.shape[1] != form.size():
                    raise ConfigurationError(
                        f"feedback.form: expected {queries.items.shape[1]} clips in a question of "
                        f"kind '{form.kind}', as in those that are taken over, actual: "
                        f"{form.size()}"
                    )
        return super().start(environment, earlier)

    def with_files(self, state: FeedbackState, environment: Environment) -> FeedbackState:
        """Read the bank, unless a reward is taken over that has one."""
        if self.reward_model.family != "bank" or state.ensemble is not None:
            return state
        from rlhf_core.rewards.bank import read_bank

        return replace(state, bank=read_bank(str(self.reward_model.bank), environment.spaces()))

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

        steps = self.segment_steps
        reference = sample_segments(rollouts, reference_count(steps), steps, rng)
        ensemble = restore(state.ensemble, self.reward_model, spaces, reference, rng, state.bank)
        fitted = self.reward_model.family == "bank" or any(
            made.teaches(self.likelihoods.ties) for made in state.labels.values()
        )

        def information(form: FeedbackForm) -> float:
            """Until something was learned, every form is expected to tell the same."""
            return questions.information(form, reference, ensemble) if fitted else 1.0

        source = questions.Source(rollouts, steps, self.queries, ensemble, fitted, self.same_start)
        chosen, forms = [], self._by_kind()
        for kind, wanted in self.split(labels, state.asked_by_form, information).items():
            count = wanted // forms[kind].worth()
            audited = ceil(self.audit * count)
            for number, audit in ((count - audited, False), (audited, True)):
                if number:
                    chosen.append(questions.choose(source, forms[kind], number, audit, rng))
        return questions.compose(chosen, self.likelihoods, reference, rng)

    def tell(
        self,
        state: FeedbackState,
        request: Request,
        answers: Answers,
        spaces: Spaces,
        rng: np.random.Generator,
    ) -> tuple[FeedbackState, Metrics]:
        """Add the answers to all earlier ones, fit, and set the reward's scale on the reference."""
        from rlhf_core.rewards.accuracy import ordered_correctly
        from rlhf_core.rewards.fitting import fit
        from rlhf_core.rewards.network import restore

        evidence = state.evidence
        if answers.count:
            evidence = gathered(evidence, request, answers)
        reference = request.reference
        before = restore(state.ensemble, self.reward_model, spaces, reference, rng, state.bank)
        after, metrics = before, dict[str, float]()
        labels: Labels = {}
        workers = None
        if evidence is not None:
            earlier = None if self.null_control else state.labels
            labels, workers = labelled(evidence, self.forms(), self.aggregation, earlier)
            labels = self.fitted_labels(labels, rng)
            if state.evidence is not None and evidence is not state.evidence:
                fresh = fresh_segments(
                    request, len(state.evidence.segments), len(evidence.segments)
                )
                recent = {kind: made.about(fresh) for kind, made in labels.items()}
                correct, pairs = ordered_correctly(
                    before, evidence.segments, self._terms(recent, evidence)
                )
                if pairs:
                    metrics["reward/fresh_accuracy"] = correct / pairs
                    metrics["reward/fresh_pairs"] = pairs
            terms = self._terms(labels, evidence)
            after, fitted = fit(before, evidence.segments, terms, request.reference, rng)
            metrics |= {**fitted, **worker_metrics(evidence, workers)}
        after = after.normalised_on(request.reference)
        accuracy = metrics.get("reward/heldout_accuracy", np.nan)
        stability = np.nan
        if state.ensemble is not None:
            clips = request.reference
            stability = spearman(before.mean_returns(clips), after.mean_returns(clips)) or 0.0
            metrics["reward/rank_stability"] = stability
        # Labels that were fitted anew tell nothing about what further ones would change.
        moved = [[accuracy, stability]] if request.labels else np.empty((0, 2))
        return replace(
            state,
            evidence=evidence,
            labels=labels,
            workers=workers,
            ensemble=after.state,
            bank=(),
            asked_by_form=total_asked(state.asked_by_form, request),
            trace=np.concatenate([state.trace, moved]),
        ), metrics

    def reward(self, state: FeedbackState, spaces: Spaces) -> Reward:
        """The normalised ensemble."""
        from rlhf_core.rewards.network import RewardEnsemble

        assert state.ensemble is not None, "reward() comes after tell()"
        return RewardEnsemble(state.ensemble, spaces, self.reward_model)

    def imitation(self) -> Imitation | None:
        """Rollouts and demonstrations add nothing to this reward."""
        return None

    def _check_bank_forms(self) -> None:
        """Refuse likelihoods with parameters of their own, which a bank's fit does not estimate."""
        odd = sorted({form.kind for form in self.forms()} - BANK_FORMS)
        if odd:
            raise ConfigurationError(
                f"feedback.reward_model.family: 'bank' expected forms of feedback among "
                f"{', '.join(sorted(BANK_FORMS))}, actual: {', '.join(odd)}"
            )
        if self.likelihoods.ties == "davidson":
            raise ConfigurationError(
                "feedback.likelihoods.ties: expected 'half' or 'drop' with a bank, actual: "
                "'davidson'"
            )

    def _by_kind(self) -> dict[str, FeedbackForm]:
        return {form.kind: form for form in self.forms()}

    def _terms(self, labels: Labels, evidence: Evidence) -> "list[Term]":
        """The likelihoods of all labels, in the order of their forms' names."""
        forms, terms, smoothing = self.forms(), [], self.reward_model.label_smoothing
        for kind, made in sorted(labels.items()):
            form = form_of(kind, forms)
            if len(made):
                term = form.term(made, evidence.segments, self.likelihoods, smoothing)
                if term is not None:
                    terms.append(term)
        return terms


def fresh_segments(request: Request, known: int, count: int) -> np.ndarray:
    """Which of `count` segments (a mask) tell how the last reward does: the new ones of a request.

    Of a request with an audit they are the audited ones. Clips that annotators brought are beside
    those that were asked about, not among them.

    Args:
        request: the newest one; its segments come right after the first `known` ones.
        known: segments of earlier requests.
        count: S, segments in all.
    """
    asked = len(request.segments)
    fresh = np.zeros(count, dtype=bool)
    fresh[known : known + asked] = True
    if request.audit is not None and request.audit.any():
        fresh[known : known + asked] = request.audit
    return fresh
