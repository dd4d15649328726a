"""What the label store answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlhf_core.labelling.store.settings import CampaignSettings


@dataclass(frozen=True)
class Campaign:
    """All that one run asks people."""

    id: int
    key: str
    """The id of the run."""
    title: str
    settings: CampaignSettings
    experiment: str
    """The experiment of the run as YAML."""
    status: str
    """open, paused or closed."""
    created: float


@dataclass(frozen=True)
class Batch:
    """The questions of one request of a campaign."""

    id: int
    campaign_id: int
    round: int
    part: int
    """0, or 1 where more was asked in the same round."""
    artifacts: str
    """Root of the `rlhf_core.store.Store` with the request."""
    ref: str
    """Its reference of the request there."""
    created: float
    deadline: float | None


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is."""

    questions: int
    """Questions of the batch."""
    complete: int
    """Those with as many counted answers as the campaign asks for."""
    answers: int
    """Counted answers, skips included."""
    substantive: int
    """Those that are no skips."""
    deadline: float | None
    closed: bool
    """Whether the campaign was closed."""
    collected: bool = False
    """Whether a round has taken the answers already."""

    @property
    def done(self) -> bool:
        """Whether every question is complete, or the round has taken what was there."""
        return self.collected or self.complete == self.questions


@dataclass(frozen=True)
class Question:
    """One query of a form."""

    id: int
    campaign_id: int
    batch_id: int
    identifier: str
    """`Request.ids(form)[row]`."""
    stage: str
    """work, training (known answer, with feedback) or gold (known answer, without)."""
    form: str
    settings: str
    """The form with its settings, as JSON."""
    row: int
    """Position in the queries of the form; of training and gold questions: in their list."""
    clips: tuple[int, ...]
    """Positions in the request's segments."""
    step: int | None
    """The step after which a moment is rated; None: the clip is judged as a whole."""
    known: Mapping[str, Any] | None
    """The known answer of a training or gold question."""
    explanation: str


@dataclass(frozen=True)
class Gold:
    """A question whose answer is known, about clips of the request it is published with."""

    form: str
    settings: str
    """The form with its settings, as `Queries.form`."""
    clips: tuple[int, ...]
    """Positions in the request's segments."""
    answer: Mapping[str, Any]
    """The right answer, in the form's own JSON; a rating may have a `tolerance`."""
    explanation: str = ""
    """Shown after a training question was answered."""
    step: int | None = None


@dataclass(frozen=True)
class Annotator:
    """A person in a campaign."""

    id: int
    campaign_id: int
    number: int
    """0, 1, 2 ... in the order of joining."""
    name: str
    active: bool
    """Whether the answers count."""


@dataclass(frozen=True)
class Assignment:
    """A question that is reserved for an annotator, or was."""

    id: str
    annotator_id: int
    index: int
    """0, 1, 2 ... in the order in which the annotator was given them."""
    question: Question
    lease_until: float
    state: str
    """open, answered or skipped."""
    answer: Mapping[str, Any] | None
    """The newest revision; None where there is no answer."""
    sequence: int | None
    """Of that revision."""


@dataclass(frozen=True)
class Offer:
    """What an annotator can do now."""

    items: tuple[Assignment, ...]
    waiting: bool
    """The campaign is open, but there is nothing to do at the moment."""


@dataclass(frozen=True)
class Submission:
    """An answer as it is sent."""

    key: str
    """Chosen by the sender, the same for each attempt to send this answer."""
    assignment: str
    sequence: int
    """The revision with the highest one counts, whatever the order of arrival."""
    answer: Mapping[str, Any]
    seconds: float = 0.0
    events: tuple[tuple[float, str], ...] = ()
    page_version: str = ""


@dataclass(frozen=True)
class Receipt:
    """Says that an answer is stored."""

    id: int
    counted: bool
    late: bool
    """It came after the round had taken its answers."""
    correct: bool | None
    """Of a training question; None for all others."""
    explanation: str
    repeated: bool
    """The key was known: this is the first receipt again."""


@dataclass(frozen=True)
class AnnotatorProgress:
    """How far an annotator is."""

    done: int
    """Questions answered or skipped, training left out."""
    skipped: int
    remaining: int
    """Questions that wait for this annotator or may still be offered."""
    training_done: int
    training_total: int
    seconds_per_answer: float | None
    """The median."""
    items: tuple[tuple[str, int, str], ...]
    """Assignment, index and state of each."""


@dataclass(frozen=True)
class CountedAnswer:
    """An answer that a round takes."""

    answer_id: int
    batch: Batch
    """Of the question; an earlier one where the answer came late."""
    late: bool
    question: str
    """Identifier."""
    form: str
    row: int
    annotator: int
    """Number of the annotator."""
    answer: Mapping[str, Any]
    seconds: float
    price: float
    received_at: float
    episode: bytes | None = field(default=None, repr=False)
    """The packed episode that the answer refers to."""


@dataclass(frozen=True)
class AnswerGroup:
    """The counted answers that one collection took, or that none has taken."""

    collected_at: float | None
    """Unix time of the collection; None: no round has taken them."""
    answers: tuple[CountedAnswer, ...]


@dataclass(frozen=True)
class ImportedAnswer:
    """An answer from a file."""

    where: str
    """File and line, for messages."""
    name: str
    """Of the annotator."""
    question_id: int
    key: str
    """Derived from the content, so that the same line is stored once."""
    answer: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Invite:
    """A link by which annotators join."""

    id: int
    campaign_id: int
    name: str
    uses: int | None
    """How many may join; None: any number."""
    used: int
    expires: float | None
    revoked: bool
