"""The application: guard, routes and what they share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.clips import Cache
from rlhf_core.labelling.server.annotator_routes import annotator_routes
from rlhf_core.labelling.server.clip_routes import clip_routes
from rlhf_core.labelling.server.clip_source import ClipSource
from rlhf_core.labelling.server.clips import Clips
from rlhf_core.labelling.server.download_routes import download_routes
from rlhf_core.labelling.server.guard import Guard
from rlhf_core.labelling.server.owner_routes import owner_routes
from rlhf_core.labelling.server.pages import page_routes, read_pages
from rlhf_core.labelling.server.play_routes import play_routes
from rlhf_core.labelling.server.plays import Plays
from rlhf_core.labelling.server.refusals import answer_errors
from rlhf_core.labelling.server.services import Services
from rlhf_core.labelling.server.sessions import Sessions
from rlhf_core.labelling.server.settings import SHORTEST_SECRET, ServerSettings
from rlhf_core.labelling.store import LabelStore

SWEEP_SECONDS = 30.0
"""Between looks for episodes that nobody plays any more."""


def create_app(store: LabelStore, clips: ClipSource, settings: ServerSettings) -> FastAPI:
    """The label server as an ASGI application.

    Args:
        store: of campaigns and answers.
        clips: describes and draws clips.
        settings: with a secret; `with_secret` sees to one.

    Raises:
        ConfigurationError: there is no secret.
    """
    if len(settings.secret.get_secret_value()) < SHORTEST_SECRET:
        raise ConfigurationError(f"secret: expected at least {SHORTEST_SECRET} characters")
    limits = settings.limits
    services = Services(
        store=store,
        settings=settings,
        sessions=Sessions(store, settings),
        clips=Clips(clips, Cache(settings.cache, settings.cache_bytes), settings.draw_threads),
        plays=Plays(store, limits.plays, limits.play_idle_seconds),
        pages=read_pages(),
    )

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(services))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await run_in_threadpool(services.close)

    # Strangers get no description of the interface; the owner has one.
    app = FastAPI(
        title="Label server", openapi_url=None, docs_url=None, redoc_url=None, lifespan=living
    )
    answer_errors(app)
    for router in (
        annotator_routes(services),
        play_routes(services),
        owner_routes(services, app),
        download_routes(services),
        clip_routes(services),
        page_routes(services.pages),
    ):
        app.include_router(router)
    cookies = (services.sessions.annotator_cookie, services.sessions.owner_cookie)
    app.add_middleware(Guard, settings=settings, cookies=cookies)
    return app


async def _sweep(services: Services) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await run_in_threadpool(services.plays.end_idle)
