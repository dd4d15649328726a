"""What each form of judgement says of scores: credit, scales, levels and orders by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from rlhf_core.judgements import EMPTY, WHOLE
from rlhf_core.labels import Preferences, RankingLabels, RatingLabels
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.rewards.terms import (
    MOST_LEVELS,
    Term,
    comparison_term,
    ranking_term,
    rating_levels,
    rating_term,
    standardised_ratings,
)
from tests.core.examples import rankings, ratings, segments

FULL = segments(np.zeros((3, 6)))
SHORT = segments(np.zeros((1, 6)), mask=[[1, 1, 1, 1, 0, 0]])


def rated_term(rated: Any, clips: Any = FULL, **settings: Any) -> Term:
    labels = RatingLabels(rated, np.ones(len(rated)))
    return rating_term(labels, clips, Likelihoods(**settings), "rating")


def is_ordinal(term: Term) -> bool:
    return "rating.first_cut" in term.heads(1)


def credit(clips: Any, step: int, delay: tuple[int, int] = (0, 0)) -> list[float]:
    term = rated_term(ratings([0], [1.0], step), clips, delay_steps=delay)
    assert term.credit is not None
    found: list[float] = term.credit[0].tolist()
    return found


@pytest.mark.parametrize(
    ("step", "delay", "heard"),
    [
        (WHOLE, (0, 0), [1, 1, 1, 1, 1, 1]),
        (WHOLE, (1, 3), [1, 1, 1, 1, 1, 1]),
        (3, (0, 0), [0, 0, 0, 6, 0, 0]),
        (3, (1, 1), [0, 0, 6, 0, 0, 0]),
        (3, (1, 3), [2, 2, 2, 0, 0, 0]),
        (5, (0, 2), [0, 0, 0, 2, 2, 2]),
        # The clip began only a step before: what is left of the window gets all of it.
        (1, (0, 3), [3, 3, 0, 0, 0, 0]),
        # Too early to have reacted to anything: it is a word on the first step.
        (0, (1, 2), [6, 0, 0, 0, 0, 0]),
    ],
)
def test_a_rating_speaks_of_the_steps_in_its_window(
    step: int, delay: tuple[int, int], heard: list[float]
) -> None:
    assert credit(FULL, step, delay) == heard


@pytest.mark.parametrize(
    ("step", "delay", "heard"),
    [
        (WHOLE, (0, 0), [1.5, 1.5, 1.5, 1.5, 0, 0]),
        (3, (0, 1), [0, 0, 3, 3, 0, 0]),
        (5, (0, 2), [0, 0, 0, 6, 0, 0]),
    ],
)
def test_padding_gets_no_credit(step: int, delay: tuple[int, int], heard: list[float]) -> None:
    assert credit(SHORT, step, delay) == heard


def test_ratings_are_put_on_the_scale_of_their_worker() -> None:
    # Values 0, 4 of worker 0 and 10, 14 of worker 7: mean 7 and variance 29 of all.
    value = standardised_ratings(ratings([0, 1, 0, 1], [0, 4, 10, 14], worker=[0, 0, 7, 7]))
    # Means are drawn towards 7 as if by five ratings: (4 + 35) / 7 and (24 + 35) / 7.
    means = np.array([39 / 7, 39 / 7, 59 / 7, 59 / 7])
    away = np.array([0, 4, 10, 14]) - means
    squares = np.array([(away[:2] ** 2).sum(), (away[2:] ** 2).sum()])
    deviation = np.sqrt((squares + 5 * 29) / 7).repeat(2)
    np.testing.assert_allclose(value, away / deviation, rtol=1e-6)


def test_a_worker_with_many_ratings_has_mean_0_and_deviation_1() -> None:
    rng = np.random.default_rng(0)
    value = np.concatenate([rng.normal(0, 1, 20000), rng.normal(5, 3, 20000)])
    rated = ratings(np.zeros(40000, int), value, worker=np.repeat([0, 1], 20000))
    value = standardised_ratings(rated)
    for half in (value[:20000], value[20000:]):
        assert float(half.mean()) == pytest.approx(0, abs=0.03)
        assert float(half.std()) == pytest.approx(1, abs=0.1)


def test_equal_ratings_say_nothing() -> None:
    rated = ratings([0, 1, 2], [3, 3, 3])
    term = rated_term(rated)
    np.testing.assert_array_equal(standardised_ratings(rated), [0, 0, 0])
    margins, _ = term.margins(torch.randn(2, 3, 1))
    assert margins.shape == (2, 0)


def test_levels_are_the_distinct_ratings_in_order() -> None:
    value = np.array([0.5, -1, 0.75, 0.5])
    assert rating_levels(value).tolist() == [1, 0, 2, 1]
    assert is_ordinal(rated_term(ratings([0, 1, 2, 0], value), ratings="ordinal"))


def test_too_many_levels_are_cut_at_quantiles() -> None:
    value = np.random.default_rng(0).permutation(1000).astype(np.float64)
    level = rating_levels(value)
    assert np.bincount(level).tolist() == [1000 // MOST_LEVELS] * MOST_LEVELS
    # A higher rating is never of a lower level.
    assert (np.diff(level[np.argsort(value)]) >= 0).all()


def test_one_level_alone_is_no_scale() -> None:
    assert not is_ordinal(rated_term(ratings([0, 1], [2, 2]), ratings="ordinal"))


def test_fresh_thresholds_give_the_levels_the_shares_that_they_have() -> None:
    from rlhf_core.rewards.likelihoods import ascending, ordinal

    value = np.repeat([0.0, 0.5, 1.0], [10, 60, 30])
    term = rated_term(ratings(np.zeros(100, int), value), ratings="ordinal")
    heads = term.heads(2)
    cuts = ascending(heads["rating.first_cut"], heads["rating.cut_gaps"])
    shares = (-ordinal(torch.zeros(2, 3), torch.arange(3), cuts)).exp()
    np.testing.assert_allclose(shares, [[0.1, 0.6, 0.3]] * 2, rtol=1e-4)


def test_of_two_ratings_the_higher_one_is_better() -> None:
    term = rated_term(ratings([0, 1, 2], [1, 3, 1]))
    scores = torch.tensor([[[1.0], [5.0], [7.0]]])
    margins, stated = term.margins(scores)
    found = dict(zip(map(tuple, stated.tolist()), margins[0].tolist(), strict=True))
    assert found == {(1, 0): 4, (1, 2): -2}


def test_a_mistaken_rating_is_any_rating() -> None:
    loss, index = torch.zeros(2, 3), torch.arange(3)
    ordinal = rated_term(ratings([0, 1, 2], [0, 1, 2]), ratings="ordinal")
    np.testing.assert_allclose(
        ordinal.mistaken_loss(loss, loss[..., None], index, {}), np.log(3), rtol=1e-6
    )
    rated = ratings([0, 1, 2], [0, 1, 2])
    number = rated_term(rated)
    expected = np.square(standardised_ratings(rated)) / 2
    np.testing.assert_allclose(
        number.mistaken_loss(loss, loss[..., None], index, {}), [expected] * 2, rtol=1e-6
    )


def orders(*rows: list[int], places: Any = None, tied: Any = None, ties: str = "half") -> Term:
    ranked = rankings(rows, places, tied=tied)
    return ranking_term(RankingLabels(ranked, np.ones(len(ranked))), ties)


def test_a_ranking_states_every_pair_whose_order_it_names() -> None:
    term = orders([0, 1, 2, 3], [4, 5, 6, 7], [8, 9], places=[3, 1, 1])
    scores = torch.tensor([[[8.0, 4, 2, 1], [8, 4, 2, 1], [8, 4, 2, 1]]])
    margins, stated = term.margins(scores)
    assert (stated[:, 0] == stated[:, 1]).all()
    found = [sorted(margins[0, stated[:, 0] == i].tolist()) for i in range(3)]
    whole = [4, 6, 7, 2, 3, 1]
    assert found == [sorted(whole), [4, 6, 7], [4]]


def test_a_missing_segment_is_not_chosen_from() -> None:
    term = orders([5, 6, 7], [8, 9])
    assert term.items.tolist() == [[5, 6, 7], [8, 9, 0]]
    loss = term.loss(torch.zeros(1, 2, 3), torch.arange(2), {})
    np.testing.assert_allclose(loss, np.log([[6, 2]]), rtol=1e-6)
    assert EMPTY not in term.items


@pytest.mark.parametrize(("ties", "votes"), [("half", 1), ("davidson", 1), ("drop", 0)])
def test_ties_in_rankings_are_half_votes_or_dropped(ties: str, votes: float) -> None:
    # Clips 0 and 1 share the first place: each is chosen from itself and clip 2.
    term = orders([0, 1, 2], tied=[[0, 1, 0]], ties=ties)
    scores = torch.tensor([[[0.0, np.log(3), 0.0]]])
    tie = -(np.log(3 / 4) + np.log(1 / 4)) / 2
    expected = -np.log(1 / 2) - np.log(3 / 4) + votes * tie
    assert term.loss(scores, torch.arange(1), {}).item() == pytest.approx(expected, rel=1e-6)
    margins, _ = term.margins(scores)
    np.testing.assert_allclose(margins, [[0, np.log(3)]], rtol=1e-6)


def test_a_ranking_of_two_that_tie_is_a_comparison_that_ties() -> None:
    scores = torch.randn(3, 1, 2)
    tie = Preferences(np.array([[0, 1]]), np.array([0.5]), np.ones(1))
    torch.testing.assert_close(
        orders([0, 1], tied=[[0, 1]]).loss(scores, torch.arange(1), {}),
        comparison_term(tie, "half", 0.0).loss(scores, torch.arange(1), {}),
    )


def test_a_mistaken_ranking_is_any_order() -> None:
    term = orders([0, 1, 2], [3, 4, 5], places=[2, 1])
    scores = torch.randn(2, 2, 3)
    mistaken = term.mistaken_loss(torch.zeros(2, 2), scores, torch.arange(2), {})
    np.testing.assert_allclose(mistaken, np.log([[6, 3]] * 2), rtol=1e-6)


PAIRS = Preferences(
    np.array([[0, 1], [2, 3], [4, 5], [6, 7]]), np.array([0.0, 0.25, 0.5, 1.0]), np.full(4, 2.0)
)


def test_a_comparison_states_its_pair_and_a_tie_states_nothing() -> None:
    scores = torch.tensor([[[1.0, 3], [1, 4], [1, 5], [1, 6]]])
    margins, stated = comparison_term(PAIRS, "half", 0.0).margins(scores)
    assert margins.tolist() == [[-2, -3, 5]]
    assert stated.tolist() == [[0, 0], [1, 1], [3, 3]]


@pytest.mark.parametrize(("ties", "weight"), [("half", 2), ("davidson", 2), ("drop", 0)])
def test_dropped_ties_weigh_nothing(ties: str, weight: float) -> None:
    term = comparison_term(PAIRS, ties, 0.0)
    assert term.weight.tolist() == [2, 2, weight, 2]
    assert set(term.heads(3)) == ({"log_tie"} if ties == "davidson" else set())


def test_smoothing_moves_targets_towards_one_half() -> None:
    term = comparison_term(PAIRS, "half", 0.2)
    smooth = np.array([0.1, 0.3, 0.5, 0.9])
    scores = torch.tensor([[[0.0, np.log(3)]] * 4])
    loss = term.loss(scores, torch.arange(4), {})
    expected = -(smooth * np.log(3 / 4) + (1 - smooth) * np.log(1 / 4))
    np.testing.assert_allclose(loss[0], expected, rtol=1e-6)


def test_smoothing_leaves_a_tie_of_davidson_a_tie() -> None:
    term = comparison_term(PAIRS, "davidson", 0.2)
    scores, heads = torch.zeros(1, 4, 2), {"log_tie": torch.zeros(1, 1)}
    np.testing.assert_allclose(term.loss(scores, torch.arange(4), heads), np.log(3), rtol=1e-6)


def test_a_mistaken_comparison_is_the_opposite_one() -> None:
    term, turned = (
        comparison_term(Preferences(PAIRS.pair, target, PAIRS.weight), "half", 0.1)
        for target in (PAIRS.target, 1 - PAIRS.target)
    )
    scores, index = torch.randn(2, 4, 2), torch.arange(4)
    mistaken = term.mistaken_loss(torch.zeros(2, 4), scores, index, {})
    torch.testing.assert_close(mistaken, turned.loss(scores, index, {}))


def test_a_mistaken_outcome_of_davidson_is_the_opposite_one_and_a_tie_a_tie() -> None:
    term = comparison_term(PAIRS, "davidson", 0.0)
    scores, heads = torch.tensor([[[0.0, np.log(4)]] * 4]), {"log_tie": torch.zeros(1, 1)}
    # Weights 1, 4 and 2 of left, right and tie.
    left, right, tie = (-np.log(np.array([1, 4, 2]) / 7)).tolist()
    mistaken = term.mistaken_loss(torch.zeros(1, 4), scores, torch.arange(4), heads)[0]
    np.testing.assert_allclose(mistaken, [right, 0.25 * left + 0.75 * right, tie, left], rtol=1e-6)


def test_answers_to_one_question_have_its_number() -> None:
    ranked = orders([3, 1, 2], [8, 9], [2, 3, 1], [9, 8], [1, 2, 4])
    assert ranked.question.tolist() == [0, 1, 0, 1, 2]
    rated = rated_term(ratings([2, 0, 2, 2], [1, 2, 3, 4], step=[5, WHOLE, 5, 4]))
    assert rated.question.tolist() == [0, 1, 0, 2]
    assert comparison_term(PAIRS, "half", 0.0).question.tolist() == [0, 1, 2, 3]


def test_two_ratings_of_one_question_are_no_order() -> None:
    rated = rated_term(ratings([0, 0, 1], [1, 3, 2], worker=[0, 1, 0]))
    _, stated = rated.margins(torch.zeros(1, 3, 1))
    assert {tuple(sorted(pair)) for pair in stated.tolist()} <= {(0, 2), (1, 2)}
