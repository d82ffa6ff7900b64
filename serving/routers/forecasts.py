"""`/v1/forecasts/{pair}/latest`: the document that the last night published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.specs.schema import PairSpec
from serving.dependencies import LakeDep, RegistryDep
from serving.problems import ProblemError
from serving.registry import Registry
from serving.rendering import Served, matches
from serving.snapshot import UNREADABLE, Snapshot, default_model, log
from serving.validation import parse_instant

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])

_PARAMETERS = frozenset({"model", "frequency", "as_of"})


@router.get(
    "/{pair}/latest",
    summary="The newest forecast of a pair",
    responses={200: {"model": ForecastDocument}, 304: {"description": "Not modified"}},
)
async def latest(
    request: Request,
    pair: str,
    lake: LakeDep,
    registry: RegistryDep,
    model: str | None = None,
    frequency: str | None = None,
    as_of: str | None = None,
) -> Response:
    """By default the champion's, at the pair's first frequency.

    `as_of`, an ISO 8601 instant, asks for what was served then: the newest origin among forecasts
    issued by that instant. `stale` and `valid_until` are as of the answer, or of `as_of`.
    """
    _check_parameters(request)
    spec = _pair(registry, pair)
    frequency = spec.frequencies[0] if frequency is None else frequency
    if frequency not in spec.frequencies:
        offered = list(spec.frequencies)
        raise ProblemError(404, "unknown_frequency", "The pair has no such frequency.", frequencies=offered)
    now = datetime.now(UTC)
    snapshot = lake.current
    if as_of is None:
        served = snapshot.of(pair, frequency)
    else:
        now = min(now, parse_instant(as_of, "as_of"))
        served = await _past(snapshot, pair, frequency, now)
    rendered = _chosen(registry, served, model).render(spec, now)
    headers = {"etag": rendered.etag, "cache-control": "no-cache"}
    if matches(request.headers.get("if-none-match"), rendered.etag):
        return Response(status_code=304, headers=headers)
    return Response(rendered.body, media_type="application/json", headers=headers)


async def _past(snapshot: Snapshot, pair: str, frequency: str, when: datetime) -> dict[str, Served]:
    try:
        return await run_in_threadpool(snapshot.as_of, pair, frequency, when)
    except UNREADABLE as error:
        log.exception("forecasts as of a moment cannot be read")
        detail = "Past forecasts cannot be read at the moment; the latest ones are still served."
        raise ProblemError(503, "lake_unreadable", detail, headers={"retry-after": "5"}) from error


def _check_parameters(request: Request) -> None:
    # A misspelled as_of that was ignored would answer with the present where the past was asked for.
    names = [name for name, _ in request.query_params.multi_items()]
    if not _PARAMETERS.issuperset(names) or len(set(names)) != len(names):
        expected = ", ".join(sorted(_PARAMETERS))
        raise ProblemError(422, "invalid_request", f"Query parameters: expected any of {expected}, each at most once.")


def _pair(registry: Registry, pair: str) -> PairSpec:
    spec = registry.catalog.pairs.get(pair)
    if spec is not None:
        return spec
    if f"pairs/{pair}" in registry.catalog.broken:
        detail = "The configuration file of this pair has problems; /v1/pairs lists them."
        raise ProblemError(503, "pair_failed", detail)
    raise ProblemError(404, "unknown_pair", "There is no such pair; /v1/pairs lists them.")


def _chosen(registry: Registry, served: Mapping[str, Served], model: str | None) -> Served:
    wanted = default_model(served) if model is None else model
    if wanted is not None and wanted in served:
        return served[wanted]
    if model is not None and model not in registry.catalog.models and f"models/{model}" not in registry.catalog.broken:
        raise ProblemError(404, "unknown_model", "There is no such model; /v1/models lists them.")
    detail = "There is no such forecast of this pair (yet); models lists those that have one."
    raise ProblemError(404, "no_forecast", detail, models=sorted(served))
