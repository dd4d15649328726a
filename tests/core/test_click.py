"""Clicks: the model by hand, and what correcting for unexamined positions is worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Answers
from rlhf_core.errors import ShapeError
from rlhf_core.feedback_forms.click import Click, ClickLabels, Clicks, position_based
from rlhf_core.questions import Request
from rlhf_core.rewards.fitting import fit
from rlhf_core.rewards.model import Likelihoods, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial
from rlhf_core.types import Segments, Truth
from tests.core.examples import LINE, segments


def clicks(query: list[int], clip: list[int], clicked: list[int], e: list[float]) -> Clicks:
    count = len(query)
    return Clicks(
        np.array(query),
        np.array(clip),
        np.array(clicked, dtype=bool),
        np.array(e),
        np.zeros(count, dtype=np.int64),
        np.zeros(count),
        np.zeros(count),
    )


def test_the_likelihood_is_that_of_the_position_based_model() -> None:
    score, e = torch.tensor([[0.0, np.log(3.0), -40.0, 40.0]]), torch.tensor([0.5, 0.8, 0.5, 0.5])
    hit = position_based(score, torch.ones(4), e)
    missed = position_based(score, torch.zeros(4), e)
    np.testing.assert_allclose(hit[0, :2], -np.log([0.25, 0.6]), rtol=1e-6)
    np.testing.assert_allclose(missed[0, :2], -np.log([0.75, 0.4]), rtol=1e-6)
    # A clip that is surely clicked once it is looked at was not looked at in half of the cases.
    np.testing.assert_allclose(missed[0, 2:], [0, np.log(2)], atol=1e-6)
    assert torch.isfinite(hit).all()


def test_without_a_doubt_about_examination_it_is_logistic_regression() -> None:
    score = torch.randn(2, 5, requires_grad=True)
    clicked = torch.tensor([1.0, 0, 1, 0, 0])
    loss = position_based(score, clicked, torch.ones(5))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        score, clicked.expand(2, -1), reduction="none"
    )
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    assert torch.isfinite(score.grad).all()


def test_a_click_orders_its_list_and_no_other() -> None:
    judged = clicks([0, 0, 0, 1, 1], [0, 1, 2, 3, 4], [1, 0, 0, 0, 0], [1.0] * 5)
    # Of list 0 clip 0 was clicked; it is better than clip 1 and worse than clip 2.
    agreement = judged.agreement(None, np.array([2.0, 1, 3, 9, 9]))
    assert agreement == (0.5, 1)
    term = Click().term(
        ClickLabels(judged, np.ones(5)), segments(np.zeros((5, 1))), Likelihoods(), 0
    )
    margins, stated = term.margins(torch.tensor([[[2.0], [1], [3], [9], [9]]]))
    assert stated.tolist() == [[0, 1], [0, 2]]
    assert margins.tolist() == [[1, -1]]
    assert term.question.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"examination": (1.0, 0.0)}, r"examination: expected probabilities in \(0, 1\]"),
        ({"assumed_examination": (1.0, 2.0, 1, 1)}, "assumed_examination: expected probabilities"),
        ({"assumed_examination": (1.0,)}, "one for each of the 4 positions"),
    ],
)
def test_examinations_that_are_no_probabilities_are_refused(
    fields: dict[str, tuple[float, ...]], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Click(**fields)


def test_a_click_of_one_worker_says_nothing_about_what_another_left() -> None:
    # Both saw list 0; worker 0 clicked clip 0, worker 1 clicked nothing.
    both = clicks([0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [1.0] * 4)
    both = replace(both, worker=np.array([0, 0, 1, 1]))
    assert both.stated_orders().tolist() == [[0, 1]]


def test_propensities_are_probabilities() -> None:
    with pytest.raises(ShapeError, match=r"Clicks: expected propensities in \(0, 1\]"):
        clicks([0], [0], [1], [0.0])


def sorted_lists(form: Click, lists: int) -> tuple[Request, Segments, np.ndarray]:
    """Lists whose best clips stand where they are looked at least: the worst case of clicks."""
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(lists, form.size(), 1)).astype(np.float32)
    shown = np.sort(shown, axis=1).reshape(-1, 1)
    clips, reference = segments(shown), segments(rng.normal(size=(400, 1)).astype(np.float32))
    items = np.arange(lists * form.size()).reshape(lists, -1)
    queries = form.compose(items, clips, Likelihoods(), rng)
    return Request(clips, reference, {"click": queries}), clips, shown[:, 0].astype(np.float64)


def asked(form: Click, lists: int = 2500) -> tuple[Answers, Segments, np.ndarray]:
    request, clips, returns = sorted_lists(form, lists)
    truth = Truth(
        returns[:, None], request.reference.observations[:, :1, 0].astype(float), np.zeros(0)
    )
    teacher = Synthetic(rationality=2)
    rng = np.random.default_rng(1)
    return teacher.answer(AnnotatorState(), request, truth, rng)[1], clips, returns


def test_clicks_are_as_frequent_as_the_model_says() -> None:
    form = Click(examination=(1.0, 0.5, 0.2))
    answers, _, returns = asked(form)
    judged = answers.judgements["click"]
    assert isinstance(judged, Clicks)
    reference = sorted_lists(form, 2500)[0].reference.observations[:, 0, 0].astype(float)
    preferred = 1 / (1 + np.exp(-2 * (returns[:, None] - reference)))
    expected = preferred.mean(axis=1).reshape(-1, 3).mean(axis=0) * np.array(form.examination)
    share = judged.clicked.reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(share, expected, atol=4 * 0.5 / np.sqrt(2500))


def slope(form: Click) -> float:
    """The weight of a linear reward that is fitted to the clicks, per unit of its spread."""
    answers, clips, _ = asked(form)
    labels = form.label(answers.judgements["click"], None, None)
    model = RewardModel(
        hidden=(), members=1, inputs=("observation",), epochs=30, learning_rate=1e-2, batch_size=64
    )
    start: RewardEnsemble = initial(model, LINE, clips, np.random.default_rng(0))
    term = form.term(labels, clips, Likelihoods(), 0.0)
    fitted, _ = fit(start, clips, [term], clips, np.random.default_rng(0))
    weight = float(fitted.state.parameters["weight_0"][0, 0, 0])
    return weight * float(np.exp(fitted.state.heads["click.log_scale"][0, 0]))


def test_correcting_for_examination_finds_a_reward_that_naive_clicks_turn_round() -> None:
    examined = (1.0, 0.4, 0.15, 0.05)
    corrected = slope(Click(examination=examined))
    naive = slope(Click(examination=examined, assumed_examination=(1.0,) * 4))
    assert corrected > 0.5
    assert naive < 0.25 * corrected


def test_a_moved_click_points_to_its_own_list() -> None:
    judged = clicks([0, 1], [0, 3], [1, 0], [1.0, 0.5])
    moved = judged.moved(10, 4)
    assert (moved.query.tolist(), moved.clip.tolist()) == ([4, 5], [10, 13])
    assert judged.joined(replace(moved)).labels == 4
