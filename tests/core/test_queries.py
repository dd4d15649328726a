"""Which questions are asked, computed by hand."""

import numpy as np
import pytest

from rlhf_core.acquisition.diversity import (
    k_centre,
    question_features,
    segment_features,
    select_diverse,
)
from rlhf_core.acquisition.scores import (
    choice_probabilities,
    disagreement,
    entropy,
    information_gain,
    rating_variance,
    uncertainty,
)
from rlhf_core.queries import QuerySelector
from rlhf_core.queries.coverage import Coverage
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.queries.entropy import Entropy
from rlhf_core.queries.hybrid import Hybrid
from rlhf_core.queries.information_gain import InformationGain
from rlhf_core.queries.uniform import Uniform
from rlhf_core.questions import Queries
from tests.core.examples import segments

CLIPS = segments(np.zeros((6, 2)))
PAIRS = Queries(np.array([[0, 1], [2, 3], [4, 5]]))
LOG_2, LOG_3 = float(np.log(2)), float(np.log(3))  # sigmoid(log 3) = 3/4
QUARTERS = float(2 * LOG_2 - 0.75 * LOG_3)  # H(1/4, 3/4) in nats

# Returns of the six segments under two members. Pair (0, 1): P(right) 1/2 and 1/2, variance 0.
# Pair (2, 3): 3/4 and 1/4, variance 1/16. Pair (4, 5): 1/2 and 3/4, variance 1/64.
RETURNS = np.array(
    [
        [7, 7, 0, LOG_3, 1, 1],
        [-2, -2, 0, -LOG_3, 1, 1 + LOG_3],
    ]
)


def asked(
    count: int,
    returns: np.ndarray = RETURNS,
    seed: int = 0,
    selector: QuerySelector = Disagreement(),  # noqa: B008 - frozen
) -> list[list[int]]:
    chosen = selector.select(PAIRS, CLIPS, returns, count, np.random.default_rng(seed))
    found: list[list[int]] = chosen.items.tolist()
    return found


def test_choices_of_a_pair_are_bradley_terry_and_of_a_group_a_softmax() -> None:
    pair = choice_probabilities(RETURNS, PAIRS.items)
    np.testing.assert_allclose(pair[:, :, 1], [[0.5, 0.75, 0.5], [0.5, 0.25, 0.75]])
    group = choice_probabilities(np.log([[1.0, 2, 3]]), np.array([[0, 1, 2], [2, 0, 1]]))
    np.testing.assert_allclose(group, [[[1 / 6, 2 / 6, 3 / 6], [3 / 6, 1 / 6, 2 / 6]]])


def test_entropy_knows_the_certain_and_the_even() -> None:
    rows = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(entropy(rows), [0, LOG_2, 2 * LOG_2])


def test_scores_of_pairs() -> None:
    # Both sides of a pair vary alike, so the sum over choices is twice the variance of P(right).
    np.testing.assert_allclose(disagreement(RETURNS, PAIRS.items), [0, 2 / 16, 2 / 64])
    # The first pair is the same to both members: no question. The mean P(right) is 1/2 and 5/8.
    five_eighths = -(5 / 8 * np.log(5 / 8) + 3 / 8 * np.log(3 / 8))
    np.testing.assert_allclose(
        uncertainty(RETURNS, PAIRS.items), [-np.inf, LOG_2, five_eighths], atol=1e-12
    )
    np.testing.assert_allclose(
        information_gain(RETURNS, PAIRS.items),
        [0, LOG_2 - QUARTERS, five_eighths - (LOG_2 + QUARTERS) / 2],
        atol=1e-12,
    )


def test_scores_of_groups() -> None:
    # One member is sure of the first clip, the other of the second; the third is out of the race.
    returns = np.array([[0.0, -1e30, -1e30], [-1e30, 0, -1e30]])
    group = np.array([[0, 1, 2]])
    np.testing.assert_allclose(disagreement(returns, group), [1 / 4 + 1 / 4])
    np.testing.assert_allclose(uncertainty(returns, group), [LOG_2])
    np.testing.assert_allclose(information_gain(returns, group), [LOG_2])


def test_scores_of_ratings_are_about_places_among_all_clips() -> None:
    # Both members put the clips at -1, 1 and 1, -1, whatever their own returns are.
    returns = np.array([[0.0, 2], [500, 100]])
    clips = np.array([[0], [1]])
    np.testing.assert_allclose(rating_variance(returns, clips), [1, 1])
    np.testing.assert_allclose(disagreement(returns, clips), [1, 1])
    np.testing.assert_allclose(uncertainty(returns, clips), np.log(2 * np.pi * np.e) / 2)
    np.testing.assert_allclose(information_gain(returns, clips, 0.5), np.log(5) / 2)
    agreed = np.array([[0.0, 2], [100, 500]])
    np.testing.assert_allclose(rating_variance(agreed, clips), [0, 0])
    np.testing.assert_allclose(information_gain(agreed, clips), [0, 0])
    assert np.isfinite(uncertainty(agreed, clips)).all()
    np.testing.assert_allclose(rating_variance(np.ones((3, 2)), clips), [0, 0])


@pytest.mark.parametrize("score", [disagreement, uncertainty, information_gain])
def test_scores_do_not_see_the_order_of_clips_or_what_is_added_to_a_member(score: object) -> None:
    assert callable(score)
    rng = np.random.default_rng(0)
    returns, items = rng.normal(size=(3, 12)), rng.permutation(12).reshape(4, 3)
    before = score(returns, items)
    np.testing.assert_allclose(score(returns, items[:, ::-1]), before)
    np.testing.assert_allclose(score(returns + np.array([[5], [-3], [0]]), items), before)


def test_disagreement_asks_where_the_predicted_preferences_vary_most() -> None:
    assert asked(1) == [[2, 3]]
    assert sorted(asked(2)) == [[2, 3], [4, 5]]
    assert sorted(asked(3)) == PAIRS.items.tolist()


def test_disagreement_is_about_preferences_and_not_about_returns() -> None:
    # Members differ by 1000 in return and agree on the order of the first pair; on the second
    # they differ by 2 and quarrel.
    returns = np.array([[0, 1000, 0, 1, 0, 0], [0, 2000, 1, 0, 0, 0]], dtype=np.float64)
    assert asked(1, returns) == [[2, 3]]


def test_disagreement_does_not_overflow() -> None:
    returns = np.array([[-1e30, 1e30, 0, 0, 0, 0], [1e30, -1e30, 0, 0, 0, 0]])
    assert asked(1, returns) == [[0, 1]]


def test_disagreement_asks_in_random_order() -> None:
    orders = {str(asked(3, seed=seed)) for seed in range(30)}
    assert len(orders) == 6


def test_information_gain_passes_over_what_all_members_call_a_coin_and_entropy_does_not() -> None:
    # Pair (0, 1): both say 1/2. Pair (2, 3): 9/10 and 4/10, so the mean is nearer to certainty.
    nine, four = np.log(9), np.log(4 / 6)
    returns = np.array([[0, 1e-9, 0, nine, 0, 30], [0, 0, 0, four, 0, 30]])
    assert asked(1, returns, selector=Entropy()) == [[0, 1]]
    assert asked(1, returns, selector=InformationGain()) == [[2, 3]]


@pytest.mark.parametrize(
    "selector", [Disagreement(oversample=7), Entropy(oversample=7), InformationGain(oversample=7),
                 Coverage(oversample=7), Hybrid(oversample=7)],
    ids=lambda selector: selector.kind,
)  # fmt: skip
def test_more_candidates_are_drawn_than_are_asked(selector: QuerySelector) -> None:
    assert selector.candidates(3) == 21


def test_features_are_mean_and_deviation_over_real_steps() -> None:
    # Clips show 0, 2 | 4, 6 | 4 and padding: means 1, 5, 4; deviations 1, 1, 0. Actions are all 0.
    clips = segments([[0, 2], [4, 6], [4, 99]], mask=[[1, 1], [1, 1], [1, 0]])
    means, deviations = np.array([1.0, 5, 4]), np.array([1.0, 1, 0])
    found = segment_features(clips)
    np.testing.assert_allclose(found[:, 0], (means - means.mean()) / means.std())
    np.testing.assert_allclose(found[:, 1], (deviations - deviations.mean()) / deviations.std())
    np.testing.assert_allclose(found[:, 2:], 0)


def test_a_pair_and_its_mirror_image_are_one_question() -> None:
    clips = segments(np.random.default_rng(0).normal(size=(4, 3)))
    pair, mirrored, other = question_features(clips, Queries(np.array([[0, 1], [1, 0], [2, 3]])))
    np.testing.assert_allclose(pair, mirrored)
    assert np.abs(pair - other).max() > 0.1


def test_k_centre_goes_to_the_farthest_point() -> None:
    line = np.array([[0.0], [1], [2], [10], [6]])
    # From 0: the farthest is 10; then 6 is 4 away from 10, and 2 is 2 away from 0.
    assert k_centre(line, 4, 0).tolist() == [0, 3, 4, 2]
    assert sorted(k_centre(np.zeros((4, 2)), 4, 2).tolist()) == [0, 1, 2, 3]


def test_the_best_ones_that_are_apart() -> None:
    scores, features = np.array([5.0, 4, 3, 2]), np.array([[0.0], [0.1], [2], [2.1]])
    assert select_diverse(scores, features, 2, 0.0).tolist() == [0, 1]
    assert select_diverse(scores, features, 2, 1.0).tolist() == [0, 2]
    # Where too few are apart, the best of those passed over fill up.
    assert select_diverse(scores, features, 3, 1.0).tolist() == [0, 2, 1]


@pytest.mark.parametrize("kind", [Disagreement, Entropy, InformationGain])
def test_a_batch_that_is_spread_holds_no_near_duplicates(
    kind: type[Disagreement | Entropy | InformationGain],
) -> None:
    # Clips 0 to 3 show nearly the same, 4 and 5 something else. Members quarrel most about the
    # pairs of the first four, and a little about the last.
    clips = segments([[0, 0], [1, 1], [0, 0], [1, 1], [50, 50], [90, 90]])
    returns = np.array([[0, 9, 0, 9, 0, 1], [9, 0, 9, 0, 1, 0]], dtype=np.float64)
    rng = np.random.default_rng(0)
    near = kind().select(PAIRS, clips, returns, 2, rng).items
    far = kind(spread=0.5).select(PAIRS, clips, returns, 2, rng).items
    if kind is not Entropy:  # the mean of a quarrel is even, great or small
        assert sorted(near.tolist()) == [[0, 1], [2, 3]]
    assert sorted(far.tolist()) == [[0, 1], [4, 5]]


def test_coverage_asks_about_clips_that_are_unlike_each_other() -> None:
    clips = segments([[0, 0], [0, 0], [0.1, 0.1], [0, 0], [70, 70], [70, 70]])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        chosen = Coverage().select(PAIRS, clips, RETURNS, 2, rng).items.tolist()
        assert [4, 5] in chosen


def test_a_hybrid_spreads_what_tells_most() -> None:
    # The shortlist of four drops the pair that nobody quarrels about, however far it lies.
    shown = [0.0, 0, 0.1, 0.1, 5, 5, 0.2, 0.2, 900, 900]
    clips = segments(np.tile(np.array(shown)[:, None], (1, 2)))
    pairs = Queries(np.arange(10).reshape(5, 2))
    quarrel = np.array([5.0, 4, 1, 4, 0])
    right = np.stack([quarrel, -quarrel])
    returns = np.zeros((2, 10))
    returns[:, 1::2] = right
    selector = Hybrid(shortlist=2, measure="disagreement")
    chosen = selector.select(pairs, clips, returns, 2, np.random.default_rng(0)).items.tolist()
    assert sorted(chosen) == [[0, 1], [4, 5]]


def test_uniform_draws_what_it_asks() -> None:
    assert Uniform().candidates(3) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_uniform_asks_each_pair_equally_often_and_never_twice(count: int) -> None:
    rng = np.random.default_rng(0)
    times = np.zeros(3)
    for _ in range(3000):
        chosen = Uniform().select(PAIRS, CLIPS, RETURNS, count, rng).items
        assert len({tuple(pair) for pair in chosen.tolist()}) == count
        times += np.isin(PAIRS.items[:, 0], chosen[:, 0])
    # Each of 3 pairs is asked with probability count / 3, standard error at most 26.
    assert np.abs(times - 1000 * count).max() < 110


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "selector",
    [Disagreement(), Entropy(spread=0.3), InformationGain(), Coverage(), Hybrid(), Uniform()],
    ids=lambda selector: selector.kind,
)
def test_every_selector_chooses_ratings_and_groups_too(selector: QuerySelector, size: int) -> None:
    rng = np.random.default_rng(0)
    drawn = selector.candidates(4)
    candidates = Queries(np.arange(drawn * size).reshape(-1, size))
    clips = segments(rng.normal(size=(drawn * size, 3)))
    returns = rng.normal(size=(3, drawn * size))
    chosen = selector.select(candidates, clips, returns, 4, rng).items
    assert chosen.shape == (4, size)
    assert len({tuple(row) for row in chosen.tolist()}) == 4
    assert {tuple(row) for row in chosen.tolist()} <= {tuple(r) for r in candidates.items.tolist()}
