"""Builds the API: routes from the configs, stores from the settings, nothing global."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from fx_assets.models.catalog import load
from fx_assets.settings import Settings
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.lake import Lake
from serving import problems
from serving.control import LazyControl
from serving.middleware import Gate
from serving.registry import Registry
from serving.routers import catalog, forecasts, health, predict
from serving.snapshot import LiveSnapshot


def create_app(settings: Settings) -> FastAPI:
    """The API of one installation. Raises `SpecError` where there are no configs at all.

    The first snapshot is read before the first request; after that a poll keeps it up to date.
    """
    registry = Registry(load(settings), ArtifactStore(settings.artifacts_path))
    live = LiveSnapshot(Lake(settings.lake_path))
    control = LazyControl(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(live.refresh)
        poll = asyncio.create_task(live.poll(settings.poll_seconds))
        try:
            yield
        finally:
            poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await poll
            control.close()

    app = FastAPI(
        title="fx-assets",
        description="Forecasts of currency pairs, each with how it has done against a random walk.",
        lifespan=lifespan,
        # The interactive pages load their scripts from another host; the schema is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.registry = registry
    app.state.lake = live
    app.state.control = control
    problems.install(app)
    app.add_middleware(Gate)
    for router in (health.router, catalog.router, forecasts.router, predict.build(registry)):
        app.include_router(router)
    return app
