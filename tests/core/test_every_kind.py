"""One changed line at a time: the demo with every kind of every family runs from end to end."""

from typing import Any

import numpy as np
import pytest
import yaml

from flows.experiments import presets
from rlhf_core.aggregation import AGGREGATION
from rlhf_core.annotators import SIMULATED
from rlhf_core.configuration import from_mapping
from rlhf_core.errors import UnusedFieldWarning
from rlhf_core.experiment import Experiment
from rlhf_core.feedback import FEEDBACK
from rlhf_core.feedback_forms import FORMS
from rlhf_core.in_process import run
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.loop import Progress
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.packing import pack, unpack
from rlhf_core.queries import QUERIES
from rlhf_core.reward_learning.no_questions import NoQuestions

TINY: dict[str, Any] = {
    "environment": {"id": "Pendulum-v1", "count": 4, "time_limit": 20},
    "optimiser": {"kind": "ppo", "steps": 20, "batch_size": 40, "epochs": 1, "hidden": [8]},
    "budget": {"env_steps": 320, "labels": 24, "rounds": 2, "initial_steps": 160},
    "evaluation": {"episodes": 2},
}
FEEDBACK_FIELDS: dict[str, Any] = {
    "segment_steps": 5, "reward_model": {"hidden": [8], "members": 2, "epochs": 2}
}  # fmt: skip
QUICK: dict[str, dict[str, Any]] = {"expert": {"env_steps": 80, "episodes": 2}}
"""Fields that keep a kind short."""


def demo() -> dict[str, Any]:
    """The preset as it stands in its file, made tiny."""
    data: dict[str, Any] = yaml.safe_load(presets.find("pendulum-preference").read_text())
    data |= TINY
    data["feedback"] |= FEEDBACK_FIELDS
    return data


def play(data: dict[str, Any]) -> tuple[Experiment, list[Progress]]:
    """Play it; the fields that a kind does not use are set aside with a warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedFieldWarning)
        experiment = from_mapping(data)
    rounds: list[Progress] = []
    run(experiment, rounds.append)
    return experiment, rounds


def check(rounds: list[Progress], steps: int = 320) -> None:
    assert len(rounds) == 2
    assert rounds[-1].policy.steps == steps
    for progress in rounds:
        wrong = {name: v for name, v in progress.metrics.items() if not np.isfinite(v)}
        assert wrong == {}
        assert progress.feedback.asked <= 24
        # Whatever a kind keeps, the store keeps: a run can be left after any round.
        for value in (progress.feedback, progress.annotator, progress.policy):
            content = pack(value)
            assert pack(unpack(content, type(value))) == content
    first, last = rounds
    counted = sum(progress.metrics["feedback/labels"] for progress in rounds)
    assert last.metrics["feedback/labels_total"] == counted <= last.feedback.asked
    assert last.policy.steps > first.policy.steps


@pytest.mark.parametrize("kind", FEEDBACK.kinds())
def test_every_strategy(kind: str) -> None:
    data = demo()
    data["feedback"]["kind"] = kind
    data["annotator"]["expert_steps"] = 80
    experiment, rounds = play(data)
    check(rounds)
    silent = isinstance(experiment.feedback, NoQuestions)
    asked = sum(progress.metrics["feedback/queries"] for progress in rounds)
    assert (asked == 0) == silent


ASKING: list[dict[str, Any]] = [
    *({"kind": "preference", "form": kind} for kind, form in FORMS.kinds().items() if form.ordinal),
    {"kind": "direct_reward", "rated": "signal"},
    {"kind": "direct_reward", "likelihoods": {"ratings": "ordinal"}},
    {"kind": "mixed", "split_by": "information"},
    {"kind": "preference", "likelihoods": {"ties": "davidson"}},
    {"kind": "preference", "audit": 0.5},
]


@pytest.mark.parametrize("fields", ASKING, ids=lambda fields: "-".join(map(str, fields.values())))
def test_every_way_of_asking(fields: dict[str, Any]) -> None:
    data = demo()
    data["feedback"] |= fields
    check(play(data)[1])


@pytest.mark.parametrize("kind", SIMULATED.kinds())
@pytest.mark.parametrize("strategy", ["preference", "direct_reward", "mixed"])
def test_every_annotator_of_every_form(kind: str, strategy: str) -> None:
    data = demo()
    data["annotator"] = {"kind": kind, **QUICK.get(kind, {})}
    data["feedback"]["kind"] = strategy
    check(play(data)[1])


@pytest.mark.parametrize("kind", QUERIES.kinds())
@pytest.mark.parametrize("strategy", ["preference", "mixed"])
def test_every_selector(kind: str, strategy: str) -> None:
    data = demo()
    data["feedback"] |= {"kind": strategy, "queries": {"kind": kind}}
    check(play(data)[1])


@pytest.mark.parametrize("kind", AGGREGATION.kinds())
@pytest.mark.parametrize("strategy", ["preference", "mixed"])
def test_every_aggregator(kind: str, strategy: str) -> None:
    data = demo()
    data["annotator"] = {"kind": "crowd", "workers": 6, "adversarial": 0.34, "gold": 0.2}
    data["feedback"] |= {"kind": strategy, "aggregation": {"kind": kind}}
    check(play(data)[1])


MADE_SMALL: dict[str, Any] = {
    "population": 4, "warmup_steps": 20, "lstm_size": 4, "hidden": [8], "batch_size": 40,
    "steps": 20, "epochs": 1, "value_epochs": 1, "group_size": 2, "fine_tuning": {"epochs": 1},
}  # fmt: skip


@pytest.mark.parametrize("kind", OPTIMISERS.kinds())
def test_every_optimiser(kind: str) -> None:
    data = demo()
    known = OPTIMISERS.get(kind).model_fields
    data["optimiser"] = {"kind": kind, **{n: v for n, v in MADE_SMALL.items() if n in known}}
    if "group_size" in known:
        data["optimiser"]["batch_size"] = 4
    if kind == "dqn":
        data["environment"] = {**data["environment"], "id": "CartPole-v1"}
    if issubclass(OPTIMISERS.get(kind), LanguageOptimiser):
        pytest.importorskip("transformers")
        data["environment"] = {"id": "rlhf/RandomWalks-v0", "count": 4}
        data["feedback"] |= {"segment_steps": 9, "same_start": True}
        # A text is one clip.
        data["budget"] = {"env_steps": 1000, "labels": 24, "rounds": 2, "initial_steps": 400}
        data["feedback"]["reward_model"]["inputs"] = ["next_observation"]
    experiment, rounds = play(data)
    experiment.check()
    # Where poles fall, generations are shorter than they might have been.
    check(rounds, steps=rounds[-1].policy.steps)
    budget = data["budget"]
    assert budget["initial_steps"] < rounds[-1].policy.steps <= budget["env_steps"]


@pytest.mark.parametrize("reaction", ["report", "ask_more", "roll_back", "stop"])
def test_every_reaction(reaction: str) -> None:
    # Two rollouts a round, so that a gain can be seen.
    budget = {**TINY["budget"], "env_steps": 480}
    check(play({**demo(), "guard": {"reaction": reaction}, "budget": budget})[1], steps=480)
