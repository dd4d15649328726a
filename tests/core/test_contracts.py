"""What every plug-in of a family promises, whoever wrote it."""

from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from rlhf_core.aggregation import AGGREGATION, Aggregator
from rlhf_core.annotators import ANNOTATORS, SIMULATED, Annotator, AnnotatorState
from rlhf_core.answers import Answers, Comparisons, Rankings, Ratings
from rlhf_core.environments import Environment
from rlhf_core.errors import UnusedFieldWarning
from rlhf_core.feedback import FEEDBACK
from rlhf_core.feedback_forms import FORMS
from rlhf_core.feedback_strategy import FeedbackState, FeedbackStrategy
from rlhf_core.judgements import EMPTY, EXPERT, Choice
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack, unpack
from rlhf_core.plugin import Family, Plugin
from rlhf_core.policies import Optimiser
from rlhf_core.queries import QUERIES, QuerySelector
from rlhf_core.questions import Queries, Request, no_questions
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.types import Segments, Truth
from tests.core.examples import (
    HERE,
    LINE,
    annotations,
    asking,
    judged,
    played,
    segments,
    task_for,
    truth,
)
from tests.core.language.examples import labelled_walks
from tests.core.test_store import same

FAMILIES: list[Family[Any]] = [FEEDBACK, FORMS, QUERIES, ANNOTATORS, AGGREGATION, OPTIMISERS]
PLUGINS = [
    pytest.param(family, kind, id=f"{family.package.rpartition('.')[2]}-{kind}")
    for family in FAMILIES
    for kind in family.kinds()
]


def every(family: Family[Any]) -> list[Any]:
    """Each plug-in of the family with its defaults."""
    return [pytest.param(plugin(), id=kind) for kind, plugin in family.kinds().items()]


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("family", "kind"), PLUGINS)
def test_a_plugin_travels_as_json(family: Family[Any], kind: str) -> None:
    adapter: TypeAdapter[Plugin] = TypeAdapter(Annotated[family.base, family])
    plugin = adapter.validate_python(kind)
    assert type(plugin) is family.kinds()[kind]
    assert adapter.validate_json(plugin.model_dump_json()) == plugin


@pytest.mark.parametrize(("family", "kind"), PLUGINS)
def test_a_plugin_and_each_of_its_fields_is_described(family: Family[Any], kind: str) -> None:
    plugin = family.kinds()[kind]
    assert plugin.__doc__
    assert plugin.__doc__ != family.base.__doc__
    for name, field in plugin.model_fields.items():
        if name != "kind":
            assert field.description, f"{plugin.__name__}.{name} has no docstring"


@pytest.mark.parametrize(("family", "kind"), PLUGINS)
def test_a_plugin_stands_in_a_file_of_its_name(family: Family[Any], kind: str) -> None:
    assert family.kinds()[kind].__module__ == f"{family.package}.{kind}"


@pytest.mark.parametrize(("family", "kind"), PLUGINS)
def test_a_plugin_refuses_a_field_that_nobody_knows(family: Family[Any], kind: str) -> None:
    adapter: TypeAdapter[Plugin] = TypeAdapter(Annotated[family.base, family])
    with pytest.raises(ValueError, match="unknown field 'nobody_knows_it'"):
        adapter.validate_python({"kind": kind, "nobody_knows_it": 1})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.package)
@pytest.mark.filterwarnings("error")
def test_one_word_swaps_any_kind_for_any_other(family: Family[Any]) -> None:
    adapter: TypeAdapter[Plugin] = TypeAdapter(Annotated[family.base, family])
    kinds = family.kinds()
    for plugin in (kind() for kind in kinds.values()):
        for other in kinds:
            swapped = {**plugin.model_dump(), "kind": other}
            if set(type(plugin).model_fields) <= set(kinds[other].model_fields):
                assert adapter.validate_python(swapped).kind == other
            else:
                with pytest.warns(UnusedFieldWarning, match=f"not used by kind '{other}'"):
                    assert adapter.validate_python(swapped).kind == other


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.package)
def test_the_default_of_a_family_is_one_of_its_kinds(family: Family[Any]) -> None:
    assert family.default in family.kinds()


@pytest.mark.parametrize("selector", every(QUERIES))
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 7])
def test_a_selector_chooses_candidates_and_each_once(
    selector: QuerySelector, count: int, size: int
) -> None:
    drawn = selector.candidates(count)
    assert drawn >= count
    candidates = Queries(np.arange(size * drawn).reshape(-1, size))
    clips = segments(draws().normal(size=(size * drawn, 3)))
    returns = draws(1).normal(size=(3, size * drawn))
    chosen, again = (
        selector.select(candidates, clips, returns, count, draws(2)).items for _ in range(2)
    )
    assert chosen.shape == (count, size)
    assert {tuple(p) for p in chosen.tolist()} <= {tuple(p) for p in candidates.items.tolist()}
    assert len({tuple(p) for p in chosen.tolist()}) == count
    np.testing.assert_array_equal(chosen, again)


@pytest.mark.parametrize("selector", every(QUERIES))
def test_a_selector_says_whether_it_reads_the_reward(selector: QuerySelector) -> None:
    candidates = Queries(np.arange(80).reshape(-1, 2))
    clips = segments(draws().normal(size=(80, 3)))
    first, second = (
        selector.select(candidates, clips, draws(seed).normal(size=(3, 80)), 4, draws()).items
        for seed in (1, 2)
    )
    assert selector.reads_reward == (not np.array_equal(first, second))


@pytest.mark.parametrize("selector", every(QUERIES))
def test_a_selector_may_be_given_no_more_than_it_must_choose(selector: QuerySelector) -> None:
    # Short rollouts hold fewer clips than a selector would like.
    candidates = Queries(np.arange(12).reshape(-1, 2))
    clips = segments(draws().normal(size=(12, 3)))
    chosen = selector.select(candidates, clips, np.zeros((2, 12)), 6, draws())
    assert sorted(chosen.items.tolist()) == candidates.items.tolist()


DRIFT = Environment(id=f"{HERE}:Drift-v0", count=2)
QUICK = PPO(steps=10, batch_size=20, epochs=1, hidden=(4,))
SMALL: dict[str, dict[str, Any]] = {"expert": {"env_steps": 20, "episodes": 2}}
"""Fields by kind that keep preparing short."""


def annotators() -> list[Any]:
    return [
        pytest.param(kind(**SMALL.get(name, {})), id=name)
        for name, kind in SIMULATED.kinds().items()
    ]


def asked_of_everything() -> tuple[Request, Truth]:
    """Four pairs, three groups of four, two clips and two moments, from Drift-v0."""
    rng = draws()
    seen = rng.uniform(-1, 1, (26, 4, 1)).astype(np.float32)
    clips = Segments(
        observations=seen,
        actions=rng.uniform(-1, 1, (26, 3, 1)).astype(np.float32),
        terminated=np.zeros((26, 3), dtype=bool),
        mask=np.ones((26, 3), dtype=bool),
        origin=np.zeros((26, 2), dtype=np.int64),
    )
    request = asking(
        clips,
        comparison=np.arange(8).reshape(-1, 2),
        ranking=np.arange(8, 20).reshape(-1, 4),
        rating=[20, 21],
        signal=[(22, 1), (23, 2)],
    )
    paid = -np.square(seen[:, 1:, 0]).astype(np.float64)
    return request, Truth(paid, paid, paid.sum(axis=1))


@pytest.mark.parametrize("annotator", annotators())
def test_an_annotator_answers_every_form_at_once_and_the_same_again(annotator: Annotator) -> None:
    request, known = asked_of_everything()

    def work() -> tuple[AnnotatorState, list[Answers]]:
        state, given = annotator.prepare(DRIFT, QUICK, 0, draws(1)), []
        for round in range(2):
            state, answers = annotator.answer(state, request, known, draws(round))
            given.append(answers)
        return state, given

    state, (first, second) = work()
    again, repeated = work()
    assert pack(state) == pack(again)
    assert [pack(answers) for answers in (first, second)] == [pack(a) for a in repeated]
    assert same(unpack(pack(state), AnnotatorState), state)
    assert state.judgements == judged(first) + judged(second) - experts(first) - experts(second)
    brought = 0 if first.segments is None else len(first.segments)
    limit = len(request.segments) + brought
    for form in first.judgements.values():
        assert (form.seconds >= 0).all()
        assert (form.cost >= 0).all()
        if isinstance(form, Comparisons):
            assert (form.worker >= EXPERT).all()
            assert set(form.query.tolist()) <= set(range(4))
        elif isinstance(form, Rankings):
            assert (form.worker >= EXPERT).all()
            assert (form.items < limit).all()
            assert (form.places >= 1).all()
            assert (form.places < (form.items != EMPTY).sum(axis=1)).all()
        else:
            assert isinstance(form, Ratings)
            assert (form.worker >= EXPERT).all()
            assert set(form.segment.tolist()) <= set(range(limit))
            assert np.isfinite(form.value).all()
    # Each query is answered in one form or another, and nothing costs more than it may.
    assert first.labels >= request.count
    assert first.cost <= request.labels * annotator.label_price() + 1e-9


def experts(given: Answers) -> int:
    """Judgements of the expert among these."""
    return sum(
        int((entries.workers == EXPERT).sum())
        for kind, form in given.judgements.items()
        if (entries := form.entries(asked_of_everything()[0].queries.get(kind)))
    )


@pytest.mark.parametrize("annotator", annotators())
def test_an_annotator_who_is_asked_nothing_says_nothing(annotator: Annotator) -> None:
    request, known = asked_of_everything()
    nothing = no_questions(request.reference)
    state = annotator.prepare(DRIFT, QUICK, 0, draws(1))
    after, given = annotator.answer(state, nothing, known, draws())
    assert (judged(given), given.labels, given.cost) == (0, 0, 0)
    assert after.judgements == 0


@pytest.mark.parametrize("annotator", annotators())
def test_an_annotator_leaves_its_state_as_it_was(annotator: Annotator) -> None:
    request, known = asked_of_everything()
    state = annotator.prepare(DRIFT, QUICK, 0, draws(1))
    before = pack(state)
    annotator.answer(state, request, known, draws())
    assert pack(state) == before


def test_the_price_of_a_label_bounds_what_a_request_costs() -> None:
    request, known = asked_of_everything()
    for kind, fields in {
        "synthetic": {"cost": 0.3},
        "expert": {"cost": 2.0, **SMALL["expert"]},
        "crowd": {"price": 0.1, "expert_price": 1.5, "gold": 0.5, "redundancy": 4},
    }.items():
        annotator = ANNOTATORS.get(kind)(**fields)
        state = annotator.prepare(DRIFT, QUICK, 0, draws(1))
        _, given = annotator.answer(state, request, known, draws())
        assert 0 < given.cost <= request.labels * annotator.label_price() + 1e-9, kind


@pytest.mark.parametrize("aggregator", every(AGGREGATION))
def test_an_aggregator_gives_one_label_for_each_query_that_was_answered(
    aggregator: Aggregator,
) -> None:
    queries = Queries(np.arange(8).reshape(-1, 2))
    choices = [Choice.LEFT, Choice.LEFT, Choice.RIGHT, Choice.SKIP, Choice.RIGHT, Choice.EQUAL]
    answers = annotations([0, 0, 1, 2, 3, 3], choices, worker=[0, 1, 0, 1, 0, 1])
    first, again = (aggregator.aggregate(queries, answers) for _ in range(2))
    np.testing.assert_array_equal(first.preferences.pair, [[0, 1], [2, 3], [6, 7]])
    assert first.preferences.target[0] < 0.5 < first.preferences.target[1]
    assert np.isfinite(first.preferences.weight).all()
    assert first.workers.worker.tolist() == [0, 1]
    assert first.workers.judgements.tolist() == [3, 2]
    assert ((first.workers.competence >= 0) & (first.workers.competence <= 1)).all()
    for mine, other in zip(first, again, strict=True):
        assert pack(mine) == pack(other)


@pytest.mark.parametrize("aggregator", every(AGGREGATION))
def test_an_aggregator_believes_the_expert(aggregator: Aggregator) -> None:
    queries = Queries(np.arange(4).reshape(-1, 2))
    # Three workers say left of the first pair and the expert says right.
    choices = [Choice.LEFT] * 3 + [Choice.RIGHT] + [Choice.LEFT] * 3
    worker = [0, 1, 2, EXPERT, 0, 1, 2]
    found = aggregator.aggregate(queries, annotations([0, 0, 0, 0, 1, 1, 1], choices, worker))
    assert found.preferences.target[0] > 0.5
    assert found.workers.worker.tolist() == [0, 1, 2]
    assert found.workers.judgements.tolist() == [2, 2, 2]


@pytest.mark.parametrize("aggregator", every(AGGREGATION))
@pytest.mark.parametrize("count", [0, 3])
def test_an_aggregator_makes_nothing_of_nothing(aggregator: Aggregator, count: int) -> None:
    queries = Queries(np.arange(2 * count).reshape(-1, 2))
    silent = annotations(list(range(count)), [Choice.SKIP] * count)
    for given in (silent, annotations([], [])):
        found = aggregator.aggregate(queries, given)
        assert len(found.preferences) == 0
        assert len(found.workers) == (1 if len(given) else 0)


@pytest.mark.parametrize("aggregator", every(AGGREGATION))
def test_a_single_worker_is_an_aggregate_too(aggregator: Aggregator) -> None:
    queries = Queries(np.arange(20).reshape(-1, 2))
    choices = [Choice.LEFT, Choice.RIGHT] * 5
    found = aggregator.aggregate(queries, annotations(list(range(10)), choices)).preferences
    assert ((found.target > 0.5) == (np.arange(10) % 2 == 1)).all()
    assert (found.weight > 0).all()


def strategies() -> list[Any]:
    """Each strategy with its defaults, and in every form that it can ask for."""
    forms: dict[str, list[dict[str, Any]]] = {
        "preference": [
            {"form": "ranking"},
            {"form": {"kind": "best_of", "group_size": 3}},
        ],
        "direct_reward": [{"rated": "signal"}],
        "mixed": [
            {"split_by": "information"},
            {"shares": {"best_of": 1, "signal": 1}, "likelihoods": {"ratings": "ordinal"}},
        ],
    }
    found = every(FEEDBACK)
    for kind, changes in forms.items():
        for fields in changes:
            strategy = FEEDBACK.get(kind).model_validate(fields)
            found.append(pytest.param(strategy, id=f"{kind}-{next(iter(fields.values()))}"))
    return found


@pytest.mark.parametrize("strategy", strategies())
@pytest.mark.parametrize("labels", [0, 1, 12])
def test_a_strategy_asks_is_told_and_has_a_reward(strategy: FeedbackStrategy, labels: int) -> None:
    rollouts, rewards = played(60, 3, 70)
    rng = draws()
    teacher = ANNOTATORS.get("synthetic")(expert_steps=256)

    def play() -> FeedbackState:
        imitation = strategy.imitation()
        wanted = 0 if imitation is None else imitation.demonstrations
        state, memory = strategy.initial(), teacher.prepare(DRIFT, QUICK, wanted, draws())
        for round in range(2):
            asked = strategy.ask(state, rollouts, labels, LINE, draws(round))
            assert asked.labels <= labels
            shown = truth(asked, rollouts, rewards)
            memory, answers = teacher.answer(memory, asked, shown, draws(round))
            state, metrics = strategy.tell(state, asked, answers, LINE, draws(round))
            assert all(np.isfinite(value) for value in metrics.values())
        return state

    state = play()
    assert pack(state) == pack(play())
    assert same(unpack(pack(state), FeedbackState), state)
    reward = strategy.reward(state, LINE)
    if not isinstance(reward, EnvironmentReward):
        seen = rng.normal(size=(9, 1)).astype(np.float32)
        paid = reward(seen, rng.integers(2, size=9), seen + 1, np.zeros(9, dtype=bool))
        assert paid.shape == (9,)
        assert paid.dtype == np.float32
        assert np.isfinite(paid).all()


@pytest.mark.parametrize("optimiser", every(OPTIMISERS))
def test_an_optimiser_takes_the_steps_it_is_given_and_the_same_again(optimiser: Optimiser) -> None:
    environment = task_for(optimiser)
    spaces = environment.spaces()
    steps = optimiser.rollout_steps(environment)
    start = optimiser.initial(spaces, 0)
    reward: Reward = EnvironmentReward()
    if optimiser.learns_from_pairs:
        reward = labelled_walks(environment)
    first, again = (
        optimiser.optimise(start, environment, reward, steps, steps, 1) for _ in range(2)
    )
    # Episodes may end early; a generation is then shorter than it might have been.
    assert 0 < first.state.steps == first.rollouts.steps <= steps
    assert pack(first.state) == pack(again.state)
    assert first.metrics == again.metrics
    assert all(np.isfinite(value) for value in first.metrics.values())
    assert len(first.rewards.rewards) == len(first.rollouts.trajectories)
    seen = np.zeros((5, *(spaces.observation.shape or ())), dtype=spaces.observation.dtype)
    for deterministic in (True, False):
        actions = optimiser.act(first.state, spaces, deterministic, 1)(seen)
        assert all(spaces.action.contains(action) for action in actions)
        np.testing.assert_array_equal(
            actions, optimiser.act(first.state, spaces, deterministic, 1)(seen)
        )
