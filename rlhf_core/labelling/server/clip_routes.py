"""The clips themselves."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from rlhf_core.errors import LabellingError
from rlhf_core.labelling.server import bodies
from rlhf_core.labelling.server.clips import Clip, LostClipError, clip_of
from rlhf_core.labelling.server.refusals import Refusal
from rlhf_core.labelling.server.services import Services

CACHING = "private, max-age=86400, immutable"


def clip_routes(services: Services) -> APIRouter:
    """Clips of an annotator's assignments, and of all questions for the owner."""
    router = APIRouter(tags=["clips"])

    @router.get("/clips/{name}/{place}")
    async def clip(call: Request, name: bodies.Identifier, place: bodies.Position) -> Response:
        """A clip of an assignment, for its annotator, or of a question, for the owner."""
        found = await run_in_threadpool(_allowed, services, call, name, place)
        headers = {"ETag": f'"{found.key}"', "Cache-Control": CACHING}
        if call.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        try:
            # Others may wait for the same drawing: who leaves does not cancel it.
            drawn = await asyncio.shield(asyncio.wrap_future(services.clips.drawn(found)))
        except LostClipError:
            raise Refusal(410, "This clip is no longer there: its run was deleted.") from None
        return Response(drawn.content, media_type=drawn.content_type, headers=headers)

    return router


def _allowed(services: Services, call: Request, name: str, place: int) -> Clip:
    store = services.store
    caller = services.sessions.known_annotator(call)
    question = None
    if caller is not None:
        # A name that is none of an annotator's may still be a question of the owner's.
        with suppress(LabellingError):
            question = store.assignment(caller.annotator, name).question
    if question is None and services.sessions.is_owner(call):
        question = store.question(name, None, None)
    elif question is None and caller is None:
        raise Refusal(401, "You are not signed in.")
    if question is not None:
        campaign, batch = store.campaign(question.campaign_id), store.batch(question.batch_id)
        found = clip_of(question, batch, campaign.experiment, place)
        if found is not None:
            return found
    raise Refusal(404, "There is no such clip among yours.")
