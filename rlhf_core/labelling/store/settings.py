"""How a campaign asks."""

from pydantic import Field

from rlhf_core.plugin import Config


class CampaignSettings(Config):
    """How a campaign asks its questions."""

    answers_per_question: int = Field(1, ge=1, le=1000)
    """Annotators who answer each question."""
    instructions: str = Field("", max_length=20_000)
    """What the page tells annotators before they begin, as plain text."""
    lease_seconds: float = Field(900, gt=0, le=7 * 24 * 3600)
    """How long a question is reserved for the annotator who was given it; then others get it."""
    price: float = Field(0, ge=0)
    """Cost of an answer, in any unit."""
    training: int = Field(0, ge=0, le=100)
    """Questions with a known answer that each annotator does first, with feedback."""
    gold_share: float = Field(0, ge=0, le=0.5)
    """Share of the later questions whose answer is known, without telling the annotator."""
