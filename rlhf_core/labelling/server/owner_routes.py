"""What the owner's page calls."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from rlhf_core.labelling.quality import campaign_overview, campaign_summaries
from rlhf_core.labelling.server import bodies
from rlhf_core.labelling.server.clips import Clip, Clips
from rlhf_core.labelling.server.items import clip_views
from rlhf_core.labelling.server.services import Services
from rlhf_core.labelling.store import Batch, Campaign

SHOWN = 12
"""Disagreements that the page shows, with their clips."""


def owner_routes(services: Services, app: FastAPI) -> APIRouter:
    """Signing in, campaigns, invites and annotators."""
    router = APIRouter(prefix="/api/owner", tags=["owner"])
    store, sessions = services.store, services.sessions
    Signed = Annotated[str, Depends(sessions.owner)]  # noqa: N806, a type

    @router.post("/login")
    def login(response: Response, sent: bodies.Login) -> dict[str, str]:
        """Sign in with the secret that was given to the server."""
        return {"csrf": sessions.begin_owner(response, sent.secret)}

    @router.post("/logout")
    def logout(_: Signed, call: Request, response: Response) -> dict[str, str]:
        """Sign out."""
        sessions.end_owner(call, response)
        return {}

    @router.get("/session")
    def session(csrf: Signed) -> dict[str, str]:
        """The token that each change must carry."""
        return {"csrf": csrf}

    @router.get("/openapi.json")
    def description(_: Signed) -> JSONResponse:
        """This interface, as OpenAPI."""
        return JSONResponse(app.openapi())

    @router.get("/campaigns")
    def campaigns(_: Signed) -> list[dict[str, Any]]:
        """All campaigns, newest first."""
        return [one.model_dump(mode="json") for one in campaign_summaries(store)]

    @router.get("/campaigns/{campaign}")
    def campaign(_: Signed, campaign: bodies.CampaignId) -> dict[str, Any]:
        """A campaign with its annotators, disagreements and invites."""
        found = store.campaign(campaign)
        numbers = campaign_overview(store, campaign).model_dump(mode="json")
        batches = {batch.id: batch for batch in store.batches(campaign)}
        shown = numbers["disagreements"][:SHOWN]
        numbers["disagreements"] = _with_clips(services.clips, found, batches, shown)
        return numbers

    @router.post("/campaigns/{campaign}/extend")
    def extend(_: Signed, campaign: bodies.CampaignId, sent: bodies.Extend) -> dict[str, str]:
        """Move the deadlines."""
        store.extend(campaign, sent.hours)
        return {}

    @router.post("/campaigns/{campaign}/invites", status_code=201)
    def invite(
        _: Signed, call: Request, campaign: bodies.CampaignId, sent: bodies.MakeInvite
    ) -> dict[str, Any]:
        """Make an invite; its link is shown this once."""
        made, token = store.invite(campaign, sent.name, sent.uses, sent.hours)
        return {"id": made.id, "url": f"{_address(services, call)}/join/{token}"}

    @router.delete("/campaigns/{campaign}/invites/{invite}")
    def revoke(_: Signed, campaign: bodies.CampaignId, invite: bodies.InviteId) -> dict[str, str]:
        """Let nobody else join by an invite."""
        store.revoke(campaign, invite)
        return {}

    @router.post("/campaigns/{campaign}/annotators/{number}/active")
    def active(
        _: Signed,
        campaign: bodies.CampaignId,
        number: bodies.AnnotatorNumber,
        sent: bodies.SetActive,
    ) -> dict[str, bool]:
        """Let the answers of an annotator count, or not."""
        return {"active": store.set_active(campaign, number, sent.active).active}

    @router.post("/campaigns/{campaign}/pause")
    def pause(_: Signed, campaign: bodies.CampaignId) -> dict[str, str]:
        """Give out no questions for now."""
        return {"status": store.set_status(campaign, "paused").status}

    @router.post("/campaigns/{campaign}/open")
    def reopen(_: Signed, campaign: bodies.CampaignId) -> dict[str, str]:
        """Give out questions again."""
        return {"status": store.set_status(campaign, "open").status}

    @router.post("/campaigns/{campaign}/close")
    def close(_: Signed, campaign: bodies.CampaignId) -> dict[str, str]:
        """Give out no questions any more; the run goes on with what is there."""
        return {"status": store.set_status(campaign, "closed").status}

    return router


def _address(services: Services, call: Request) -> str:
    """The address of the server as people reach it; the guard has checked the `Host`."""
    if services.settings.public_url is not None:
        return services.settings.public_url
    scheme = "https" if services.settings.secure else "http"
    return f"{scheme}://{call.headers['host']}"


def _with_clips(
    clips: Clips,
    campaign: Campaign,
    batches: dict[int, Batch],
    disagreements: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    shown = []
    for one in disagreements:
        batch = batches[one["batch_id"]]
        sources = [Clip(campaign.experiment, batch, position) for position in one["clips"]]
        views = clip_views(clips, one["question"], sources)
        shown.append(
            {
                "question": one["question"],
                "form": one["form"],
                "clips": views,
                "answers": one["answers"],
            }
        )
    return shown
