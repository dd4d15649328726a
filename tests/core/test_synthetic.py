"""A teacher errs exactly as often as it says: over thousands of pairs, and literally."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import binom

from rlhf_core.annotators.synthetic import PRESETS, Synthetic
from rlhf_core.evidence import Annotations, Choice, Request
from rlhf_core.types import TrueRewards
from tests.core.examples import request

PAIRS = 8000
STEPS = 4


def judge(teacher: Synthetic, rewards: np.ndarray, seed: int = 1) -> Annotations:
    """The teacher's answers on pairs (0, 1), (2, 3), ... of segments with these rewards."""
    asked = request(np.zeros_like(rewards), np.arange(len(rewards)).reshape(-1, 2))
    return teacher.answer(asked, TrueRewards(rewards), np.random.default_rng(seed))


def draw(seed: int = 0) -> np.ndarray:
    """True rewards of PAIRS pairs of segments; a tenth of the pairs tie exactly."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(0, 0.5, (PAIRS, 2, STEPS))
    rewards[: PAIRS // 10, 1] = rewards[: PAIRS // 10, 0]
    return rewards.reshape(2 * PAIRS, STEPS)


def expected_right(teacher: Synthetic, rewards: np.ndarray) -> np.ndarray:
    """P(right) for each pair from the definition, one step at a time; nan at an exact tie."""
    returns = np.zeros(len(rewards))
    for step in range(STEPS):
        returns = teacher.discount * returns + rewards[:, step]
    advantage = returns[1::2] - returns[::2]
    if teacher.rationality is None:
        right = np.where(advantage == 0, np.nan, (advantage > 0).astype(float))
    else:
        right = 1 / (1 + np.exp(-teacher.rationality * advantage))
    return (1 - teacher.mistake) * right + teacher.mistake * (1 - right)


def conforms(teacher: Synthetic, choice: np.ndarray, rewards: np.ndarray) -> bool:
    """Whether the answers are as frequent as theory says, within four standard errors.

    Pairs are put in ten groups by their expected P(right); ties must be exactly the exact ones.
    """
    right = expected_right(teacher, rewards)
    tied = np.isnan(right)
    if not np.array_equal(choice == Choice.EQUAL, tied) or (choice == Choice.SKIP).any():
        return False
    answered, right = choice[~tied], right[~tied]
    for group in np.array_split(np.argsort(right, kind="stable"), 10):
        share = right[group].mean()
        error = np.sqrt((right[group] * (1 - right[group])).sum()) / len(group)
        if abs((answered[group] == Choice.RIGHT).mean() - share) > 4 * error + 1e-12:
            return False
    return True


@pytest.mark.parametrize(
    "teacher",
    [
        *(Synthetic(preset=preset) for preset in PRESETS),  # type: ignore[arg-type]
        Synthetic(rationality=0.3),
        Synthetic(rationality=5, mistake=0.2, discount=0.5),
        Synthetic(mistake=1),
    ],
    ids=lambda teacher: f"{teacher.preset}-{teacher.rationality}-{teacher.mistake}",
)
def test_answers_are_as_frequent_as_theory_says(teacher: Synthetic) -> None:
    rewards = draw()
    assert conforms(teacher, judge(teacher, rewards).choice, rewards)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Synthetic(preset="oracle"), Synthetic(preset="mistake")),
        (Synthetic(mistake=0.01), Synthetic(mistake=0.1)),  # the mistake applied twice
        (Synthetic(mistake=0.15), Synthetic(mistake=0.1)),
        (Synthetic(preset="oracle"), Synthetic(preset="stochastic")),
        (Synthetic(rationality=0.7), Synthetic(preset="stochastic")),
        (Synthetic(preset="oracle"), Synthetic(preset="myopic")),
        (Synthetic(preset="myopic"), Synthetic(preset="oracle")),
        (Synthetic(rationality=1e6), Synthetic(preset="oracle")),  # ties are never told
    ],
    ids=str,
)
def test_the_check_sees_a_teacher_that_is_not_what_it_says(
    broken: Synthetic, said: Synthetic
) -> None:
    rewards = draw()
    assert not conforms(said, judge(broken, rewards).choice, rewards)


def test_the_check_sees_sides_that_are_swapped() -> None:
    rewards = draw()
    choice = judge(Synthetic(), rewards).choice
    swapped = np.where(choice == Choice.LEFT, Choice.RIGHT, np.where(choice == 1, 0, choice))
    assert not conforms(Synthetic(), swapped, rewards)


def test_the_number_of_mistakes_is_binomial() -> None:
    rewards = np.tile([[0.0] * STEPS, [1.0] * STEPS], (PAIRS, 1))
    wrong = int((judge(Synthetic(mistake=0.1), rewards).choice == Choice.LEFT).sum())
    low, high = binom.interval(0.9999, PAIRS, 0.1)
    assert low <= wrong <= high


def test_the_oracle_is_right_and_says_equal_of_a_tie() -> None:
    rewards = np.array([[0.0, 1], [0, 2], [0, 2], [0, 1], [1, 0], [0, 1]])
    assert judge(Synthetic(), rewards).choice.tolist() == [Choice.RIGHT, Choice.LEFT, Choice.EQUAL]


def test_the_myopic_teacher_weighs_the_end_more() -> None:
    # 0.9 x 1 = 0.9 against 1: the same total, paid later.
    rewards = np.array([[1.0, 0], [0, 1]])
    assert judge(Synthetic(preset="myopic"), rewards).choice.tolist() == [Choice.RIGHT]
    assert judge(Synthetic(), rewards).choice.tolist() == [Choice.EQUAL]


def test_padding_counts_for_nothing_and_age_is_counted_from_the_last_real_step() -> None:
    mask = [[1, 1, 0], [1, 1, 1]]
    asked = request(np.zeros((2, 3)), [[0, 1]], mask=mask)
    # Discount 1/2. Left: 1/2 x 2 + 1 = 2, its padding left out. Right: 1/4 x 4 + 1/2 + 1/4.
    rewards = TrueRewards(np.array([[2.0, 1, 0], [4, 1, 0.25]]))
    teacher = Synthetic(discount=0.5)
    np.testing.assert_allclose(teacher._returns(asked, rewards), [2, 1.75])
    answer = teacher.answer(asked, rewards, np.random.default_rng(0))
    assert answer.choice.tolist() == [Choice.LEFT]


def test_a_large_advantage_does_not_overflow() -> None:
    rewards = np.array([[-1e30] * STEPS, [1e30] * STEPS])
    assert judge(Synthetic(rationality=1e6), rewards).choice.tolist() == [Choice.RIGHT]


def test_a_parameter_beside_a_preset_wins() -> None:
    assert Synthetic(preset="mistake").mistake == 0.1
    assert Synthetic(preset="mistake", mistake=0.3).mistake == 0.3
    assert Synthetic(preset="mistake", rationality=2).rationality == 2
    assert Synthetic(preset="stochastic", rationality=None).rationality is None


def test_each_preset_turns_one_knob() -> None:
    knobs = {"oracle": (None, 1, 0), "stochastic": (1, 1, 0), "mistake": (None, 1, 0.1)}
    knobs["myopic"] = (None, 0.9, 0)
    for preset in PRESETS:
        teacher = Synthetic(preset=preset)  # type: ignore[arg-type]
        assert (teacher.rationality, teacher.discount, teacher.mistake) == knobs[preset]


def test_time_and_cost_are_told_for_each_judgement() -> None:
    answer = judge(Synthetic(seconds=2, cost=0.5), np.zeros((4, STEPS)))
    assert answer.seconds.tolist() == [2, 2]
    assert answer.cost.tolist() == [0.5, 0.5]
    assert answer.query.tolist() == [0, 1]


def test_no_query_no_answer() -> None:
    asked: Request = request([[0.0]], [])
    answer = Synthetic().answer(asked, TrueRewards(np.zeros((1, 1))), np.random.default_rng(0))
    assert len(answer) == 0


@pytest.mark.parametrize(
    "parameter", [{"mistake": 1.1}, {"discount": 0.0}, {"discount": 1.1}, {"rationality": 0.0}]
)
def test_a_parameter_out_of_range_is_refused(parameter: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(parameter))):
        Synthetic(**parameter)  # type: ignore[arg-type]
