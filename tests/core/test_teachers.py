"""Every teacher's answers against the distribution that its definition gives each single pair.

The check is a function, and teachers that are broken on purpose fail it. What is asked about and
the reference sample are drawn apart, so a teacher that measures on the wrong clips fails too.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from rlhf_core.annotators import AnnotatorState
from rlhf_core.annotators.synthetic import PRESETS, Synthetic
from rlhf_core.answers import Answers
from rlhf_core.judgements import Choice
from rlhf_core.questions import Request
from rlhf_core.types import Truth
from tests.core.examples import asking, request, segments

PAIRS = 6000
STEPS = 5
GROUPS = 12
HORIZON = 100.0
EPISODES = np.array([1e6, *[30.0, 50.0] * 5])
"""The last ten have a mean of 40, so the published margin is 40 x 5 / 100 x threshold."""

CLIPS = np.random.default_rng(0).normal(0.1, 1.0, (2 * PAIRS, STEPS))
REFERENCE = np.random.default_rng(1).normal(-0.1, 0.8, (400, STEPS))

SETTINGS: dict[str, dict[str, Any]] = {
    **{preset: {"preset": preset} for preset in PRESETS},
    "scale-free": {"agreement": 0.8},
    "scale-free, myopic, fallible": {"agreement": 0.9, "discount": 0.5, "mistake": 0.15},
    "published skip": {"preset": "skip", "thresholds": "margin"},
    "published equal": {"preset": "equal", "thresholds": "margin"},
    "all knobs": {
        "rationality": 0.8,
        "discount": 0.9,
        "mistake": 0.2,
        "skip_threshold": 0.3,
        "equal_threshold": 0.3,
    },
}


def ask(teacher: Synthetic, seed: int = 2) -> np.ndarray:
    """Its choices on the pairs (0, 1), (2, 3), ... of `CLIPS`."""
    asked = request(np.zeros_like(CLIPS), np.arange(len(CLIPS)).reshape(-1, 2))
    choices: np.ndarray = answered(teacher, asked, seed).judgements["comparison"].choice
    return choices


def answered(teacher: Synthetic, asked: Request, seed: int) -> Answers:
    asked = replace(asked, reference=segments(np.zeros_like(REFERENCE)))
    state = AnnotatorState(arrays={"horizon": np.array(HORIZON)})
    truth = Truth(CLIPS, REFERENCE, EPISODES)
    return teacher.answer(state, asked, truth, np.random.default_rng(seed))[1]


def every_pair(returns: np.ndarray) -> np.ndarray:
    """All pairs (P, 2) of different clips."""
    first, second = np.triu_indices(len(returns), 1)
    return np.stack([returns[first], returns[second]], axis=1)


def right_before_mistakes(said: Synthetic) -> np.ndarray:
    """P(right) of each pair by the definition: Boltzmann, or the better one."""
    weights = said.discount ** np.arange(STEPS - 1, -1, -1)
    advantage = np.diff((CLIPS @ weights).reshape(-1, 2))[:, 0]
    if said.agreement is not None:
        size = np.abs(np.diff(every_pair(REFERENCE @ weights))[:, 0])
        beta = brentq(lambda b: expit(b * size).mean() - said.agreement, 1e-6, 1e6)
        return np.asarray(expit(beta * advantage))
    if said.rationality is None:
        return (advantage > 0).astype(np.float64)
    return np.asarray(expit(said.rationality * advantage))


def distribution(said: Synthetic) -> np.ndarray:
    """P(left), P(right), P(equal), P(skip) of each pair (N, 4): skip, choose, flip, equal."""
    right = right_before_mistakes(said)
    right = (1 - said.mistake) * right + said.mistake * (1 - right)
    expected = np.stack([1 - right, right, np.zeros(PAIRS), np.zeros(PAIRS)], axis=1)
    returns = CLIPS.sum(axis=1).reshape(-1, 2)
    best, apart = returns.max(axis=1), np.abs(returns[:, 1] - returns[:, 0])
    if said.thresholds == "margin":
        margin = EPISODES[-10:].mean() * STEPS / HORIZON
        worst, near = margin * said.skip_threshold, margin * said.equal_threshold
    else:
        pairs = every_pair(REFERENCE.sum(axis=1))
        worst = np.quantile(pairs.max(axis=1), said.skip_threshold)
        near = np.quantile(np.abs(np.diff(pairs)[:, 0]), said.equal_threshold)
    if said.equal_threshold:
        expected[apart < near] = np.eye(4)[Choice.EQUAL]
    if said.skip_threshold:
        expected[best < worst] = np.eye(4)[Choice.SKIP]
    return expected


def check_conformance(choice: np.ndarray, said: Synthetic) -> None:
    """Assert that each answer is as frequent as it should be, within four standard errors.

    Pairs are put in groups by their P(right), because left and right balance over all of them;
    where an answer is certain, the count is exact.
    """
    expected = distribution(said)
    given = np.eye(4)[choice]
    order = np.argsort(right_before_mistakes(said), kind="stable")
    for group in np.array_split(order, GROUPS):
        error = np.sqrt((expected[group] * (1 - expected[group])).sum(axis=0))
        off = np.abs(given[group].sum(axis=0) - expected[group].sum(axis=0))
        assert (off <= 4 * error + 1e-6).all(), f"off by {off}, standard error {error}"


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_teacher_is_what_it_says(setting: str) -> None:
    teacher = Synthetic(**SETTINGS[setting])
    check_conformance(ask(teacher), teacher)


def test_the_settings_reach_every_answer() -> None:
    # Else the check above would hold of a teacher that never skips and never says "equal".
    for setting in ("all knobs", "skip", "equal", "published skip", "published equal"):
        teacher = Synthetic(**SETTINGS[setting])
        share = distribution(teacher).mean(axis=0)
        assert (share[Choice.SKIP] > 0.01) == (teacher.skip_threshold > 0)
        assert (share[Choice.EQUAL] > 0.01) == (teacher.equal_threshold > 0)


def squared(said: Synthetic) -> np.ndarray:
    """Thresholds that were multiplied with themselves."""
    update = {"skip_threshold": said.skip_threshold**2, "equal_threshold": said.equal_threshold**2}
    return ask(said.model_copy(update=update))


def irrational(said: Synthetic) -> np.ndarray:
    """The temperature ignored: the better clip always."""
    return ask(said.model_copy(update={"rationality": None, "agreement": None}))


def equal_before_mistake(said: Synthetic) -> np.ndarray:
    """Mistake and equal exchanged: a mistake also makes a side of an "equal"."""
    choice = ask(said.model_copy(update={"mistake": 0.0}))
    rng = np.random.default_rng(3)
    slipped = (rng.random(PAIRS) < said.mistake) & (choice != Choice.SKIP)
    other = np.where(choice == Choice.EQUAL, rng.integers(2, size=PAIRS), 1 - choice)
    return np.where(slipped, other, choice)


def equal_before_skip(said: Synthetic) -> np.ndarray:
    """A pair of bad clips that are near is called equal and no longer skipped."""
    equal = ask(said.model_copy(update={"skip_threshold": 0.0})) == Choice.EQUAL
    return np.where(equal, Choice.EQUAL, ask(said))


def never_wrong(said: Synthetic) -> np.ndarray:
    """The mistakes left out."""
    return ask(said.model_copy(update={"mistake": 0.0}))


def far_sighted(said: Synthetic) -> np.ndarray:
    """The discount left out."""
    return ask(said.model_copy(update={"discount": 1.0}))


def other_rule(said: Synthetic) -> np.ndarray:
    """The other rule for thresholds."""
    other = "margin" if said.thresholds == "quantile" else "quantile"
    return ask(said.model_copy(update={"thresholds": other}))


def sides_swapped(said: Synthetic) -> np.ndarray:
    """Left for right."""
    choice = ask(said)
    return np.where(choice < Choice.EQUAL, 1 - choice, choice)


@pytest.mark.parametrize(
    ("broken", "setting"),
    [
        (squared, "skip"),
        (squared, "equal"),
        (squared, "published skip"),
        (squared, "published equal"),
        (irrational, "stochastic"),
        (irrational, "scale-free"),
        (equal_before_mistake, "all knobs"),
        (equal_before_skip, "all knobs"),
        (never_wrong, "mistake"),
        (far_sighted, "myopic"),
        (far_sighted, "scale-free, myopic, fallible"),
        (other_rule, "skip"),
        (other_rule, "published equal"),
        *((sides_swapped, setting) for setting in PRESETS),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_the_check_fails_a_teacher_that_is_broken(
    broken: Callable[[Synthetic], np.ndarray], setting: str
) -> None:
    said = Synthetic(**SETTINGS[setting])
    with pytest.raises(AssertionError, match="off by"):
        check_conformance(broken(said), said)


@pytest.mark.parametrize("setting", ["oracle", "stochastic", "mistake", "myopic", "scale-free"])
def test_a_ranking_of_two_is_a_comparison(setting: str) -> None:
    teacher = Synthetic(**SETTINGS[setting])
    groups = np.arange(2 * PAIRS).reshape(-1, 2)
    clips = segments(np.zeros_like(CLIPS))
    asked = asking(clips, ranking=groups)
    items = answered(teacher, asked, seed=4).judgements["ranking"].items
    right = items[:, 0] == groups[:, 1]
    check_conformance(np.where(right, Choice.RIGHT, Choice.LEFT), teacher)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_quantiles_and_agreement_do_not_see_the_unit_of_reward(
    unit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Synthetic(agreement=0.8, skip_threshold=0.2, equal_threshold=0.2)
    before = ask(teacher)
    monkeypatch.setitem(globals(), "CLIPS", CLIPS * unit)
    monkeypatch.setitem(globals(), "REFERENCE", REFERENCE * unit)
    assert (ask(teacher) == before).mean() > 0.999  # all but what rounding decides
