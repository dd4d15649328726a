"""Strategies: what they ask, what they tell the fit, and what the controls must not know."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from rlhf_core.feedback._comparisons import Comparisons

from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.environments.factory import Spaces
from rlhf_core.evidence import Choice, Preferences, Request
from rlhf_core.feedback import FeedbackState, FeedbackStrategy
from rlhf_core.feedback._nothing import reference_count
from rlhf_core.feedback.constant import Constant
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback.random_network import RandomNetwork
from rlhf_core.feedback.shuffled_labels import ShuffledLabels
from rlhf_core.feedback.sign_flipped import SignFlipped
from rlhf_core.feedback.true_reward import TrueReward
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.segments import true_rewards
from tests.core.examples import LINE, annotations, played

SETTINGS: dict[str, Any] = {
    "segment_steps": 3,
    "queries": {"kind": "uniform"},
    "reward_model": {"hidden": [4], "members": 2, "epochs": 2},
}
ROLLOUTS, REWARDS = played(9, 2, 12)
COMPARING: list[Comparisons] = [
    kind.model_validate(SETTINGS) for kind in (Preference, ShuffledLabels, SignFlipped)
]
LABELS = Preferences(
    np.array([[0, 1], [2, 3], [4, 5], [6, 7]]), np.array([0, 0.25, 0.5, 1]), np.ones(4)
)


def ask(strategy: FeedbackStrategy, labels: int = 5, seed: int = 0) -> Request:
    rng = np.random.default_rng(seed)
    return strategy.ask(strategy.initial(), ROLLOUTS, labels, LINE, rng)


def tell(
    strategy: FeedbackStrategy, state: FeedbackState, request: Request, seed: int = 0
) -> FeedbackState:
    rng = np.random.default_rng(seed)
    answers = Synthetic().answer(request, true_rewards(REWARDS, request.segments), rng)
    return strategy.tell(state, request, answers, LINE, rng)[0]


def test_preferences_are_told_as_they_are() -> None:
    assert COMPARING[0].labels(LABELS, np.random.default_rng(0)) is LABELS


def test_flipped_labels_say_the_opposite() -> None:
    told = COMPARING[2].labels(LABELS, np.random.default_rng(0))
    np.testing.assert_array_equal(told.target, [1, 0.75, 0.5, 0])
    np.testing.assert_array_equal(told.pair, LABELS.pair)


def test_shuffled_labels_are_the_same_answers_to_other_questions() -> None:
    told = COMPARING[1].labels(LABELS, np.random.default_rng(0))
    assert sorted(told.target) == sorted(LABELS.target)
    assert not np.array_equal(told.target, LABELS.target)
    np.testing.assert_array_equal(told.pair, LABELS.pair)


@pytest.mark.parametrize("strategy", COMPARING, ids=lambda s: s.kind)
def test_a_request_asks_for_as_many_pairs_as_there_are_labels(strategy: Comparisons) -> None:
    request = ask(strategy, labels=5)
    assert len(request.queries) == 5
    assert request.segments.steps == 3
    # Only segments that are asked about travel to the annotator, each once.
    assert sorted(np.unique(request.queries.items)) == list(range(len(request.segments)))
    assert len(request.reference) == reference_count(3)


def test_segments_hold_no_reward() -> None:
    shown = set(ask(COMPARING[0]).segments.__dataclass_fields__)
    assert shown == {"observations", "actions", "terminated", "mask", "origin"}


def test_without_labels_nothing_is_asked_and_the_reward_still_has_a_scale() -> None:
    strategy = COMPARING[0]
    request = ask(strategy, labels=0)
    assert len(request.queries) == 0
    state = tell(strategy, strategy.initial(), request)
    assert state.segments is None
    assert state.preferences is None
    assert state.ensemble is not None
    assert state.ensemble.scale != 1


def test_every_answer_is_kept_and_speaks_of_its_own_segments() -> None:
    strategy = COMPARING[0]
    first, second = ask(strategy, labels=3, seed=0), ask(strategy, labels=2, seed=1)
    state = tell(strategy, tell(strategy, strategy.initial(), first), second)
    assert state.segments is not None
    assert state.preferences is not None
    assert len(state.segments) == len(first.segments) + len(second.segments)
    assert len(state.preferences) == 5
    for pair, request, query in [(0, first, 0), (2, first, 2), (3, second, 0), (4, second, 1)]:
        kept = state.segments.observations[state.preferences.pair[pair]]
        asked = request.segments.observations[request.queries.items[query]]
        np.testing.assert_array_equal(kept, asked)


def test_a_skipped_query_teaches_nothing() -> None:
    strategy, rng = COMPARING[0], np.random.default_rng(0)
    request = ask(strategy, labels=3)
    answers = annotations([0, 1, 2], [Choice.SKIP, Choice.LEFT, Choice.SKIP])
    state, _ = strategy.tell(strategy.initial(), request, answers, LINE, rng)
    assert state.preferences is not None
    np.testing.assert_array_equal(state.preferences.pair, request.queries.items[1:2])


def test_answers_that_are_all_skipped_leave_the_reward_unfitted() -> None:
    strategy, rng = COMPARING[0], np.random.default_rng(0)
    answers = annotations([0, 1], [Choice.SKIP, Choice.SKIP])
    state, metrics = strategy.tell(strategy.initial(), ask(strategy, labels=2), answers, LINE, rng)
    assert metrics == {}
    assert state.ensemble is not None


def test_the_reward_has_mean_0_and_deviation_1_where_the_policy_is() -> None:
    strategy = COMPARING[0]
    request = ask(strategy, labels=4)
    reward = strategy.reward(tell(strategy, strategy.initial(), request), LINE)
    assert not isinstance(reward, EnvironmentReward)
    clips = request.reference
    paid = reward(
        clips.observations[:, :-1].reshape(-1, 1),
        clips.actions.reshape(-1),
        clips.observations[:, 1:].reshape(-1, 1),
        clips.terminated.reshape(-1),
    )[clips.mask.ravel()]
    assert paid.mean() == pytest.approx(0, abs=1e-4)
    assert paid.std() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 50, 4096, 9999])
def test_a_reference_is_about_4096_steps_however_long_a_segment(steps: int) -> None:
    assert reference_count(steps) == max(1, 4096 // steps)


@pytest.mark.parametrize("control", [TrueReward(), Constant(), RandomNetwork()])
def test_a_silent_control_asks_nobody(control: FeedbackStrategy) -> None:
    request = ask(control, labels=100)
    assert len(request.queries) == 0
    assert len(request.reference) > 0


def test_the_true_reward_control_marks_the_environments_own() -> None:
    assert isinstance(TrueReward().reward(FeedbackState(), LINE), EnvironmentReward)


TRANSITION = (
    np.zeros((3, 1), dtype=np.float32), np.array([0, 1, 0]), np.ones((3, 1), dtype=np.float32),
    np.zeros(3, dtype=bool),
)  # fmt: skip


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_the_constant_control_pays_every_step_the_same(value: float) -> None:
    reward = Constant(value=value).reward(FeedbackState(), LINE)
    assert not isinstance(reward, EnvironmentReward)
    paid = reward(*TRANSITION)
    assert paid.dtype == np.float32
    np.testing.assert_array_equal(paid, [value] * 3)


def test_the_random_network_is_drawn_once_and_then_kept() -> None:
    control = RandomNetwork()
    first = tell(control, control.initial(), ask(control))
    second = tell(control, first, ask(control, seed=1), seed=1)
    assert first.ensemble is not None
    assert second.ensemble is not None
    for name, array in first.ensemble.parameters.items():
        np.testing.assert_array_equal(array, second.ensemble.parameters[name])
    assert first.ensemble.mean != second.ensemble.mean


def test_the_random_network_is_told_nothing_of_the_answers() -> None:
    control = RandomNetwork()
    request, rng = ask(control), np.random.default_rng(0)
    state, metrics = control.tell(control.initial(), request, annotations([], []), LINE, rng)
    assert state.preferences is None
    assert metrics == {}


def test_spaces_with_categories_are_rewarded_too() -> None:
    categories = Spaces(spaces.Discrete(130), spaces.Discrete(2))
    rollouts, _ = played(9, 9)
    strategy, rng = COMPARING[0], np.random.default_rng(0)
    as_numbers = [t.observations[:, 0].astype(np.int64) for t in rollouts.trajectories]
    discrete = type(rollouts)(
        tuple(
            type(t)(
                observations=seen, actions=t.actions, terminated=False, truncated=True,
                policy_version=0,
            )
            for t, seen in zip(rollouts.trajectories, as_numbers, strict=True)
        )
    )  # fmt: skip
    request = strategy.ask(strategy.initial(), discrete, 3, categories, rng)
    answers = annotations([0, 1, 2], [Choice.LEFT, Choice.RIGHT, Choice.LEFT])
    state, _ = strategy.tell(strategy.initial(), request, answers, categories, rng)
    reward = strategy.reward(state, categories)
    assert not isinstance(reward, EnvironmentReward)
    paid = reward(np.arange(130), np.zeros(130, np.int64), np.arange(130), np.zeros(130, bool))
    assert paid.shape == (130,)
    assert np.isfinite(paid).all()
