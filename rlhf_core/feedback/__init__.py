"""The swap point: one feedback strategy a file; their base is in `feedback_strategy`."""

from typing import Annotated

from rlhf_core.feedback_strategy import FeedbackStrategy
from rlhf_core.plugin import Family

FEEDBACK = Family(FeedbackStrategy, default="preference")
AnyFeedbackStrategy = Annotated[FeedbackStrategy, FEEDBACK]
