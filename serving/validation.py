"""What a request may say: the body of a prediction, instants of time, and how each is refused.

No message repeats the request: it says what was expected, and what kind of thing was found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from serving.negotiation import JSON, header
from serving.problems import ProblemError

_FIELDS = ("data", "pair", "as_of")
MOST_PAIRS = 500


@dataclass(frozen=True)
class PredictRequest:
    """A checked prediction request: rows of the client's own, or a moment of the lake's history.

    `rows` is still raw: its shape and numbers are checked by the predictor, as they are at night.
    """

    pair: str
    rows: Any | None
    as_of: datetime | None


def parse_instant(text: str, name: str) -> datetime:
    """An ISO 8601 instant with its offset, as UTC. Raises `ProblemError` 422 naming the parameter."""
    expected = f"{name}: expected an ISO 8601 instant with its offset, such as 2026-10-30T16:00:00Z"
    # A '+' that was not escaped arrives as a space; there is only one thing it can have been.
    if len(text) > 40:
        raise ProblemError(422, "invalid_instant", expected)
    candidate = text[:11] + text[11:].replace(" ", "+")
    try:
        instant = datetime.fromisoformat(candidate)
        if instant.tzinfo is None:
            raise ProblemError(422, "invalid_instant", f"{expected}; the offset is missing")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ProblemError(422, "invalid_instant", expected) from error


async def read_json(scope: Scope, receive: Receive) -> Any:
    """The request's JSON. Raises `ProblemError` 415 for another media type, 400 for what is not JSON."""
    _require_json(scope)
    parts = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return decode(parts[0] if len(parts) == 1 else b"".join(parts))


def _require_json(scope: Scope) -> None:
    said = header(scope, b"content-type") or ""
    if said != JSON:
        media, *parameters = (part.strip().lower() for part in said.split(";"))
        foreign_charset = any(
            part.startswith("charset=") and part[8:].strip('"') not in ("utf-8", "utf8") for part in parameters
        )
        if media != JSON or foreign_charset:
            raise ProblemError(415, "unsupported_media_type", "Send the body as application/json in UTF-8.")
    if (header(scope, b"content-encoding") or "identity").strip().lower() != "identity":
        raise ProblemError(415, "unsupported_media_type", "Send the body without Content-Encoding.")


def decode(body: bytes) -> Any:
    """JSON to a value; `NaN`, `Infinity` and `1e999` come through as such, to be refused by their index."""
    if not body.strip():
        raise ProblemError(400, "malformed_json", "The body is empty; expected a JSON object.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # orjson refuses numbers that are not finite without saying where they stand. The slower parser
    # reads them, and so the predictor can name their row and column.
    try:
        return json.loads(body.decode("utf-8"), parse_int=_whole_number)
    except UnicodeDecodeError as error:
        raise ProblemError(400, "malformed_json", f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ProblemError(400, "malformed_json", f"The body is not JSON at character {error.pos}.") from error
    except RecursionError as error:
        raise ProblemError(400, "malformed_json", "The body is nested too deeply.") from error


def _whole_number(digits: str) -> int | float:
    # Beyond 64 bits as a float, as orjson does; thousands of digits are infinity, not an error of int().
    return int(digits) if len(digits) < 19 else float(digits)


def predict_request(value: Any, pairs: tuple[str, ...]) -> PredictRequest:
    """Check the fields of a prediction's body against the model's `pairs`. Raises `ProblemError` 422."""
    if not isinstance(value, dict):
        raise _unfit(f"expected an object with data, or with pair and as_of; got {_kind(value)}")
    unknown = sum(key not in _FIELDS for key in value)
    if unknown:
        raise _unfit(f"expected the fields {', '.join(_FIELDS)}; got {unknown} unknown")
    data, as_of = value.get("data"), value.get("as_of")
    if data is not None and as_of is not None:
        raise _unfit("data and as_of exclude each other: as_of takes the rows from the lake")
    if "data" in value and data is None:
        raise _unfit("data: expected rows, oldest first; got null")
    if data is None and value.get("pair") is None:
        raise _unfit("expected data, or pair; got neither", pairs=list(pairs))
    if as_of is not None and not isinstance(as_of, str):
        raise _unfit(f"as_of: expected text, got {_kind(as_of)}")
    return PredictRequest(
        pair=_pair(value.get("pair"), pairs),
        rows=data,
        as_of=None if as_of is None else parse_instant(as_of, "as_of"),
    )


@dataclass(frozen=True)
class BatchRequest:
    """A checked request for the newest forecasts of several pairs."""

    pairs: tuple[str, ...]
    model: str | None
    frequency: str | None


def batch_request(value: Any) -> BatchRequest:
    """Check the fields of a batchGet's body. Raises `ProblemError` 422."""
    if not isinstance(value, dict):
        raise _unfit(f"expected an object with pairs; got {_kind(value)}")
    unknown = sum(key not in ("pairs", "model", "frequency") for key in value)
    if unknown:
        raise _unfit(f"expected the fields pairs, model, frequency; got {unknown} unknown")
    pairs = value.get("pairs")
    if not isinstance(pairs, list) or not 1 <= len(pairs) <= MOST_PAIRS:
        raise _unfit(f"pairs: expected a list of 1 to {MOST_PAIRS} pairs; got {_kind(pairs)}")
    for place, pair in enumerate(pairs):
        if not isinstance(pair, str):
            raise _unfit(f"pairs: expected text at index {place}; got {_kind(pair)}", index=[place])
    if len(set(pairs)) != len(pairs):
        raise _unfit("pairs: expected each pair once")
    for name in ("model", "frequency"):
        if not isinstance(value.get(name), str | None):
            raise _unfit(f"{name}: expected text; got {_kind(value[name])}")
    return BatchRequest(tuple(pairs), value.get("model"), value.get("frequency"))


def _pair(value: Any, pairs: tuple[str, ...]) -> str:
    if value is None:
        if len(pairs) == 1:
            return pairs[0]
        raise _unfit(f"pair: this model has several, name one of {', '.join(pairs)}", pairs=list(pairs))
    if not isinstance(value, str):
        raise _unfit(f"pair: expected text, got {_kind(value)}", pairs=list(pairs))
    if value not in pairs:
        raise _unfit(f"pair: expected one of {', '.join(pairs)}; got another", pairs=list(pairs))
    return value


def _unfit(detail: str, **extra: Any) -> ProblemError:
    return ProblemError(422, "invalid_input", detail, **extra)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
