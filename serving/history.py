"""What was published of a pair, page by page, and what came of it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.forecasting.document import ForecastDocument, forecast_id
from fx_assets.forecasting.table import identified, newest
from fx_assets.storage.two_times import current_rows
from serving.archive import Past
from serving.problems import ProblemError

_CHOSEN_BY = ("model_id", "frequency", "h", "revision", "retrospective")


@dataclass(frozen=True)
class Page:
    """Documents, newest origin first, and the cursor of what comes after them; None where that is nothing."""

    documents: list[ForecastDocument]
    following: str | None


def page(
    past: Past,
    model_id: str,
    frequency: str,
    *,
    limit: int,
    first: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
) -> Page:
    """Of each origin from `first` to before `until` (aware) the newest document of the model.

    `cursor` goes on after an earlier page; a document that is published meanwhile moves nothing. Raises `ProblemError`
    422 for a cursor that no page gave, `UNREADABLE`.
    """
    found = past.entries(model_id=model_id, frequency=frequency)
    heads = newest(found, lambda entry: entry.key, lambda key: key["origin"])
    after = None if cursor is None else _decoded(cursor)
    origins = [
        origin
        for origin in sorted(heads, reverse=True)
        if (first is None or origin >= first)
        and (until is None or origin < until)
        and (after is None or origin < after)
    ]
    chosen = origins[:limit]
    shown = [identified(document) for document in past.documents([heads[origin] for origin in chosen])]
    return Page(shown, _encoded(chosen[-1]) if len(origins) > limit else None)


def version(past: Past, name: str) -> ForecastDocument | None:
    """The document of that `forecast_id`; None where there is none. Raises `UNREADABLE`."""
    day = name[:8]
    for entry in past.entries():
        if f"{entry.key['origin'].astimezone(UTC):%Y%m%d}" == day and forecast_id(entry.key) == name:
            return identified(past.documents([entry])[0])
    return None


def outcomes(
    past: Past, bars: Callable[[], pa.Table], model_id: str, frequency: str, *, horizon: int, limit: int
) -> list[dict[str, Any]]:
    """The newest `limit` forecasts `horizon` bars ahead whose price has come, oldest first, each with it.

    Of each origin the first live one counts, and only if it was issued before its target was set. `bars`: gives every
    version of each, of which the current one is taken. Raises `UNREADABLE`.
    """
    entries = past.entries(model_id=model_id, frequency=frequency)
    if not entries:
        return []
    wanted = "target_date" if frequency in ("1d", "1w") else "target_time"
    columns = dict.fromkeys(
        (*_CHOSEN_BY, "origin", "issued_at", "target_time", wanted, "median", "levels", "quantiles")
    )
    told = past.rows(entries, list(columns))
    kept = pc.and_(pc.equal(told.column("model_id"), model_id), pc.equal(told.column("frequency"), frequency))
    kept = pc.and_(kept, pc.equal(told.column("h"), horizon))
    kept = pc.and_(kept, pc.and_(pc.equal(told.column("revision"), "live"), pc.invert(told.column("retrospective"))))
    rows = told.filter(kept).sort_by([("origin", "ascending"), ("issued_at", "ascending")])
    prices = _prices(bars(), frequency)
    found: dict[datetime, dict[str, Any]] = {}
    for row in rows.to_pylist():
        close = prices.get(row[wanted])
        if close is not None and row["origin"] not in found:
            found[row["origin"]] = _outcome(row, close)
    return list(found.values())[-limit:]


def _outcome(row: dict[str, Any], close: float) -> dict[str, Any]:
    quantiles = {f"{level:g}": price for level, price in zip(row["levels"], row["quantiles"], strict=True)}
    low, high = quantiles.get("0.1"), quantiles.get("0.9")
    return {
        "origin": row["origin"].isoformat(),
        "issued_at": row["issued_at"].isoformat(),
        "target_time": row["target_time"].isoformat(),
        "median": row["median"],
        "quantiles": quantiles,
        "close": close,
        "inside_80": None if low is None or high is None else low <= close <= high,
    }


def _prices(bars: pa.Table, frequency: str) -> dict[date | datetime, float]:
    """Current closes by trading date, of shorter bars by their end."""
    today = current_rows(bars)
    name = "trading_date" if frequency in ("1d", "1w") else "end"
    return dict(zip(today.column(name).to_pylist(), today.column("close").to_pylist(), strict=True))


def _encoded(origin: datetime) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([origin.astimezone(UTC).isoformat()])).decode().rstrip("=")


def _decoded(cursor: str) -> datetime:
    wrong = ProblemError(422, "invalid_cursor", "cursor: expected what `next` of an earlier page said.")
    if len(cursor) > 100:
        raise wrong
    try:
        (text,) = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        origin = datetime.fromisoformat(text)
    except (binascii.Error, ValueError, TypeError) as error:
        raise wrong from error
    if origin.tzinfo is None:
        raise wrong
    return origin
