"""`/v1/bars/{pair}`: the closes that forecasts are made from, as they are known now."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from fx_assets.features.stored import bars_table
from fx_assets.storage.errors import NoData
from fx_assets.storage.two_times import current_rows
from serving.dependencies import LakeDep, RegistryDep
from serving.openapi import problems, query
from serving.problems import ProblemError
from serving.queries import ROWS, frequency_of, pair_of, parameters, whole_number
from serving.rendering import json_response
from serving.schemas import Bars
from serving.snapshot import UNREADABLE, LiveSnapshot, lake_unreadable

router = APIRouter(prefix="/v1/bars", tags=["bars"])


@router.get(
    "/{pair}",
    summary="The newest closes of a pair, oldest first",
    response_model=Bars,
    responses=problems(404, 422),
    openapi_extra={"parameters": query("frequency", limit=ROWS)},
)
async def bars(request: Request, pair: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """`time` and `end` of each bar in UTC; `close` in quote currency. Corrected bars replace theirs."""
    asked = parameters(request, "frequency", "limit")
    frequency = frequency_of(pair_of(registry, pair), asked)
    limit = whole_number(asked, "limit", ROWS)
    try:
        rows = await run_in_threadpool(_newest, lake, bars_table(frequency), pair, limit)
    except NoData as error:
        raise ProblemError(404, "no_data", "The lake has no bars of this pair yet.") from error
    except UNREADABLE as error:
        raise lake_unreadable("bars") from error
    return json_response({"pair": pair, "frequency": frequency, "bars": rows}, cache_control="no-cache")


def _newest(lake: LiveSnapshot, table: str, pair: str, limit: int) -> list[dict[str, object]]:
    known = current_rows(lake.lake.read(table, pair, columns=["time", "end", "known_at", "close"]))
    rows = known.slice(max(0, known.num_rows - limit)).select(["time", "end", "close"]).to_pylist()
    return [{**row, "time": row["time"].isoformat(), "end": row["end"].isoformat()} for row in rows]
