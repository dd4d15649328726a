"""Strategies: what they ask, what they tell the fit, and what the controls must not know."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlhf_core.annotators.crowd import Crowd
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback.constant import Constant
from rlhf_core.feedback.direct_reward import DirectReward
from rlhf_core.feedback.mixed import LEAST_SHARE, Mixed
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback.random_network import RandomNetwork
from rlhf_core.feedback.shuffled_labels import ShuffledLabels
from rlhf_core.feedback.sign_flipped import SignFlipped
from rlhf_core.feedback.true_reward import TrueReward
from rlhf_core.feedback_forms import FORMS, form_of
from rlhf_core.feedback_forms.best_of import BestOf
from rlhf_core.feedback_forms.ranking import Ranking
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.judgements import EMPTY, Choice
from rlhf_core.labels import Preferences, RankingLabels, RatingLabels
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.questions import Request
from rlhf_core.reward_learning.no_questions import reference_count
from rlhf_core.reward_learning.strategy import Labels, RewardLearning
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.types import Metrics
from tests.core.examples import LINE, annotations, answers, labels, played, rankings, ratings, truth

SETTINGS: dict[str, Any] = {
    "segment_steps": 3,
    "queries": {"kind": "uniform"},
    "reward_model": {"hidden": [4], "members": 2, "epochs": 2},
}
ROLLOUTS, REWARDS = played(9, 2, 12)
PREFERENCE, SHUFFLED, FLIPPED = (
    kind.model_validate(SETTINGS) for kind in (Preference, ShuffledLabels, SignFlipped)
)
COMPARING: list[RewardLearning] = [PREFERENCE, SHUFFLED, FLIPPED]
SAID = labels(
    Preferences(
        np.array([[0, 1], [2, 3], [4, 5], [6, 7]]), np.array([0, 0.25, 0.5, 1]), np.ones(4)
    ),
    rankings([[0, 1, 2, 3], [4, 5, EMPTY, EMPTY]], places=[2, 1]),
    ratings([0, 1, 2], [0.5, -1, 3]),
)


def strategy(kind: type[RewardLearning] = Preference, **changes: Any) -> RewardLearning:
    return kind.model_validate({**SETTINGS, **changes})


def ask(
    strategy: FeedbackStrategy, labels: int = 5, seed: int = 0, state: FeedbackState | None = None
) -> Request:
    rng = np.random.default_rng(seed)
    return strategy.ask(state or strategy.initial(), ROLLOUTS, labels, LINE, rng)


def answered(request: Request, teacher: Any = None, seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    teacher = teacher or Synthetic()
    state = teacher.prepare(Environment(id="CartPole-v1"), PPO(), 0, rng)
    return teacher.answer(state, request, truth(request, ROLLOUTS, REWARDS), rng)[1]  # type: ignore[no-any-return]


def pairs(request: Request) -> np.ndarray:
    """The pairs that are to be compared."""
    return np.asarray(request.queries["comparison"].items)


def compared(state: FeedbackState) -> Preferences:
    """Labels of pairs that the last fit was given."""
    made = state.labels["comparison"]
    assert isinstance(made, Preferences)
    return made


def told(
    strategy: FeedbackStrategy,
    state: FeedbackState,
    request: Request,
    given: Answers | None = None,
    seed: int = 0,
) -> tuple[FeedbackState, Metrics]:
    rng = np.random.default_rng(seed)
    given = answered(request, seed=seed) if given is None else given
    return strategy.tell(state, request, given, LINE, rng)


def tell(
    strategy: FeedbackStrategy, state: FeedbackState, request: Request, seed: int = 0
) -> FeedbackState:
    return told(strategy, state, request, seed=seed)[0]


@pytest.mark.parametrize(
    "honest", [PREFERENCE, DirectReward(), Mixed()], ids=lambda strategy: strategy.kind
)
def test_labels_are_told_as_they_are(honest: RewardLearning) -> None:
    assert honest.fitted_labels(SAID, np.random.default_rng(0)) is SAID


def parts(made: Labels) -> tuple[Preferences, RankingLabels, RatingLabels]:
    preferences, ranked, rated = (made[kind] for kind in ("comparison", "ranking", "rating"))
    assert isinstance(preferences, Preferences)
    assert isinstance(ranked, RankingLabels)
    assert isinstance(rated, RatingLabels)
    return preferences, ranked, rated


def test_flipped_labels_say_the_opposite() -> None:
    preferences, ranked, rated = parts(FLIPPED.fitted_labels(SAID, np.random.default_rng(0)))
    np.testing.assert_array_equal(preferences.target, [1, 0.75, 0.5, 0])
    np.testing.assert_array_equal(preferences.pair, parts(SAID)[0].pair)
    np.testing.assert_array_equal(rated.ratings.value, [-0.5, 1, -3])
    # 0 was best and 1 second of four: every pair that this states, the other way round.
    pairs = [[1, 0], [2, 0], [3, 0], [2, 1], [3, 1], [5, 4]]
    assert sorted(ranked.rankings.items.tolist()) == sorted(pairs)
    assert ranked.rankings.places.tolist() == [1] * 6
    assert len(ranked.weight) == 6


def test_shuffled_labels_are_the_same_answers_to_other_questions() -> None:
    before, _, rated_before = parts(SAID)
    preferences, ranked, rated = parts(SHUFFLED.fitted_labels(SAID, np.random.default_rng(0)))
    assert sorted(preferences.target) == sorted(before.target)
    assert not np.array_equal(preferences.target, before.target)
    np.testing.assert_array_equal(preferences.pair, before.pair)
    assert sorted(rated.ratings.value) == sorted(rated_before.ratings.value)
    np.testing.assert_array_equal(rated.ratings.segment, rated_before.ratings.segment)
    # Every group keeps its clips and its empty places.
    assert sorted(ranked.rankings.items[0]) == [0, 1, 2, 3]
    assert ranked.rankings.items[1, 2:].tolist() == [EMPTY, EMPTY]
    firsts = [
        parts(SHUFFLED.fitted_labels(SAID, np.random.default_rng(seed)))[1].rankings.items[0, 0]
        for seed in range(400)
    ]
    assert np.abs(np.bincount(firsts) - 100).max() < 40


@pytest.mark.parametrize("strategy", COMPARING, ids=lambda s: s.kind)
def test_a_request_asks_for_as_many_pairs_as_there_are_labels(strategy: RewardLearning) -> None:
    request = ask(strategy, labels=5)
    assert len(pairs(request)) == request.labels == 5
    assert request.segments.steps == 3
    # Only segments that are asked about travel to the annotator, each once.
    assert sorted(np.unique(pairs(request))) == list(range(len(request.segments)))
    assert len(request.reference) == reference_count(3)


def test_segments_hold_no_reward() -> None:
    shown = set(ask(COMPARING[0]).segments.__dataclass_fields__)
    assert shown == {"observations", "actions", "terminated", "mask", "origin", "replays"}


def test_without_labels_nothing_is_asked_and_the_reward_still_has_a_scale() -> None:
    strategy = COMPARING[0]
    request = ask(strategy, labels=0)
    assert request.queries == {}
    state = tell(strategy, strategy.initial(), request)
    assert state.evidence is None
    assert state.labels == {}
    assert state.asked == 0
    assert state.ensemble is not None
    assert state.ensemble.scale != 1


def test_every_answer_is_kept_and_speaks_of_its_own_segments() -> None:
    strategy = COMPARING[0]
    first, second = ask(strategy, labels=3, seed=0), ask(strategy, labels=2, seed=1)
    state = tell(strategy, tell(strategy, strategy.initial(), first), second)
    assert state.evidence is not None
    assert state.asked == 5
    assert len(state.evidence.segments) == len(first.segments) + len(second.segments)
    preferences = compared(state)
    assert len(preferences) == 5
    for pair, request, query in [(0, first, 0), (2, first, 2), (3, second, 0), (4, second, 1)]:
        kept = state.evidence.segments.observations[preferences.pair[pair]]
        asked = request.segments.observations[pairs(request)[query]]
        np.testing.assert_array_equal(kept, asked)


def test_a_skipped_query_teaches_nothing() -> None:
    strategy, rng = COMPARING[0], np.random.default_rng(0)
    request = ask(strategy, labels=3)
    said = answers(annotations([0, 1, 2], [Choice.SKIP, Choice.LEFT, Choice.SKIP]))
    state, _ = strategy.tell(strategy.initial(), request, said, LINE, rng)
    np.testing.assert_array_equal(compared(state).pair, pairs(request)[1:2])


def test_answers_that_are_all_skipped_leave_the_reward_unfitted() -> None:
    strategy, rng = COMPARING[0], np.random.default_rng(0)
    said = answers(annotations([0, 1], [Choice.SKIP, Choice.SKIP]))
    state, metrics = strategy.tell(strategy.initial(), ask(strategy, labels=2), said, LINE, rng)
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
    assert request.queries == {}
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
    state, metrics = control.tell(control.initial(), request, answers(), LINE, rng)
    assert state.labels == {}
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
    said = answers(annotations([0, 1, 2], [Choice.LEFT, Choice.RIGHT, Choice.LEFT]))
    state, _ = strategy.tell(strategy.initial(), request, said, categories, rng)
    reward = strategy.reward(state, categories)
    assert not isinstance(reward, EnvironmentReward)
    paid = reward(np.arange(130), np.zeros(130, np.int64), np.arange(130), np.zeros(130, bool))
    assert paid.shape == (130,)
    assert np.isfinite(paid).all()


@pytest.mark.parametrize("group", [2, 3, 5])
@pytest.mark.parametrize("wanted", [1, 4, 9])
def test_a_ranking_costs_a_label_less_than_it_has_clips(group: int, wanted: int) -> None:
    request = ask(strategy(form={"kind": "ranking", "group_size": group}), wanted)
    if wanted < group - 1:
        assert request.count == 0
        return
    assert set(request.queries) == {"ranking"}
    groups = request.queries["ranking"]
    assert groups.items.shape == (wanted // (group - 1), group)
    assert groups.worth == group - 1
    # What is left over is not counted as asked, and so is asked in a later round.
    assert request.labels == wanted - wanted % (group - 1)


def test_the_best_of_a_group_costs_one_label() -> None:
    request = ask(strategy(form={"kind": "best_of", "group_size": 4}), 5)
    groups = request.queries["best_of"]
    assert groups.items.shape == (5, 4)
    assert (groups.worth, request.labels) == (1, 5)


@pytest.mark.parametrize("rated", ["rating", "signal"])
def test_a_rating_is_asked_of_a_clip_or_of_a_moment_in_it(rated: str) -> None:
    given = strategy(DirectReward, rated=rated, likelihoods={"delay_steps": [1, 2]})
    request = ask(given, 20)
    queries = request.queries[rated]
    clip, step = queries.items[:, 0], queries.step
    assert len(clip) == request.labels == 20
    assert sorted(clip) == list(range(20))
    if rated == "rating":
        assert step is None
    else:
        assert step is not None
        # Late enough that something was reacted to, and not after the clip's end; the shorter
        # episode of two steps leaves its last one.
        length = request.segments.mask[clip].sum(axis=1)
        assert ((step >= 1) & (step < length)).all()
        assert set(step[length == 3].tolist()) == {1, 2}


FORM = {kind: form_of(kind, ()) for kind in FORMS.kinds() if form_of(kind, ()).size()}
SHARES = st.dictionaries(st.sampled_from(sorted(FORM)), st.floats(0, 100), min_size=1).filter(
    lambda shares: sum(shares.values()) > 1e-6 and not {"ranking", "best_of"} <= shares.keys()
)


@given(SHARES, st.integers(0, 500))
def test_fixed_shares_are_whole_questions_near_the_exact_shares(
    shares: dict[str, float], wanted: int
) -> None:
    mixed = Mixed.model_validate({"shares": shares})
    counts = mixed.split(wanted, {}, lambda form: 1.0)
    assert 0 <= wanted - sum(counts.values()) < max(FORM[form].worth() for form in counts)
    total = sum(shares.values())
    for form, count in counts.items():
        assert count % FORM[form].worth() == 0
        assert abs(count - wanted * shares[form] / total) < FORM[form].worth() + 1e-6
    assert set(counts) == {form for form, share in shares.items() if share > 0}


@given(SHARES, st.integers(1, 7), st.integers(1, 40))
def test_over_many_rounds_every_form_comes_to_its_share(
    shares: dict[str, float], wanted: int, rounds: int
) -> None:
    mixed = Mixed.model_validate({"shares": shares})
    asked = dict.fromkeys(FORM, 0)
    due = 0
    for _ in range(rounds):
        due += wanted
        counts = mixed.split(due, asked, lambda form: 1.0)
        for form, count in counts.items():
            asked[form] += count
        due -= sum(counts.values())
    total = sum(asked.values())
    assert total == wanted * rounds - due
    for form in mixed.forms():
        exact = total * shares[form.kind] / sum(shares.values())
        assert abs(asked[form.kind] - exact) <= 2 * 4 + 1e-6


@given(st.lists(st.floats(0, 10), min_size=3, max_size=3), st.integers(0, 500))
def test_labels_go_where_they_tell_most(worth: list[float], wanted: int) -> None:
    shares = {"comparison": 1, "rating": 1, "signal": 1}
    mixed = Mixed.model_validate({"split_by": "information", "shares": shares})
    known = dict(zip([form.kind for form in mixed.forms()], worth, strict=True))
    counts = mixed.split(wanted, {}, lambda form: known[form.kind])
    assert sum(counts.values()) == wanted
    order = sorted(known, key=lambda form: known[form])
    assert counts[order[0]] <= counts[order[1]] + 1
    assert counts[order[1]] <= counts[order[2]] + 1


def test_information_is_weighed_by_its_price() -> None:
    shares = {"comparison": 1, "rating": 1}
    dear = {"split_by": "information", "shares": shares, "prices": {"rating": 3}}
    mixed = Mixed.model_validate(dear)
    # A tenth each, and the rest of 80 by information per price: 3 to 1, 1 to 3, even.
    known = {"comparison": 0.1, "rating": 0.9}
    assert mixed.split(100, {}, lambda form: 1.0) == {"comparison": 70, "rating": 30}
    assert mixed.split(100, {}, lambda form: known[form.kind]) == {"comparison": 30, "rating": 70}
    assert mixed.split(100, {}, lambda form: 0.0) == {"comparison": 50, "rating": 50}


@pytest.mark.parametrize("worth", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0)])
def test_every_form_gets_a_tenth_so_that_its_worth_is_seen(worth: tuple[float, ...]) -> None:
    mixed = Mixed(split_by="information")
    known = dict(zip([form.kind for form in mixed.forms()], worth, strict=True))
    counts = mixed.split(3000, {}, lambda form: known[form.kind])
    assert min(counts.values()) >= 3000 * LEAST_SHARE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shares": {"comparison": 0}}, "expected at least one above 0, actual: all 0"),
        ({"shares": {}}, "at least 1"),
        ({"shares": {"ranking": 1, "best_of": 1}}, "expected ranking or best_of, actual: both"),
        ({"shares": {"rating": -1}}, "greater than or equal to 0"),
        ({"shares": {"ratings": 1}}, "unknown form 'ratings'; did you mean 'rating'"),
        ({"shares": {"demonstration": 1}}, "unknown form 'demonstration'; valid: best_of"),
        ({"prices": {"rating": 0}}, "greater than 0"),
    ],
)
def test_shares_that_cannot_be_split_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixed.model_validate(fields)


def test_a_mixed_request_holds_every_form_and_no_clip_twice() -> None:
    mixed = strategy(Mixed, shares={"comparison": 2, "ranking": 3, "rating": 1, "signal": 1})
    request = ask(mixed, 14)
    counts = {kind: len(queries) for kind, queries in request.queries.items()}
    assert counts == {"comparison": 4, "ranking": 2, "rating": 2, "signal": 2}
    assert request.labels == 4 + 2 * 3 + 4
    shown = np.concatenate([queries.items.ravel() for queries in request.queries.values()])
    assert sorted(shown) == list(range(len(request.segments)))


@pytest.mark.parametrize("form", ["comparison", "ranking"])
def test_a_reward_that_was_never_fitted_is_not_asked_what_to_ask(form: str) -> None:
    # A random ensemble has favourites too, and all their clips are alike.
    reading = strategy(form=form, queries={"kind": "disagreement"})
    drawn = strategy(form=form, queries={"kind": "uniform"})

    def first(given: RewardLearning, state: FeedbackState | None = None) -> np.ndarray:
        return ask(given, 4, seed=1, state=state).segments.origin

    np.testing.assert_array_equal(first(reading), first(drawn))
    known = tell(drawn, drawn.initial(), ask(drawn, 4))
    assert not np.array_equal(first(reading, known), first(drawn, known))


def test_answers_that_are_all_skipped_leave_the_next_questions_to_chance() -> None:
    reading, drawn = (strategy(queries={"kind": kind}) for kind in ("disagreement", "uniform"))
    request = ask(reading, 4)
    skipped = answers(annotations(range(4), [Choice.SKIP] * 4))
    for state in (
        tell(reading, reading.initial(), ask(reading, 0)),
        told(reading, reading.initial(), request, skipped)[0],
    ):
        later = [ask(given, 4, seed=1, state=state).segments.origin for given in (reading, drawn)]
        np.testing.assert_array_equal(*later)


def test_ties_that_are_dropped_leave_the_next_questions_to_chance() -> None:
    kinds = ("disagreement", "uniform")
    for ties, by_chance in (("drop", True), ("half", False)):
        reading, drawn = (
            strategy(queries={"kind": kind}, likelihoods={"ties": ties}) for kind in kinds
        )
        equal = answers(annotations(range(4), [Choice.EQUAL] * 4))
        state, _ = told(reading, reading.initial(), ask(reading, 4), equal)
        later = [ask(given, 4, seed=1, state=state).segments.origin for given in (reading, drawn)]
        assert np.array_equal(*later) == by_chance


def test_a_selector_that_reads_no_reward_chooses_from_the_start() -> None:
    covering, drawn = (strategy(queries={"kind": kind}) for kind in ("coverage", "uniform"))
    starts = [ask(given, 4, seed=1).segments.origin for given in (covering, drawn)]
    assert not np.array_equal(*starts)


def test_audit_questions_are_a_share_and_known_by_their_clips() -> None:
    request = ask(strategy(audit=0.25, queries={"kind": "disagreement"}), 8)
    assert request.audit is not None
    assert len(request.audit) == len(request.segments)
    audited = request.audit[pairs(request)]
    assert (audited[:, 0] == audited[:, 1]).all()
    assert audited[:, 0].sum() == 2
    assert ask(strategy(audit=0.0), 8).audit is not None
    assert not np.any(ask(strategy(audit=0.0), 8).audit)
    assert np.all(ask(strategy(audit=1.0), 8).audit)


def choices(said: Answers) -> Comparisons:
    """The judgements of pairs."""
    judgements = said.judgements["comparison"]
    assert isinstance(judgements, Comparisons)
    return judgements


def linear(given: RewardLearning, weight: float) -> FeedbackState:
    """A state in which clips 0 and 1 are known, with a reward of `weight` times what is seen."""
    from dataclasses import replace

    first = ask(given, 1)
    state, _ = told(given, given.initial(), first)
    ensemble = state.ensemble
    assert ensemble is not None
    parameters = {name: np.zeros_like(array) for name, array in ensemble.parameters.items()}
    parameters["weight_0"][:, 0] = weight
    return replace(state, ensemble=replace(ensemble, parameters=parameters))


@pytest.mark.parametrize(("weight", "accuracy"), [(1.0, 1.0), (-1.0, 0.0)])
def test_fresh_accuracy_is_that_of_the_reward_before_it_sees_the_labels(
    weight: float, accuracy: float
) -> None:
    # Trajectories pay what they show next, so the true order is that of what is seen.
    given = strategy(reward_model={**SETTINGS["reward_model"], "hidden": []})
    request = ask(given, 6, seed=4)
    _, metrics = told(given, linear(given, weight), request)
    assert metrics["reward/fresh_accuracy"] == accuracy
    strict = (choices(answered(request)).choice != Choice.EQUAL).sum()
    assert metrics["reward/fresh_pairs"] == strict


def test_fresh_accuracy_is_that_of_the_audit_where_there_is_one() -> None:
    model = {**SETTINGS["reward_model"], "hidden": []}
    given = strategy(audit=0.5, reward_model=model)
    request = ask(given, 8, seed=4)
    assert request.audit is not None
    said = answered(request)
    right = choices(said).choice.copy()
    audited = request.audit[pairs(request)[:, 0]]
    # Of what was chosen the annotator says the opposite, of the audit the truth.
    turned = np.where(audited, right, 1 - right)
    given_back = answers(annotations(choices(said).query, turned.tolist()))
    _, metrics = told(given, linear(given, 1.0), request, given_back)
    assert metrics["reward/fresh_accuracy"] == 1
    assert metrics["reward/fresh_pairs"] == audited.sum() == 4


def test_nothing_is_fresh_in_the_first_round_or_without_answers() -> None:
    given = strategy()
    state, metrics = told(given, given.initial(), ask(given, 4))
    assert not {"reward/fresh_accuracy", "reward/fresh_pairs"} & metrics.keys()
    _, metrics = told(given, state, ask(given, 0))
    assert not {"reward/fresh_accuracy", "reward/fresh_pairs"} & metrics.keys()


@pytest.mark.parametrize("audit", [0.0, 1.0])
def test_questions_that_nobody_answers_are_asked_and_teach_nothing(audit: float) -> None:
    given = strategy(audit=audit)
    state, _ = told(given, given.initial(), ask(given, 4))
    after, metrics = told(given, state, ask(given, 4, seed=1), answers())
    assert after.asked == 8
    assert after.evidence is state.evidence
    assert "reward/fresh_pairs" not in metrics


def test_the_trace_says_how_accuracy_and_ranking_moved() -> None:
    given = strategy()
    state, first = told(given, given.initial(), ask(given, 8))
    assert state.trace.shape == (1, 2)
    assert state.trace[0, 0] == first["reward/heldout_accuracy"]
    assert np.isnan(state.trace[0, 1])
    assert "reward/rank_stability" not in first
    state, second = told(given, state, ask(given, 8, seed=1))
    np.testing.assert_array_equal(
        state.trace[1], [second["reward/heldout_accuracy"], second["reward/rank_stability"]]
    )
    assert -1 <= second["reward/rank_stability"] <= 1


def test_a_round_that_asks_nothing_leaves_no_trace() -> None:
    """Or refits of the same labels would make a reward look settled, or unsettle it again."""
    given = strategy()
    state, _ = told(given, given.initial(), ask(given, 8))
    after, metrics = told(given, state, ask(given, 0))
    assert "reward/rank_stability" in metrics
    np.testing.assert_array_equal(after.trace, state.trace)


def test_a_crowd_is_measured_and_a_single_teacher_is_not() -> None:
    given = strategy()
    request = ask(given, 20)
    _, metrics = told(given, given.initial(), request, answered(request, Crowd(workers=5)))
    assert 0.5 < metrics["feedback/worker_competence"] <= 1
    assert -1 <= metrics["feedback/krippendorff_alpha"] <= 1
    _, metrics = told(given, given.initial(), request)
    assert not {"feedback/worker_competence", "feedback/krippendorff_alpha"} & metrics.keys()


@pytest.mark.parametrize("crowd", [{"redundancy": 1}, {"redundancy": 3}])
@pytest.mark.parametrize("form", ["comparison", "ranking", "best_of"])
def test_every_metric_of_a_crowd_is_a_number(crowd: dict[str, int], form: str) -> None:
    # With one judgement a question, or rankings alone, agreement beyond chance is not defined.
    given = strategy(form=form)
    request = ask(given, 12)
    _, metrics = told(given, given.initial(), request, answered(request, Crowd(**crowd)))
    assert {name for name, value in metrics.items() if not np.isfinite(value)} == set()


SHORT = Preference(segment_steps=10)
REFUSED: list[tuple[RewardLearning, list[int], list[int], int, str]] = [
    (Preference(), [0, 0], [100, 100], 200, r"budget.labels: expected at least 1 for .*compariso"),
    (Preference(form=Ranking()), [1, 1], [999, 999], 200, "expected at least 3 .*ranking"),
    (Preference(segment_steps=50), [9], [100], 49, "feedback.segment_steps: expected at most 49"),
    # A hundred steps are two episodes with 41 clips of ten steps each.
    (SHORT, [5, 42], [20, 100], 50, "at most 41 in round 2, .*comparison.*82 clips.*actual: 42"),
    (SHORT, [6, 41], [20, 100], 50, "at most 5 in round 1, .*comparison.*11 clips.*actual: 6"),
    (Preference(form=Ranking(), segment_steps=10), [61], [100], 50, "at most 60 in round 1"),
    (Preference(form=BestOf(), segment_steps=10), [21], [100], 50, "at most 20 in round 1"),
    (DirectReward(segment_steps=10), [83], [100], 50, "at most 82 in round 1"),
]


@pytest.mark.parametrize(("given", "asked", "steps", "horizon", "message"), REFUSED)
def test_a_budget_that_cannot_work_is_refused(
    given: RewardLearning, asked: list[int], steps: list[int], horizon: int, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        given.check_fit(asked, steps, horizon)
