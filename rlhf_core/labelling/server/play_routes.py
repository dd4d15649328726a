"""What the annotator's page calls while an episode is played."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from rlhf_core.labelling.server import bodies
from rlhf_core.labelling.server.clip_source import experiment_of
from rlhf_core.labelling.server.refusals import Refusal
from rlhf_core.labelling.server.services import Services
from rlhf_core.labelling.server.sessions import Caller


def play_routes(services: Services) -> APIRouter:
    """Beginning, stepping and handing in an episode."""
    router = APIRouter(prefix="/api/play", tags=["play"])
    store, plays = services.store, services.plays
    Signed = Annotated[Caller, Depends(services.sessions.annotator)]  # noqa: N806, a type

    @router.post("/start")
    def start(caller: Signed, sent: bodies.PlayStart) -> dict[str, Any]:
        """Begin an episode for an item."""
        assignment = store.assignment(caller.annotator, sent.assignment)
        if assignment.question.form != "demonstration":
            raise Refusal(409, "This item is not answered by playing.")
        campaign = store.campaign(caller.annotator.campaign_id)
        environment = experiment_of(campaign.experiment).environment
        name, episode = plays.start(caller.annotator, assignment.id, environment)
        return {
            "session": name,
            "frame_url": _frame_url(name, 0),
            "actions": [{"label": one.label, "key": one.key} for one in episode.actions],
            "mode": episode.mode,
            "rate": episode.rate,
            "idle": episode.idle,
        }

    @router.post("/step")
    def step(caller: Signed, sent: bodies.PlayStep) -> dict[str, Any]:
        """Take an action."""
        state = plays.step(caller.annotator, sent.session, sent.action)
        address = _frame_url(sent.session, state.steps)
        return {"frame_url": address, "steps": state.steps, "done": state.done}

    @router.get("/frame/{name}/{steps}")
    def frame(caller: Signed, name: bodies.PlayName, steps: int) -> Response:
        """The episode as it is now; the steps make each address a new one."""
        return Response(plays.frame(caller.annotator, name), media_type="image/webp")

    @router.post("/end")
    def end(caller: Signed, sent: bodies.PlayEnd) -> dict[str, str]:
        """Hand an episode in; it is on disk before this returns."""
        price = store.campaign(caller.annotator.campaign_id).settings.price
        plays.end(caller.annotator, sent.session, price)
        return {"episode": sent.session}

    return router


def _frame_url(name: str, steps: int) -> str:
    return f"/api/play/frame/{name}/{steps}"
