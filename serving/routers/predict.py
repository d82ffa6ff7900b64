"""`POST /v1/models/{model_id}/predict` and `POST /{model_id}/predict`: one pair of routes for each configured model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.models.validation import LARGEST
from fx_assets.specs.schema import ModelSpec
from serving.dependencies import RegistryDep, get_control, get_lake, get_predictions, get_registry
from serving.openapi import problems
from serving.prediction import Forecaster, answered
from serving.registry import Opened, Registry
from serving.validation import predict_request, read_json

HEADERS: Final = {"content-type": "application/json", "cache-control": "no-store"}

Answer = Callable[[Scope, Receive], Awaitable[bytes]]


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
        handler = _handler(_answer(spec, registry.catalog.pairs_of(spec)))
        for name, path in zip(("predict", "alias"), _paths(spec.model_id), strict=True):
            router.add_api_route(path, handler, name=f"{name}_{spec.model_id}", **described)
    for path in _paths("{model_id}"):
        router.add_api_route(path, _not_a_model, methods=["POST"], include_in_schema=False)
    return router


def answers(registry: Registry) -> dict[str, Answer]:
    """By address, what works out the document of a prediction there, without any router."""
    models = registry.catalog.models.values()
    return {path: _answer(spec, registry.catalog.pairs_of(spec)) for spec in models for path in _paths(spec.model_id)}


def _paths(model_id: str) -> tuple[str, str]:
    return f"/v1/models/{model_id}/predict", f"/{model_id}/predict"


def _answer(spec: ModelSpec, pairs: tuple[str, ...]) -> Answer:
    async def answer(scope: Scope, receive: Receive) -> bytes:
        held = HTTPConnection(scope)
        forecaster = Forecaster(get_registry(held), get_lake(held), Opened(get_control(held)))
        asked = predict_request(await read_json(scope, receive), pairs)
        return await answered(forecaster, get_predictions(held), spec, asked, f"http-{scope['state']['request_id']}")

    return answer


def _handler(answer: Answer) -> Callable[..., Awaitable[Response]]:
    # No `Depends`: FastAPI works those out again for each request.
    async def predict(request: Request) -> Response:
        return Response(await answer(request.scope, request.receive), headers=HEADERS)

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
