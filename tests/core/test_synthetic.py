"""A teacher errs exactly as often as it says: over thousands of pairs, and literally."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.synthetic import PRESETS, Synthetic
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.environments.factory import Environment
from rlhf_core.judgements import WHOLE, Choice
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.questions import Request
from rlhf_core.teachers.rationality import MOST_CLIPS, discounted_returns
from rlhf_core.types import Segments, Truth
from tests.core.examples import HERE, asking, request, segments

PAIRS = 8000
STEPS = 4


def judge(teacher: Synthetic, rewards: np.ndarray, seed: int = 1) -> Comparisons:
    """The teacher's answers on pairs (0, 1), (2, 3), ... of segments with these rewards."""
    asked = request(np.zeros_like(rewards), np.arange(len(rewards)).reshape(-1, 2))
    return answered(teacher, asked, rewards, seed).judgements["comparison"]


def answered(
    teacher: Synthetic,
    asked: Request,
    rewards: np.ndarray,
    seed: int = 1,
    state: AnnotatorState | None = None,
    episodes: Sequence[float] = (),
) -> Answers:
    """All answers; what is asked about is also the reference sample."""
    truth = Truth(rewards, rewards, np.array(episodes, dtype=np.float64))
    begun = state or AnnotatorState(arrays={"horizon": np.array(200.0)})
    return teacher.answer(begun, asked, truth, np.random.default_rng(seed))[1]


def draw(seed: int = 0) -> np.ndarray:
    """True rewards of PAIRS pairs of segments; a tenth of the pairs tie exactly."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(0, 0.5, (PAIRS, 2, STEPS))
    rewards[: PAIRS // 10, 1] = rewards[: PAIRS // 10, 0]
    # Ties stand anywhere, so that any part of the clips is a fair sample.
    return rng.permutation(rewards).reshape(2 * PAIRS, STEPS)


def all_differences(returns: np.ndarray) -> np.ndarray:
    """|difference| of all pairs of the reference clips that a teacher looks at."""
    some = returns[:MOST_CLIPS]
    return np.abs(some[:, None] - some)[np.triu_indices(len(some), 1)]


def expected_right(teacher: Synthetic, rewards: np.ndarray) -> np.ndarray:
    """P(right) for each pair from the definition, one step at a time; nan at an exact tie."""
    returns = np.zeros(len(rewards))
    for step in range(STEPS):
        returns = teacher.discount * returns + rewards[:, step]
    advantage = returns[1::2] - returns[::2]
    beta = teacher.rationality
    if teacher.agreement is not None:
        size = all_differences(returns)
        size = size[size > 0]
        beta = brentq(lambda b: expit(b * size).mean() - teacher.agreement, 1e-6, 1e6)
    if beta is None:
        right = np.where(advantage == 0, np.nan, (advantage > 0).astype(float))
    else:
        right = expit(beta * advantage)
    return (1 - teacher.mistake) * right + teacher.mistake * (1 - right)


def expected_thresholds(teacher: Synthetic, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are skipped, and which are equal, by quantiles of the undiscounted returns."""
    returns = rewards.sum(axis=1)
    left, right = returns[::2], returns[1::2]
    some = returns[:MOST_CLIPS]
    better = np.maximum(some[:, None], some)[np.triu_indices(len(some), 1)]
    skipped, equal = np.zeros(len(left), bool), np.zeros(len(left), bool)
    if teacher.skip_threshold:
        skipped = np.maximum(left, right) < np.quantile(better, teacher.skip_threshold)
    if teacher.equal_threshold:
        near = np.quantile(all_differences(returns), teacher.equal_threshold)
        equal = np.abs(right - left) <= near
    return skipped, equal & ~skipped


def conforms(teacher: Synthetic, choice: np.ndarray, rewards: np.ndarray) -> bool:
    """Whether the answers are as frequent as theory says, within four standard errors.

    Skips and thresholds must be exactly where they belong; other pairs are put in ten groups by
    their expected P(right), and ties must be exactly the exact ones.
    """
    skipped, equal = expected_thresholds(teacher, rewards)
    if not np.array_equal(choice == Choice.SKIP, skipped):
        return False
    right = expected_right(teacher, rewards)
    tied = np.isnan(right) & ~skipped
    if not np.array_equal(choice == Choice.EQUAL, (tied | equal) & ~skipped):
        return False
    judged = ~(tied | equal | skipped)
    given, right = choice[judged], right[judged]
    for group in np.array_split(np.argsort(right, kind="stable"), 10):
        share = right[group].mean()
        error = np.sqrt((right[group] * (1 - right[group])).sum()) / len(group)
        if abs((given[group] == Choice.RIGHT).mean() - share) > 4 * error + 1e-12:
            return False
    return True


@pytest.mark.parametrize(
    "teacher",
    [
        *(Synthetic(preset=preset) for preset in PRESETS),  # type: ignore[arg-type]
        Synthetic(rationality=0.3),
        Synthetic(rationality=5, mistake=0.2, discount=0.5),
        Synthetic(mistake=1),
        Synthetic(agreement=0.75),
        Synthetic(agreement=0.9, mistake=0.1, discount=0.9),
        Synthetic(skip_threshold=0.3, equal_threshold=0.2, mistake=0.1, rationality=2),
    ],
    ids=lambda teacher: repr(teacher.model_dump(exclude_defaults=True)),
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
        (Synthetic(equal_threshold=0.01), Synthetic(preset="equal")),  # epsilon squared
        (Synthetic(skip_threshold=0.01), Synthetic(preset="skip")),
        (Synthetic(equal_threshold=0.19), Synthetic(preset="equal")),  # asked twice
        (Synthetic(skip_threshold=0.19), Synthetic(preset="skip")),
        (Synthetic(preset="oracle"), Synthetic(agreement=0.9)),  # rationality ignored
        (Synthetic(rationality=1), Synthetic(agreement=0.9)),
        (Synthetic(agreement=0.93), Synthetic(agreement=0.9)),
        (Synthetic(preset="skip"), Synthetic(preset="equal")),
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


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_thresholds_are_shares_of_random_pairs(share: float) -> None:
    rewards = np.random.default_rng(3).normal(-5, 1, (2 * PAIRS, STEPS))
    # Margins come from the first clips, rates are counted on the others.
    skipped = judge(Synthetic(skip_threshold=share), rewards).choice[MOST_CLIPS:]
    equal = judge(Synthetic(equal_threshold=share), rewards).choice[MOST_CLIPS:]
    error = 4 * np.sqrt(share * (1 - share) * (1 / len(equal) + 2 / MOST_CLIPS))
    assert (skipped == Choice.SKIP).mean() == pytest.approx(share, abs=error)
    assert (equal == Choice.EQUAL).mean() == pytest.approx(share, abs=error)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_agreement_does_not_depend_on_the_unit_of_reward(scale: float) -> None:
    rewards = scale * np.random.default_rng(4).normal(size=(2 * PAIRS, STEPS))
    right = judge(Synthetic(agreement=0.8), rewards).choice == Choice.RIGHT
    better = np.diff(rewards.sum(axis=1).reshape(-1, 2))[:, 0] > 0
    assert (right == better).mean() == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / PAIRS + 0.02**2))


def test_the_published_margin() -> None:
    # The last ten of eleven episodes: mean 100. Clips of 4 of 200 steps: margin 100 x 0.02 x 0.1.
    episodes = [9999, *[50, 150] * 5]
    rewards = np.array([[0.0, 0, 0, 0.19], [0, 0, 0, 0.05], [0, 0, 0, 0.21], [0, 0, 0, 0.05]])
    asked = request(np.zeros_like(rewards), [[0, 1], [2, 3]])
    skip = Synthetic(preset="skip", thresholds="margin")
    said = answered(skip, asked, rewards, episodes=episodes).judgements["comparison"].choice
    assert said.tolist() == [Choice.SKIP, Choice.LEFT]
    equal = Synthetic(preset="equal", thresholds="margin")
    said = answered(equal, asked, rewards, episodes=episodes).judgements["comparison"].choice
    assert said.tolist() == [Choice.EQUAL, Choice.EQUAL]
    # Where returns are negative the published rule does nothing; that is why it is not the default.
    for teacher in (skip, equal):
        said = (
            answered(teacher, asked, rewards, episodes=[-100] * 10).judgements["comparison"].choice
        )
        assert said.tolist() == [Choice.LEFT, Choice.LEFT]


def test_sums_in_another_order_are_the_same_return() -> None:
    """0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit."""
    rewards = np.array(
        [[0.1, 0.2, 0.3, 0], [0.3, 0.2, 0.1, 0], [0.1, 0.2, 0.3, 0], [0.3, 0.3, 0, 1e-6]]
    )
    assert judge(Synthetic(), rewards).choice.tolist() == [Choice.EQUAL, Choice.RIGHT]
    asked = request(np.zeros_like(rewards), [[0, 1]])
    asked = asking(asked.segments, asked.reference, ranking=[[0, 1, 3]])
    (tied,) = np.atleast_2d(answered(Synthetic(), asked, rewards).judgements["ranking"].tied)
    assert tied.tolist() == [False, False, True]


def test_a_threshold_comes_after_the_mistake_and_a_skip_before_all() -> None:
    # Ties by threshold stay "equal" however often the teacher errs, and skips stay skips.
    rewards = np.random.default_rng(5).normal(size=(400, STEPS))
    fallible = Synthetic(mistake=1, skip_threshold=0.2, equal_threshold=0.2)
    sure = Synthetic(skip_threshold=0.2, equal_threshold=0.2)
    one, other = (judge(teacher, rewards).choice for teacher in (fallible, sure))
    np.testing.assert_array_equal(one == Choice.SKIP, other == Choice.SKIP)
    np.testing.assert_array_equal(one == Choice.EQUAL, other == Choice.EQUAL)
    strict = other < Choice.EQUAL
    np.testing.assert_array_equal(one[strict], 1 - other[strict])


def ranked(teacher: Synthetic, returns: np.ndarray, places: int, seed: int = 0) -> np.ndarray:
    """Places 0 to K - 1 that the teacher gives to groups (N, K) of clips of one step."""
    count, size = returns.shape
    clips = segments(np.zeros((count * size, 1)))
    groups = np.arange(count * size).reshape(count, size)
    form = "best_of" if places == 1 else "ranking"
    asked = asking(clips, **{form: groups})
    said = answered(teacher, asked, returns.reshape(-1, 1), seed).judgements[form]
    assert (said.places == places).all()
    return said.items - size * np.arange(count)[:, None]


def test_the_oracle_ranks_by_return() -> None:
    order = ranked(Synthetic(), np.array([[1.0, 3, 2], [5, 4, 6]]), places=2)
    assert order.tolist() == [[1, 2, 0], [2, 0, 1]]


def test_rankings_follow_plackett_and_luce() -> None:
    # Utilities log 1, log 2, log 3: the best is named with 1/6, 2/6, 3/6.
    returns = np.tile(np.log([1.0, 2, 3]), (PAIRS, 1))
    order = ranked(Synthetic(rationality=1), returns, places=2)
    first = np.bincount(order[:, 0], minlength=3) / PAIRS
    np.testing.assert_allclose(first, [1 / 6, 2 / 6, 3 / 6], atol=4 * np.sqrt(0.25 / PAIRS))
    # After clip 2, of 1 and 2: 2/3.
    second = order[order[:, 0] == 2, 1]
    assert (second == 1).mean() == pytest.approx(2 / 3, abs=4 * np.sqrt(0.25 / len(second)))


def test_a_ranking_mistake_exchanges_two_neighbours() -> None:
    returns = np.tile([1.0, 3, 2], (PAIRS, 1))
    order = ranked(Synthetic(mistake=0.2), returns, places=2)
    kinds, count = np.unique(order, axis=0, return_counts=True)
    assert kinds.tolist() == [[1, 0, 2], [1, 2, 0], [2, 1, 0]]
    np.testing.assert_allclose(count / PAIRS, [0.1, 0.8, 0.1], atol=4 * np.sqrt(0.16 / PAIRS))


def test_equal_clips_are_ranked_in_any_order() -> None:
    order = ranked(Synthetic(), np.zeros((600, 3)), places=2)
    assert len(np.unique(order, axis=0)) == 6


def rated(teacher: Synthetic, rewards: np.ndarray, step: int = WHOLE, seed: int = 0) -> np.ndarray:
    clips = segments(np.zeros_like(rewards))
    form, clip = ("rating" if step == WHOLE else "signal"), range(len(rewards))
    asked = asking(clips, **{form: clip if step == WHOLE else [(c, step) for c in clip]})
    return np.asarray(answered(teacher, asked, rewards, seed).judgements[form].value)


def test_a_rating_is_the_mean_reward_between_the_worst_and_the_best() -> None:
    rewards = np.array([[-8.0, 0], [0, 0], [-2, -4], [-1, -1]])
    np.testing.assert_allclose(rated(Synthetic(), rewards), [0, 1, 0.25, 0.75])


def test_a_rating_has_bias_drift_noise_and_levels() -> None:
    rewards = np.array([[-4.0], [0], [-3], [-2]])
    np.testing.assert_allclose(rated(Synthetic(rating_bias=0.1), rewards), [0.1, 1, 0.35, 0.6])
    drift = rated(Synthetic(rating_drift=10), rewards)  # 0.1 more with each judgement
    np.testing.assert_allclose(drift, [0, 1, 0.45, 0.8])
    levels = rated(Synthetic(rating_levels=3), rewards)
    np.testing.assert_allclose(levels, [0, 1, 0, 0.5])
    middle = np.tile([[-2.0]], (PAIRS, 1))
    middle[:2, 0] = [-4, 0]
    noise = rated(Synthetic(rating_noise=0.1), middle)[2:]
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert noise.mean() == pytest.approx(0.5, abs=0.01)


def test_a_scale_once_used_is_kept_and_only_grows() -> None:
    clips = segments(np.zeros((2, 1)))
    asked = asking(clips, rating=[0, 1])
    state, rng = AnnotatorState(), np.random.default_rng(0)
    for rewards, expected in (([[0.0], [4]], [0, 1]), ([[1.0], [2]], [0.25, 0.5]),
                              ([[4.0], [8]], [0.5, 1])):  # fmt: skip
        truth = Truth(np.array(rewards), np.array(rewards), np.empty(0))
        state, said = Synthetic().answer(state, asked, truth, rng)
        np.testing.assert_allclose(said.judgements["rating"].value, expected)
    assert state.judgements == 6


def test_a_moment_is_rated_by_what_happened_just_before() -> None:
    rewards = np.array([[0.0, 4, 2, 0, 0], [0, 0, 0, 4, 0]])
    # Given after step 3, one to two steps late: steps 1 and 2. The scale is that of all clips'
    # means and of what is rated: from 0 to 3.
    teacher = Synthetic(delay_steps=(1, 2))
    np.testing.assert_allclose(rated(teacher, rewards, step=3), [1, 0])


def test_regret_judges_by_what_was_thrown_away() -> None:
    # Corridor-v0 pays the place a step ends on, and ends at place 3; with discount 0.9 it is best
    # to go to and fro between 1 and 2: V(1) = (2 + 0.9) / 0.19, V(0) = 1 + 0.9 V(1) without an end.
    # Clip 0 steps back from place 1 and clip 1 stays at place 0; both pay 0. The regrets are
    # V(1) - 0.9 V(0) and V(0) - 0.9 V(0): the first has more to lose.
    environment = Environment(id=f"{HERE}:Corridor-v0", count=4)
    teacher = Synthetic(judges="regret", expert_steps=4096, value_discount=0.9)
    optimiser = PPO(steps=64, batch_size=64, hidden=(16,), learning_rate=5e-3)
    state = teacher.prepare(environment, optimiser, 0, np.random.default_rng(0))
    clips = Segments(
        observations=np.array([[[1.0], [0]], [[0], [0]]], dtype=np.float32),
        actions=np.array([[0], [0]]),
        terminated=np.zeros((2, 1), dtype=bool),
        mask=np.ones((2, 1), dtype=bool),
        origin=np.zeros((2, 2), dtype=np.int64),
    )
    asked = asking(clips, comparison=[[0, 1]])
    rewards = np.array([[0.0], [0.0]])
    said = answered(teacher, asked, rewards, state=state).judgements["comparison"].choice
    assert said.tolist() == [Choice.RIGHT]
    by_return = answered(Synthetic(), asked, rewards).judgements["comparison"].choice
    assert by_return.tolist() == [Choice.EQUAL]


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
    rewards = np.array([[2.0, 1, 0], [4, 1, 0.25]])
    returns = discounted_returns(rewards, asked.segments.mask, 0.5)
    np.testing.assert_allclose(returns, [2, 1.75])
    answer = answered(Synthetic(discount=0.5), asked, rewards).judgements["comparison"]
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
    oracle = Synthetic().model_dump(exclude={"preset"})
    turned = {
        "oracle": {},
        "stochastic": {"rationality": 1},
        "mistake": {"mistake": 0.1},
        "skip": {"skip_threshold": 0.1},
        "equal": {"equal_threshold": 0.1},
        "myopic": {"discount": 0.9},
    }
    assert turned.keys() == PRESETS.keys()
    for preset, knob in turned.items():
        teacher = Synthetic(preset=preset)  # type: ignore[arg-type]
        assert teacher.model_dump(exclude={"preset"}) == {**oracle, **knob}


def test_time_and_cost_are_told_for_each_judgement() -> None:
    answer = judge(Synthetic(seconds=2, cost=0.5), np.zeros((4, STEPS)))
    assert answer.seconds.tolist() == [2, 2]
    assert answer.cost.tolist() == [0.5, 0.5]
    assert answer.query.tolist() == [0, 1]


def test_no_query_no_answer() -> None:
    asked: Request = request([[0.0]], [])
    said = answered(Synthetic(), asked, np.zeros((1, 1)))
    assert said.count == 0


@pytest.mark.parametrize(
    "parameter",
    [
        {"mistake": 1.1},
        {"discount": 0.0},
        {"discount": 1.1},
        {"rationality": 0.0},
        {"agreement": 0.5},
        {"agreement": 1.0},
        {"agreement": 0.8, "rationality": 1.0},
        {"skip_threshold": -0.1},
        {"rating_levels": 1},
        {"delay_steps": (3, 1)},
    ],
)
def test_a_parameter_out_of_range_is_refused(parameter: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(parameter))):
        Synthetic(**parameter)  # type: ignore[arg-type]
