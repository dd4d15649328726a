"""What every plug-in of a family promises, whoever wrote it."""

from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from rlhf_core.aggregation import AGGREGATION, Aggregator
from rlhf_core.annotators import ANNOTATORS, Annotator
from rlhf_core.environments import Environment
from rlhf_core.errors import UnusedFieldWarning
from rlhf_core.evidence import Choice, Queries
from rlhf_core.feedback import FEEDBACK, FeedbackState, FeedbackStrategy
from rlhf_core.optimisers import OPTIMISERS, Optimiser
from rlhf_core.plugin import Family, Plugin
from rlhf_core.queries import QUERIES, QuerySelector
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.segments import true_rewards
from rlhf_core.store import pack
from rlhf_core.types import TrueRewards
from tests.core.examples import HERE, LINE, annotations, played, request, segments

FAMILIES: list[Family[Any]] = [FEEDBACK, QUERIES, ANNOTATORS, AGGREGATION, OPTIMISERS]
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
@pytest.mark.parametrize("count", [1, 7])
def test_a_selector_chooses_candidates_and_each_once(selector: QuerySelector, count: int) -> None:
    drawn = selector.candidates(count)
    assert drawn >= count
    candidates = Queries(np.arange(2 * drawn).reshape(-1, 2))
    clips = segments(draws().normal(size=(2 * drawn, 3)))
    returns = draws(1).normal(size=(3, 2 * drawn))
    chosen, again = (
        selector.select(candidates, clips, returns, count, draws(2)).pair for _ in range(2)
    )
    assert chosen.shape == (count, 2)
    assert {tuple(p) for p in chosen.tolist()} <= {tuple(p) for p in candidates.items.tolist()}
    assert len({tuple(p) for p in chosen.tolist()}) == count
    np.testing.assert_array_equal(chosen, again)


@pytest.mark.parametrize("annotator", every(ANNOTATORS))
def test_an_annotator_answers_each_query_at_once_and_the_same_again(annotator: Annotator) -> None:
    asked = request(np.zeros((40, 3)), np.arange(40).reshape(-1, 2))
    rewards = TrueRewards(draws().normal(size=(40, 3)))
    first, again = (annotator.answer(asked, rewards, draws(1)) for _ in range(2))
    assert set(first.query.tolist()) == set(range(20))
    assert (first.seconds >= 0).all()
    assert (first.cost >= 0).all()
    assert pack(first) == pack(again)


@pytest.mark.parametrize("aggregator", every(AGGREGATION))
def test_an_aggregator_gives_one_label_for_each_query_that_was_answered(
    aggregator: Aggregator,
) -> None:
    queries = Queries(np.arange(8).reshape(-1, 2))
    choices = [Choice.LEFT, Choice.LEFT, Choice.RIGHT, Choice.SKIP, Choice.RIGHT, Choice.EQUAL]
    answers = annotations([0, 0, 1, 2, 3, 3], choices)
    first, again = (aggregator.aggregate(queries, answers) for _ in range(2))
    np.testing.assert_array_equal(first.pair, [[0, 1], [2, 3], [6, 7]])
    assert first.target[0] < 0.5 < first.target[1]
    assert pack(first) == pack(again)


@pytest.mark.parametrize("strategy", every(FEEDBACK))
@pytest.mark.parametrize("labels", [0, 1, 6])
def test_a_strategy_asks_is_told_and_has_a_reward(strategy: FeedbackStrategy, labels: int) -> None:
    rollouts, rewards = played(60, 3, 70)
    rng = draws()

    def play() -> FeedbackState:
        state = strategy.initial()
        for round in range(2):
            asked = strategy.ask(state, rollouts, labels, LINE, draws(round))
            assert len(asked.queries) <= labels
            answers = ANNOTATORS.get("synthetic")().answer(
                asked, true_rewards(rewards, asked.segments), draws(round)
            )
            state, metrics = strategy.tell(state, asked, answers, LINE, draws(round))
            assert all(np.isfinite(value) for value in metrics.values())
        return state

    state = play()
    assert pack(state) == pack(play())
    reward = strategy.reward(state, LINE)
    if not isinstance(reward, EnvironmentReward):
        seen = rng.normal(size=(9, 1)).astype(np.float32)
        paid = reward(seen, rng.integers(2, size=9), seen + 1, np.zeros(9, dtype=bool))
        assert paid.shape == (9,)
        assert paid.dtype == np.float32
        assert np.isfinite(paid).all()


@pytest.mark.parametrize("optimiser", every(OPTIMISERS))
def test_an_optimiser_takes_the_steps_it_is_given_and_the_same_again(optimiser: Optimiser) -> None:
    environment = Environment(id=f"{HERE}:Corridor-v0", count=4)
    spaces = environment.spaces()
    steps = optimiser.rollout_steps(environment)
    start = optimiser.initial(spaces, 0)
    first, again = (
        optimiser.optimise(start, environment, EnvironmentReward(), steps, steps, 1)
        for _ in range(2)
    )
    assert first.state.steps == first.rollouts.steps == steps
    assert pack(first.state) == pack(again.state)
    assert first.metrics == again.metrics
    assert all(np.isfinite(value) for value in first.metrics.values())
    assert len(first.rewards.rewards) == len(first.rollouts.trajectories)
    seen = np.zeros((5, 1), dtype=np.float32)
    for deterministic in (True, False):
        actions = optimiser.act(first.state, spaces, deterministic, 1)(seen)
        assert all(spaces.action.contains(action) for action in actions)
        np.testing.assert_array_equal(
            actions, optimiser.act(first.state, spaces, deterministic, 1)(seen)
        )
