"""The label store: one transaction a method."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlhf_core.labelling.store import (
    annotators,
    answering,
    assignments,
    audit,
    batches,
    campaigns,
    collecting,
    importing,
    overview,
)
from rlhf_core.labelling.store.audit import OWNER
from rlhf_core.labelling.store.engine import Database
from rlhf_core.labelling.store.records import (
    Annotator,
    AnnotatorProgress,
    AnswerGroup,
    Assignment,
    Batch,
    BatchProgress,
    Campaign,
    CountedAnswer,
    Gold,
    ImportedAnswer,
    Invite,
    Offer,
    Question,
    Receipt,
    Submission,
)
from rlhf_core.labelling.store.settings import CampaignSettings
from rlhf_core.questions import Request


def open_store(url: str, clock: Callable[[], float] = time.time) -> "LabelStore":
    """Open a label store; its tables are made where they are missing.

    Args:
        url: `sqlite:///PATH` or `postgresql+psycopg://USER@HOST/NAME`.
        clock: Unix time, in seconds.

    Raises:
        StoreError: it cannot be opened; the message has no password.
    """
    return LabelStore(Database(url), clock)


class LabelStore:
    """What people are asked and what they answered. Threads and processes may share one."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # What a run does

    def open_campaign(
        self, key: str, title: str, settings: CampaignSettings, experiment: str
    ) -> Campaign:
        """The campaign of a run, which is made unless it is there.

        Args:
            key: the id of the run.
            title: what people read.
            settings: how it asks.
            experiment: of the run, as YAML.
        """
        with self.database.writing() as connection:
            return campaigns.open_campaign(
                connection, self.clock(), key, title, settings, experiment
            )

    def publish(
        self,
        campaign: Campaign,
        round: int,
        part: int,
        request: Request,
        artifacts: str,
        ref: str,
        gold: Sequence[Gold] = (),
        deadline: float | None = None,
    ) -> Batch:
        """The batch of a request, which is made unless it is there.

        Args:
            campaign: of the run.
            round: from 0.
            part: 0, or 1 where more was asked in the same round.
            request: what is asked.
            artifacts: root of the `rlhf_core.store.Store` that has the request.
            ref: the request's reference there.
            gold: questions whose answers are known, about clips of the request; the first
                `settings.training` of them are done first, with feedback.
            deadline: Unix time after which the run no longer waits; None: it waits for ever.

        Raises:
            ConfigurationError: people cannot answer a form, or the batch is there with others.
        """
        rows = batches.rows_of(request, gold, campaign.settings.training)
        with self.database.writing() as connection:
            return batches.publish(
                connection, self.clock(), campaign, round, part, rows, artifacts, ref, deadline
            )

    def progress(self, batch: Batch) -> BatchProgress:
        """How far a batch is."""
        with self.database.reading() as connection:
            return batches.progress(connection, batch.id)

    def collect(self, batch: Batch) -> tuple[CountedAnswer, ...]:
        """The answers that the round of a batch takes; the same ones each time it is called."""
        with self.database.writing() as connection:
            return collecting.collect(connection, self.clock(), batch.id)

    # Campaigns

    def campaign(self, campaign_id: int) -> Campaign:
        """A campaign by its number."""
        with self.database.reading() as connection:
            return campaigns.find(connection, campaign_id)

    def campaign_of_run(self, key: str) -> Campaign | None:
        """The campaign of a run; None where there is none."""
        with self.database.reading() as connection:
            return campaigns.find_by_key(connection, key)

    def campaigns(self) -> list[Campaign]:
        """All campaigns, newest first."""
        with self.database.reading() as connection:
            return campaigns.everything(connection)

    def batches(self, campaign_id: int) -> list[Batch]:
        """The batches of a campaign by round and part."""
        with self.database.reading() as connection:
            return batches.of_campaign(connection, campaign_id)

    def batch(self, batch_id: int) -> Batch:
        """A batch by its number."""
        with self.database.reading() as connection:
            return batches.find(connection, batch_id)

    def set_status(self, campaign_id: int, status: str, actor: str = OWNER) -> Campaign:
        """Make a campaign open, paused or closed."""
        with self.database.writing() as connection:
            return campaigns.set_status(connection, self.clock(), campaign_id, status, actor)

    def extend(self, campaign_id: int, hours: float, actor: str = OWNER) -> None:
        """Move the deadlines of the batches that were not collected."""
        with self.database.writing() as connection:
            campaigns.extend(connection, self.clock(), campaign_id, hours, actor)

    def answers(self, campaign_id: int) -> list[overview.AnswerRow]:
        """The newest answer of each assignment."""
        with self.database.reading() as connection:
            campaigns.find(connection, campaign_id)
            return overview.answers_of(connection, campaign_id)

    def counted_answers(self, campaign_id: int) -> list[AnswerGroup]:
        """All answers that count: those of each collection, then those that none has taken."""
        with self.database.reading() as connection:
            campaigns.find(connection, campaign_id)
            return collecting.groups_of(connection, campaign_id)

    def forms(self, campaign_id: int) -> tuple[str, ...]:
        """The kinds of form of a campaign's questions, by name."""
        with self.database.reading() as connection:
            return batches.forms_of(connection, campaign_id)

    def questions(self, campaign_id: int) -> list[Question]:
        """All questions of a campaign, in the order in which they were published."""
        with self.database.reading() as connection:
            campaigns.find(connection, campaign_id)
            return batches.questions_of(connection, campaign_id)

    def add_answers(
        self, campaign_id: int, answers: Sequence[ImportedAnswer], actor: str = OWNER
    ) -> int:
        """Store answers from a file, all or none; returns how many were new.

        Raises:
            ConfigurationError: one does not fit, or its annotator has answered the question.
        """
        with self.database.writing() as connection:
            return importing.add_answers(connection, self.clock(), campaign_id, answers, actor)

    def audit(self, campaign_id: int) -> list[Mapping[str, Any]]:
        """Who did what when, oldest first."""
        with self.database.reading() as connection:
            campaigns.find(connection, campaign_id)
            return audit.entries(connection, campaign_id)

    # Who answers

    def invite(
        self,
        campaign_id: int,
        name: str,
        uses: int | None = 1,
        hours: float | None = None,
        actor: str = OWNER,
    ) -> tuple[Invite, str]:
        """Make an invite; returns it with its token, which is not stored and never shown again."""
        seconds = None if hours is None else 3600 * hours
        with self.database.writing() as connection:
            return annotators.invite(
                connection, self.clock(), campaign_id, name, uses, seconds, actor
            )

    def invites(self, campaign_id: int) -> list[Invite]:
        """The invites of a campaign."""
        with self.database.reading() as connection:
            return annotators.invites_of(connection, campaign_id)

    def revoke(self, campaign_id: int, invite_id: int, actor: str = OWNER) -> None:
        """Let nobody else join by an invite."""
        with self.database.writing() as connection:
            annotators.revoke(connection, self.clock(), campaign_id, invite_id, actor)

    def join(
        self, token: str, name: str, known: Annotator | None = None
    ) -> tuple[Annotator, str | None]:
        """Join by an invite; returns the annotator and the token of a new session.

        `known` has a session already: in the same campaign nothing happens, and no token comes.
        """
        with self.database.writing() as connection:
            return annotators.join(connection, self.clock(), token, name, known)

    def annotators(self, campaign_id: int) -> list[Annotator]:
        """The annotators of a campaign by number."""
        with self.database.reading() as connection:
            return annotators.of_campaign(connection, campaign_id)

    def set_active(
        self, campaign_id: int, number: int, active: bool, actor: str = OWNER
    ) -> Annotator:
        """Let the answers of an annotator count, or not."""
        with self.database.writing() as connection:
            return annotators.set_active(
                connection, self.clock(), campaign_id, number, active, actor
            )

    def begin_owner_session(self, seconds: float) -> str:
        """Begin a session of the owner; returns its token."""
        with self.database.writing() as connection:
            audit.record(connection, self.clock(), None, OWNER, "signed in")
            return annotators.begin_session(connection, self.clock(), None, seconds)

    def end_session(self, token: str) -> None:
        """End a session."""
        with self.database.writing() as connection:
            annotators.end_session(connection, token)

    def annotator_of_session(self, token: str) -> Annotator | None:
        """Whose session it is; None where there is none."""
        with self.database.reading() as connection:
            return annotators.annotator_of_session(connection, self.clock(), token)

    def is_owner_session(self, token: str) -> bool:
        """Whether it is a session of the owner."""
        with self.database.reading() as connection:
            return annotators.is_owner_session(connection, self.clock(), token)

    # What annotators do

    def offer(self, annotator: Annotator, count: int) -> Offer:
        """What an annotator can do now."""
        with self.database.writing() as connection:
            return assignments.offer(connection, self.clock(), annotator, count)

    def assignment(self, annotator: Annotator, assignment_id: str) -> Assignment:
        """An item of this annotator."""
        with self.database.reading() as connection:
            return assignments.find(connection, annotator, assignment_id)

    def submit(self, annotator: Annotator, submission: Submission) -> Receipt:
        """Store an answer; it is on disk when this returns."""
        with self.database.writing() as connection:
            return answering.submit(connection, self.clock(), annotator, submission)

    def add_episode(
        self, annotator: Annotator, assignment_id: str, name: str, content: bytes
    ) -> None:
        """Store an episode that an annotator played for an item."""
        with self.database.writing() as connection:
            answering.add_episode(connection, self.clock(), annotator, assignment_id, name, content)

    def annotator_progress(self, annotator: Annotator) -> AnnotatorProgress:
        """How far an annotator is."""
        with self.database.reading() as connection:
            return answering.progress(connection, self.clock(), annotator)

    def question(
        self, identifier: str, campaign_id: int | None, annotator_id: int | None
    ) -> Question | None:
        """A question by its identifier; None where there is none that the annotator was given."""
        with self.database.reading() as connection:
            return assignments.question_of_identifier(
                connection, identifier, campaign_id, annotator_id
            )
