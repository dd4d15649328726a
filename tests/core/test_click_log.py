"""Click models, propensities and corrections by hand, and the annotator that reads a log."""

import numpy as np
import pytest

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.click_log import ClickLog
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Ratings
from rlhf_core.clicks.correction import (
    doubly_robust,
    fit_relevance,
    inverse_propensity,
    predicted_relevance,
)
from rlhf_core.clicks.intervention import intervene
from rlhf_core.clicks.log import Impressions
from rlhf_core.clicks.models import CLICK_MODELS, Users, cascade, dynamic_bayesian, position_based
from rlhf_core.clicks.propensities import estimated, swapped
from rlhf_core.environments import Environment
from rlhf_core.environments.batched.recommender import Recommender, RecommenderEnv
from rlhf_core.errors import ConfigurationError
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack
from rlhf_core.types import Segments, Truth
from tests.core.examples import asking

ENVIRONMENT = Environment(id="rlhf/Recommender-v0", count=8)
COLUMNS = RecommenderEnv().log_columns()
THETA = np.array([1.0, 0.5, 0.25])


def users(attraction: float, satisfaction: float, continuation: list[float], count: int) -> Users:
    shape = (len(continuation), count)
    draws = np.random.default_rng(0).random((3, *shape))
    return Users(
        np.full(shape, attraction), np.full(shape, satisfaction), np.array(continuation), draws
    )


def test_what_each_click_model_lets_users_examine() -> None:
    # Three positions: attractive and dissatisfying, attractive and satisfying, attractive.
    draws = np.zeros((3, 3, 1))
    one = np.ones((3, 1))
    pleases = np.array([[0.0], [1.0], [1.0]])
    at_hand = Users(one, pleases, np.array([1.0, 1.0, 0.0]), draws)
    assert position_based(at_hand).clicked[:, 0].tolist() == [True, True, False]
    assert position_based(at_hand).satisfied[:, 0].tolist() == [False, True, False]
    assert cascade(at_hand).clicked[:, 0].tolist() == [True, False, False]
    assert dynamic_bayesian(at_hand).clicked[:, 0].tolist() == [True, True, False]
    tired = at_hand._replace(continuation=np.array([1.0, 0.0, 1.0]))
    assert dynamic_bayesian(tired).examined[:, 0].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("position", [0.5, 0.4, 0.2]),
        ("cascade", [0.5, 0.25, 0.125]),
        # P(examine) falls by continuation x (1 - a s) = 0.8 x 0.7, then 0.4 x 0.7.
        ("dynamic_bayesian", [0.5, 0.5 * 0.56, 0.5 * 0.56 * 0.28]),
    ],
)
def test_click_rates_are_those_of_the_papers(model: str, expected: list[float]) -> None:
    clicks = CLICK_MODELS[model](users(0.5, 0.6, [1.0, 0.8, 0.4], 100_000))
    np.testing.assert_allclose(clicks.clicked.mean(axis=1), expected, atol=0.006)
    rate = clicks.satisfied.sum() / clicks.clicked.sum()
    assert rate == pytest.approx(0.6, abs=0.006)


def test_swaps_move_the_top_and_nothing_else() -> None:
    slates = np.tile([7, 8, 9], (4000, 1))
    after, partner = swapped(slates, np.random.default_rng(0))
    moved = after[:, 0] != 7
    assert 0.45 < moved.mean() < 0.55
    for k in (1, 2):
        assert 0.45 < (partner == k).mean() < 0.55
        assert (after[moved & (partner == k), k] == 7).all()
    assert (np.sort(after, axis=1) == slates).all()


def test_propensities_are_ratios_of_clicks_among_what_could_be_swapped() -> None:
    clicked = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)
    partner = np.array([1, 1, 1, 2, 2])
    # At (1, 2): 3 clicks at the top and 1 below; at (1, 3): 1 and 1.
    np.testing.assert_allclose(estimated(clicked, partner), [1, 1 / 3, 1])
    with pytest.raises(ConfigurationError, match=r"at every position.*actual: \[0, 1\]"):
        estimated(clicked[3:4], partner[3:4])


def test_the_intervention_finds_the_true_propensities_which_clicks_alone_hide() -> None:
    shown, partner = intervene(ENVIRONMENT, COLUMNS, 20_000, np.random.default_rng(0))
    true = Recommender().examination
    for seconds in (0.0, 30.0):
        found = estimated(shown.positive(seconds), partner)
        np.testing.assert_allclose(found, true, atol=0.05)
    # Without the swaps, position 3 has too few satisfied clicks: it holds other items than the top.
    alike = shown.positive(30.0).mean(axis=0)
    assert alike[2] / alike[0] < true[2] - 0.02


def test_corrections_by_hand() -> None:
    clicked = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool)
    np.testing.assert_allclose(inverse_propensity(clicked, THETA), [5 / 3, 2 / 3])
    # Item 0 stood at positions 1 and 2: rho = 0.75; item 1 at 2 and 1: 0.75; item 2 at 3 twice.
    items = np.array([[0, 1, 2], [1, 0, 2]])
    predicted = np.array([[0.4, 0.2, 0.1], [0.2, 0.4, 0.1]])
    labels = doubly_robust(items, clicked, THETA, predicted)
    first = (0.4 + 0.6 / 0.75) + (0.2 - 0.1 / 0.75) + (0.1 + (1 - 0.025) / 0.25)
    second = (0.2 - 0.2 / 0.75) + (0.4 + 0.8 / 0.75) + (0.1 - 0.025 / 0.25)
    np.testing.assert_allclose(labels, [first / 3, second / 3])


def test_corrected_labels_have_the_mean_of_relevance_and_a_prediction_steadies_them() -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(3, size=(60_000, 3))
    relevance = np.array([0.2, 0.5, 0.8])[items]
    clicked = rng.random(items.shape) < relevance * THETA
    plain = inverse_propensity(clicked, THETA)
    robust = doubly_robust(items, clicked, THETA, relevance)
    wrong = doubly_robust(items, clicked, THETA, np.full_like(relevance, 0.9))
    for label in (plain, robust, wrong):
        assert label.mean() == pytest.approx(relevance.mean(), abs=0.01)
    assert robust.std() < 0.8 * plain.std()
    # Items that never move are weighed as by the plain inverse.
    still = np.tile([0, 1, 2], (60_000, 1))
    right = np.array([0.2, 0.5, 0.8])[still]
    seen = rng.random(still.shape) < right * THETA
    np.testing.assert_allclose(
        doubly_robust(still, seen, THETA, right), inverse_propensity(seen, THETA), atol=1e-12
    )


def test_relevance_is_fitted_through_the_propensities() -> None:
    rng = np.random.default_rng(0)
    context = rng.random((20_000, 1))
    items = rng.integers(2, size=(20_000, 3))
    relevance = np.where(items == 0, 0.2 + 0.6 * context, 0.5)
    clicked = rng.random(items.shape) < relevance * THETA
    shown = Impressions(context, np.ones(20_000, dtype=bool), items, clicked, 60.0 * clicked)
    weights = fit_relevance(shown, clicked, THETA, 2)
    np.testing.assert_allclose(weights, [[0.2, 0.6], [0.5, 0.0]], atol=0.03)
    np.testing.assert_allclose(predicted_relevance(weights, shown), relevance, atol=0.04)


def clips() -> Segments:
    """Two clips of one slate: a long click at the top and a short one at position 3; nobody."""
    observations = np.zeros((2, 2, 11), dtype=np.float32)
    observations[0, :, COLUMNS.present] = 1
    observations[0, 1, COLUMNS.clicks] = [1, 0, 1]
    observations[:, 1, COLUMNS.minutes] = [1.0, 0, 0.25]
    return Segments(
        actions=np.array([[[0, 1, 2]], [[0, 1, 2]]]),
        observations=observations,
        terminated=np.zeros((2, 1), dtype=bool),
        mask=np.ones((2, 1), dtype=bool),
        origin=np.zeros((2, 2), dtype=np.int64),
    )


def prepared(annotator: ClickLog) -> AnnotatorState:
    return annotator.prepare(ENVIRONMENT, PPO(), 0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"correction": "none", "satisfied_seconds": 0}, 2 / 3),
        ({"correction": "none"}, 1 / 3),
        ({"correction": "ips"}, 1 / 3),
        ({"correction": "ips", "satisfied_seconds": 0}, (1 + 1 / 0.35) / 3),
    ],
)
def test_a_log_is_read_as_its_fields_say_and_costs_nothing(
    fields: dict[str, object], expected: float
) -> None:
    annotator = ClickLog.model_validate({**fields, "impressions": 5000})
    request = asking(clips(), rating=[0, 1], signal=[(0, 0)])
    state = prepared(annotator)
    after, answers = annotator.answer(state, request, None, np.random.default_rng(0))
    rated, moments = answers.judgements["rating"], answers.judgements["signal"]
    assert isinstance(rated, Ratings)
    assert isinstance(moments, Ratings)
    np.testing.assert_allclose(rated.value, [expected, 0.0], rtol=0.2)
    assert moments.value[0] == rated.value[0]
    assert (answers.cost, answers.labels, after.judgements) == (0.0, 3, 3)
    assert not annotator.needs_true_reward()
    assert pack(prepared(annotator)) == pack(state)


def test_comparisons_go_to_who_is_named_for_them() -> None:
    asked = asking(clips(), rating=[0, 1], comparison=[[0, 1]])
    truth = Truth(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]), np.empty(0))
    alone = ClickLog(impressions=1000)
    with pytest.raises(ConfigurationError, match=r"annotator\.explicit: expected who answers"):
        alone.answer(prepared(alone), asked, truth, np.random.default_rng(0))
    both = ClickLog(impressions=1000, explicit=Synthetic(cost=0.5))
    state, answers = both.answer(prepared(both), asked, truth, np.random.default_rng(0))
    assert both.needs_true_reward()
    assert both.label_price() == answers.cost == 0.5
    assert answers.judgements["comparison"].entries(asked.queries["comparison"]).answers == [
        "right"
    ]
    again, _ = both.answer(state, asked, truth, np.random.default_rng(0))
    assert again.judgements == 6


def test_an_environment_without_a_log_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected an environment that logs clicks"):
        ClickLog().check_fit(Environment(id="CartPole-v1"), False)
    with pytest.raises(ConfigurationError, match=r"one of .*'cascade'.*actual: 'every'"):
        Recommender("every")
