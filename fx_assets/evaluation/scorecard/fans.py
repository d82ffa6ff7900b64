"""Which of the forecasts that came due are drawn with what happened: the newest ones that do not overlap."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.pictures.fans import fan_with_outcomes
from fx_assets.forecasting.champion import served_by_default
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import documents, latest
from fx_assets.storage.two_times import current_rows

FANS = 4


def champions_fans(rows: pa.Table, forecasts: pa.Table, bars: pa.Table) -> bytes | None:
    """`fans` of the model that is served; `bars`: every version of each."""
    champion = served_by_default(latest(forecasts))
    return None if champion is None else fans(rows, forecasts, current_rows(bars), champion.model_id)


def fans(rows: pa.Table, forecasts: pa.Table, bars: pa.Table, model_id: str) -> bytes | None:
    """PNG of a model's newest counted forecasts with the prices that came; None where no price has come yet.

    `rows` as of `card.scorecard`, `forecasts` the forecasts of one pair that they were made from, `bars` current rows
    of the pair (`pair`, `trading_date`, `end`, `close`).
    """
    own = rows.filter(pc.and_(pc.equal(rows.column("model_id"), model_id), rows.column("outcome").is_valid()))
    if not own.num_rows:
        return None
    counted = pa.table({"origin": own.column("origin"), "issued_at": own.column("issued_at")})
    asked = forecasts.filter(pc.equal(forecasts.column("model_id"), model_id))
    keys = set(zip(*(counted.column(name).to_pylist() for name in counted.column_names), strict=True))
    mask = [key in keys for key in zip(*(asked.column(n).to_pylist() for n in counted.column_names), strict=True)]
    made = sorted(documents(asked.filter(pa.array(mask, pa.bool_()))), key=lambda one: one.origin)
    return fan_with_outcomes(bars, _apart(made), bars)


def _apart(made: list[ForecastDocument]) -> list[ForecastDocument]:
    """From the newest one back, each that ends before the one after it begins."""
    kept: list[ForecastDocument] = []
    for document in reversed(made):
        if not kept or document.horizons[-1].target_time <= kept[-1].origin:
            kept.append(document)
        if len(kept) == FANS:
            break
    return kept
