"""How a run asks people through the label store: published once, waited for, taken once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_core.annotators import Deadline
from rlhf_core.answers import Answers, Comparisons, Rankings
from rlhf_core.errors import AnswersPendingError, RunError
from rlhf_core.labelling.asking import CampaignPeople
from rlhf_core.labelling.moment import Moment
from rlhf_core.labelling.store import (
    Annotator,
    CampaignSettings,
    LabelStore,
    Submission,
    open_store,
)
from rlhf_core.questions import Request
from rlhf_core.store import Store
from tests.core.examples import asking, segments
from tests.labelling.store.examples import Clock


class Asked:
    """A run with a label store, one person, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.labels: LabelStore = open_store(f"sqlite:///{folder}/labels.db", self.clock)
        self.artifacts = Store(str(folder / "store")).create()

    def ask(self, round: int = 0, deadline: Deadline | None = None, first: float = 0.0) -> Answers:
        people = CampaignPeople(
            self.labels, self.artifacts, "run", "swing", "name: swing", Moment(round, 0), self.clock
        )
        return people.answers("", CampaignSettings(price=0.5), self.request(first), (), deadline)

    @staticmethod
    def request(first: float) -> Request:
        """Three pairs of clips, other ones for another number."""
        clips = segments(first + np.arange(6.0)[:, None])
        return asking(clips, comparison=np.arange(6).reshape(-1, 2))

    def join(self) -> Annotator:
        campaign = self.labels.campaign_of_run("run")
        assert campaign is not None
        _, token = self.labels.invite(campaign.id, "all", uses=None)
        return self.labels.join(token, "ann")[0]

    def answer(self, annotator: Annotator, *choices: str) -> None:
        """Answer as many questions as there are choices."""
        for choice in choices:
            (item,) = self.labels.offer(annotator, 1).items
            submission = Submission(f"{item.id}-key", item.id, 1, {"choice": choice}, 2.0)
            self.labels.submit(annotator, submission)


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    made = Asked(tmp_path)
    yield made
    made.labels.close()


def test_a_round_takes_its_answers_once_they_are_all_there(asked: Asked) -> None:
    with pytest.raises(AnswersPendingError, match="0 of 3 questions of round 1"):
        asked.ask()
    annotator = asked.join()
    asked.answer(annotator, "left", "right")
    with pytest.raises(AnswersPendingError, match="2 of 3 questions of round 1"):
        asked.ask()
    asked.answer(annotator, "equal")
    answers = asked.ask()
    assert (answers.labels, answers.count, answers.cost, answers.seconds) == (3, 3, 1.5, 6.0)
    again = asked.ask()
    np.testing.assert_array_equal(
        again.judgements["comparison"].choice,  # type: ignore[attr-defined]
        answers.judgements["comparison"].choice,  # type: ignore[attr-defined]
    )


def test_at_the_deadline_a_run_continues_with_the_answers_there_are(asked: Asked) -> None:
    until = Deadline(1.0, "continue")
    with pytest.raises(AnswersPendingError):
        asked.ask(deadline=until)
    annotator = asked.join()
    held = asked.labels.offer(annotator, 3).items
    asked.answer(annotator, "left")
    asked.clock.now += 3601
    answers = asked.ask(deadline=until)
    assert answers.labels == 1
    # What comes after is late, and the next round takes it, as a ranking of two with its clips.
    late = Submission("late-answer", held[1].id, 1, {"choice": "right"}, 2.0)
    assert asked.labels.submit(annotator, late).late
    with pytest.raises(AnswersPendingError, match="0 of 3 questions of round 2"):
        asked.ask(1, first=50)
    asked.answer(annotator, "left", "left", "left")
    answers = asked.ask(1, first=50)
    assert isinstance(answers.judgements["comparison"], Comparisons)
    rankings = answers.judgements["ranking"]
    assert isinstance(rankings, Rankings)
    assert answers.segments is not None
    better, worse = (int(item) - 6 for item in rankings.items[0])
    shown = answers.segments.observations[:, 0, 0]
    assert shown[better] == shown[worse] + 1, "the right clip of a pair shows one more"


def test_without_any_answer_a_run_waits_as_long_again(asked: Asked) -> None:
    until = Deadline(1.0, "continue")
    with pytest.raises(AnswersPendingError):
        asked.ask(deadline=until)
    asked.clock.now += 3601
    with pytest.raises(AnswersPendingError, match="the deadline was moved"):
        asked.ask(deadline=until)
    asked.clock.now += 3000
    with pytest.raises(AnswersPendingError, match=r"answered$"):
        asked.ask(deadline=until)


def test_a_deadline_can_be_extended_or_end_the_run(asked: Asked) -> None:
    with pytest.raises(AnswersPendingError):
        asked.ask(deadline=Deadline(1.0, "extend"))
    asked.answer(asked.join(), "left")
    asked.clock.now += 3601
    with pytest.raises(AnswersPendingError, match=r"1 of 3 .* the deadline was moved"):
        asked.ask(deadline=Deadline(1.0, "extend"))
    asked.clock.now += 3601
    with pytest.raises(RunError, match="the deadline of 1 hours is over: 1 of 3"):
        asked.ask(deadline=Deadline(1.0, "fail"))


def test_a_closed_campaign_ends_the_wait(asked: Asked) -> None:
    with pytest.raises(AnswersPendingError):
        asked.ask()
    annotator = asked.join()
    campaign = asked.labels.campaign_of_run("run")
    assert campaign is not None
    asked.labels.set_status(campaign.id, "closed")
    with pytest.raises(RunError, match="closed before anybody answered in round 1"):
        asked.ask()
    asked.labels.set_status(campaign.id, "open")
    asked.answer(annotator, "left")
    asked.labels.set_status(campaign.id, "closed")
    assert asked.ask().labels == 1
    # Nobody is asked in the rounds after: the run plays them with the labels it has.
    assert asked.ask(1, first=50).count == 0
    assert len(asked.labels.batches(campaign.id)) == 1


def test_a_round_that_goes_on_when_its_campaign_is_closed(asked: Asked) -> None:
    with pytest.raises(AnswersPendingError):
        asked.ask()
    asked.answer(asked.join(), "left", "left", "left")
    asked.ask()
    with pytest.raises(AnswersPendingError, match="0 of 3 questions of round 2"):
        asked.ask(1, first=50)
    campaign = asked.labels.campaign_of_run("run")
    assert campaign is not None
    asked.labels.set_status(campaign.id, "closed")
    assert asked.ask(1, first=50).count == 0


def test_a_skip_is_no_answer_to_go_on_with(asked: Asked) -> None:
    until = Deadline(1.0, "continue")
    with pytest.raises(AnswersPendingError):
        asked.ask(deadline=until)
    asked.answer(asked.join(), "skip")
    asked.clock.now += 3601
    with pytest.raises(AnswersPendingError, match="the deadline was moved"):
        asked.ask(deadline=until)


def test_the_clips_of_a_campaign_outlive_cleaning(asked: Asked) -> None:
    with pytest.raises(AnswersPendingError):
        asked.ask()
    note = asked.artifacts.recall("run/0000-people-0")
    assert note is not None
    assert asked.artifacts.holds(note["refs"]["request"])
