"""What OpenAPI says of the routes beyond what FastAPI sees: parameters, forms, headers, problems, keys.

`python -m serving.openapi` prints the document of the installation that the environment names, as docs/openapi.json has
that of the shipped configs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.problems import MEDIA_TYPE
from serving.queries import Bounds

Schema = dict[str, Any]

_INSTANT: Final[Schema] = {"type": "string", "format": "date-time", "maxLength": 40}
_TEXT: Final[Schema] = {"type": "string"}


_QUERY: Final[Mapping[str, tuple[Schema, str]]] = {
    "model": (_TEXT, "A model_id; by default the model that is served, the champion"),
    "frequency": (_TEXT, "Such as 1d; by default the pair's first"),
    "as_of": (_INSTANT, "What was served at that instant, which has its offset"),
    "from": (_INSTANT, "Origins from that instant on"),
    "to": (_INSTANT, "Origins before that instant"),
    "cursor": (_TEXT, "`next` of the page before"),
    "pair": (_TEXT, "A pair, such as EURUSD; needed where the model has several"),
    "pairs": (_TEXT, "Pairs, separated by commas; by default all"),
    "verbose": ({"type": "string", "enum": ["", "true", "1"]}, "Tell of each pair"),
}
_CONDITIONS: Final = ("if-none-match", "if-modified-since")
_DETAILS: Final[Mapping[int, str]] = {
    400: "The request or its body cannot be read",
    401: "No key, or one that is not good",
    403: "The key has not the scope that this needs",
    404: "There is no such pair, model, frequency or forecast",
    406: "The address does not answer in any form of Accept",
    409: "The model's features are not stored and cannot be made here",
    410: "The version of that moment is no longer kept",
    413: "The body is larger than a million bytes",
    415: "The body is not JSON in UTF-8",
    422: "A parameter or the body does not fit; `detail` and `index` say which and how",
    429: "More requests than the key may make",
    500: "The model gave no usable forecast",
    503: "Not ready, too busy, or a store cannot be read; come again",
}
_ALWAYS: Final = (401, 403, 406, 429, 500, 503)


def query(*names: str, **numbers: Bounds) -> list[Schema]:
    """Query parameters by name; `numbers` are whole ones."""
    told = {name: _QUERY[name] for name in names}
    for name, bounds in numbers.items():
        whole = {"type": "integer", "minimum": 1, "maximum": bounds.most, "default": bounds.default}
        told[name] = (whole, bounds.told)
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": words}
        for name, (schema, words) in told.items()
    ]


def conditions() -> list[Schema]:
    """The headers of a conditional read."""
    return [{"name": name, "in": "header", "required": False, "schema": _TEXT} for name in _CONDITIONS]


def problems(*statuses: int, safe: bool = False) -> dict[int | str, Any]:
    """`responses` of a route for what may go wrong; `safe`: a route that needs no key and reads nothing."""
    wanted = sorted({*statuses, *(() if safe else _ALWAYS)})
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DETAILS[status], "content": content} for status in wanted}


def forms(*, cached: bool) -> dict[int | str, Any]:
    """`responses` of a route whose answer is had as JSON or CSV; with `cached` it may be a 304."""
    headers = {name: {"schema": _TEXT} for name in ("etag", "last-modified", "cache-control")}
    ok: Schema = {"description": "As asked for", "content": {"text/csv": {"schema": _TEXT}}}
    if not cached:
        return {200: ok}
    return {200: {**ok, "headers": headers}, 304: {"description": "Not modified", "headers": headers}}


def body(schema: Schema) -> Schema:
    """`requestBody` of JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457; nothing of the request is repeated in it",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable word for programs"},
        "detail": {"type": "string", "description": "A sentence for people"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}


def install(app: FastAPI) -> None:
    """Make `/openapi.json` the whole document: with problems, and with keys where they are asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS
            )
            parts = made.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = _PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                parts["schemas"].pop(unused, None)
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "fxk_..."}}
            made["security"] = [{}, {"key": []}]
            for operations in made["paths"].values():
                for operation in operations.values():
                    _mend(operation)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


_TAGS: Final = [
    {"name": "health", "description": "Is the service there, and has it something to say"},
    {"name": "catalog", "description": "Pairs and models, their versions and certificates"},
    {"name": "forecasts", "description": "What was published, and what came of it"},
    {"name": "stream", "description": "What is published, as it is; /v1/ws does the same and more by WebSocket"},
    {"name": "bars", "description": "The closes that forecasts are made from"},
    {"name": "predict", "description": "Forecasts on demand"},
]


def _mend(operation: dict[str, Any]) -> None:
    """FastAPI says 422 of every route with a parameter, in a form that this service does not use."""
    refused = operation["responses"].get("422")
    if refused is not None and "HTTPValidationError" in json.dumps(refused):
        operation["responses"]["422"] = {
            "description": _DETAILS[422],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    for status in operation["responses"].values():
        status.setdefault("description", HTTPStatus.OK.phrase)


def main() -> None:
    """Print the document of this installation."""
    from serving.app import app

    print(json.dumps(app.openapi(), indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
