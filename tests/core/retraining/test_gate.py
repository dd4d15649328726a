"""The gate: who is promoted, who is refused and why, and how often it errs."""

import numpy as np
import pytest

from rlhf_core.comparison.statistics.interquartile import squared_error, winsorise
from rlhf_core.errors import ConfigurationError, ShapeError
from rlhf_core.retraining.gate import Gate, Outcome
from rlhf_core.retraining.guards import Candidate, less_often
from rlhf_core.retraining.improvement import paired_improvement
from rlhf_core.retraining.looks import level_of_look
from tests.core.retraining.examples import EPISODES, candidate, starts, trial

GATE = Gate(episodes=EPISODES)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, EPISODES)


def test_levels_of_all_looks_add_up_to_the_whole() -> None:
    assert level_of_look(0.1, 1) == pytest.approx(0.05)
    assert level_of_look(0.1, 2) == pytest.approx(0.1 / 6)
    assert sum(level_of_look(0.1, look) for look in range(1, 10_001)) == pytest.approx(
        0.1, abs=1e-4
    )
    with pytest.raises(ConfigurationError, match="look: expected 1 or more, actual: 0"):
        level_of_look(0.1, 0)


def test_what_start_states_do_to_both_cancels() -> None:
    common = starts()
    gained = paired_improvement(common + 1, common, rng())
    assert gained.difference == pytest.approx(1)
    assert gained.standard_error == pytest.approx(0, abs=1e-9)
    assert gained.probability == pytest.approx(1)
    assert gained.better_starts == 1
    assert gained.lower_bound(0.05) == pytest.approx(1)


def test_equal_returns_are_no_improvement() -> None:
    same = paired_improvement(starts(), starts(), rng())
    assert (same.difference, same.probability, same.better_starts) == (0, 0.5, 0.5)


def test_the_standard_error_is_that_of_yuens_formula() -> None:
    first = np.random.default_rng(3).normal(0, 1, 400)
    found = paired_improvement(first, np.zeros(400), rng(), resamples=4000)
    assert found.standard_error == pytest.approx(squared_error(winsorise(first)) ** 0.5, rel=0.05)


def test_returns_that_are_not_paired_are_refused() -> None:
    with pytest.raises(ShapeError, match="on the same start states, actual: 60 and 59"):
        paired_improvement(starts(), starts()[1:], rng())
    with pytest.raises(ShapeError, match="actual: 3 and 3"):
        paired_improvement(np.ones(3), np.ones(3), rng())


def test_without_a_champion_a_challenger_is_promoted() -> None:
    decision = GATE.judge(candidate(starts()), None, None, 1, rng())
    assert (decision.outcome, decision.reasons) == (Outcome.PROMOTED, ("there was no champion",))


def test_a_better_challenger_is_promoted_and_an_equal_or_worse_one_refused() -> None:
    champion = candidate(starts() + noise(1))
    for gain, outcome in ((2, Outcome.PROMOTED), (0, Outcome.REFUSED), (-2, Outcome.REFUSED)):
        challenger = candidate(starts() + noise(2) + gain)
        decision = GATE.judge(challenger, champion, None, 1, rng())
        assert decision.outcome is outcome
        assert decision.metrics["gate/needed_probability"] == pytest.approx(0.95)
    assert "better with probability" in decision.reasons[0]


def test_each_further_look_needs_stronger_evidence() -> None:
    champion, challenger = candidate(starts() + noise(1)), candidate(starts() + noise(2) + 0.5)
    outcomes = [GATE.judge(challenger, champion, None, look, rng()).outcome for look in (1, 50)]
    assert outcomes == [Outcome.PROMOTED, Outcome.REFUSED]


def accurate(
    agreeing: float, cost: float = 0.0, length: int = 10, answers: object = None
) -> Candidate:
    metrics = {
        "reward/heldout_answers": 40.0,
        "reward/heldout_agreeing": agreeing,
        "feedback/cost_total": cost,
    }
    return Candidate(trial(starts() + 5 * (agreeing != 36), length=length), metrics, answers or {})  # type: ignore[arg-type]


CHAMPION = accurate(36, cost=10, answers={"comparison": np.array([0, 1] * 50)})


@pytest.mark.parametrize(
    ("challenger", "reason"),
    [
        (accurate(22), r"its reward orders 55% of 40 held-out answers .* champion's 90% of 40"),
        (
            accurate(37, cost=21),
            r"its labels cost 21, the champion's 10 \(expected at most 2 times",
        ),
        (
            accurate(37, length=101),
            "its episodes have 101 steps, the champion's 10: more than a 10",
        ),
        (
            accurate(37, answers={"comparison": np.array([0] * 90 + [1] * 10)}),
            "answers in form 'comparison' are distributed otherwise",
        ),
    ],
)
def test_a_challenger_that_makes_something_else_worse_is_refused(
    challenger: Candidate, reason: str
) -> None:
    decision = GATE.judge(challenger, CHAMPION, None, 1, rng())
    assert decision.outcome is Outcome.REFUSED
    assert len(decision.reasons) == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(decision.reasons[0])
    assert decision.trusts_labels == ("cost" in reason or "steps" in reason)


def test_the_same_challenger_with_nothing_worse_is_promoted() -> None:
    challenger = accurate(35, cost=19, length=99, answers={"comparison": np.array([0, 1] * 30)})
    decision = GATE.judge(challenger, CHAMPION, None, 1, rng())
    assert decision.outcome is Outcome.PROMOTED
    assert decision.trusts_labels


def test_fishers_exact_test_on_paper() -> None:
    assert less_often(0, 3, 3, 3) == pytest.approx(1 / 20)
    assert less_often(3, 3, 0, 3) == pytest.approx(1)
    assert less_often(1, 2, 2, 2) == pytest.approx(1 / 2)


def test_a_champion_outside_its_record_is_drift_whatever_the_challenger_does() -> None:
    champion = candidate(starts())
    better = candidate(starts() + 5)
    elsewhere = trial(starts(seed=7) + 20, seed=1)
    decision = GATE.judge(better, champion, elsewhere, 1, rng())
    assert decision.outcome is Outcome.DRIFTED
    assert "which its record of" in decision.reasons[0]
    same = trial(starts(seed=7), seed=1)
    assert GATE.judge(better, champion, same, 1, rng()).outcome is Outcome.PROMOTED


def test_a_champion_that_observes_other_things_is_drift() -> None:
    moved = trial(starts(seed=7), shift=2, seed=1)
    decision = GATE.judge(candidate(starts() + 5), candidate(starts()), moved, 1, rng())
    assert decision.outcome is Outcome.DRIFTED
    assert "observes other numbers" in decision.reasons[0]
    assert "feature 0, 1" in decision.reasons[0]


def test_of_forty_gates_between_equal_policies_at_most_four_promote() -> None:
    draws = np.random.default_rng(0)
    gate = Gate(probability=0.95, episodes=EPISODES)
    promoted = 0
    for _ in range(40):
        common = draws.normal(0, 10, EPISODES)
        first, second = (candidate(common + draws.normal(0, 5, EPISODES)) for _ in range(2))
        promoted += gate.judge(first, second, None, 1, draws).outcome is Outcome.PROMOTED
    assert promoted <= 4


def test_forty_looks_at_one_champion_promote_as_rarely_as_one() -> None:
    draws = np.random.default_rng(0)
    gate = Gate(probability=0.8, episodes=EPISODES)
    dethroned = 0
    for _ in range(30):
        common, champion = draws.normal(0, 10, EPISODES), draws.normal(0, 5, EPISODES)
        dethroned += any(
            gate.judge(
                candidate(common + draws.normal(0, 5, EPISODES)),
                candidate(common + champion),
                None,
                look,
                draws,
            ).outcome
            is Outcome.PROMOTED
            for look in range(1, 11)
        )
    assert dethroned <= 12
