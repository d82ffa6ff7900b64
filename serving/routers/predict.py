"""`POST /v1/models/{model_id}/predict` and `POST /{model_id}/predict`: one pair of routes for each configured model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.specs.schema import ModelSpec
from serving.dependencies import ControlDep, LakeDep, PredictionsDep, RegistryDep
from serving.prediction import Forecaster
from serving.registry import Registry
from serving.rendering import document_json
from serving.validation import PredictRequest, predict_request, read_json

Handler = Callable[..., Awaitable[Response]]


def build(registry: Registry) -> APIRouter:
    """Routes of every model of the configs, and one for names that are no model, or a broken one."""
    router = APIRouter(tags=["predict"])
    for spec in registry.catalog.models.values():
        described: dict[str, Any] = {
            "methods": ["POST"],
            "summary": f"Forecast with {spec.model_id}",
            "description": spec.description or spec.kind,
            "responses": {200: {"model": ForecastDocument}},
            "openapi_extra": _body_schema(spec, registry),
        }
        handler = _handler(spec)
        router.add_api_route(
            f"/v1/models/{spec.model_id}/predict", handler, name=f"predict_{spec.model_id}", **described
        )
        router.add_api_route(f"/{spec.model_id}/predict", handler, name=f"alias_{spec.model_id}", **described)
    for path in ("/v1/models/{model_id}/predict", "/{model_id}/predict"):
        router.add_api_route(path, _not_a_model, methods=["POST"], include_in_schema=False)
    return router


def _handler(spec: ModelSpec) -> Handler:
    async def predict(
        request: Request, registry: RegistryDep, lake: LakeDep, control: ControlDep, predictions: PredictionsDep
    ) -> Response:
        asked = predict_request(await read_json(request), registry.catalog.pairs_of(spec))
        run_id = f"http-{request.state.request_id}"
        return await predictions.run(lambda: _answer(Forecaster(registry, lake, control.open()), spec, asked, run_id))

    return predict


def _answer(forecaster: Forecaster, spec: ModelSpec, asked: PredictRequest, run_id: str) -> Response:
    document = forecaster.answer(spec, asked, now=datetime.now(UTC), run_id=run_id)
    return Response(document_json(document), media_type="application/json", headers={"cache-control": "no-store"})


async def _not_a_model(model_id: str, registry: RegistryDep) -> Response:
    registry.spec(model_id)
    raise AssertionError("every model of the configs has a route of its own")


def _body_schema(spec: ModelSpec, registry: Registry) -> dict[str, Any]:
    pair = {"type": "string", "enum": list(registry.catalog.pairs_of(spec))}
    columns = registry.columns(spec)
    row = {"type": "array", "items": {"type": "number"}, "minItems": len(columns), "maxItems": len(columns)}
    rows = {
        "type": "array",
        "items": row,
        "minItems": spec.window,
        "maxItems": spec.window,
        "description": f"Oldest row first; columns: {', '.join(columns)}",
    }
    own = {"type": "object", "properties": {"data": rows, "pair": pair}, "additionalProperties": False}
    own["required"] = ["data"] if len(pair["enum"]) == 1 else ["data", "pair"]
    moment = {"type": "string", "format": "date-time", "description": "Forecast as known then; default now"}
    stored = {"type": "object", "properties": {"pair": pair, "as_of": moment}, "additionalProperties": False}
    stored["required"] = ["pair"]
    content = {"application/json": {"schema": {"oneOf": [own, stored]}}}
    return {"requestBody": {"required": True, "content": content}}
