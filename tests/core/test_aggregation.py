"""Votes on paper, Dawid and Skene against another's implementation, and signs that cannot flip."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize

from rlhf_core.aggregation import AGGREGATION, Aggregated, Aggregator
from rlhf_core.aggregation.crowd_bradley_terry import CrowdBradleyTerry
from rlhf_core.aggregation.dawid_skene import DawidSkene
from rlhf_core.aggregation.majority import Majority
from rlhf_core.answers import Comparisons
from rlhf_core.crowd.agreement import krippendorff_alpha
from rlhf_core.crowd.scores import difference, fit_scores
from rlhf_core.crowd.sign import SURE_LOG_ODDS, honest_workers, majority
from rlhf_core.judgements import EXPERT, Choice
from rlhf_core.labels import Preferences
from rlhf_core.questions import Queries
from tests.core.examples import annotations

DATA = Path(__file__).with_name("data")
QUERIES = Queries(np.array([[0, 1], [2, 3], [4, 5], [6, 7]]))
LEFT, RIGHT, EQUAL, SKIP = Choice
AGGREGATORS = [pytest.param(plugin(), id=kind) for kind, plugin in AGGREGATION.kinds().items()]


def aggregate(query: list[int], choice: list[Choice]) -> Preferences:
    return Majority().aggregate(QUERIES, annotations(query, choice)).preferences


def said(query: Any, worker: Any, choice: Any) -> Comparisons:
    """Judgements by several workers, free and at once."""
    count = len(query)
    who, which, how = (np.asarray(column, dtype=np.int64) for column in (worker, query, choice))
    return Comparisons(which, who, how, seconds=np.zeros(count), cost=np.zeros(count))


def crowd(
    accuracy: Sequence[float], queries: int, each: int, gold: float, seed: int
) -> tuple[Comparisons, np.ndarray]:
    """Judgements by workers of these accuracies, some queries by the expert, and the truth."""
    rng = np.random.default_rng(seed)
    right = rng.integers(2, size=queries)
    query = np.repeat(np.arange(queries), each)
    worker = np.argsort(rng.random((queries, len(accuracy))), axis=1)[:, :each].ravel()
    true = rng.random(len(query)) < np.asarray(accuracy)[worker]
    choice = np.where(true, right[query], 1 - right[query])
    known = rng.permutation(queries)[: int(gold * queries)]
    given = said(
        [*known, *query], [*np.full(len(known), EXPERT), *worker], [*right[known], *choice]
    )
    return given, right


def pairs(count: int) -> Queries:
    return Queries(np.arange(2 * count).reshape(-1, 2))


# Majority


def test_the_target_is_the_share_of_votes_for_the_right_side() -> None:
    result = aggregate(
        [0, 0, 0, 1, 1, 2, 2, 3], [RIGHT, RIGHT, LEFT, EQUAL, RIGHT, LEFT, LEFT, EQUAL]
    )
    np.testing.assert_allclose(result.target, [2 / 3, 3 / 4, 0, 1 / 2])
    np.testing.assert_array_equal(result.weight, [1, 1, 1, 1])
    np.testing.assert_array_equal(result.pair, QUERIES.items)


def test_a_skip_is_no_vote() -> None:
    result = aggregate([0, 0, 1, 1, 3], [SKIP, RIGHT, SKIP, SKIP, LEFT])
    np.testing.assert_array_equal(result.pair, [[0, 1], [6, 7]])
    np.testing.assert_allclose(result.target, [1, 0])


def test_the_order_of_the_answers_does_not_matter() -> None:
    result = aggregate([3, 0, 3], [RIGHT, LEFT, LEFT])
    np.testing.assert_array_equal(result.pair, [[0, 1], [6, 7]])
    np.testing.assert_allclose(result.target, [0, 0.5])


def test_the_report_counts_judgements_and_those_that_agree_with_the_label() -> None:
    # Labels: query 0 right (2 of 3), query 1 left (the expert), query 2 a tie.
    given = said(
        [0, 0, 0, 1, 1, 2, 2, 3],
        [4, 5, 7, 4, EXPERT, 4, 5, 9],
        [RIGHT, RIGHT, LEFT, RIGHT, LEFT, LEFT, RIGHT, SKIP],
    )
    workers = Majority().aggregate(QUERIES, given).workers
    assert workers.worker.tolist() == [4, 5, 7, 9]
    assert workers.judgements.tolist() == [3, 2, 1, 0]
    np.testing.assert_allclose(workers.agreement, [1.5 / 3, 1.5 / 2, 0, np.nan])
    np.testing.assert_allclose(workers.competence, [2.5 / 5, 2.5 / 4, 1 / 3, 1 / 2])


# Every aggregator


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_without_an_answer_there_is_no_preference(aggregator: Aggregator) -> None:
    nobody = aggregator.aggregate(QUERIES, annotations([], []))
    assert len(nobody.preferences) == len(nobody.workers) == 0
    assert len(aggregator.aggregate(pairs(0), annotations([], [])).preferences) == 0
    skipped = aggregator.aggregate(QUERIES, annotations([1], [SKIP]))
    assert len(skipped.preferences) == 0
    assert skipped.workers.judgements.tolist() == [0]
    assert np.isnan(skipped.workers.agreement).all()


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_the_word_of_the_expert_is_the_label(aggregator: Aggregator) -> None:
    query, worker = [0, 0, 0, 0, 1, 2], [0, 1, 2, EXPERT, EXPERT, EXPERT]
    result = aggregator.aggregate(
        QUERIES, said(query, worker, [LEFT, LEFT, LEFT, RIGHT, LEFT, EQUAL])
    )
    np.testing.assert_allclose(result.preferences.target, [1, 0, 0.5])
    np.testing.assert_allclose(result.preferences.weight, 1)
    assert result.workers.worker.tolist() == [0, 1, 2]
    assert result.workers.agreement.tolist() == [0, 0, 0]


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_sides_and_numbers_of_workers_are_only_names(aggregator: Aggregator) -> None:
    given, _ = crowd([0.9, 0.8, 0.6, 0.3, 0.5], 60, 3, 0.1, seed=3)
    mirrored = said(given.query, given.worker, 1 - given.choice)
    renamed = np.where(given.worker == EXPERT, EXPERT, 10 - given.worker)
    first, second, third = (
        aggregator.aggregate(pairs(60), answers)
        for answers in (given, mirrored, said(given.query, renamed, given.choice))
    )
    np.testing.assert_allclose(first.preferences.target, 1 - second.preferences.target, atol=1e-6)
    np.testing.assert_allclose(first.preferences.target, third.preferences.target, atol=1e-6)
    np.testing.assert_allclose(first.workers.competence, second.workers.competence, atol=1e-6)
    np.testing.assert_allclose(first.workers.competence, third.workers.competence[::-1], atol=1e-6)


@pytest.mark.parametrize("aggregator", [DawidSkene(), CrowdBradleyTerry()], ids=lambda a: a.kind)
@pytest.mark.parametrize("seed", range(5))
def test_with_gold_the_sign_stays_though_most_workers_invert(
    aggregator: Aggregator, seed: int
) -> None:
    accuracy = [0.9] * 8 + [0.1] * 12
    given, right = crowd(accuracy, 300, 5, 0.1, seed)
    plain, modelled = (a.aggregate(pairs(300), given) for a in (Majority(), aggregator))
    asked = np.setdiff1d(np.arange(300), given.query[given.worker == EXPERT])

    def accurate(result: Aggregated) -> float:
        return float(((result.preferences.target > 0.5) == right)[asked].mean())

    assert accurate(plain) < 0.5
    assert accurate(modelled) > 0.9
    assert (modelled.workers.competence[:8] > 0.6).all()
    assert (modelled.workers.competence[8:] < 0.4).all()


@pytest.mark.parametrize("aggregator", [DawidSkene(), CrowdBradleyTerry()], ids=lambda a: a.kind)
def test_without_gold_most_workers_are_right(aggregator: Aggregator) -> None:
    accuracy = [0.9] * 11 + [0.1] * 9
    given, right = crowd(accuracy, 300, 5, 0, seed=0)
    result = aggregator.aggregate(pairs(300), given)
    assert ((result.preferences.target > 0.5) == right).mean() > 0.9


@pytest.mark.parametrize("aggregator", [DawidSkene(), CrowdBradleyTerry()], ids=lambda a: a.kind)
def test_who_always_presses_left_says_nothing(aggregator: Aggregator) -> None:
    given, right = crowd([0.9] * 5, 300, 3, 0, seed=1)
    query = np.tile(np.arange(300), 12)
    pressed = said(
        [*given.query, *query],
        [*given.worker, *np.repeat(np.arange(5, 17), 300)],
        [*given.choice, *np.full(len(query), LEFT)],
    )
    plain, modelled = (a.aggregate(pairs(300), pressed) for a in (Majority(), aggregator))
    assert ((plain.preferences.target > 0.5) == right).mean() < 0.6
    assert ((modelled.preferences.target > 0.5) == right).mean() > 0.9
    np.testing.assert_allclose(modelled.workers.competence[5:], 0.5, atol=0.05)


# Dawid and Skene


@pytest.mark.parametrize("index", [0, 1], ids=["two classes", "with equal"])
def test_posteriors_are_those_of_crowd_kit(index: int) -> None:
    case = json.loads((DATA / "dawid_skene.json").read_text())["cases"][index]
    posterior = np.array(case["posterior"])
    queries = len(posterior)
    # Without prior suppositions the two are one algorithm.
    bare = DawidSkene(
        smoothing=0, trust=0, balanced=False, weighting="uniform", iterations=5000, tolerance=1e-9
    )
    result = bare.aggregate(pairs(queries), said(case["query"], case["worker"], case["choice"]))
    tie = posterior[:, 2] if posterior.shape[1] == 3 else 0
    np.testing.assert_allclose(result.preferences.target, posterior[:, 1] + tie / 2, atol=1e-3)


def test_a_confusion_matrix_on_paper() -> None:
    # The expert settles three queries; worker 0 said left, right, right of left, right, right.
    # P(says right | right) = (2 + 1 + 2) / (2 + 4) = 5/6, P(says left | left) = 4/5.
    # They alone speak of the last: odds 5/6 : 1/5, and that answer then counts by its posterior.
    given = said(
        [0, 1, 2, 0, 1, 2, 3],
        [EXPERT, EXPERT, EXPERT, 0, 0, 0, 0],
        [LEFT, RIGHT, RIGHT, LEFT, RIGHT, RIGHT, RIGHT],
    )
    result = DawidSkene(tolerance=1e-12).aggregate(QUERIES, given)
    p = 0.5
    for _ in range(100):
        says_right = (2 + 3 + p) / (2 + 4 + p)
        errs = (1 + 1 - p) / (1 + 4 + 1 - p)
        p = says_right / (says_right + errs)
    np.testing.assert_allclose(result.preferences.target, [0, 1, 1, p], atol=1e-8)
    np.testing.assert_allclose(result.workers.competence, [(says_right + 1 - errs) / 2], atol=1e-8)


def test_certainty_tells_a_known_tie_from_ignorance() -> None:
    given = said([0] * 6 + [1], [0, 1, 2, 3, 4, 5, 6], [EQUAL] * 6 + [LEFT])
    sure = DawidSkene().aggregate(QUERIES, given).preferences
    assert sure.target[0] == pytest.approx(0.5, abs=0.02)
    assert sure.weight[0] > 0.8 > 0.5 > sure.weight[1]
    uniform = DawidSkene(weighting="uniform").aggregate(QUERIES, given).preferences
    assert uniform.weight.tolist() == [1, 1]


# Bradley and Terry


def test_scores_are_at_the_top_of_the_likelihood() -> None:
    pair = np.array([[0, 1], [1, 2], [2, 0], [0, 1]])
    target, weight = np.array([0.9, 0.7, 0.4, 1.0]), np.array([3.0, 1.0, 2.0, 0.5])

    def loss(score: np.ndarray) -> float:
        gap = difference(score, pair)
        fit = weight * (target * np.logaddexp(0, -gap) + (1 - target) * np.logaddexp(0, gap))
        return float(fit.sum() + (score**2).sum() / (2 * 1.5**2))

    best = minimize(loss, np.zeros(4), tol=1e-10).x
    np.testing.assert_allclose(fit_scores(pair, target, weight, 1.5, 4), best, atol=1e-4)


def test_with_workers_beyond_doubt_it_is_bradley_and_terry() -> None:
    given, _ = crowd([0.8] * 4, 40, 3, 0, seed=0)
    chain = Queries(np.stack([np.arange(40), (np.arange(40) + 1) % 40], axis=1))
    trusting = CrowdBradleyTerry(honest=1e9, inverted=1e-6, sided=1e-6, tolerance=1e-9)
    result = trusting.aggregate(chain, given)
    share = Majority().aggregate(chain, given).preferences.target
    score = fit_scores(chain.items, share, np.full(40, 3.0), trusting.score_spread, 40)
    expected = 1 / (1 + np.exp(-difference(score, chain.items)))
    np.testing.assert_allclose(result.preferences.target, expected, atol=1e-5)
    np.testing.assert_allclose(result.workers.competence, 1, atol=1e-5)


def test_scores_are_shared_by_the_pairs_of_a_clip() -> None:
    # 0 < 1 and 1 < 2 are told, 0 and 2 are asked of somebody who says "equal".
    chain = Queries(np.array([[0, 1], [1, 2], [0, 2]]))
    given = said([0, 0, 1, 1, 2], [0, 1, 0, 1, 0], [RIGHT, RIGHT, RIGHT, RIGHT, EQUAL])
    target = CrowdBradleyTerry().aggregate(chain, given).preferences.target
    assert Majority().aggregate(chain, given).preferences.target[2] == 0.5
    assert (target > 0.5).all()


def test_the_sign_stays_that_of_earlier_labels_where_answers_do_not_tell() -> None:
    # As many workers are inverted as are honest: the answers fit both signs equally well.
    given, right = crowd([0.9] * 6 + [0.1] * 6, 120, 5, 0, seed=0)
    for sign in (right, 1 - right):
        earlier = Preferences(pairs(120).items, 0.1 + 0.8 * sign, np.ones(120))
        result = CrowdBradleyTerry().aggregate(pairs(120), given, earlier)
        assert ((result.preferences.target > 0.5) == sign).mean() > 0.9
        assert abs(result.workers.sign_log_odds) < SURE_LOG_ODDS


@pytest.mark.parametrize("gold", [0.0, 0.1])
def test_earlier_labels_do_not_stand_against_a_clear_majority(gold: float) -> None:
    given, right = crowd([0.9] * 18 + [0.1] * 2, 300, 5, gold, seed=0)
    turned = Preferences(pairs(300).items, 0.9 - 0.8 * right, np.ones(300))
    result = CrowdBradleyTerry().aggregate(pairs(300), given, turned)
    assert ((result.preferences.target > 0.5) == right).mean() > 0.9
    assert result.workers.sign_log_odds > SURE_LOG_ODDS


def test_a_crowd_with_many_inverters_does_not_turn_the_sign_unnoticed() -> None:
    unnoticed = reversals = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        inverters = round(rng.uniform(0.3, 0.49) * 25)
        # Tired honest workers say less than inverters do: the likelihood prefers the inverters.
        accuracy = [0.1] * inverters + list(rng.uniform(0.6, 0.8, 25 - inverters))
        given, right = crowd(accuracy, 150, 5, 0, seed)
        earlier, before = None, 0.5
        for count in (50, 100, 150):
            told = given.query < count
            part = said(given.query[told], given.worker[told], given.choice[told])
            result = CrowdBradleyTerry().aggregate(pairs(count), part, earlier)
            correct = ((result.preferences.target > 0.5) == right[:count]).mean()
            unnoticed += correct < 0.5 and result.workers.sign_log_odds >= SURE_LOG_ODDS
            reversals += before > 0.6 and correct < 0.4
            earlier, before = result.preferences, correct
    assert reversals == 0
    # 45 fits; a log-odds of 3 is wrong once in 20 times at the most.
    assert unnoticed <= 1


@pytest.mark.parametrize("seed", range(3))
def test_gold_tells_the_sign_of_such_a_crowd(seed: int) -> None:
    given, right = crowd([0.1] * 12 + [0.7] * 13, 300, 5, 0.1, seed)
    result = CrowdBradleyTerry().aggregate(pairs(300), given)
    assert ((result.preferences.target > 0.5) == right).mean() > 0.85
    assert result.workers.sign_log_odds > SURE_LOG_ODDS


def test_the_log_odds_of_a_majority_by_hand() -> None:
    # Share ~ Beta(3, 1): P(share > 1/2) = 1 - 1/8.
    assert majority(np.ones(2), np.ones(2)) == pytest.approx(np.log(7))
    assert majority(np.array([1.0, 0.0]), np.ones(2)) == pytest.approx(0)
    # Who presses one side counts for neither.
    assert majority(np.zeros(1), np.zeros(1)) == pytest.approx(0)


def test_a_worker_is_honest_by_his_answers_alone() -> None:
    # Beta(1, 1) and Beta(2, 1): the uniform distribution, and the density 2 p.
    np.testing.assert_allclose(honest_workers(np.array([0.0, 1.0]), np.zeros(2)), [0.5, 0.75])


def test_the_sign_needs_a_prior_for_honesty() -> None:
    with pytest.raises(ValidationError, match=r"honest: expected more than inverted \(2.0\)"):
        CrowdBradleyTerry(honest=2, inverted=2)


# Krippendorff's alpha


def alpha(table: Sequence[Sequence[int | None]]) -> float:
    """Alpha of a table with a row a worker; None is missing."""
    cells = [
        (query, worker, choice)
        for worker, row in enumerate(table)
        for query, choice in enumerate(row)
        if choice is not None
    ]
    columns = np.array(cells, dtype=np.int64).reshape(-1, 3).T
    return krippendorff_alpha(*columns)


def test_alpha_of_the_published_example() -> None:
    # Krippendorff (2011), two observers, binary: 1 - 19 x 8 / (2 x 14 x 6) = 0.095.
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha([first, second]) == pytest.approx(1 - 19 * 8 / 168)


def test_alpha_with_missing_answers_by_hand() -> None:
    # Query 0: L L R, query 1: R R, query 2: E alone (left out), query 3: E L.
    # Answers: 3 L, 3 R, 1 E, so 7. Disagreeing pairs: 4 / 2 + 0 + 2 / 1 = 4.
    # Expected: 49 - 9 - 9 - 1 = 30. Alpha = 1 - 6 x 4 / 30 = 0.2.
    table = [[LEFT, RIGHT, None, EQUAL], [LEFT, RIGHT, EQUAL, None], [RIGHT, SKIP, None, LEFT]]
    assert alpha(table) == pytest.approx(0.2)


def test_alpha_is_one_in_agreement_and_not_defined_without_variety() -> None:
    assert alpha([[0, 1, 2], [0, 1, 2]]) == 1
    assert np.isnan(alpha([[0, 0], [0, 0]]))
    assert np.isnan(alpha([[0, 1, 1]]))
    assert np.isnan(alpha([]))


def test_the_expert_is_no_rater() -> None:
    query, choice = np.array([0, 0, 1, 1, 0]), np.array([0, 0, 1, 1, 1])
    assert krippendorff_alpha(query, np.array([0, 1, 0, 1, EXPERT]), choice) == 1


def test_an_uncertain_label_weighs_less_unless_all_are_to_weigh_the_same() -> None:
    # Three workers agree on the first pair and are at odds on the second one.
    answers = said([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [1, 1, 1, 1, 0, 0])
    certain = CrowdBradleyTerry().aggregate(pairs(2), answers).preferences
    uniform = CrowdBradleyTerry(weighting="uniform").aggregate(pairs(2), answers).preferences
    assert certain.weight[0] > certain.weight[1]
    assert (certain.weight < 1).all()
    assert (uniform.weight == 1).all()
    np.testing.assert_array_equal(certain.target, uniform.target)
