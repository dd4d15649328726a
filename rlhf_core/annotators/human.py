"""People, who answer on a page of their own while the run waits; simulated ones may do a part."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from rlhf_core.annotators import Annotator, AnnotatorState, AnySimulated, Deadline, People
from rlhf_core.answers import Answers
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import Judgements
from rlhf_core.labelling.forms import SPARE
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Queries, Request
from rlhf_core.types import Truth

if TYPE_CHECKING:
    from rlhf_core.labelling.store.settings import CampaignSettings

INSTRUCTIONS: Mapping[str, str] = {
    "comparison": """Each question shows two short clips of the same task.
Choose the one in which the task is done better, even if only a little.
Choose "equal" where you see no difference, and "skip" where you cannot tell what is going on.""",
    "rating": """Each question shows a short clip of a task.
Say how well the task is done in it; use the whole range of numbers.
Choose "skip" where you cannot tell what is going on.""",
    "signal": """Each question shows a short clip of a task, with a marked moment.
Judge what happens just before that moment, from much worse to much better.
Choose "skip" where you cannot tell what is going on.""",
    "ranking": """Each question shows several short clips of the same task.
Put them in order: first the one in which the task is done best.
Choose "skip" where you cannot tell what is going on.""",
    "best_of": """Each question shows several short clips of the same task.
Choose the one in which the task is done best.
Choose "skip" where you cannot tell what is going on.""",
    "click": """Each question shows a list of short clips of the same task.
Choose those that you like, as many as you want, or none.""",
    "demonstration": """You play the task yourself, as well as you can.
What is learned is to act as you do.""",
}
"""What people read before they begin where nothing else is written, by form of feedback."""


class Human(Annotator):
    """People who answer in a browser (`rlhf label serve`).

    A run asks, publishes a link, and waits until each question has been answered often enough or
    the deadline is over; answers that come later count in the next round. With `fraction_human`
    below 1 a random share of the questions goes to people and the rest to `others`, whose workers
    come first in the numbering. Where the true reward is known, questions with a clear answer can
    be mixed in, to train people and to measure them.
    """

    kind: Literal["human"] = "human"
    title: str = Field("", max_length=200)
    """What people read above the questions; empty: the name of the experiment."""
    instructions: str = Field("", max_length=20_000)
    """What people read before they begin, as plain text; empty: what fits the form of feedback."""
    answers_per_question: PositiveInt = Field(1, le=1000)
    """People who answer each question."""
    lease_minutes: PositiveFloat = Field(15, le=7 * 24 * 60)
    """How long a question is kept for whoever was given it; then others get it."""
    training: int = Field(0, ge=0, le=100)
    """Questions with a known answer that each person does first, with feedback."""
    gold_share: float = Field(0, ge=0, le=0.5)
    """Share of further questions with a known answer, which nobody tells from the others."""
    deadline_hours: PositiveFloat | None = None
    """How long a round waits for its answers; null: for ever."""
    at_deadline: Literal["continue", "extend", "fail"] = "continue"
    """Then: continue with the answers there are (with none, wait as long again), extend by the
    same time, or fail."""
    cost: NonNegativeFloat = 0.0
    """Price of one answer, in any unit."""
    fraction_human: float = Field(1.0, gt=0, le=1)
    """Share of the questions that people answer."""
    others: AnySimulated | None = None
    """Who answers the rest: a teacher or a crowd, such as `{kind: synthetic}`."""

    @model_validator(mode="after")
    def _others_answer_the_rest(self) -> "Human":
        if (self.fraction_human < 1) != (self.others is not None):
            expected = "who answers the rest" if self.fraction_human < 1 else "none"
            actual = "none" if self.others is None else self.others.kind
            raise ValueError(
                f"others: expected {expected} with fraction_human {self.fraction_human:g}, "
                f"actual: {actual}"
            )
        return self

    def needs_true_reward(self) -> bool:
        """People judge by what they see."""
        return self.others is not None and self.others.needs_true_reward()

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Prepare the simulated ones."""
        if self.others is None:
            return AnnotatorState()
        return self.others.prepare(environment, optimiser, demonstrations, rng)

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """What the simulated ones need."""
        return {} if self.others is None else self.others.memory(environment, demonstrations)

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Check that known answers can be known, and that episodes can be played by hand."""
        if (self.training or self.gold_share) and not environment.true_reward:
            field = "training" if self.training else "gold_share"
            raise ConfigurationError(
                f"annotator.{field}: expected 0 where environment.true_reward is false, since no "
                f"answer is known, actual: {getattr(self, field):g}"
            )
        if demonstrates:
            if self.others is not None:
                raise ConfigurationError(
                    "annotator.fraction_human: expected 1 where whole episodes are demonstrated, "
                    f"actual: {self.fraction_human:g}"
                )
            from rlhf_core.labelling.play.actions import play_actions

            play_actions(environment.spaces().action)
        if self.others is not None:
            self.others.check_fit(environment, demonstrates)

    def label_price(self) -> float:
        """The price of all answers to a question, or that of the simulated ones.

        A skip is paid too, and where all have skipped, others are asked.
        """
        price = self.cost * (self.answers_per_question + SPARE)
        return price if self.others is None else max(price, self.others.label_price())

    def worker_count(self) -> int:
        """Those that are simulated."""
        return 0 if self.others is None else self.others.worker_count()

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Nobody can be asked here."""
        return self.answer_with_people(None, state, request, truth, rng)

    def answer_with_people(
        self,
        people: People | None,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """The answers of people, and those of the simulated ones to the rest."""
        if not request.count:
            return state, Answers({})
        if people is None:
            raise ConfigurationError(
                "annotator.kind: 'human' needs people who can be asked: run it with `rlhf train`, "
                "or give `people` to `rlhf_core.in_process.InProcess`"
            )
        # A label store is loaded where people are asked, and not wherever annotators are listed.
        from rlhf_core.labelling.gold import known_questions

        mine, rest = shared_out(request, self.fraction_human, rng)
        asked = only(request, mine)
        count = self.training + round(self.gold_share * asked.count)
        gold = () if truth is None else known_questions(request, truth, count, rng)
        deadline = None
        if self.deadline_hours is not None:
            deadline = Deadline(self.deadline_hours, self.at_deadline)
        answers = people.answers(self.title, self._campaign(asked), asked, gold, deadline)
        answers = renumbered(answers, mine, self.worker_count())
        if self.others is None:
            return replace(state, judgements=state.judgements + answers.count), answers
        state, more = self.others.answer(state, only(request, rest), truth, rng)
        return state, united(answers, renumbered(more, rest, 0))

    def _campaign(self, asked: Request) -> "CampaignSettings":
        from rlhf_core.labelling.store.settings import CampaignSettings

        return CampaignSettings(
            answers_per_question=self.answers_per_question,
            instructions=self.instructions or instructions_for(asked.queries),
            lease_seconds=60 * self.lease_minutes,
            price=self.cost,
            training=self.training,
            gold_share=self.gold_share,
        )


def instructions_for(forms: Collection[str]) -> str:
    """What people read who are asked in these forms of feedback, a paragraph for each."""
    return "\n\n".join(INSTRUCTIONS[form] for form in sorted(forms) if form in INSTRUCTIONS)


Rows = Mapping[str, Int[np.ndarray, " _"]]
"""Positions of queries, by form."""


def shared_out(request: Request, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Split the queries of a request at random; returns the positions of both parts by form.

    Each form's first part has the given share of its queries, rounded, and at least one.
    """
    mine, rest = {}, {}
    for form, queries in sorted(request.queries.items()):
        order = rng.permutation(len(queries))
        count = max(min(1, len(queries)), round(fraction * len(queries)))
        mine[form], rest[form] = np.sort(order[:count]), np.sort(order[count:])
    return mine, rest


def only(request: Request, rows: Rows) -> Request:
    """A request with some of its queries; the clips stay, and their positions."""
    queries = {
        form: Queries(
            asked.items[rows[form]],
            None if asked.step is None else asked.step[rows[form]],
            asked.worth,
            asked.form,
        )
        for form, asked in request.queries.items()
        if len(rows[form])
    }
    return replace(request, queries=queries)


def renumbered(answers: Answers, rows: Rows, workers: int) -> Answers:
    """Answers to some queries as answers to all of them.

    Args:
        answers: to `only(request, rows)`.
        rows: positions of these queries in the request.
        workers: added to the number of each worker.
    """
    changed: dict[str, Judgements] = {}
    for form, judgements in answers.judgements.items():
        made: Any = judgements  # A frozen dataclass of arrays, whichever form it is.
        columns: dict[str, Any] = {}
        for column in fields(made):
            value = getattr(made, column.name)
            if column.name == "query":
                columns["query"] = rows[form][value]
            elif column.name == "worker":
                columns["worker"] = np.where(value >= 0, value + workers, value)
        changed[form] = replace(made, **columns)
    return replace(answers, judgements=changed)


def united(people: Answers, simulated: Answers) -> Answers:
    """The answers of both; the simulated ones have brought no clips."""
    assert simulated.segments is None, "check_fit refuses demonstrations"
    judgements = dict(people.judgements)
    for form, made in simulated.judgements.items():
        known = judgements.get(form)
        judgements[form] = made if known is None else known.joined(made)
    return replace(people, judgements=judgements)
