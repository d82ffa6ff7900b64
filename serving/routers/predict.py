"""`POST /v1/models/{model_id}/predict` and `POST /{model_id}/predict`: one pair of routes for each configured model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.models.validation import LARGEST
from fx_assets.specs.schema import ModelSpec
from serving.dependencies import RegistryDep, get_control, get_lake, get_predictions, get_registry
from serving.openapi import problems
from serving.prediction import Forecaster
from serving.registry import Opened, Registry
from serving.validation import predict_request, read_json

Handler = Callable[..., Awaitable[Response]]


def build(registry: Registry) -> APIRouter:
    """Routes of every model of the configs, and one for names that are no model, or a broken one."""
    router = APIRouter(tags=["predict"])
    for spec in registry.catalog.models.values():
        described: dict[str, Any] = {
            "methods": ["POST"],
            "summary": f"Forecast with {spec.model_id}",
            "description": spec.description or spec.kind,
            "response_model": ForecastDocument,
            "responses": problems(400, 404, 409, 410, 413, 415, 422),
            "openapi_extra": _body_schema(spec, registry),
        }
        handler = _handler(spec, registry.catalog.pairs_of(spec))
        for name, path in zip(("predict", "alias"), _paths(spec.model_id), strict=True):
            router.add_api_route(path, handler, name=f"{name}_{spec.model_id}", **described)
    for path in _paths("{model_id}"):
        router.add_api_route(path, _not_a_model, methods=["POST"], include_in_schema=False)
    return router


def handlers(registry: Registry) -> dict[str, Handler]:
    """By address, what answers a prediction there, without any router."""
    models = registry.catalog.models.values()
    return {path: _handler(spec, registry.catalog.pairs_of(spec)) for spec in models for path in _paths(spec.model_id)}


def _paths(model_id: str) -> tuple[str, str]:
    return f"/v1/models/{model_id}/predict", f"/{model_id}/predict"


def _handler(spec: ModelSpec, pairs: tuple[str, ...]) -> Handler:
    # No `Depends`: FastAPI works those out again for each request.
    async def predict(request: Request) -> Response:
        forecaster = Forecaster(get_registry(request), get_lake(request), Opened(get_control(request)))
        asked = predict_request(await read_json(request), pairs)
        run_id = f"http-{request.state.request_id}"
        content = await get_predictions(request).run(
            lambda: forecaster.answer_json(spec, asked, now=datetime.now(UTC), run_id=run_id)
        )
        return Response(content, media_type="application/json", headers={"cache-control": "no-store"})

    return predict


async def _not_a_model(model_id: str, registry: RegistryDep) -> Response:
    registry.spec(model_id)
    raise AssertionError("every model of the configs has a route of its own")


def _body_schema(spec: ModelSpec, registry: Registry) -> dict[str, Any]:
    pair = {"type": "string", "enum": list(registry.catalog.pairs_of(spec))}
    columns = registry.columns(spec)
    close = {"type": "number", "minimum": 1 / LARGEST, "maximum": LARGEST}
    other = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    row = {
        "type": "array",
        "prefixItems": [close, *[other] * (len(columns) - 1)],
        "items": False,
        "minItems": len(columns),
        "maxItems": len(columns),
    }
    rows = {
        "type": "array",
        "items": row,
        "minItems": spec.window,
        "maxItems": spec.window,
        "description": f"Oldest row first; columns: {', '.join(columns)}; a close is under 100 times the one before",
    }
    # A key that may be left out may be null.
    named = {"anyOf": [pair, {"type": "null"}]} if len(pair["enum"]) == 1 else pair
    given: dict[str, Any] = {"data": rows, "pair": named, "as_of": {"type": "null"}}
    own = {"type": "object", "properties": given, "additionalProperties": False}
    own["required"] = ["data"] if len(pair["enum"]) == 1 else ["data", "pair"]
    moment = {"type": ["string", "null"], "format": "date-time", "description": "Forecast as known then; default now"}
    stored = {"type": "object", "properties": {"pair": pair, "as_of": moment}, "additionalProperties": False}
    stored["required"] = ["pair"]
    content = {"application/json": {"schema": {"oneOf": [own, stored]}}}
    return {"requestBody": {"required": True, "content": content}}
