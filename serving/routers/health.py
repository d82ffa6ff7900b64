"""`/livez` and `/readyz`: is the process there, and has it a forecast to give."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from fx_assets.forecasting.freshness import freshness
from fx_assets.timegrid.calendars import calendar
from serving.dependencies import LakeDep, RegistryDep
from serving.problems import ProblemError
from serving.rendering import json_response
from serving.snapshot import champion

router = APIRouter(tags=["health"])


@router.get("/livez", summary="The process answers")
async def livez() -> Response:
    """Says only that the process is alive; it looks at nothing."""
    return json_response({"status": "alive"})


@router.get("/readyz", summary="At least one forecast can be read")
async def readyz(lake: LakeDep, registry: RegistryDep) -> Response:
    """200 while at least one forecast is readable, else 503; names stale and missing pairs either way.

    A pair is missing where the forecast it is served by default cannot be read, and stale where that
    forecast's data are older than the pair allows.
    """
    snapshot, now = lake.current, datetime.now(UTC)
    stale, missing = [], []
    for pair, spec in registry.catalog.pairs.items():
        served = snapshot.of(pair, spec.frequencies[0])
        default = served.get(champion(served) or "")
        if default is None:
            missing.append(pair)
        elif freshness(default.document.data_as_of, calendar(spec.calendar), spec.freshness, now).stale:
            stale.append(pair)
    count = sum(len(found.served) for found in snapshot.pairs.values())
    report = {
        "forecasts": count,
        "stale": stale,
        "missing": missing,
        "failed": sorted(registry.catalog.broken),
        "lake": {"version": snapshot.version, "problems": list(lake.problems)},
    }
    if not count:
        detail = "No forecast is readable yet; materialize one first."
        raise ProblemError(503, "not_ready", detail, headers={"retry-after": "5"}, **report)
    return json_response({"status": "ready", **report})
