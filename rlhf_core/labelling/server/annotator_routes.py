"""What the annotator's page calls."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from rlhf_core.labelling.server import bodies
from rlhf_core.labelling.server.items import items_of
from rlhf_core.labelling.server.services import Services
from rlhf_core.labelling.server.sessions import Caller
from rlhf_core.labelling.store import Annotator, Receipt, Submission


def annotator_routes(services: Services) -> APIRouter:
    """Joining, items and answers."""
    router = APIRouter(prefix="/api", tags=["annotator"])
    store, sessions = services.store, services.sessions
    Signed = Annotated[Caller, Depends(sessions.annotator)]  # noqa: N806, a type

    @router.post("/join")
    def join(call: Request, response: Response, sent: bodies.Join) -> dict[str, Any]:
        """Join a campaign by an invite; who is in it already stays who they are."""
        known = sessions.known_annotator(call)
        annotator, token = store.join(
            sent.token, sent.name, None if known is None else known.annotator
        )
        if token is not None:
            csrf = sessions.begin_annotator(response, token)
        else:
            assert known is not None, "only who is in already gets no token"
            csrf = known.csrf
        return {"csrf": csrf, "annotator": _named(annotator)}

    @router.get("/session")
    def session(caller: Signed) -> dict[str, Any]:
        """Who is signed in, and the campaign."""
        annotator = caller.annotator
        campaign = store.campaign(annotator.campaign_id)
        progress = store.annotator_progress(annotator)
        return {
            "csrf": caller.csrf,
            "page_version": services.pages.version,
            "annotator": _named(annotator),
            "campaign": {
                "id": campaign.id,
                "title": campaign.title,
                "instructions": campaign.settings.instructions,
                "status": campaign.status,
                "forms": store.forms(campaign.id),
                "training": progress.training_total,
                "answers_per_question": campaign.settings.answers_per_question,
            },
        }

    @router.get("/progress")
    def progress(caller: Signed) -> dict[str, Any]:
        """How far the annotator is."""
        far = store.annotator_progress(caller.annotator)
        return {
            "done": far.done,
            "skipped": far.skipped,
            "total": far.done + far.remaining,
            "remaining": far.remaining,
            "training": {"done": far.training_done, "total": far.training_total},
            "seconds_per_answer": far.seconds_per_answer,
            "items": [
                {"assignment": assignment, "index": index, "state": state}
                for assignment, index, state in far.items
            ],
        }

    @router.post("/next")
    def following(caller: Signed, sent: bodies.Next) -> dict[str, Any]:
        """The items to do now; the same open ones come again."""
        offer = store.offer(caller.annotator, sent.count)
        campaign = store.campaign(caller.annotator.campaign_id)
        items = items_of(store, services.clips, campaign, offer.items)
        return {"items": items, "waiting": offer.waiting}

    @router.get("/items/{assignment}")
    def item(caller: Signed, assignment: bodies.AssignmentId) -> dict[str, Any]:
        """An item of the annotator, with the answer that counts."""
        found = store.assignment(caller.annotator, assignment)
        campaign = store.campaign(caller.annotator.campaign_id)
        return items_of(store, services.clips, campaign, [found])[0]

    @router.post("/answers", status_code=201)
    def answer(caller: Signed, sent: bodies.Answer) -> JSONResponse:
        """Store an answer; it is on disk before this returns."""
        submission = Submission(
            key=sent.key,
            assignment=sent.assignment,
            sequence=sent.sequence,
            answer=sent.answer,
            seconds=sent.seconds,
            events=tuple(sent.events),
            page_version=sent.page_version,
        )
        receipt = store.submit(caller.annotator, submission)
        return JSONResponse(_receipt(receipt), 200 if receipt.repeated else 201)

    return router


def _named(annotator: Annotator) -> dict[str, Any]:
    return {"name": annotator.name, "number": annotator.number}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    feedback = None
    if receipt.correct is not None:
        feedback = {"correct": receipt.correct, "text": receipt.explanation}
    return {
        "receipt": receipt.id,
        "counted": receipt.counted,
        "late": receipt.late,
        "feedback": feedback,
    }
