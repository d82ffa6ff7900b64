"""`/v1/forecasts`: what the last night published, what was published before, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from fx_assets.features.stored import bars_table
from fx_assets.forecasting.document import ForecastDocument
from serving import history
from serving.dependencies import LakeDep, RegistryDep
from serving.hot import response
from serving.negotiation import wants_csv
from serving.openapi import body, conditions, forms, problems, query
from serving.problems import ProblemError
from serving.queries import (
    DOCUMENTS,
    HORIZON,
    ROWS,
    chosen,
    frequency_of,
    instant,
    known_model,
    no_forecast,
    pair_of,
    parameters,
    whole_number,
)
from serving.rendering import MEDIA_TYPES, Rendered, documents_csv, json_response
from serving.schemas import BATCH, Batch, Outcomes, Published
from serving.snapshot import UNREADABLE, LiveSnapshot, lake_unreadable, model_of
from serving.validation import batch_request, read_json

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])
batch = APIRouter(prefix="/v1", tags=["forecasts"])

T = TypeVar("T")
_FOR_EVER = "private, max-age=31536000, immutable"


@router.get(
    "/{pair}/latest",
    summary="The newest forecast of a pair",
    response_model=ForecastDocument,
    responses={**forms(cached=True), **problems(404, 422)},
    openapi_extra={"parameters": [*query("model", "frequency", "as_of"), *conditions()]},
)
@router.head("/{pair}/latest", include_in_schema=False)
async def latest(request: Request, pair: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """By default the champion's, at the pair's first frequency.

    `as_of`, an ISO 8601 instant, asks for what was served then: the newest origin among forecasts
    issued by that instant. `stale` and `valid_until` are as of the answer, or of `as_of`.
    """
    asked = parameters(request, "model", "frequency", "as_of")
    spec = pair_of(registry, pair)
    frequency = frequency_of(spec, asked)
    now = datetime.now(UTC)
    snapshot, past = lake.current, instant(asked, "as_of")
    if past is None:
        served = snapshot.of(pair, frequency)
    else:
        now = min(now, past)
        served = await _read(snapshot.as_of, lake.archive, pair, frequency, now)
    rendered = chosen(registry, served, asked.get("model")).render(spec, now)
    return response(rendered, request.scope, time.time())


@router.get(
    "/{pair}",
    summary="Earlier forecasts of a pair, newest first",
    response_model=Published,
    responses={**forms(cached=False), **problems(404, 422)},
    openapi_extra={"parameters": query("model", "frequency", "from", "to", "cursor", limit=DOCUMENTS)},
)
@router.head("/{pair}", include_in_schema=False)
async def published(request: Request, pair: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """Of each origin from `from` to before `to` the newest document, as it was issued.

    By default of the model that is served now. `next`, given as `cursor`, goes on after the last one.
    """
    asked = parameters(request, "model", "frequency", "from", "to", "cursor", "limit")
    spec = pair_of(registry, pair)
    frequency = frequency_of(spec, asked)
    model = _model(registry, lake, pair, frequency, asked)
    limit = whole_number(asked, "limit", DOCUMENTS)
    first, until = instant(asked, "from"), instant(asked, "to")
    past, cursor = lake.past(pair), asked.get("cursor")
    found = await _read(
        lambda: history.page(past, model, frequency, limit=limit, first=first, until=until, cursor=cursor)
    )
    headers = {"cache-control": "no-cache", "vary": "accept"}
    if found.following is not None:
        following = urlencode({**asked, "cursor": found.following})
        headers["link"] = f'<{request.url.path}?{following}>; rel="next"'
    if wants_csv(request.scope):
        return Response(documents_csv(found.documents), media_type=MEDIA_TYPES["csv"], headers=headers)
    documents = [document.model_dump(mode="json") for document in found.documents]
    told = {"pair": pair, "model_id": model, "frequency": frequency, "forecasts": documents, "next": found.following}
    return json_response(told, **headers)


@router.get(
    "/{pair}/versions/{forecast_id}",
    summary="One published forecast, as it was issued; it never changes",
    response_model=ForecastDocument,
    responses={**forms(cached=True), **problems(404, 422)},
    openapi_extra={"parameters": conditions()},
)
@router.head("/{pair}/versions/{forecast_id}", include_in_schema=False)
async def version(request: Request, pair: str, forecast_id: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """The document of that `forecast_id`, with `stale` and the verdict as they were when it was issued."""
    parameters(request)
    pair_of(registry, pair)
    found = await _read(history.version, lake.past(pair), forecast_id)
    if found is None:
        raise ProblemError(404, "unknown_forecast", "No forecast of this pair has that id.")
    made = response(Rendered(found, found.issued_at), request.scope, time.time())
    made.headers["cache-control"] = _FOR_EVER
    return made


@router.get(
    "/{pair}/outcomes",
    summary="Forecasts that came due, beside the prices that came",
    response_model=Outcomes,
    responses=problems(404, 422),
    openapi_extra={"parameters": query("model", "frequency", horizon=HORIZON, limit=ROWS)},
)
async def outcomes(request: Request, pair: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """The newest `limit` forecasts `horizon` bars ahead whose price has come, oldest first.

    Of each origin the first live forecast counts, if it was issued before its target was set.
    """
    asked = parameters(request, "model", "frequency", "horizon", "limit")
    spec = pair_of(registry, pair)
    frequency = frequency_of(spec, asked)
    model = _model(registry, lake, pair, frequency, asked)
    horizon, limit = whole_number(asked, "horizon", HORIZON), whole_number(asked, "limit", ROWS)
    past = lake.past(pair)
    found = await _read(
        lambda: history.outcomes(
            past, lambda: lake.lake.read(bars_table(frequency), pair), model, frequency, horizon=horizon, limit=limit
        )
    )
    told = {"pair": pair, "model_id": model, "frequency": frequency, "horizon": horizon, "outcomes": found}
    return json_response(told, cache_control="no-cache")


@batch.post(
    "/forecasts:batchGet",
    summary="The newest forecasts of several pairs, from one version of the lake",
    response_model=Batch,
    responses=problems(400, 404, 413, 415, 422),
    openapi_extra={"requestBody": body(BATCH)},
)
async def batch_get(request: Request, lake: LakeDep, registry: RegistryDep) -> Response:
    """`pairs`, and `model` and `frequency` for all of them; pairs without such a forecast are listed as missing."""
    asked = batch_request(await read_json(request.scope, request.receive))
    now, snapshot = datetime.now(UTC), lake.current
    documents, missing = [], []
    for pair in asked.pairs:
        spec = pair_of(registry, pair)
        served = snapshot.of(pair, asked.frequency or spec.frequencies[0])
        model = model_of(served, asked.model)
        if model is None or model not in served:
            known_model(registry, asked.model)
            missing.append(pair)
        else:
            documents.append(served[model].render(spec, now).json.content)
    # The documents are bytes already: they are put in as they are.
    told = orjson.dumps({"version": snapshot.version, "missing": missing})
    content = told[:-1] + b',"forecasts":[' + b",".join(documents) + b"]}"
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})


def _model(registry: Any, lake: LiveSnapshot, pair: str, frequency: str, asked: dict[str, str]) -> str:
    """The model asked for, by default the one that is served now. Raises `ProblemError` 404."""
    known_model(registry, asked.get("model"))
    served = lake.current.of(pair, frequency)
    found = model_of(served, asked.get("model"))
    if found is None:
        raise no_forecast(served)
    return found


async def _read(what: Callable[..., T], *arguments: Any) -> T:
    """What a thread reads from the lake. Raises `ProblemError` 503 where it cannot."""
    try:
        return await run_in_threadpool(what, *arguments)
    except UNREADABLE as error:
        raise lake_unreadable("past forecasts") from error
