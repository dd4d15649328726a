"""People as annotators: what they are asked, how their answers join those of simulated ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rlhf_core.annotators import AnnotatorState, Deadline
from rlhf_core.annotators.human import INSTRUCTIONS, Human, instructions_for, only, shared_out
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import AnswersPendingError, ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.in_process import InProcess
from rlhf_core.judgements import Choice
from rlhf_core.labelling.forms import CHECKS
from rlhf_core.labelling.gold import known_questions
from rlhf_core.labelling.store import CampaignSettings, Gold
from rlhf_core.loop import play
from rlhf_core.questions import Request
from rlhf_core.types import Truth
from tests.core.examples import asking, segments, tiny

RETURNS = np.arange(12.0)
PAIRS = np.arange(12).reshape(-1, 2)


def asked(pairs: Any = PAIRS) -> tuple[Request, Truth]:
    """Clips of one step whose true returns are 0, 1, 2, ..., in pairs."""
    clips = segments(RETURNS[:, None])
    return asking(clips, comparison=pairs), Truth(RETURNS[:, None], RETURNS[:, None], RETURNS)


@dataclass
class LeftPeople:
    """One person who always answers left."""

    requests: list[Request] = field(default_factory=list)
    gold: list[Gold] = field(default_factory=list)
    settings: CampaignSettings | None = None
    deadline: Deadline | None = None

    def answers(
        self,
        title: str,
        settings: CampaignSettings,
        request: Request,
        gold: Sequence[Gold],
        deadline: Deadline | None,
    ) -> Answers:
        self.requests.append(request)
        self.gold.extend(gold)
        self.settings, self.deadline = settings, deadline
        count = request.count
        zeros = np.zeros(count)
        return Answers(
            {
                "comparison": Comparisons(
                    np.arange(count), np.zeros(count, np.int64), np.full(count, Choice.LEFT),
                    zeros, zeros,
                )
            }
        )  # fmt: skip


class NobodyYet:
    """People who have not answered."""

    def answers(self, *arguments: object) -> Answers:
        raise AnswersPendingError("0 of 6 questions of round 1 are answered")


def ask(human: Human, people: Any, seed: int = 0) -> Answers:
    request, truth = asked()
    rng = np.random.default_rng(seed)
    _, answers = human.answer_with_people(people, AnnotatorState(), request, truth, rng)
    return answers


def test_people_answer_every_question() -> None:
    people = LeftPeople()
    answers = ask(Human(answers_per_question=3, cost=0.2, lease_minutes=2), people)
    assert answers.labels == 6
    assert people.requests[0].ids("comparison") == asked()[0].ids("comparison")
    assert people.settings is not None
    assert (people.settings.answers_per_question, people.settings.price) == (3, 0.2)
    assert (people.settings.lease_seconds, people.deadline, people.gold) == (120, None, [])


def test_people_read_what_fits_the_form_unless_something_is_written() -> None:
    people = LeftPeople()
    ask(Human(), people)
    assert people.settings is not None
    assert people.settings.instructions == INSTRUCTIONS["comparison"]
    ask(Human(instructions="Look."), people)
    assert people.settings.instructions == "Look."
    for form in CHECKS:
        assert instructions_for({form}) == INSTRUCTIONS[form]
    both = f"{INSTRUCTIONS['click']}\n\n{INSTRUCTIONS['rating']}"
    assert instructions_for({"rating", "click"}) == both


def test_people_and_a_teacher_share_the_questions() -> None:
    people = LeftPeople()
    human = Human(fraction_human=0.5, others={"kind": "synthetic"})  # type: ignore[arg-type]
    comparisons = ask(human, people).judgements["comparison"]
    assert isinstance(comparisons, Comparisons)
    assert sorted(comparisons.query) == list(range(6))
    # The teacher is worker 0 and always right, people come after: right is always better here.
    by_worker = {int(w): comparisons.choice[comparisons.worker == w].tolist() for w in (0, 1)}
    assert by_worker == {0: [Choice.RIGHT] * 3, 1: [Choice.LEFT] * 3}
    given = set(people.requests[0].ids("comparison"))
    everything = asked()[0].ids("comparison")
    of_people = comparisons.query[comparisons.worker == 1]
    assert given == {everything[row] for row in of_people}


def test_who_asks_again_asks_the_same() -> None:
    human = Human(fraction_human=0.5, others={"kind": "synthetic"}, training=2)  # type: ignore[arg-type]
    first, again = LeftPeople(), LeftPeople()
    ask(human, first)
    ask(human, again)
    assert first.requests[0].ids("comparison") == again.requests[0].ids("comparison")
    assert first.gold == again.gold
    assert len(first.gold) == 2


def test_a_run_is_left_while_nobody_has_answered() -> None:
    with pytest.raises(AnswersPendingError, match="0 of 6"):
        ask(Human(), NobodyYet())


def test_people_are_needed() -> None:
    with pytest.raises(ConfigurationError, match="people who can be asked"):
        ask(Human(), None)


def test_no_question_needs_no_people() -> None:
    request, truth = asked(np.empty((0, 2), dtype=np.int64))
    _, answers = Human().answer_with_people(
        None, AnnotatorState(), only(request, {"comparison": np.arange(0)}), truth,
        np.random.default_rng(0),
    )  # fmt: skip
    assert answers.count == 0


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_a_share_is_of_each_form_and_never_empty(fraction: float, expected: int) -> None:
    request, _ = asked()
    mine, rest = shared_out(request, fraction, np.random.default_rng(3))
    assert len(mine["comparison"]) == expected
    assert sorted([*mine["comparison"], *rest["comparison"]]) == list(range(6))


def test_known_questions_are_clear() -> None:
    request, truth = asked()
    for gold in known_questions(request, truth, 20, np.random.default_rng(0)):
        left, right = (RETURNS[clip] for clip in gold.clips)
        assert abs(left - right) >= 4
        assert gold.answer == {"choice": "left" if left > right else "right"}
        assert f"{max(left, right):.4g}" in gold.explanation


def test_clips_of_equal_return_are_no_known_question() -> None:
    returns = np.array([0.0] * 9 + [1.0])
    clips = segments(returns[:, None])
    request = asking(clips, comparison=np.arange(10).reshape(-1, 2))
    truth = Truth(returns[:, None], returns[:, None], returns)
    known = known_questions(request, truth, 50, np.random.default_rng(0))
    assert known
    for gold in known:
        assert returns[list(gold.clips)].tolist() in ([0, 1], [1, 0])


def test_known_rankings_are_in_order() -> None:
    clips = segments(RETURNS[:, None])
    request = asking(clips, ranking=np.arange(12).reshape(-1, 4))
    truth = Truth(RETURNS[:, None], RETURNS[:, None], RETURNS)
    for gold in known_questions(request, truth, 10, np.random.default_rng(0)):
        best_first = [RETURNS[gold.clips[place]] for place in gold.answer["order"]]
        assert best_first == sorted(best_first, reverse=True)
        assert gold.answer["places"] == 3


def test_clips_that_are_all_alike_have_no_known_question() -> None:
    clips = segments(np.ones((4, 1)))
    alike = np.ones((4, 1))
    truth = Truth(alike, alike, alike[:, 0])
    request = asking(clips, comparison=[[0, 1], [2, 3]])
    assert known_questions(request, truth, 3, np.random.default_rng(0)) == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fraction_human": 0.5}, "others: expected who answers the rest"),
        ({"others": {"kind": "synthetic"}}, "others: expected none with fraction_human 1"),
        (
            {"fraction_human": 0.5, "others": {"kind": "human"}},
            "unknown kind 'human'; valid: crowd, expert, synthetic",
        ),
        ({"at_deadline": "stop"}, "'continue', 'extend' or 'fail'"),
    ],
)
def test_bad_settings_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Human(**fields)
    assert message in str(raised.value)


def test_what_does_not_fit_is_refused_before_the_run() -> None:
    hidden = Environment(id="Pendulum-v1", true_reward=False)
    with pytest.raises(ConfigurationError, match=r"annotator\.training: expected 0"):
        Human(training=2).check_fit(hidden, False)
    with pytest.raises(ConfigurationError, match="expected 1 where whole episodes"):
        Human(fraction_human=0.5, others={"kind": "synthetic"}).check_fit(  # type: ignore[arg-type]
            Environment(id="Pendulum-v1"), True
        )
    Human().check_fit(hidden, True)


def test_an_experiment_with_people_needs_no_true_reward() -> None:
    experiment: Experiment = tiny(annotator={"kind": "human"})
    assert not experiment.annotator.needs_true_reward()
    experiment.check()


def test_a_run_goes_on_when_nobody_is_asked_any_more() -> None:
    experiment: Experiment = tiny(annotator={"kind": "human"})

    class GoneAfterOneRound:
        def __init__(self, round: int) -> None:
            self.round = round

        def answers(self, *arguments: Any) -> Answers:
            return LeftPeople().answers(*arguments) if self.round == 0 else Answers({})

    driver = InProcess(experiment, people=lambda round, alarmed: GoneAfterOneRound(round))
    last = None
    for last in play(experiment, driver):
        assert np.isfinite(list(last.metrics.values())).all()
    assert last is not None
    assert last.round == experiment.budget.rounds > 1
    asked_first = last.history[0]["feedback/labels"]
    assert 0 < asked_first == last.metrics["feedback/labels_total"]
