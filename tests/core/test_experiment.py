"""An experiment from a file, what is said of a bad one, and how its budget is shared out."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlhf_core.budget import Budget
from rlhf_core.configuration import from_mapping, load, override, to_yaml
from rlhf_core.environments import Environment
from rlhf_core.errors import ConfigurationError, UnsupportedSpaceError, UnusedFieldWarning
from rlhf_core.experiment import Experiment
from rlhf_core.feedback.constant import Constant
from rlhf_core.feedback.preference import Preference
from rlhf_core.feedback.true_reward import TrueReward
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.optimisers.a2c import A2C
from rlhf_core.queries.uniform import Uniform
from tests.core.examples import HERE, evidence, ratings, segments, tiny

CORRIDOR = f"{HERE}:Corridor-v0"
MINIMAL: dict[str, Any] = {"name": "a", "environment": {"id": CORRIDOR}}
TEXT = f"""
name: corridor
environment: {{id: "{CORRIDOR}", count: 4}}
feedback: {{kind: preference, segment_steps: 3, queries: uniform}}
optimiser: {{learning_rate: 1e-3}}
budget: {{env_steps: 8192, labels: 30, rounds: 2, initial_steps: 64}}
seed: 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "corridor.yaml"
    path.write_text(TEXT)
    return path


def test_a_file_gives_the_experiment_that_it_says(file: Path) -> None:
    experiment = load(file)
    assert experiment.name == "corridor"
    assert experiment.seed == 7
    assert experiment.environment.count == 4
    assert experiment.feedback == Preference(segment_steps=3, queries=Uniform())
    assert experiment.optimiser.model_dump()["learning_rate"] == 0.001
    assert experiment.budget == Budget(env_steps=8192, labels=30, rounds=2, initial_steps=64)


def test_written_out_and_read_again_it_is_the_same(file: Path, tmp_path: Path) -> None:
    experiment = load(file)
    (tmp_path / "again.yaml").write_text(to_yaml(experiment))
    assert load(tmp_path / "again.yaml") == experiment
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


def test_what_is_not_said_is_the_default() -> None:
    experiment = Experiment.model_validate(MINIMAL)
    assert experiment.feedback == Preference()
    assert experiment.annotator.kind == "synthetic"


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        (["budget.labels=7"], "budget.labels", 7),
        (["budget.labels=7", "budget.labels=8"], "budget.labels", 8),
        (["optimiser.learning_rate=5e-4"], "optimiser.learning_rate", 5e-4),
        (["evaluation.episodes=3"], "evaluation.episodes", 3),
        (["feedback.queries=disagreement"], "feedback.queries.oversample", 10),
        (["feedback.queries.oversample=4"], "feedback.queries.kind", "uniform"),
        (["feedback.queries={oversample: 4}"], "feedback.queries.kind", "disagreement"),
        (["environment.options.length=5"], "environment.options", {"length": 5}),
        (["environment.time_limit=null"], "environment.time_limit", None),
        (["feedback.reward_model.hidden=[4, 2]"], "feedback.reward_model.hidden", (4, 2)),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::rlhf_core.errors.UnusedFieldWarning")
def test_set_overrides_a_field(
    file: Path, overrides: list[str], path: str, expected: object
) -> None:
    found: Any = load(file, overrides)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected


def test_an_environment_is_short_for_its_id(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("name: short\nenvironment: Pendulum-v1\n")
    assert load(tmp_path / "short.yaml").environment == Environment(id="Pendulum-v1")
    changed = load(tmp_path / "short.yaml", ["environment.count=8"])
    assert changed.environment == Environment(id="Pendulum-v1", count=8)


@pytest.mark.parametrize(
    ("overrides", "blamed"),
    [
        (["seed=3", "budget.labels=-1", "threads=2"], "--set budget.labels=-1"),
        (["feedback.kind=preferrence"], "--set feedback.kind=preferrence"),
        # The second one alone would be valid.
        (["budget.rounds=50", "budget.env_steps=9000"], "--set budget.rounds=50"),
    ],
)
def test_what_an_override_breaks_is_blamed_on_it(
    file: Path, overrides: list[str], blamed: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(blamed)}: "):
        load(file, overrides)


def test_what_is_wrong_without_the_overrides_is_blamed_on_the_file(file: Path) -> None:
    file.write_text(file.read_text().replace("environment:", "enviroment:"))
    with pytest.raises(ConfigurationError, match=r"^preset demo: .*unknown field 'enviroment'"):
        load(file, ["seed=3"], "preset demo")


def test_a_name_is_described_in_words() -> None:
    message = "name: expected a letter or digit, then letters, digits, dots, dashes and underscores"
    with pytest.raises(ConfigurationError, match=message):
        from_mapping({**MINIMAL, "name": "a/b"})


def test_one_override_swaps_the_strategy_and_sets_its_fields_aside(file: Path) -> None:
    with pytest.warns(UnusedFieldWarning) as caught:
        experiment = load(file, ["feedback.kind=true_reward"])
    assert experiment.feedback == TrueReward()
    assert [str(w.message) for w in caught] == [
        "feedback: field 'segment_steps' is not used by kind 'true_reward'",
        "feedback: field 'queries' is not used by kind 'true_reward'",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget", r"--set: expected field\.field=value, actual: 'budget'"),
        ("=3", r"--set: expected field\.field=value, actual: '=3'"),
        ("seed.deep=3", "--set seed.deep=3: 'seed' holds 7, not fields"),
        ("budget.labels=[1", r"--set budget\.labels=\[1: not valid YAML: line 1, column 3"),
        ("budget.labels=", "budget.labels: expected a valid integer, actual: None"),
        ("buget.labels=3", "unknown field 'buget'; did you mean 'budget'"),
        ("budget..labels=3", "budget: unknown field ''"),
    ],
)
def test_a_bad_override_is_explained(file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(file, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping with 'name', 'environment', ..., actual: NoneType"),
        ("- 1", "expected a mapping .* actual: list"),
        ("name: [1", r"not valid YAML: line 1, column 9: expected ',' or '\]'"),
        ("a: b: c", "not valid YAML: line 1, column 5: mapping values are not allowed here"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML: .*could not determine a constr"),
        ("\x00", "not valid YAML: .*not allowed"),
        ("seed: 1\nseed: 2", "not valid YAML: line 2, column 1: 'seed' stands twice"),
        ("feedback: {kind: mixed, kind: constant}", "not valid YAML: .* 'kind' stands twice"),
        ("? [1]\n: 2", "not valid YAML: .*unhashable key"),
        (
            "a: 1\nname: 2020-13-45",
            "not valid YAML: line 2, column 7: '2020-13-45' looks like a val",
        ),
        ("seed: 0x_", "not valid YAML: line 1, column 7: '0x_' looks like a value of type int"),
        ("seed: !!int x", "not valid YAML: line 1, column 7: 'x' looks like a value of type int"),
        ("seed: !!timestamp x", "not valid YAML: .*'x' looks like a value of type timestamp"),
        ("a: " + "[" * 3000, "not valid YAML: nested too deeply"),
    ],
)
def test_a_file_that_is_no_experiment_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"bad.yaml: {message}"):
        load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing.yaml: cannot be read: .*No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match="expected a regular file, actual: a folder"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigurationError, match="cannot be read: 'utf-8' codec"):
        load(tmp_path / "latin.yaml")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: expected a valid string, actual: None"),
    ({"name": "a b"}, "name: expected a letter or digit, then letters.*, actual: 'a b'"),
    ({"name": "x" * 101}, "name: expected at most 100 characters"),
    ({"environment": {}}, "environment.id: expected a value, actual: none"),
    ({"environment": ["CartPole-v1"]}, "environment: expected a mapping"),
    ({"environment": {"id": CORRIDOR, "cuont": 3}}, "environment: unknown field 'cuont'; did you "),
    ({"environment": {"id": CORRIDOR, "count": 0}}, "environment.count: .*than 0, actual: 0"),
    ({"seed": -1}, "seed: expected greater than or equal to 0, actual: -1"),
    ({"seed": 1.5}, "seed: expected a valid integer"),
    ({"budgte": {}}, "unknown field 'budgte'; did you mean 'budget'"),
    ({"budget": {"labels": -1}}, "budget.labels: .*actual: -1"),
    ({"budget": {"rounds": 0, "label": 1}}, "budget: unknown field 'label'; did you mean 'labels'"),
    ({"feedback": "prefrence"}, "feedback: unknown kind 'prefrence'; did you mean 'preference'"),
    ({"feedback": {"segment_steps": 0}}, "feedback.segment_steps: .*greater than 0, actual: 0"),
    ({"feedback": {"queries": "unifrom"}}, "feedback.queries: unknown kind 'unifrom'"),
    ({"feedback": {"queries": {"oversample": 0}}}, "feedback.queries.oversample: .*actual: 0"),
    ({"feedback": {"reward_model": {"hidden": [8, 0]}}}, "feedback.*hidden.1: .*than 0"),
    ({"feedback": {"reward_model": {"hiden": [8]}}}, "feedback.*: unknown field 'hiden'"),
    ({"feedback": {"reward_model": {"inputs": ["obs"]}}}, "feedback.*.inputs.0: [^;]*'obs'$"),
    ({"feedback": {"reward_model": {"inputs": []}}}, "feedback.reward_model.inputs: .*at least 1"),
    ({"annotator": {"preset": "orcale"}}, "annotator.preset: expected 'oracle', 'stochas"),
    ({"annotator": {"mistake": 2}}, "annotator.mistake: .*less than or equal to 1, actual: 2"),
    ({"annotator": {"kind": None}}, "annotator: unknown kind 'None'; valid: "),
    ({"optimiser": {"learning_rate": "fast"}}, "optimiser.learning_rate: .*actual: 'fast'"),
    ({"optimiser": {"batch_size": 1}}, "optimiser.batch_size: .*greater than or equal to 2"),
    ({"optimiser": {"steps": 64, "batch_size": 300}}, r"optimiser.batch_size: .*= 2048\), actual"),
    (
        {"environment": {"id": CORRIDOR, "options": {"a": {"b": 1}}}},
        r"environment.options.a: expected a valid boolean or [^;]*, actual: {'b': 1}$",
    ),
    (
        {"annotator": {"kind": "crowd", "delay_steps": [3]}},
        "annotator.delay_steps.1: expected a va",
    ),
    ({"seed": True}, "seed: expected a number, actual: True"),
    ({"budget": {"money": False}}, "budget.money: expected a number, actual: False"),
    ({"evaluation": {"deterministic": 7}}, "evaluation.deterministic: expected a valid boolean"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda item: str(item)[:40])
def test_a_bad_field_is_named_with_what_came(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^bad.yaml: (.*; )?{message}"):
        from_mapping({**MINIMAL, **change}, "bad.yaml")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"name: expected a value, .*; environment: exp"):
        from_mapping({})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"seed: .*; threads: "):
        from_mapping({**MINIMAL, "seed": -1, "threads": 0})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"id": "Pendulm-v1"}, "environment.id: .*did you mean 'Pendulum-v1'"),
        ({"id": "Pendulum-v99"}, "environment.id: .*did you mean 'Pendulum-v1'"),
        ({"id": "no_such_module:A-v0"}, "environment.id: .*No module named 'no_such_module'"),
        ({"id": CORRIDOR, "options": {"width": 3}}, r"environment.options: .*take \['width'\]"),
        ({"id": CORRIDOR, "options": {"length": 0}}, "environment.options: .*at least one step"),
    ],
)
def test_an_environment_that_cannot_be_made_is_explained(
    environment: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^bad.yaml: {message}"):
        from_mapping({"name": "a", "environment": environment}, "bad.yaml")


def test_an_environment_without_learnable_spaces_keeps_its_own_error() -> None:
    shapes = {"id": f"{HERE}:Shapes-v0", "options": {"observation": "text"}}
    with pytest.raises(UnsupportedSpaceError, match=r"bad.yaml: .* has observations of Text"):
        from_mapping({"name": "a", "environment": shapes}, "bad.yaml")


def test_the_first_steps_are_rounded_up_to_whole_steps_of_all_copies() -> None:
    budget = {"env_steps": 100, "initial_steps": 17, "rounds": 1, "labels": 1}
    assert tiny(environment_count=4, budget=budget).first_steps == 20
    assert tiny(environment_count=1, budget=budget).first_steps == 17


def test_steps_are_shared_out_in_whole_rollouts() -> None:
    # 16 first steps leave 84 of 100: 5 rollouts of 2 x 8 steps, and 4 steps are not used.
    experiment = tiny(budget={"env_steps": 100, "initial_steps": 16, "rounds": 3, "labels": 9})
    assert [experiment.steps_of(i) for i in range(3)] == [16, 32, 32]
    assert experiment.total_steps == 80


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [3, 3, 4]),
        # Weights 1, 1/2, 1/3 of 11/6: after the rounds 5.45, 8.18 and 10 labels are due.
        ("hyperbolic", [5, 3, 2]),
    ],
)
def test_labels_are_shared_out_by_their_schedule(schedule: str, shares: list[int]) -> None:
    budget = {"env_steps": 100, "initial_steps": 16, "rounds": 3, "labels": 10}
    experiment = tiny(budget={**budget, "label_schedule": schedule})
    assert [experiment.plan.of_round(i) for i in range(3)] == shares


@given(
    count=st.integers(2, 9),
    steps=st.integers(1, 70),
    rounds=st.integers(1, 12),
    first=st.integers(1, 100),
    labels=st.integers(1, 1000),
    env_steps=st.integers(1, 20_000),
    schedule=st.sampled_from(["constant", "hyperbolic"]),
)
def test_the_shares_of_the_rounds_add_up_to_the_budget(
    count: int, steps: int, rounds: int, first: int, labels: int, env_steps: int, schedule: str
) -> None:
    rollout = count * steps
    first_steps = -(-first // count) * count
    assume(env_steps >= first_steps + rounds * rollout)
    experiment = Experiment.model_validate(
        {
            "name": "a",
            "environment": {"id": CORRIDOR, "count": count},
            "optimiser": {"kind": "ppo", "steps": steps, "batch_size": rollout},
            "budget": {
                "env_steps": env_steps,
                "labels": labels,
                "label_schedule": schedule,
                "rounds": rounds,
                "initial_steps": first,
            },
        }
    )
    shares = [experiment.steps_of(i) for i in range(rounds)]
    assert all(share >= rollout and share % rollout == 0 for share in shares)
    assert max(shares) - min(shares) <= rollout
    assert sum(shares) == experiment.total_steps
    assert 0 <= env_steps - first_steps - sum(shares) < rollout
    asked = [experiment.plan.of_round(i) for i in range(rounds)]
    assert sum(asked) == labels
    assert min(asked) >= 0


BUDGET = {"env_steps": 576, "initial_steps": 96, "rounds": 5, "labels": 40}


def budgeted(**changes: Any) -> Experiment:
    """Forty labels in five rounds of two rollouts, the same number in each."""
    budget = {**BUDGET, "label_schedule": "constant", **changes.pop("budget", {})}
    return tiny(budget=budget, optimiser={"steps": 24, "batch_size": 48, "hidden": [8]}, **changes)


def spent(asked: int, cost: float = 0.0, trace: Any = ()) -> FeedbackState:
    """So many labels asked for, at that price together."""
    known = evidence(segments([[1]]), rated=ratings([0], [1.0]))
    object.__setattr__(known.judgements["rating"], "cost", np.array([cost]))
    moved = np.array(trace, dtype=np.float64).reshape(-1, 2)
    return FeedbackState(evidence=known, asked_by_form={"comparison": asked}, trace=moved)


def test_labels_that_were_not_asked_are_due_later() -> None:
    experiment = budgeted()
    assert [experiment.plan.due(i, spent(8 * i), False) for i in range(5)] == [8] * 5
    assert [experiment.plan.due(i, spent(0), False) for i in range(5)] == [8, 16, 24, 32, 40]
    assert experiment.plan.due(4, spent(40), False) == 0


@pytest.mark.parametrize(
    ("money", "price", "paid", "due"),
    [
        (1.0, 0.25, 0.0, 4),
        (1.0, 0.25, 0.75, 1),
        (1.0, 0.25, 0.8, 0),
        (1.0, 0.25, 1.0, 0),
        (1.0, 0.25, 2.0, 0),
        # Three tenths are three labels of a tenth, whatever binary fractions say.
        (0.3, 0.1, 0.0, 3),
        (0.7, 0.1, 0.6, 1),
        (100.0, 0.25, 0.0, 8),
        (0.0, 0.0, 0.0, 8),
    ],
)
def test_labels_are_asked_for_that_can_be_paid(
    money: float, price: float, paid: float, due: int
) -> None:
    experiment = budgeted(budget={"money": money}, annotator={"kind": "synthetic", "cost": price})
    # In the last round all of the money may be spent.
    assert experiment.plan.due(4, spent(32, paid), False) == due


def test_money_is_spread_over_the_rounds_as_labels_are() -> None:
    # A fifth of the labels and of the money in each of five rounds: 8 labels, 2.00.
    experiment = budgeted(budget={"money": 10.0}, annotator={"kind": "synthetic", "cost": 0.5})
    assert experiment.plan.due(0, spent(0), False) == 4
    assert experiment.plan.due(1, spent(4, 2.0), False) == 4
    # What one round leaves the next may spend.
    assert experiment.plan.due(1, spent(3, 1.5), False) == 5


@given(
    st.integers(1, 300).map(lambda cents: cents / 100), st.integers(1, 50).map(lambda c: c / 100)
)
def test_money_is_never_overspent(money: float, price: float) -> None:
    assume(money >= price)
    experiment = Experiment.model_validate(
        {**MINIMAL, "annotator": {"cost": price}, "budget": {**BUDGET_OF_MANY, "money": money}}
    )
    asked, paid = 0, 0.0
    for round in range(5):
        due = experiment.plan.due(round, spent(asked, paid), False)
        asked, paid = asked + due, paid + due * price
    assert paid <= money + 1e-6
    assert asked == min(1000, round_down(money / price))


BUDGET_OF_MANY = {"labels": 1000, "rounds": 5, "env_steps": 10**6}


def round_down(number: float) -> int:
    return int(number + 1e-9)


def test_a_crowd_is_paid_for_all_its_judgements() -> None:
    crowd = {
        "kind": "crowd", "price": 0.05, "redundancy": 3, "gold": 0.1, "expert_price": 0.5
    }  # fmt: skip
    experiment = budgeted(annotator=crowd, budget={"money": 1.0})
    assert experiment.annotator.label_price() == pytest.approx(0.2)
    assert experiment.plan.due(4, spent(32), False) == 5


def test_money_for_not_one_label_is_refused() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"budget.money: expected at least 0.25, .*one question.* actual: 0.2",
    ):
        budgeted(budget={"money": 0.2}, annotator={"kind": "synthetic", "cost": 0.25})


STILL, MOVED, UNKNOWN = [0.8, 0.99], [0.6, 0.5], [np.nan, np.nan]
CALM = [STILL, STILL, STILL]
STABLE: dict[str, Any] = {"until_stable": {}}
PRICED = {"annotator": {"kind": "synthetic", "cost": 0.25}}


@pytest.mark.parametrize(
    ("trace", "stable"),
    [
        ([], False),
        ([STILL, STILL], False),
        ([STILL, STILL, STILL], True),
        ([MOVED, STILL, STILL, STILL], True),
        ([STILL, STILL, STILL, MOVED], False),
        ([STILL, STILL, STILL, UNKNOWN], False),
        ([UNKNOWN, STILL, STILL], False),
        # Accuracy may move by 0.03, and the ranking must stay at 0.95.
        ([[0.8, 0.99], [0.83, 0.95], [0.81, 0.96]], True),
        ([[0.8, 0.99], [0.84, 0.99], [0.84, 0.99]], False),
        ([[0.8, 0.99], [0.8, 0.94], [0.8, 0.99]], False),
        # The first row's ranking is no part of the last two rounds.
        ([[0.8, np.nan], [0.8, 0.99], [0.8, 0.99]], True),
    ],
)
def test_nothing_is_asked_once_labels_change_nothing(trace: Any, stable: bool) -> None:
    patient, untiring = budgeted(budget={"until_stable": {}}), budgeted()
    state = spent(8, trace=trace)
    assert patient.plan.due(2, state, False) == (0 if stable else 16)
    assert untiring.plan.due(2, state, False) == 16


@pytest.mark.parametrize(
    ("changes", "state", "rounds", "said"),
    [
        ({}, spent(40), 5, None),
        ({"feedback": {"kind": "true_reward"}}, spent(0), 5, None),
        ({"budget": STABLE}, spent(40, trace=CALM), 5, None),
        ({"budget": STABLE}, spent(8, trace=CALM), 5, "the reward is stable"),
        ({}, spent(8, trace=CALM), 2, "the guard stopped the run"),
        ({"budget": {"money": 1.0}, **PRICED}, spent(4, 1.0), 5, "the money.* 1 of 1 spent"),
        # Something is left, but not what all labels would have cost.
        ({"budget": {"money": 1.0}, **PRICED}, spent(2, 0.5), 5, "the money.* 0.5 of 1 spent"),
        # Stable only after the last question that could be paid.
        ({"budget": {"money": 1.0} | STABLE, **PRICED}, spent(4, 1.0, CALM), 5, "the money"),
        # Stable while there was money for more, though not for all.
        ({"budget": {"money": 4.0} | STABLE, **PRICED}, spent(8, 2.0, CALM), 5, "the reward is"),
        # Every round asked for what it could pay: that it was stable came too late.
        ({"budget": {"money": 4.0} | STABLE, **PRICED}, spent(15, 3.75, [STILL] * 5), 5, "the mon"),
        (
            {"feedback": {"form": "ranking", "segment_steps": 3}},
            spent(38),
            5,
            "the rest is less than a question",
        ),
    ],
)
def test_it_is_said_why_labels_were_left(
    changes: dict[str, Any], state: FeedbackState, rounds: int, said: str | None
) -> None:
    told = budgeted(**changes).plan.ended(state, rounds)
    if said is None:
        assert told is None
    else:
        assert re.match(f"{said}.*, {40 - state.asked} labels are left$", str(told))


def test_a_reserve_is_kept_for_an_alarm_or_the_last_round() -> None:
    experiment = budgeted(guard={"reaction": "ask_more", "reserve": 0.25})
    # 30 of 40 labels are spread over five rounds; the last gets the ten that were kept too.
    assert [experiment.plan.of_round(i) for i in range(5)] == [6, 6, 6, 6, 16]
    assert experiment.plan.due(1, spent(12), True) == 10
    assert experiment.plan.due(3, spent(30), True) == 4  # six are spent
    assert experiment.plan.due(3, spent(34), True) == 0
    # Later rounds ask as planned, whatever came out of the reserve.
    assert [experiment.plan.due(i, spent(10 + 6 * i), False) for i in range(1, 5)] == [6, 6, 6, 6]
    assert experiment.plan.due(4, spent(40), True) == 0


@pytest.mark.parametrize("reaction", ["report", "roll_back", "stop"])
def test_who_asks_no_more_keeps_no_reserve(reaction: str) -> None:
    experiment = budgeted(guard={"reaction": reaction, "reserve": 0.25})
    assert [experiment.plan.of_round(i) for i in range(5)] == [8] * 5


def test_an_alarm_spends_no_money_that_is_not_there() -> None:
    experiment = budgeted(
        guard={"reaction": "ask_more"}, annotator={"cost": 0.5}, budget={"money": 5}
    )
    assert experiment.plan.due(1, spent(6, 3.0), True) == 4


def test_a_reaction_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"guard.reaction: .*'report', 'ask_more'"):
        from_mapping({**MINIMAL, "guard": {"reaction": "panic"}})
    with pytest.raises(ConfigurationError, match=r"guard.confidence: .*less than 1, actual: 1"):
        from_mapping({**MINIMAL, "guard": {"confidence": 1}})


def test_too_few_steps_for_the_rounds_are_refused_with_the_number_that_is_needed() -> None:
    budget = {"env_steps": 47, "initial_steps": 15, "rounds": 2, "labels": 1}
    with pytest.raises(
        ConfigurationError,
        match=r"budget.env_steps: expected at least 48 \(16 first steps and one rollout of 16 in "
        r"each of 2 rounds\), actual: 47",
    ):
        tiny(budget=budget)
    assert tiny(budget={**budget, "env_steps": 48}).total_steps == 32


def test_a_strategy_that_learns_from_labels_needs_one_and_a_control_does_not() -> None:
    nothing = {"name": "a", "environment": {"id": CORRIDOR}, "budget": {"labels": 0}}
    with pytest.raises(ConfigurationError, match=r"budget\.labels: expected at least 1"):
        from_mapping(nothing)
    assert from_mapping({**nothing, "feedback": "constant"}).budget.labels == 0


def test_more_labels_than_pairs_and_clips_longer_than_episodes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"budget\.labels: expected at most 5 in round 1"):
        tiny(budget={"env_steps": 80, "initial_steps": 16, "rounds": 1, "labels": 9})
    with pytest.raises(ConfigurationError, match=r"feedback\.segment_steps: expected at most 10"):
        tiny(feedback={"segment_steps": 11})


def test_an_override_is_a_line_of_the_file_that_was_changed() -> None:
    experiment = tiny()
    changed = override(experiment, {"seed": 3, "feedback.reward_model.members": 4})
    assert (changed.seed, changed.feedback.reward_model.members) == (3, 4)
    assert (experiment.seed, experiment.feedback.reward_model.members) == (0, 2)
    assert override(experiment, {}) == experiment
    # Fields that were not written take the defaults of the new kind.
    with pytest.warns(UnusedFieldWarning, match="is not used by kind 'a2c'"):
        other = override(experiment, {"optimiser.kind": "a2c"})
    assert isinstance(other.optimiser, A2C)
    assert (other.optimiser.steps, other.optimiser.learning_rate) == (8, A2C().learning_rate)


def test_an_override_of_a_preset_takes_its_fields_along() -> None:
    noisy = tiny(annotator={"kind": "synthetic", "preset": "stochastic"})
    assert noisy.annotator.rationality == 1
    assert override(noisy, {"annotator.preset": "oracle"}).annotator.rationality is None
    own = tiny(annotator={"kind": "synthetic", "preset": "stochastic", "rationality": 5})
    assert override(own, {"annotator.preset": "oracle"}).annotator.rationality == 5


def test_an_override_of_an_agents_plug_in_keeps_its_kind() -> None:
    experiment = tiny().model_copy(update={"feedback": Constant(value=2.0)})
    changed = override(experiment, {"seed": 1})
    assert changed.feedback == Constant(value=2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "override: seed: expected"),
        ({"budget.labells": 3}, "override: .*unknown field 'labells'; did you mean 'labels'"),
        ({"seed.more": 3}, "override seed.more: 'seed' holds 0, not fields"),
        ({"environment.id": "Nowhere-v0"}, "override: environment.id: cannot make 'Nowhere-v0'"),
    ],
)
def test_an_override_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        override(tiny(seed=0), changes)


WITHOUT_TRUTH = {"environment_true_reward": False}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "annotator.kind: 'synthetic' needs the true reward, and the environment has none"),
        ({"annotator": "crowd"}, "annotator.kind: 'crowd' needs the true reward"),
        ({"annotator": "expert"}, "annotator.kind: 'expert' needs the true reward"),
    ],
)
def test_who_needs_a_true_reward_says_so_where_there_is_none(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tiny(**WITHOUT_TRUTH, **fields)


def test_the_evaluation_environment_has_the_same_spaces() -> None:
    other = {"id": "Pendulum-v1", "options": {"g": 12.0}}
    experiment = tiny("Pendulum-v1", evaluation={"episodes": 2, "environment": other})
    assert experiment.evaluation.environment is not None
    with pytest.raises(
        ConfigurationError, match=r"evaluation.environment: expected observations of"
    ):
        tiny(evaluation={"episodes": 2, "environment": other})
