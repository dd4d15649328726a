"""The watch on reward hacking: z by hand, and what each reaction does to a run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rlhf_core import stages
from rlhf_core.experiment import Experiment
from rlhf_core.guard import LEAST_PAIRS, Guard, Verdict
from rlhf_core.in_process import InProcess, run
from rlhf_core.loop import Progress, advance, begin
from rlhf_core.policies import PolicyState
from rlhf_core.types import Metrics
from tests.core.examples import tiny


def seen(accuracy: float, pairs: float, gain: float = 1.0) -> Metrics:
    return {
        "proxy/gain": gain, "reward/fresh_accuracy": accuracy, "reward/fresh_pairs": pairs
    }  # fmt: skip


def z(right_0: float, n_0: float, right: float, n: float) -> float:
    p = (right_0 + right) / (n_0 + n)
    return float((right_0 / n_0 - right / n) / np.sqrt(p * (1 - p) * (1 / n_0 + 1 / n)))


@pytest.mark.parametrize(
    ("right_0", "n_0", "right", "n", "expected"),
    [
        # p = 24/40, z = 0.4 / sqrt(0.24 / 10) = 2.582.
        (16, 20, 8, 20, 2.582),
        # p = 26/40, z = 0.3 / sqrt(0.2275 / 10) = 1.989.
        (16, 20, 10, 20, 1.989),
        # p = 28/40, z = 0.2 / sqrt(0.21 / 10) = 1.380.
        (16, 20, 12, 20, 1.380),
    ],
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99, 0.999])
def test_the_alarm_is_raised_beyond_the_quantile(
    right_0: int, n_0: int, right: int, n: int, expected: float, confidence: float
) -> None:
    assert z(right_0, n_0, right, n) == pytest.approx(expected, abs=1e-3)
    verdict = Guard(confidence=confidence).judge([seen(right_0 / n_0, n_0)], seen(right / n, n))
    assert (verdict is Verdict.REPORT) == (expected > norm.ppf(confidence))


@given(*(st.integers(LEAST_PAIRS, 60) for _ in range(3)), *(st.floats(0, 1) for _ in range(3)))
def test_earlier_rounds_are_pooled(
    n_1: int, n_2: int, n: int, a_1: float, a_2: float, a: float
) -> None:
    right = [round(share * count) for share, count in ((a_1, n_1), (a_2, n_2), (a, n))]
    history = [seen(right[0] / n_1, n_1), {"proxy/gain": -3.0}, seen(right[1] / n_2, n_2)]
    verdict = Guard().judge(history, seen(right[2] / n, n))
    total = right[0] + right[1]
    if 0 < total + right[2] < n_1 + n_2 + n:
        statistic = z(total, n_1 + n_2, right[2], n)
        if abs(statistic - norm.ppf(0.95)) > 1e-6:
            assert (verdict is not Verdict.FINE) == (statistic > norm.ppf(0.95))
    else:
        assert verdict is Verdict.FINE


FELL = seen(0.0, 50)
BEFORE = [seen(1.0, 50)]


@pytest.mark.parametrize(
    ("history", "now"),
    [
        ([], FELL),
        ([seen(1.0, 50, gain=0.0)], FELL),
        ([seen(1.0, 50, gain=-1.0)], FELL),
        ([{"reward/fresh_accuracy": 1.0, "reward/fresh_pairs": 50.0}], FELL),
        ([{"proxy/gain": 1.0}], FELL),
        (BEFORE, {}),
        (BEFORE, seen(0.0, LEAST_PAIRS - 1)),
        ([seen(1.0, LEAST_PAIRS - 1)], FELL),
        (BEFORE, seen(1.0, 50)),
        ([seen(0.5, 50)], seen(0.9, 50)),
        ([seen(0.0, 50)], FELL),
    ],
    ids=[
        "no history", "no gain", "a loss", "no gain known", "nothing fresh before",
        "nothing fresh now", "few now", "few before", "all right", "better", "all wrong",
    ],
)  # fmt: skip
@pytest.mark.parametrize("reaction", ["report", "ask_more", "roll_back", "stop"])
def test_it_is_fine_where_nothing_can_be_said(
    history: list[Metrics], now: Metrics, reaction: Any
) -> None:
    assert Guard(reaction=reaction).judge(history, now) is Verdict.FINE


@pytest.mark.parametrize("reaction", ["report", "ask_more", "roll_back", "stop"])
def test_an_alarm_is_answered_as_was_said(reaction: Any) -> None:
    verdict = Guard(reaction=reaction).judge(BEFORE, FELL)
    assert verdict.value == reaction
    assert verdict.metrics == {"guard/alarm": 1}
    assert Verdict.FINE.metrics == {"guard/alarm": 0}


def test_only_the_last_round_must_have_gained() -> None:
    assert Guard().judge([seen(1, 50, -5), seen(1, 50, 1)], FELL) is Verdict.REPORT
    assert Guard().judge([seen(1, 50, 5), seen(1, 50, -1)], FELL) is Verdict.FINE


# The loop


@dataclass
class Watched:
    """A run whose guard is made to see a fall of accuracy in some rounds."""

    experiment: Experiment
    rounds: list[Progress] = field(default_factory=list)
    optimised: list[PolicyState] = field(default_factory=list)
    asked: list[tuple[int, bool, int]] = field(default_factory=list)

    def play(self) -> Progress:
        return run(self.experiment, self.rounds.append)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Makes a run and watches it: play it before the next one is made."""
    judge, optimise, ask = Guard.judge, stages.optimise, stages.ask

    def make(reaction: str, alarms: tuple[int, ...], **changes: Any) -> Watched:
        budget = {
            "env_steps": 176, "labels": 20, "rounds": 5, "initial_steps": 16,
            "label_schedule": "constant", **changes.pop("budget", {}),
        }  # fmt: skip
        guard = {"reaction": reaction, **changes.pop("guard", {})}
        watched = Watched(tiny(guard=guard, budget=budget, **changes))

        def judged(self: Guard, history: Any, now: Metrics) -> Verdict:
            alarmed = len(history) in alarms
            return judge(self, BEFORE, FELL if alarmed else seen(1.0, 50))

        def optimised(experiment: Any, round: int, policy: PolicyState, *rest: Any) -> Any:
            watched.optimised.append(policy)
            return optimise(experiment, round, policy, *rest)

        def asking(experiment: Any, round: int, feedback: Any, rollouts: Any, alarmed: bool) -> Any:
            request = ask(experiment, round, feedback, rollouts, alarmed)
            watched.asked.append((round, alarmed, request.labels))
            return request

        monkeypatch.setattr(Guard, "judge", judged)
        monkeypatch.setattr(stages, "optimise", optimised)
        monkeypatch.setattr(stages, "ask", asking)
        return watched

    return make


LONGER = {"env_steps": 256}
"""Three rollouts a round, for more pairs in it."""


def alike(first: PolicyState, second: PolicyState) -> bool:
    return all(
        np.array_equal(first.parameters[n], second.parameters[n]) for n in first.parameters
    ) and all(
        np.array_equal(first.optimizer_state[n], second.optimizer_state[n])
        for n in second.optimizer_state
    )


def test_a_report_changes_nothing_but_the_record(watch: Callable[..., Watched]) -> None:
    calm = watch("report", ())
    quiet = calm.play()
    alarmed = watch("report", (2, 3))
    loud = alarmed.play()
    assert [m["guard/alarm"] for m in quiet.history] == [0, 0, 0, 0, 0]
    assert [m["guard/alarm"] for m in loud.history] == [0, 0, 1, 1, 0]
    assert alike(quiet.policy, loud.policy)
    assert calm.asked == alarmed.asked


def test_without_an_alarm_the_reserve_is_asked_in_the_last_round(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("ask_more", (), guard={"reserve": 0.25})
    watched.play()
    # 15 of 20 labels in five rounds, and 5 more in the last.
    assert watched.asked == [
        (0, False, 3), (1, False, 3), (2, False, 3), (3, False, 3), (4, False, 8)
    ]  # fmt: skip


def test_an_alarm_spends_the_reserve_and_never_more_than_there_is(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("ask_more", (2,), guard={"reserve": 0.25})
    final = watched.play()
    # A quarter of 20 labels is kept back; the rounds after the alarm ask as they would have.
    assert watched.asked == [
        (0, False, 3), (1, False, 3), (2, False, 3), (2, True, 5), (3, False, 3), (4, False, 3)
    ]  # fmt: skip
    assert final.feedback.asked == sum(labels for _, _, labels in watched.asked) == 20
    counted = [m["feedback/labels"] for m in final.history]
    assert counted == [3, 3, 8, 3, 3]
    assert sum(counted) == 20
    assert [m["guard/alarm"] for m in final.history] == [0, 0, 1, 0, 0]
    assert final.policy.steps == 176


def test_a_second_alarm_finds_no_reserve_left(watch: Callable[..., Watched]) -> None:
    watched = watch("ask_more", (2, 3), guard={"reserve": 0.25})
    watched.play()
    assert [labels for _, alarmed, labels in watched.asked if alarmed] == [5, 0]


def test_an_alarm_spends_a_large_reserve_too(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("ask_more", (3,), guard={"reserve": 0.4}, budget=LONGER)
    watched.play()
    # 12 of 20 labels in five rounds: 2, 2, 3, 2. Of the 11 that are left 8 are the reserve.
    assert watched.asked == [
        (0, False, 2), (1, False, 2), (2, False, 3), (3, False, 2), (3, True, 8), (4, False, 3)
    ]  # fmt: skip


@pytest.mark.parametrize("alarms", [(0, 1, 2, 3, 4), (4,), (1, 2)])
def test_however_often_it_is_alarmed_the_budget_is_kept(
    watch: Callable[..., Watched], alarms: tuple[int, ...]
) -> None:
    watched = watch("ask_more", alarms, guard={"reserve": 0.5}, budget=LONGER)
    final = watched.play()
    assert final.feedback.asked == 20
    assert final.round == 5


def test_an_alarm_spends_no_money_that_is_not_there(watch: Callable[..., Watched]) -> None:
    teacher = {"kind": "synthetic", "cost": 0.1}
    watched = watch("ask_more", (2, 3), annotator=teacher, budget={"money": 1.2})
    final = watched.play()
    assert final.feedback.asked == 12
    assert final.feedback.evidence is not None
    assert final.feedback.evidence.cost == pytest.approx(1.2)


def test_a_roll_back_goes_on_from_the_policy_before_the_last_round(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("roll_back", (2,))
    final = watched.play()
    assert len(watched.optimised) == 5
    # Round 2 begins where round 1 began: what round 1 made of it is gone, but not its steps.
    began, again = watched.optimised[1], watched.optimised[2]
    assert alike(began, again)
    assert not alike(watched.rounds[1].policy, again)
    assert again.steps == watched.rounds[1].policy.steps == began.steps + 32
    assert final.policy.steps == 176
    assert watched.rounds[2].trusted is again
    assert [m["guard/alarm"] for m in final.history] == [0, 0, 1, 0, 0]


def test_two_alarms_in_a_row_go_back_to_the_same_policy(watch: Callable[..., Watched]) -> None:
    watched = watch("roll_back", (2, 3))
    watched.play()
    assert alike(watched.optimised[1], watched.optimised[2])
    assert alike(watched.optimised[1], watched.optimised[3])
    assert watched.optimised[3].steps == 16 + 3 * 32


def test_a_roll_back_refits_the_reward_to_the_labels_that_raised_the_alarm(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("roll_back", (2,))
    watched.play()
    before, after = watched.rounds[1].feedback, watched.rounds[2].feedback
    assert (before.asked, after.asked) == (8, 12)


def test_a_stop_ends_the_run_with_the_policy_before_the_last_round(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("stop", (2,))
    final = watched.play()
    assert final.stopped
    assert final.round == len(final.history) == 3
    assert len(watched.optimised) == 2
    assert alike(final.policy, watched.optimised[1])
    assert final.policy.steps == watched.rounds[1].policy.steps == 80
    last = final.history[-1]
    assert last["guard/alarm"] == 1
    assert "proxy/gain" not in last
    # What is evaluated is the policy that is handed over.
    _, measured = stages.evaluate(watched.experiment, 2, watched.optimised[1])
    assert {name: last[name] for name in measured} == measured


def test_a_policy_that_games_its_reward_is_found_out_by_the_real_numbers() -> None:
    # Seven right of ten pairs before; a teacher who turns round afterwards contradicts them all.
    experiment = tiny(
        "Pendulum-v1",
        feedback={
            "kind": "preference", "segment_steps": 4, "queries": "uniform",
            "reward_model": {"hidden": [8], "epochs": 20, "learning_rate": 1e-2},
        },
        guard={"confidence": 0.9},
        budget={"env_steps": 2240, "labels": 160, "rounds": 4, "initial_steps": 960,
                "label_schedule": "constant"},
        optimiser={"steps": 160, "batch_size": 80, "hidden": [8]},
    )  # fmt: skip
    turned = experiment.model_copy(
        update={"annotator": experiment.annotator.model_copy(update={"mistake": 1.0})}
    )
    honest = begin(InProcess(experiment))
    for _ in range(2):
        honest = advance(experiment, InProcess(experiment), honest)
    assert honest.history[1]["reward/fresh_accuracy"] > 0.6
    assert honest.history[1]["guard/alarm"] == 0
    gained = {**honest.history[1], "proxy/gain": 1.0}
    honest = replace(honest, history=(honest.history[0], gained))
    calm, alarmed = (
        advance(experiment, InProcess(experiment), honest),
        advance(turned, InProcess(turned), honest),
    )
    assert calm.metrics["guard/alarm"] == 0
    assert alarmed.metrics["reward/fresh_accuracy"] < 0.4
    assert alarmed.metrics["guard/alarm"] == 1
