"""What every form of feedback promises, whoever wrote it."""

from typing import Any

import numpy as np
import pytest
import torch

from rlhf_core.annotators import simulate
from rlhf_core.annotators.crowd import Crowd
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Answers
from rlhf_core.environments.factory import Environment
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback_forms import FORMS, FeedbackForm, form_of, parse
from rlhf_core.labels import LabelSet
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack, unpack
from rlhf_core.questions import Request
from rlhf_core.reward_learning.evidence import gathered, labelled
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Truth
from tests.core.examples import segments
from tests.core.test_store import same

FORM = [pytest.param(form_of(kind, ()), id=kind) for kind in FORMS.kinds()]
LABELLED = [p for p in FORM if p.values[0].size()]
TEACHERS = [Synthetic(), Synthetic(rationality=3, cost=0.5, seconds=2), Crowd(workers=5, gold=0.2)]
QUERIES = 6


def asked_in(form: FeedbackForm, seed: int = 0) -> tuple[Request, Truth]:
    """Six queries of one form, whose true rewards are the numbers that the clips show."""
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(QUERIES * form.size(), 3)).astype(np.float32)
    clips, reference = segments(shown), segments(rng.normal(size=(9, 3)).astype(np.float32))
    items = np.arange(QUERIES * form.size()).reshape(QUERIES, form.size())
    queries = form.compose(items, clips, Likelihoods(), rng)
    true = shown.astype(np.float64)
    known = reference.observations[:, :-1, 0].astype(np.float64)
    return Request(clips, reference, {form.kind: queries}), Truth(true, known, np.zeros(0))


def answered(form: FeedbackForm, teacher: Any, seed: int = 0) -> tuple[Request, Answers]:
    request, truth = asked_in(form, seed)
    rng = np.random.default_rng(seed)
    state = teacher.prepare(Environment(id="CartPole-v1"), PPO(), 0, rng)
    return request, teacher.answer(state, request, truth, rng)[1]


def made_of(form: FeedbackForm, teacher: Any, seed: int = 0) -> tuple[LabelSet, Any]:
    request, answers = answered(form, teacher, seed)
    evidence = gathered(None, request, answers)
    return labelled(evidence, (form,), Preference().aggregation)[0][form.kind], evidence


@pytest.mark.parametrize("form", FORM)
def test_queries_carry_the_form_with_its_settings_and_its_worth(form: FeedbackForm) -> None:
    request, _ = asked_in(form)
    queries = request.queries[form.kind]
    assert parse(queries) == form
    assert queries.worth == form.worth()
    assert request.labels == QUERIES * form.worth()
    assert len(set(request.ids(form.kind))) == QUERIES


@pytest.mark.parametrize("form", LABELLED)
@pytest.mark.parametrize("teacher", TEACHERS, ids=lambda teacher: teacher.kind)
def test_simulated_annotators_answer_every_query_within_its_price(
    form: FeedbackForm, teacher: Any
) -> None:
    request, answers = answered(form, teacher)
    again = answered(form, teacher)[1]
    assert pack(answers) == pack(again)
    assert same(unpack(pack(answers), Answers), answers)
    judgements = answers.judgements[form.kind]
    assert judgements.labels + judgements.skipped >= QUERIES
    assert answers.cost <= request.labels * teacher.label_price() + 1e-9
    entries = judgements.entries(request.queries[form.kind])
    assert {len(column) for column in entries} == {len(judgements)}


@pytest.mark.parametrize("form", LABELLED)
def test_an_oracles_answers_agree_with_the_true_order(form: FeedbackForm) -> None:
    request, truth = asked_in(form)
    _, answers = answered(form, Synthetic())
    judgements = answers.judgements[form.kind]
    agreement = judgements.agreement(request.queries[form.kind], truth.segments.sum(axis=1))
    assert 0 <= agreement.correct <= agreement.ordered
    if form.kind not in ("signal", "correction"):  # They order no two whole clips of the request.
        assert agreement.ordered > 0
        assert agreement.correct == agreement.ordered or form.kind == "click"


@pytest.mark.parametrize("form", LABELLED)
def test_evidence_moves_on_and_is_the_same_after_the_store(form: FeedbackForm) -> None:
    rounds = [answered(form, Synthetic(), seed) for seed in (0, 1)]
    evidence = None
    for request, answers in rounds:
        evidence = gathered(evidence, request, answers)
    assert evidence is not None
    assert len(evidence.queries[form.kind]) == 2 * QUERIES
    together = evidence.judgements[form.kind]
    assert len(together) == sum(len(a.judgements[form.kind]) for _, a in rounds)
    later = rounds[1][1].judgements[form.kind]
    clips = len(evidence.segments) - len(rounds[1][0].segments)
    clips -= 0 if rounds[1][1].segments is None else len(rounds[1][1].segments)
    moved = later.moved(clips, QUERIES)
    first = rounds[0][1].judgements[form.kind]
    assert same(first.joined(moved), together)
    assert same(unpack(pack(evidence), type(evidence)), evidence)


@pytest.mark.parametrize("form", LABELLED)
def test_labels_have_a_likelihood_whose_gradient_moves_towards_them(form: FeedbackForm) -> None:
    made, evidence = made_of(form, Synthetic())
    term = form.term(made, evidence.segments, Likelihoods(), 0.0)
    assert term is not None
    assert len(term.items) == len(term.weight) == len(term.question)
    count, width = term.items.shape
    scores = torch.zeros(2, count, width, requires_grad=True)
    heads, index = term.heads(2), torch.arange(count)
    loss = term.loss(scores, index, heads)
    assert loss.shape == (2, count)
    mistaken = term.mistaken_loss(loss, scores, index, heads)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(mistaken).all()
    loss.sum().backward()
    step = (-0.1 * scores.grad).detach()
    assert term.loss(step, index, heads).sum() < loss.sum()
    margins, stated = term.margins(step)
    assert stated.shape == (margins.shape[1], 2)


@pytest.mark.parametrize("form", LABELLED)
def test_null_controls_state_other_things_in_the_same_form(form: FeedbackForm) -> None:
    made, evidence = made_of(form, Synthetic())
    for control in (made.shuffled(np.random.default_rng(0)), made.reversed()):
        assert type(control) is type(made)
        assert pack(control) != pack(made)
        assert form.term(control, evidence.segments, Likelihoods(), 0.0) is not None
        assert control.teaches("half")
    assert pack(made.shuffled(np.random.default_rng(1))) == pack(
        made.shuffled(np.random.default_rng(1))
    )


@pytest.mark.parametrize("form", LABELLED)
def test_labels_are_chosen_by_their_clips_and_are_a_table(form: FeedbackForm) -> None:
    made, evidence = made_of(form, Synthetic())
    everything = np.ones(len(evidence.segments), dtype=bool)
    assert pack(made.about(everything)) == pack(made)
    assert len(made.about(~everything)) == 0
    columns = made.columns()
    assert {len(column) for column in columns.values()} == {len(made)}
    assert "weight" in columns


def test_forms_are_answered_in_the_order_of_their_names() -> None:
    requests = [asked_in(form_of(kind, ())) for kind in ("rating", "comparison")]
    clips = segments(np.zeros((2 * QUERIES, 3), dtype=np.float32))
    kinds = ("rating", "comparison")
    queries = {kind: r.queries[kind] for (r, _), kind in zip(requests, kinds, strict=True)}
    nothing = np.zeros((2 * QUERIES, 3))
    from rlhf_core.annotators.synthetic import AnnotatorState, _Teacher

    truth, rng = Truth(nothing, nothing, np.zeros(0)), np.random.default_rng(0)
    request = Request(clips, clips, queries)
    teacher = _Teacher(Synthetic(), AnnotatorState(), request, truth, rng)
    assert list(simulate(request, teacher, rng)[1].judgements) == ["comparison", "rating"]
