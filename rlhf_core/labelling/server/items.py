"""Items: questions as the annotator's page shows them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rlhf_core.labelling.server.clips import Clip, Clips
from rlhf_core.labelling.store import Assignment, Batch, Campaign, LabelStore


def items_of(
    store: LabelStore, clips: Clips, campaign: Campaign, assignments: Sequence[Assignment]
) -> list[dict[str, Any]]:
    """The items of assignments; their clips are drawn from now on."""
    needed = {one.question.batch_id for one in assignments}
    batches = {number: store.batch(number) for number in needed}
    return [_item(clips, campaign, batches[one.question.batch_id], one) for one in assignments]


def _item(clips: Clips, campaign: Campaign, batch: Batch, assignment: Assignment) -> dict[str, Any]:
    question = assignment.question
    settings = json.loads(question.settings)
    if question.step is not None:
        settings["step"] = question.step
    sources = [Clip(campaign.experiment, batch, position) for position in question.clips]
    if assignment.state == "open":
        for source in sources:
            clips.prepare(source)
    return {
        "assignment": assignment.id,
        "question": _alias(question.identifier),
        "index": assignment.index,
        # That the answer of a test item is known stays unsaid.
        "stage": "training" if question.stage == "training" else "work",
        "form": question.form,
        "settings": settings,
        "clips": clip_views(clips, assignment.id, sources),
        "lease_until": assignment.lease_until,
        "answer": None if assignment.answer is None else dict(assignment.answer),
    }


def _alias(identifier: str) -> str:
    """A name of a question from which nobody sees whether its answer is known."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:32]


def clip_views(clips: Clips, name: str, sources: Sequence[Clip]) -> list[dict[str, Any]]:
    """Clips as the pages read them.

    Args:
        clips: describes them.
        name: an assignment's for its annotator, a question's for the owner.
        sources: of the clips.
    """
    return [
        {**asdict(clips.view(source)), "url": f"/clips/{name}/{place}"}
        for place, source in enumerate(sources)
    ]
