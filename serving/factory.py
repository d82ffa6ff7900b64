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
from serving import openapi, problems
from serving.access.keyring import KeyRing
from serving.access.middleware import Access
from serving.api import Api
from serving.control import LazyControl
from serving.dashboard import routes as dashboard
from serving.hot import HotReads
from serving.hot_predictions import HotPredictions
from serving.hub import Hub
from serving.metrics import Metrics
from serving.middleware import Gate
from serving.queue import Predictions
from serving.registry import Registry
from serving.routers import bars, catalog, forecasts, health, predict, stream, ws
from serving.snapshot import LiveSnapshot


def create_app(settings: Settings) -> FastAPI:
    """The API of one installation. Raises `SpecError` where there are no configs at all.

    The first snapshot is read before the first request; after that a poll keeps it up to date.
    """
    registry = Registry(load(settings), ArtifactStore(settings.artifacts_path), keep_seconds=settings.poll_seconds)
    live = LiveSnapshot(Lake(settings.lake_path))
    control = LazyControl(settings)
    hub, predictions, keyring = Hub(), Predictions(settings.predict_queue), KeyRing(settings)
    live.on_published = hub.publish_soon

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.start()
        await keyring.start()
        await asyncio.to_thread(live.refresh)
        poll = asyncio.create_task(live.poll(settings.poll_seconds))
        try:
            yield
        finally:
            poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await poll
            await keyring.stop()
            hub.close()
            predictions.close()
            control.close()

    app = Api(
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
    app.state.hub = hub
    app.state.keyring = keyring
    app.state.predictions = predictions
    app.state.metrics = metrics = Metrics(live, registry.catalog.pairs, hub, predictions)
    problems.install(app)
    # The last one is the first that a request meets.
    app.put_in_front(lambda inner: HotPredictions(inner, registry))
    app.put_in_front(lambda inner: HotReads(inner, live, registry.catalog.pairs))
    app.put_in_front(lambda inner: Access(inner, keyring))
    app.put_in_front(lambda inner: Gate(inner, metrics.count))
    for router in (
        dashboard.build(),
        health.router,
        catalog.router,
        bars.router,
        stream.router,  # before forecasts, where "stream" would be a pair
        forecasts.batch,
        forecasts.router,
        ws.router,
        predict.build(registry),
    ):
        app.include_router(router)
    openapi.install(app)
    return app
