"""A simulated crowd errs, tires, cheats and costs exactly as it says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import beta

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.crowd import Crowd
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.crowd.assignment import assign_evenly, consensus, dismissals, failing, pick_next
from rlhf_core.crowd.workers import Role, earlier_entries
from rlhf_core.environments.factory import Environment
from rlhf_core.judgements import EXPERT, WHOLE, Choice
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.questions import Queries
from rlhf_core.types import Truth
from tests.core.examples import asking, segments

RELIABLE: dict[str, Any] = {"competence_spread": 0, "rationality": None, "seconds_spread": 0}
"""All workers alike, and an honest answer is right."""


def prepare(crowd: Crowd, seed: int = 0) -> AnnotatorState:
    return crowd.prepare(Environment(id="CartPole-v1"), PPO(), 0, np.random.default_rng(seed))


def answer(
    crowd: Crowd, returns: Any, state: AnnotatorState | None = None, seed: int = 1, **asked: Any
) -> tuple[AnnotatorState, Answers]:
    """What a crowd says of one-step clips with these returns, by default of pairs in a row."""
    rewards = np.asarray(returns, dtype=np.float64)
    rewards = rewards[:, None] if rewards.ndim == 1 else rewards
    clips = segments(np.zeros_like(rewards))
    pair = np.asarray(asked.pop("pair", np.arange(len(rewards)).reshape(-1, 2)), dtype=np.int64)
    forms = {"comparison": pair.reshape(-1, 2), **asked}
    request = asking(clips, **{form: items for form, items in forms.items() if len(items)})
    truth = Truth(segments=rewards, reference=rewards, episodes=np.zeros(0))
    rng = np.random.default_rng(seed)
    return crowd.answer(state or prepare(crowd), request, truth, rng)


def clear(pairs: int) -> np.ndarray:
    """Returns of pairs whose right side is better."""
    return np.tile([0.0, 1.0], pairs)


def right(given: Comparisons) -> np.ndarray:
    return given.choice == Choice.RIGHT


def near(share: float, expected: float, count: int) -> bool:
    """Within four standard errors of a binomial share."""
    return abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / count) + 1e-12


# Who they are


def test_shares_of_spammers_are_counts_of_workers() -> None:
    crowd = Crowd(workers=40, random=0.1, always_left=0.25, adversarial=0.05)
    memory = prepare(crowd).arrays
    assert np.bincount(memory["role"]).tolist() == [24, 4, 10, 2]
    assert (memory["competence"][memory["role"] == Role.ADVERSARIAL] < 0.5).all()
    assert (memory["competence"][memory["role"] == Role.RANDOM] == 0.5).all()
    everybody = prepare(Crowd(workers=3, random=0.5, adversarial=0.5)).arrays["role"]
    assert Role.WORKER not in everybody.tolist()


def test_competence_has_the_mean_and_spread_that_it_says() -> None:
    crowd = Crowd(workers=20000, competence=0.8, competence_spread=0.1)
    drawn = prepare(crowd).arrays["competence"]
    assert drawn.mean() == pytest.approx(0.8, abs=0.004)
    assert drawn.std() == pytest.approx(0.1, abs=0.004)
    same = prepare(crowd.model_copy(update={"competence_spread": 0})).arrays["competence"]
    assert (same == 0.8).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"random": 0.5, "adversarial": 0.6},
            r"random \+ always_left \+ adversarial: .* at most 1",
        ),
        ({"gold": 1.1}, "gold"),
        ({"redundancy": 21}, r"redundancy: expected at most workers \(20\).*actual: 21"),
        ({"competence_spread": 0.3}, "competence_spread: expected below .* = 0.3, actual: 0.3"),
        ({"competence": 1.0}, "competence"),
        ({"position_bias": -0.1}, "position_bias"),
        ({"confidence": 0.5}, "confidence"),
        ({"rating_levels": 1}, "rating_levels"),
        ({"workers": 0}, "workers"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Crowd(**fields)


# How they compare


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"competence": 0.8}, 0.8),
        ({"competence": 0.2}, 0.2),
        ({"competence": 0.8, "adversarial": 1}, 0.2),
        ({"random": 1}, 0.5),
        ({"always_left": 1}, 0.0),
        ({"competence": 0.8, "position_bias": 0.25}, 0.6),
        ({"random": 1, "position_bias": 0.25}, 0.5),
    ],
)
def test_each_kind_of_worker_is_right_as_often_as_it_says(
    fields: dict[str, Any], expected: float
) -> None:
    crowd = Crowd(**{**RELIABLE, **fields})
    given = answer(crowd, clear(2000))[1].judgements["comparison"]
    assert near(right(given).mean(), expected, len(given))


def test_close_pairs_are_hard_whatever_the_scale_of_rewards() -> None:
    # Standard deviation of the returns 0, 1, 0, 1, ... is 1/2, so d = 2 for each pair.
    for scale in (1.0, 1e-3):
        crowd = Crowd(competence=0.9, competence_spread=0, rationality=0.7)
        given = answer(crowd, scale * clear(4000))[1].judgements["comparison"]
        honest = 1 / (1 + np.exp(-0.7 * 2))
        assert near(right(given).mean(), 0.9 * honest + 0.1 * (1 - honest), len(given))


def test_a_tie_is_a_coin_and_gold_says_equal() -> None:
    given = answer(Crowd(gold=0.5, **RELIABLE), np.ones(4000))[1].judgements["comparison"]
    expert = given.worker == EXPERT
    assert (given.choice[expert] == Choice.EQUAL).all()
    assert near(right(given)[~expert].mean(), 0.5, int((~expert).sum()))


def test_tired_workers_near_chance_and_recover_in_part() -> None:
    # One worker: judgement k comes with eta = 1/2 + 0.4 / 2^(k / 1000).
    crowd = Crowd(
        workers=1, redundancy=1, competence=0.9, fatigue_judgements=1000, recovery=0.75, **RELIABLE
    )
    state, said = answer(crowd, clear(4000))
    first = right(said.judgements["comparison"])
    for begin in (0, 1000, 3000):
        eta = 0.5 + 0.4 * np.exp2(-np.arange(begin, begin + 1000) / 1000).mean()
        assert near(first[begin : begin + 1000].mean(), eta, 1000)
    assert state.arrays["tired"].tolist() == [4000]
    _, again = answer(crowd, clear(1000), state)
    eta = 0.5 + 0.4 * np.exp2(-np.arange(1000, 2000) / 1000).mean()
    assert near(right(again.judgements["comparison"]).mean(), eta, 1000)


# Who is asked, and what it costs


def test_each_pair_is_judged_by_so_many_different_workers() -> None:
    state, said = answer(Crowd(redundancy=4), clear(50))
    given = said.judgements["comparison"]
    assert np.bincount(given.query).tolist() == [4] * 50
    assert len({*zip(given.query.tolist(), given.worker.tolist(), strict=True)}) == 200
    assert state.judgements == 200
    assert state.arrays["judged"].tolist() == np.bincount(given.worker, minlength=20).tolist()


def test_gold_questions_are_a_share_answered_rightly_and_put_first() -> None:
    crowd = Crowd(workers=5, gold=0.2, redundancy=3, random=1)
    given = answer(crowd, clear(52))[1].judgements["comparison"]
    expert = given.worker == EXPERT
    gold = given.query[expert]
    assert len(np.unique(gold)) == 10
    assert right(given)[expert].all()
    others = given.query[~expert]
    assert set(others[:30].tolist()) == set(gold.tolist())
    assert not np.isin(others[30:], gold).any()
    # Thirty trials, spread evenly over five workers.
    assert np.bincount(given.worker[~expert][:30]).tolist() == [6] * 5


def test_the_ledger_adds_up() -> None:
    crowd = Crowd(gold=0.1, redundancy=3, price=0.25, expert_price=2)
    groups = Queries(np.arange(80).reshape(-1, 4), worth=2)
    said = answer(crowd, clear(40), ranking=groups, rating=range(30))[1]
    # 40 pairs, 4 of them gold; 20 groups of 2 named places, 2 gold; 30 clips, 3 gold.
    assert said.judgements["comparison"].cost.sum() == pytest.approx(40 * 3 * 0.25 + 4 * 2)
    assert said.judgements["ranking"].cost.sum() == pytest.approx(2 * (20 * 3 * 0.25 + 2 * 2))
    assert said.judgements["rating"].cost.sum() == pytest.approx(30 * 3 * 0.25 + 3 * 2)
    assert crowd.label_price() == pytest.approx(0.95)
    assert said.cost <= crowd.label_price() * said.labels + 1e-9


def test_time_is_log_normal_and_a_round_lasts_as_long_as_its_busiest_worker() -> None:
    state, said = answer(Crowd(seconds=8, seconds_spread=0.4), clear(4000))
    given = said.judgements["comparison"]
    assert np.median(given.seconds) == pytest.approx(8, rel=0.03)
    assert np.log(given.seconds).std() == pytest.approx(0.4, rel=0.03)
    busiest = np.bincount(given.worker, given.seconds).max()
    np.testing.assert_allclose(state.arrays["round_seconds"], [busiest])
    later, _ = answer(Crowd(seconds=8, seconds_spread=0.4), clear(10), state)
    assert len(later.arrays["round_seconds"]) == 2


def test_waves_and_gold_come_one_after_the_other() -> None:
    # One worker does everything alone, after the two gold questions that both answer at once.
    crowd = Crowd(workers=1, redundancy=1, gold=0.1, adaptive=True, seconds=1, **RELIABLE)
    state, said = answer(crowd, clear(20))
    assert len(said.judgements["comparison"]) == 22
    np.testing.assert_allclose(state.arrays["round_seconds"], [20])


def test_the_same_seed_gives_the_same_answers() -> None:
    crowd = Crowd(adaptive=True, gold=0.1, adversarial=0.2)
    first, again, other = (answer(crowd, clear(100), seed=seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(
        first.judgements["comparison"].choice, again.judgements["comparison"].choice
    )
    np.testing.assert_array_equal(
        first.judgements["comparison"].seconds, again.judgements["comparison"].seconds
    )
    assert (
        first.judgements["comparison"].seconds.sum() != other.judgements["comparison"].seconds.sum()
    )


def test_no_question_no_answer() -> None:
    for adaptive in (False, True):
        state, said = answer(Crowd(adaptive=adaptive, gold=0.5), clear(2), pair=np.empty((0, 2)))
        assert said.count == 0
        assert state.judgements == 0
        assert state.arrays["round_seconds"].tolist() == [0]


# Adaptive assignment


def test_adaptive_assignment_asks_less_and_errs_no_more() -> None:
    spam = {"random": 0.2, "adversarial": 0.1}
    returns = np.random.default_rng(0).normal(size=800)
    truly = returns[1::2] > returns[::2]
    counts, wrong = [], []
    for adaptive in (False, True):
        crowd = Crowd(redundancy=9, gold=0.05, adaptive=adaptive, confidence=0.97, **spam)
        given = answer(crowd, returns)[1].judgements["comparison"]
        workers = given.worker != EXPERT
        assert np.bincount(given.query[workers]).max() <= 9
        asked = zip(given.query[workers].tolist(), given.worker[workers].tolist(), strict=True)
        assert len({*asked}) == workers.sum()
        vote = np.bincount(given.query[workers], 2.0 * right(given)[workers] - 1)
        wrong.append(((vote > 0) != truly).mean())
        counts.append(int(workers.sum()))
        assert set(given.query.tolist()) == set(range(400))
    assert counts[1] < 0.6 * counts[0]
    assert wrong[1] < wrong[0] + 0.03


def test_who_fails_gold_is_not_asked_again() -> None:
    crowd = Crowd(workers=10, adversarial=0.4, gold=0.3, redundancy=5, adaptive=True, **RELIABLE)
    state, said = answer(crowd, clear(100))
    memory = state.arrays
    bad = np.flatnonzero(memory["role"] == Role.ADVERSARIAL)
    assert np.flatnonzero(memory["dismissed"]).tolist() == bad.tolist()
    assert memory["gold_answered"].tolist() == [15] * 10
    given = said.judgements["comparison"]
    gold = np.isin(given.query, given.query[given.worker == EXPERT])
    assert not np.isin(given.worker[~gold], bad).any()
    groups = np.arange(30).reshape(-1, 3)
    _, later = answer(crowd, clear(100), state, best_of=groups, rating=[0, 1])
    for form in later.judgements.values():
        assert not np.isin(form.worker, bad).any()
    patient = crowd.model_copy(update={"adaptive": False})
    assert not answer(patient, clear(100))[0].arrays["dismissed"].any()


def test_somebody_always_stays() -> None:
    crowd = Crowd(workers=4, adversarial=1, gold=1, redundancy=2, adaptive=True, **RELIABLE)
    state, _ = answer(crowd, clear(100))
    assert state.arrays["dismissed"].sum() == 3
    _, said = answer(crowd, clear(10), state)
    assert set(said.judgements["comparison"].query.tolist()) == set(range(10))


def test_the_chance_of_failing_is_a_beta_distribution() -> None:
    passed, answered = np.array([0, 3, 9, 0]), np.array([5, 6, 10, 0])
    expected = beta.cdf(0.6, 1 + passed, 1 + answered - passed)
    np.testing.assert_allclose(failing(passed, answered, 0.6), expected, atol=3e-3)
    gone = dismissals(np.array([False] * 3 + [True]), passed, answered, 0.6, 0.95)
    assert gone.tolist() == [True, False, False, True]


def test_consensus_by_hand() -> None:
    # Gold: worker 0 is right twice, worker 1 wrong twice; both then judge query 2 alone.
    # a_0 = (3 + 2 + p) / (5 + 3), a_1 = (3 + 1 - p) / (5 + 3); one says right, the other left.
    query, worker = np.array([0, 1, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 1])
    chosen = np.array([1, 0, 0, 1, 1, 0])
    known = np.array([1.0, 0.0, np.nan])
    belief, (good, bad) = consensus(query, worker, chosen, known, (np.zeros(2), np.zeros(2)))
    p = 0.5
    for _ in range(50):
        first, second = (5 + p) / 8, (4 - p) / 8
        p = 1 / (1 + (1 - first) / first * second / (1 - second))
    np.testing.assert_allclose(belief, [1, 0, p], atol=1e-4)
    np.testing.assert_allclose(good, [2 + p, 1 - p], atol=1e-4)
    np.testing.assert_allclose(good + bad, [3, 3])


def test_trials_go_to_those_with_the_fewest() -> None:
    load = np.array([3, 0, 1, 0])
    place, worker = assign_evenly(3, 2, np.arange(4), load, np.random.default_rng(0))
    assert place.tolist() == [0, 0, 1, 1, 2, 2]
    assert set(worker[:2].tolist()) == {1, 3}
    assert worker[2:4].tolist() == [2, 0]
    assert earlier_entries(np.array([4, 1, 4, 4, 1])).tolist() == [0, 0, 1, 2, 1]


def test_work_is_shared_among_all_whose_accuracy_is_above_the_threshold() -> None:
    # Posterior means 0.995, 0.8 and 0.01, each known to within 0.03: the draws of the first two
    # workers lie above the threshold and those of the third one below it.
    right, wrong = np.array([1000.0, 800.0, 10.0]), np.array([3.0, 200.0, 1000.0])
    nobody = np.zeros((4000, 3), dtype=bool)
    picked = pick_next(nobody, right, wrong, 0.6, np.random.default_rng(0))
    count = np.bincount(picked, minlength=3)
    assert count[2] == 0
    assert near(count[0] / 4000, 0.5, 4000)
    # Where no draw is above the threshold, the highest one is taken.
    assert (pick_next(nobody, right, wrong, 0.9999, np.random.default_rng(0)) == 0).all()
    # A worker is not asked the same question again.
    first = np.tile([True, False, False], (4000, 1))
    assert (pick_next(first, right, wrong, 0.6, np.random.default_rng(0)) == 1).all()


# Rankings


def test_a_ranking_of_two_is_a_comparison() -> None:
    crowd = Crowd(competence=0.85, competence_spread=0, rationality=0.6, position_bias=0.1)
    groups = np.arange(6000).reshape(-1, 2)
    said = answer(crowd, clear(3000), pair=np.empty((0, 2)), ranking=groups)[1].judgements[
        "ranking"
    ]
    honest = 1 / (1 + np.exp(-0.6 * 2))
    chance = 0.9 * (0.85 * honest + 0.15 * (1 - honest))
    assert near((said.items[:, 0] % 2 == 1).mean(), chance, len(said))


def test_orders_are_those_of_plackett_and_luce() -> None:
    crowd = Crowd(competence=0.999999, competence_spread=0, rationality=1)
    returns = np.tile([0.0, 1.0, 2.0], 3000)
    groups = np.arange(9000).reshape(-1, 3)
    said = answer(crowd, returns, pair=np.empty((0, 2)), ranking=groups)[1].judgements["ranking"]
    strength = np.exp(np.array([0.0, 1.0, 2.0]) / returns.std())
    order = said.items % 3
    for first, second in ((2, 1), (2, 0), (1, 2), (0, 1)):
        chance = strength[first] / strength.sum()
        chance *= strength[second] / (strength.sum() - strength[first])
        share = ((order[:, 0] == first) & (order[:, 1] == second)).mean()
        assert near(float(share), float(chance), len(said))
    assert (said.places == 2).all()
    assert (np.sort(said.items, axis=1) == said.items.min(axis=1)[:, None] + np.arange(3)).all()


@pytest.mark.parametrize(
    ("fields", "best"),
    [
        ({"competence": 0.999999}, [0, 0, 1]),
        ({"competence": 0.999999, "adversarial": 1}, [1, 0, 0]),
        ({"random": 1}, [1 / 3, 1 / 3, 1 / 3]),
        ({"always_left": 1}, [0, 1, 0]),
    ],
)
def test_spammers_rank_as_they_compare(fields: dict[str, Any], best: list[float]) -> None:
    groups = np.arange(3000).reshape(-1, 3)[:, [1, 0, 2]]
    crowd = Crowd(**{**RELIABLE, **fields}, gold=0.1)
    returns = np.tile([0.0, 1.0, 2.0], 1000)
    said = answer(crowd, returns, pair=np.empty((0, 2)), ranking=groups)[1].judgements["ranking"]
    expert = said.worker == EXPERT
    assert (said.items[expert] % 3 == [2, 1, 0]).all()
    shares = np.bincount(said.items[~expert, 0] % 3, minlength=3) / (~expert).sum()
    assert all(near(s, b, 3000) for s, b in zip(shares, best, strict=True))


# Ratings


def rate(crowd: Crowd, paid: Any, asked: Any) -> Answers:
    forms = {"signal": asked} if np.ndim(asked) == 2 else {"rating": asked}
    return answer(crowd, paid, pair=np.empty((0, 2)), **forms)[1]


def test_ratings_are_levels_that_follow_the_return() -> None:
    rewards = np.random.default_rng(0).normal(size=500)
    clips = range(500)
    said = rate(Crowd(gold=1.0, rating_levels=5), rewards, clips).judgements["rating"]
    assert set(np.unique(said.value)) <= {0, 0.25, 0.5, 0.75, 1}
    expert = said.worker == EXPERT
    rated, value = rewards[said.segment[expert]], said.value[expert]
    assert (np.diff(value[np.argsort(rated)]) >= 0).all()
    # The middle of the scale lies at the mean return, the top beyond 1.14 standard deviations:
    # sigmoid(1.7 z) >= 7/8.
    standard = (rated - rewards.mean()) / rewards.std()
    np.testing.assert_array_equal(value == 1, standard > np.log(7) / 1.7)
    assert np.corrcoef(said.value, rewards[said.segment])[0, 1] > 0.6


def test_a_rating_after_a_step_speaks_of_what_was_just_done() -> None:
    # In step 0 clip 0 is ahead; in step 1, and as a whole, clip 1 is.
    rewards = np.array([[5.0, 0.0], [0.0, 9.0]])
    asked = [[0, 0], [1, 0], [0, 1], [1, 1], [0, WHOLE], [1, WHOLE]]
    said = rate(Crowd(gold=1.0, rating_levels=101), rewards, asked).judgements["signal"]
    expert = said.worker == EXPERT
    given = {
        (s, t): v
        for s, t, v in zip(said.segment[expert], said.step[expert], said.value[expert], strict=True)
    }
    assert given[0, 0] > 0.5 > given[1, 0]
    assert given[1, 1] > 0.5 > given[0, 1]
    assert given[1, WHOLE] > 0.5 > given[0, WHOLE]


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({"competence": 0.999999}, 0.0, 1.0),
        ({"competence": 0.999999, "adversarial": 1}, 1.0, 0.0),
        ({"always_left": 1}, 0.0, 0.0),
        ({"random": 1}, 0.5, 0.5),
    ],
)
def test_spammers_rate_as_they_compare(fields: dict[str, Any], low: float, high: float) -> None:
    # Two kinds of clip, one standard deviation below and above the mean.
    crowd = Crowd(**{**RELIABLE, **fields}, rating_noise=0, rating_spread=0, rating_levels=2)
    clips = range(2000)
    said = rate(crowd, clear(1000), clips).judgements["rating"]
    for kind, mean in enumerate((low, high)):
        assert near(float(said.value[said.segment % 2 == kind].mean()), mean, 3000)


def test_workers_have_scales_of_their_own() -> None:
    crowd = Crowd(workers=6, redundancy=6, rating_noise=0, rating_spread=0.5, competence_spread=0)
    clips = range(400)
    said = rate(crowd, np.random.default_rng(0).normal(size=400), clips).judgements["rating"]
    means = [said.value[said.worker == worker].mean() for worker in range(6)]
    assert np.ptp(means) > 0.1
