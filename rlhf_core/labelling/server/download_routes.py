"""Files that the owner downloads."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from rlhf_core.errors import StoreError
from rlhf_core.labelling.exchange import export_labels
from rlhf_core.labelling.server import bodies
from rlhf_core.labelling.server.refusals import Refusal, log
from rlhf_core.labelling.server.services import Services

TYPES = {
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}


def download_routes(services: Services) -> APIRouter:
    """Labels and the audit of a campaign."""
    router = APIRouter(prefix="/api/owner/campaigns/{campaign}", tags=["downloads"])
    store = services.store
    Signed = Annotated[str, Depends(services.sessions.owner)]  # noqa: N806, a type

    def labels(campaign: int, ending: str) -> Response:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"labels{ending}"
            try:
                export_labels(store, campaign, path)
            except StoreError as error:
                log.warning("labels of campaign %s: %s", campaign, error)
                raise Refusal(410, "What these labels are about is no longer there.") from None
            return _file(path.read_bytes(), f"labels-{campaign}{ending}")

    @router.get("/labels.jsonl")
    def jsonl(_: Signed, campaign: bodies.CampaignId) -> Response:
        """All labels as JSON lines."""
        return labels(campaign, ".jsonl")

    @router.get("/labels.parquet")
    def parquet(_: Signed, campaign: bodies.CampaignId) -> Response:
        """All labels as Parquet."""
        return labels(campaign, ".parquet")

    @router.get("/audit.jsonl")
    def audit(_: Signed, campaign: bodies.CampaignId) -> Response:
        """Who did what when, as JSON lines."""
        lines = [json.dumps(dict(entry)) + "\n" for entry in store.audit(campaign)]
        return _file("".join(lines).encode(), f"audit-{campaign}.jsonl")

    return router


def _file(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)
