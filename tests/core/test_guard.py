"""The guard: its tests by hand, and what each reaction does to a run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from rlhf_core import stages
from rlhf_core.experiment import Experiment
from rlhf_core.guard import FINE, LEAST_ANSWERS, Guard, Reaction, Verdict
from rlhf_core.in_process import InProcess, run
from rlhf_core.loop import Progress, advance, begin
from rlhf_core.policies import PolicyState
from rlhf_core.types import Metrics
from tests.core.examples import tiny


def fresh(accuracy: float, pairs: float, gain: float = 1.0) -> Metrics:
    return {
        "proxy/gain": gain, "reward/fresh_accuracy": accuracy, "reward/fresh_pairs": pairs
    }  # fmt: skip


def heldout(accuracy: float, answers: float) -> Metrics:
    return {"reward/heldout_agreeing": accuracy * answers, "reward/heldout_answers": answers}


@pytest.mark.parametrize("right", range(21))
@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.95, 0.99])
def test_fresh_pairs_are_tested_against_chance(right: int, confidence: float) -> None:
    verdict = Guard(confidence=confidence).judge([fresh(1, 9)], fresh(right / 20, 20))
    expected = binom.cdf(right, 20, 0.5) < (1 - confidence) / 4
    assert (verdict.reaction is Reaction.REPORT) == expected


@pytest.mark.parametrize("right", range(20, 81, 5))
@pytest.mark.parametrize("least", [0.5, 0.8, 0.9])
def test_heldout_answers_are_tested_against_the_least_accuracy(right: int, least: float) -> None:
    guard = Guard(least_accuracy=least)
    verdict = guard.judge([heldout(1.0, 80)], heldout(right / 80, 80))
    expected = binom.cdf(right, 80, least) < 0.05 / 4
    assert (verdict.reaction is Reaction.REPORT) == expected


def test_the_level_by_hand() -> None:
    # P(X <= 1) of ten throws is 11 / 1024 = 0.0107; 0.1 / (2 * 2 * 3) = 0.0083 in the third round,
    # and 0.1 / (2 * 1 * 2) = 0.025 in the second.
    guard = Guard(confidence=0.9)
    assert guard.judge([fresh(1, 9)], fresh(0.1, 10)).reaction is Reaction.REPORT
    assert guard.judge([fresh(1, 9)] * 2, fresh(0.1, 10)) == FINE
    assert guard.judge([fresh(1, 9)], fresh(0.2, 10)) == FINE


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_an_honest_reward_is_seldom_suspected(seed: int) -> None:
    # 500 runs of thirty rounds, pairs at chance and held-out answers at the least accuracy: at most
    # one run in twenty may alarm, so more than 40 of 500 has probability 0.002.
    rng = np.random.default_rng(seed)
    right = rng.binomial(20, 0.5, (500, 30)) / 20
    order = rng.binomial(100, 0.8, (500, 30)) / 100
    guard, alarmed = Guard(), 0
    for share, heldout_share in zip(right, order, strict=True):
        rounds = [
            {**fresh(s, 20), **heldout(h, 100)} for s, h in zip(share, heldout_share, strict=True)
        ]
        verdicts = [guard.judge(rounds[:i], now) for i, now in enumerate(rounds)]
        alarmed += any(verdict != FINE for verdict in verdicts)
    assert alarmed <= 40


WRONG = fresh(0.0, 50)
BEFORE = [fresh(1.0, 50)]


@pytest.mark.parametrize(
    ("history", "now"),
    [
        ([], WRONG),
        ([], heldout(0.0, 50)),
        ([fresh(1.0, 50, gain=0.0)], WRONG),
        ([fresh(1.0, 50, gain=-1.0)], WRONG),
        ([{"reward/fresh_accuracy": 1.0, "reward/fresh_pairs": 50.0}], WRONG),
        (BEFORE, {}),
        (BEFORE, fresh(0.0, 2)),
        (BEFORE, fresh(1.0, 50)),
        (BEFORE, fresh(0.5, 50)),
        (BEFORE, heldout(0.0, LEAST_ANSWERS - 1)),
        ([*BEFORE, {"guard/contradiction": 1.0}], heldout(0.1, 80)),
    ],
    ids=[
        "no history", "no history of labels", "no gain", "a loss", "no gain known", "nothing fresh",
        "few", "all right", "as chance", "few answers", "known already",
    ],
)  # fmt: skip
@pytest.mark.parametrize("reaction", ["report", "ask_more", "roll_back", "stop"])
def test_it_is_fine_where_nothing_can_be_said(
    history: list[Metrics], now: Metrics, reaction: Any
) -> None:
    assert Guard(reaction=reaction).judge(history, now) == FINE


@pytest.mark.parametrize("reaction", ["report", "ask_more", "roll_back", "stop"])
def test_an_alarm_is_answered_as_was_asked_for_and_explains_itself(reaction: Any) -> None:
    verdict = Guard(reaction=reaction).judge(BEFORE, WRONG)
    assert verdict.reaction is Reaction(reaction)
    assert verdict.metrics == {"guard/alarm": 1, "guard/contradiction": 0}
    assert verdict.reason == (
        "the proxy return rose, and the reward orders 0% of 50 fresh pairs as the annotators do, "
        "less than chance: the policy exploits the reward"
    )
    assert FINE.metrics == {"guard/alarm": 0, "guard/contradiction": 0}
    labels = Guard(reaction=reaction).judge(BEFORE, heldout(0.55, 80))
    assert labels.reaction is Reaction(reaction)
    assert labels.reason == (
        "the reward orders 55% of 80 held-out answers as they do (expected 80%): the answers "
        "contradict each other, or the reward model cannot express them"
    )


def test_contradicting_labels_are_reported_once() -> None:
    low, guard = heldout(0.5, 100), Guard()
    first = guard.judge([low], low)
    assert first.metrics == {"guard/alarm": 1, "guard/contradiction": 1}
    assert guard.judge([low, {**low, **first.metrics}], low) == FINE
    # One that was found and not reported, as before an ask_more that mended it, does not count.
    assert guard.judge([low, low], low) != FINE


def test_only_the_last_round_must_have_gained() -> None:
    assert Guard().judge([fresh(1, 50, -5), fresh(1, 50, 1)], WRONG) != FINE
    assert Guard().judge([fresh(1, 50, 5), fresh(1, 50, -1)], WRONG) == FINE


# The loop


@dataclass
class Watched:
    """A run whose guard is made to see contradictions in some rounds."""

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
            return judge(self, BEFORE, WRONG if alarmed else fresh(1.0, 50))

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
    assert quiet.alarms == ()
    assert [text.partition(":")[0] for text in loud.alarms] == ["round 3", "round 4"]
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


def test_a_crowd_that_does_not_tell_which_way_is_up_is_reported_once() -> None:
    unknown = {"feedback/sign_log_odds": 1.0, "feedback/answers_per_worker": 25.0}
    verdict = Guard(reaction=Reaction.STOP).judge([], unknown)
    assert verdict.reaction is Reaction.REPORT, "more answers of the same people would not help"
    assert "annotator.gold" in verdict.reason
    assert "2.7 to 1" in verdict.reason
    assert Guard().judge([unknown], unknown).reaction is None
    early = {**unknown, "feedback/answers_per_worker": 5.0}
    assert Guard().judge([], early).reaction is None
    assert Guard().judge([], {**unknown, "feedback/sign_log_odds": 5.0}).reaction is None
