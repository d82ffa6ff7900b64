"""`/livez` and `/readyz`: is the process there, and has it a forecast to give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from fx_assets.forecasting.champion import served_by_default
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.freshness import Behind, behind
from serving.dependencies import LakeDep, MetricsDep, RegistryDep
from serving.openapi import problems, query
from serving.problems import ProblemError
from serving.queries import parameters
from serving.rendering import json_response
from serving.schemas import Alive, Ready

router = APIRouter(tags=["health"])


@router.get("/livez", summary="The process answers", response_model=Alive, responses=problems(406, safe=True))
async def livez() -> Response:
    """Says only that the process is alive; it looks at nothing."""
    return json_response({"status": "alive"})


@router.get(
    "/readyz",
    summary="At least one forecast can be read",
    response_model=Ready,
    responses=problems(406, 422, 503, safe=True),
    openapi_extra={"parameters": query("verbose")},
)
async def readyz(request: Request, lake: LakeDep, registry: RegistryDep) -> Response:
    """200 while at least one forecast is readable, else 503; names stale and missing pairs either way.

    A pair is missing where the forecast it is served by default cannot be read, and stale where that
    forecast's data are older than the pair allows. `?verbose` tells of each pair what is served.
    """
    verbose = parameters(request, "verbose").get("verbose")
    if verbose not in (None, "", "true", "1"):
        raise ProblemError(422, "invalid_request", "verbose: expected no value, true or 1.")
    snapshot, pairs = lake.current, registry.catalog.pairs
    default = {
        name: served_by_default(item.document for item in snapshot.of(name, spec.frequencies[0]).values())
        for name, spec in pairs.items()
    }
    late = behind(default, pairs, datetime.now(UTC))
    count = sum(len(found.served) for found in snapshot.pairs.values())
    report: dict[str, Any] = {
        "forecasts": count,
        "stale": list(late.stale),
        "missing": list(late.missing),
        "failed": sorted(registry.catalog.broken),
        "lake": {"version": snapshot.version, "problems": list(lake.problems)},
    }
    if verbose is not None:
        report["pairs"] = {name: _told(document, late) for name, document in default.items()}
    if not count:
        detail = "No forecast is readable yet; materialize one first."
        raise ProblemError(503, "not_ready", detail, headers={"retry-after": "5"}, **report)
    return json_response({"status": "ready", **report})


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(401, 403, 429, safe=True)},
)
async def metrics(found: MetricsDep) -> Response:
    """Requests by method, route and status, forecasts by pair, streams and predictions."""
    return Response(await run_in_threadpool(found.text), headers={"content-type": CONTENT_TYPE_LATEST})


def _told(document: ForecastDocument | None, late: Behind) -> dict[str, Any]:
    if document is None:
        return {"state": "missing"}
    missed = late.stale.get(document.pair, 0)
    return {
        "state": "stale" if missed else "fresh",
        "model_id": document.model_id,
        "model_version": document.model_version,
        "data_as_of": document.data_as_of.isoformat(),
        "issued_at": document.issued_at.isoformat(),
        "open_dates_missed": missed,
    }
