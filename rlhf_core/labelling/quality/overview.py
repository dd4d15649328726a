"""All campaigns at a glance, and one in detail: `model_dump(mode="json")` is what a page reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf_core.labelling.quality.agreement import Agreement, agreement, votes
from rlhf_core.labelling.quality.pace import HourCount, answers_by_hour, estimated_end
from rlhf_core.labelling.quality.workers import AnnotatorQuality, quality_of
from rlhf_core.labelling.store import AnswerRow, Batch, BatchProgress, Campaign, LabelStore
from rlhf_core.plugin import Config

MOST_DISAGREEMENTS = 50


class BatchSummary(Config):
    """How far a batch is."""

    id: int
    round: int
    part: int
    questions: int
    complete: int
    answers: int
    """Counted ones."""
    deadline: float | None
    collected: bool


class Totals(Config):
    """What a campaign has as a whole. Times are Unix times in seconds."""

    id: int
    key: str
    """The id of the run."""
    title: str
    status: str
    questions: int
    complete: int
    answers: int
    """Counted ones."""
    created: float
    batches: list[BatchSummary]
    estimated_end: float | None
    """At the pace of the last answers; None where it is not known, or nothing is missing."""
    cost: float
    """Of the counted answers."""


class CampaignSummary(Totals):
    """A campaign in the list."""

    annotators: int
    """How many have joined."""


class GivenAnswer(Config):
    """What an annotator answered."""

    annotator: int
    """Number."""
    answer: dict[str, Any]


class Disagreement(Config):
    """A question that annotators answered in different ways."""

    question: str
    """Identifier."""
    question_id: int
    batch_id: int
    form: str
    settings: str
    """The form with its settings, as JSON."""
    clips: list[int]
    """Positions in the request's segments."""
    answers: list[GivenAnswer]
    """By annotator, skips left out."""


class InviteSummary(Config):
    """An invite without its token."""

    id: int
    name: str
    uses: int | None
    used: int
    expires: float | None
    revoked: bool


class CampaignOverview(Totals):
    """A campaign in detail."""

    agreement: Agreement
    annotators: list[AnnotatorQuality]
    disagreements: list[Disagreement]
    """At most 50, the newest questions first."""
    invites: list[InviteSummary]
    answers_by_hour: list[HourCount]


def campaign_summaries(store: LabelStore) -> list[CampaignSummary]:
    """All campaigns, newest first."""
    made = []
    for campaign in store.campaigns():
        totals = _totals(store, campaign, store.answers(campaign.id))
        made.append(CampaignSummary(**totals, annotators=len(store.annotators(campaign.id))))
    return made


def campaign_overview(store: LabelStore, campaign_id: int) -> CampaignOverview:
    """One campaign. Raises `LabellingError` where there is none."""
    campaign = store.campaign(campaign_id)
    rows = store.answers(campaign_id)
    return CampaignOverview(
        **_totals(store, campaign, rows),
        agreement=agreement(list(votes(rows).values())),
        annotators=quality_of(store.annotators(campaign_id), rows),
        disagreements=disagreements(store, campaign_id, rows),
        invites=[
            InviteSummary(
                id=one.id,
                name=one.name,
                uses=one.uses,
                used=one.used,
                expires=one.expires,
                revoked=one.revoked,
            )
            for one in store.invites(campaign_id)
        ],
        answers_by_hour=answers_by_hour(_times(rows), store.clock()),
    )


def disagreements(
    store: LabelStore, campaign_id: int, rows: Sequence[AnswerRow]
) -> list[Disagreement]:
    """Questions with different opinions of active annotators, newest first, 50 at most."""
    disputed = {key[0] for key, thing in votes(rows).items() if len(set(thing.values())) > 1}
    if not disputed:
        return []
    answers: dict[int, list[GivenAnswer]] = {}
    for row in rows:
        if row.question_id in disputed and row.active and not row.skipped:
            given = GivenAnswer(annotator=row.annotator, answer=dict(row.answer))
            answers.setdefault(row.question_id, []).append(given)
    found = [one for one in store.questions(campaign_id) if one.id in disputed]
    return [
        Disagreement(
            question=one.identifier,
            question_id=one.id,
            batch_id=one.batch_id,
            form=one.form,
            settings=one.settings,
            clips=list(one.clips),
            answers=answers[one.id],
        )
        for one in found[: -MOST_DISAGREEMENTS - 1 : -1]
    ]


def _totals(store: LabelStore, campaign: Campaign, rows: Sequence[AnswerRow]) -> Mapping[str, Any]:
    batches = [(one, store.progress(one)) for one in store.batches(campaign.id)]
    left = _left(campaign, batches, rows)
    answers = sum(progress.answers for _, progress in batches)
    return {
        "id": campaign.id,
        "key": campaign.key,
        "title": campaign.title,
        "status": campaign.status,
        "questions": sum(progress.questions for _, progress in batches),
        "complete": sum(progress.complete for _, progress in batches),
        "answers": answers,
        "created": campaign.created,
        "batches": [_batch(*one) for one in batches],
        "estimated_end": estimated_end(_times(rows), left, store.clock()),
        "cost": campaign.settings.price * answers,
    }


def _batch(batch: Batch, progress: BatchProgress) -> BatchSummary:
    return BatchSummary(
        id=batch.id,
        round=batch.round,
        part=batch.part,
        questions=progress.questions,
        complete=progress.complete,
        answers=progress.answers,
        deadline=progress.deadline,
        collected=progress.collected,
    )


def _left(
    campaign: Campaign,
    batches: Sequence[tuple[Batch, BatchProgress]],
    rows: Sequence[AnswerRow],
) -> int:
    """Answers that batches still need which no round has collected."""
    wanted = campaign.settings.answers_per_question
    waiting = {(b.round, b.part): p.questions * wanted for b, p in batches if not p.collected}
    given: dict[int, int] = {}
    for row in rows:
        place = (row.round, row.part)
        if place in waiting and row.stage == "work" and row.counted:
            given[row.question_id] = given.get(row.question_id, 0) + 1
            waiting[place] -= given[row.question_id] <= wanted
    return sum(waiting.values())


def _times(rows: Sequence[AnswerRow]) -> list[float]:
    """When answers to real questions came."""
    return [row.received_at for row in rows if row.stage == "work"]
