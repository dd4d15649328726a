"""Tables of the label store.

Rows of `answers`, `collections`, `collected`, `episodes` and `audit` are only ever added. Times are
Unix times in seconds.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA = 1
"""Version of these tables."""

metadata = MetaData()

versions = Table(
    "label_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

campaigns = Table(
    "label_campaigns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(200), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("experiment", Text, nullable=False),
    Column("status", String(10), nullable=False),
    Column("created", Double, nullable=False),
    CheckConstraint("status in ('open', 'paused', 'closed')", name="label_campaign_status"),
)

batches = Table(
    "label_batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("label_campaigns.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("deadline", Double),
    UniqueConstraint("campaign_id", "round", "part"),
)

questions = Table(
    "label_questions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("label_campaigns.id"), nullable=False),
    Column("batch_id", ForeignKey("label_batches.id"), nullable=False),
    Column("identifier", String(80), nullable=False),
    Column("stage", String(10), nullable=False),
    Column("form", String(100), nullable=False),
    Column("settings", Text, nullable=False),
    Column("row", Integer, nullable=False),
    Column("clips", JSON, nullable=False),
    Column("step", Integer),
    Column("known", JSON),
    Column("explanation", Text, nullable=False),
    # Whether no further annotator is asked, leases left aside; so that offers look at few rows.
    Column("settled", Boolean, nullable=False, default=False),
    UniqueConstraint("batch_id", "identifier", "stage"),
    CheckConstraint("stage in ('work', 'training', 'gold')", name="label_question_stage"),
    Index("label_questions_by_identifier", "campaign_id", "identifier"),
    Index("label_questions_unsettled", "batch_id", "settled"),
)

invites = Table(
    "label_invites",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("label_campaigns.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("uses", Integer),
    Column("used", Integer, nullable=False),
    Column("expires", Double),
    Column("revoked", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)

annotators = Table(
    "label_annotators",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("label_campaigns.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("invite_id", ForeignKey("label_invites.id")),
    Column("joined", Double, nullable=False),
    UniqueConstraint("campaign_id", "number"),
)

sessions = Table(
    "label_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("annotator_id", ForeignKey("label_annotators.id")),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
)

assignments = Table(
    "label_assignments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("annotator_id", ForeignKey("label_annotators.id"), nullable=False),
    Column("question_id", ForeignKey("label_questions.id"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("leased", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("state", String(10), nullable=False),
    # The first answer decides the order of those who count, the newest revision what was said.
    Column("first_answer", Integer),
    Column("answer_id", Integer),
    Column("counted", Boolean, nullable=False),
    UniqueConstraint("annotator_id", "question_id"),
    UniqueConstraint("annotator_id", "index"),
    CheckConstraint("state in ('open', 'answered', 'skipped')", name="label_assignment_state"),
    Index("label_assignments_by_question", "question_id"),
)

answers = Table(
    "label_answers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("assignment_id", ForeignKey("label_assignments.id"), nullable=False),
    Column("annotator_id", ForeignKey("label_annotators.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("skipped", Boolean, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("events", JSON, nullable=False),
    Column("page_version", String(64), nullable=False),
    Column("received_at", Double, nullable=False),
    Column("receipt", JSON, nullable=False),
    UniqueConstraint("annotator_id", "key"),
    Index("label_answers_by_assignment", "assignment_id"),
    sqlite_autoincrement=True,
)

collections = Table(
    "label_collections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", ForeignKey("label_batches.id"), nullable=False, unique=True),
    Column("collected_at", Double, nullable=False),
)

collected = Table(
    "label_collected",
    metadata,
    Column("collection_id", ForeignKey("label_collections.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("answer_id", ForeignKey("label_answers.id"), nullable=False, unique=True),
    Column("assignment_id", ForeignKey("label_assignments.id"), nullable=False, unique=True),
)

episodes = Table(
    "label_episodes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("assignment_id", ForeignKey("label_assignments.id"), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
)

audit = Table(
    "label_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("campaign_id", ForeignKey("label_campaigns.id")),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(40), nullable=False),
    Column("details", JSON, nullable=False),
    sqlite_autoincrement=True,
)
