"""What calls carry: closed, with a longest length of everything."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

LARGEST_ID = 2**31 - 1

CampaignId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
InviteId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
AnnotatorNumber = Annotated[int, Path(ge=0, le=LARGEST_ID)]
AssignmentId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Identifier = Annotated[str, Path(pattern="^[0-9a-f-]{1,80}$")]
"""Of a question: digits of a digest, and a count."""
Position = Annotated[int, Path(ge=0, le=1000)]
PlayName = Annotated[str, Path(pattern="^[0-9A-Za-z_-]{1,64}$")]


class Sent(BaseModel):
    """The body of a call."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Join(Sent):
    """Join a campaign."""

    token: str = Field(min_length=1, max_length=200)
    name: str = Field(max_length=400)


class Next(Sent):
    """Ask for items."""

    count: int = Field(3, strict=True, ge=1, le=50)


class Answer(Sent):
    """An answer, as `Submission` describes it."""

    key: str = Field(pattern="^[0-9A-Za-z_-]{8,64}$")
    assignment: str = Field(pattern="^[0-9a-f]{32}$")
    sequence: int = Field(strict=True, ge=0, lt=2**53)
    answer: dict[str, Any]
    seconds: float = 0.0
    events: list[tuple[float, str]] = Field([], max_length=1000)
    page_version: str = Field("", max_length=64)


class PlayStart(Sent):
    """Begin an episode."""

    assignment: str = Field(pattern="^[0-9a-f]{32}$")


class PlayStep(Sent):
    """Take an action."""

    session: str = Field(pattern="^[0-9A-Za-z_-]{1,64}$")
    action: int = Field(strict=True, ge=0, le=100)


class PlayEnd(Sent):
    """Hand an episode in."""

    session: str = Field(pattern="^[0-9A-Za-z_-]{1,64}$")


class Login(Sent):
    """Sign in as owner."""

    secret: str = Field(max_length=1000)


class Extend(Sent):
    """Move the deadlines."""

    hours: float = Field(gt=0, le=10_000)


class MakeInvite(Sent):
    """Make an invite."""

    name: str = Field(max_length=400)
    uses: int | None = Field(1, strict=True, ge=1, le=100_000)
    hours: float | None = Field(None, gt=0, le=24 * 3650)


class SetActive(Sent):
    """Let the answers of an annotator count, or not."""

    active: bool = Field(strict=True)
