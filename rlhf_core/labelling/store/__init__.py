"""The label store: campaigns, questions, leases, answers, collections, in SQLite or PostgreSQL.

Each file has functions over a connection about one concept; `LabelStore` makes a transaction of
each. An answer that was acknowledged is on disk, is never changed, and is counted once.
"""

from rlhf_core.labelling.store.label_store import LabelStore, open_store
from rlhf_core.labelling.store.overview import AnswerRow
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

__all__ = [
    "Annotator", "AnnotatorProgress", "AnswerGroup", "AnswerRow", "Assignment", "Batch",
    "BatchProgress", "Campaign", "CampaignSettings", "CountedAnswer", "Gold", "ImportedAnswer",
    "Invite", "LabelStore", "Offer", "Question", "Receipt", "Submission", "open_store",
]  # fmt: skip
