"""What the tests of checks of raw prices share: rows of any form, and real files as the checks would meet them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.history import current_view
from fx_assets.prices.ingest import Collected, collect
from fx_assets.prices.quality import PriceAudit
from fx_assets.prices.schema import OHLC, conform, polars_schema, schema_of
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from fx_assets.timegrid.blocks import block_expr, period_of
from fx_assets.timegrid.sessions import in_fx_week, trading_date_expr
from tests.prices.conftest import NOW as LATER
from tests.prices.conftest import pair, request

MONDAY = datetime(2024, 1, 7, 22, tzinfo=UTC)  # when the trading date 2024-01-08 begins
MINUTES, HOURS, TICKS = Form("bar", 60, "bid"), Form("bar", 3600, "mid"), Form("tick")
_UTC = pl.Datetime("us", "UTC")


def rows(times: Sequence[datetime], form: Form, prices: Sequence[float], **columns: Any) -> pl.DataFrame:
    """The current view of a stretch: bars with a little range, or ticks that are 0.2 pip wide."""
    schema = schema_of(form.kind)
    frame = pl.DataFrame({"time": pl.Series(times, dtype=_UTC), "close": pl.Series(prices, dtype=pl.Float64)})
    day = trading_date_expr(pl.col("time"))
    if form.kind == "tick":
        bid = pl.col("close")
        frame = frame.select("time", known_at="time", bid=bid, ask=bid + 2e-5, volume=1.0)
    else:
        shifts = {"open": 1.0, "high": 1.0001, "low": 0.9999, "close": 1.0}
        prices_of = {name: pl.col("close") * shifts[name] for name in OHLC}
        frame = frame.with_columns(
            known_at=pl.col("time") + timedelta(seconds=form.seconds), trading_date=day, **prices_of
        )
        frame = frame.with_columns(
            kind=pl.lit(form.kind), seconds=pl.lit(form.seconds, dtype=pl.Int32), side=pl.lit(form.side)
        )
    frame = frame.with_columns(pair=pl.lit("EURUSD"), block=block_expr(day, period_of(form.kind, form.seconds)))
    frame = frame.with_columns(**columns)
    absent = {name: kind for name, kind in polars_schema(schema).items() if name not in frame.columns}
    return conform(frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items()), schema)


def open_times(first: datetime, step: timedelta, n: int) -> list[datetime]:
    """The first `n` times from `first` on at which the market of currencies is open."""
    times = pl.Series("time", [first + i * step for i in range(2 * n)], dtype=_UTC)
    return times.filter(pl.DataFrame(times).select(in_fx_week(pl.col("time"))).to_series()).head(n).to_list()


def walk(n: int, level: float = 1.1) -> list[float]:
    """Prices that move a little at every row."""
    return [level * (1 + 1e-4 * (i * 7 % 11 - 5)) for i in range(n)]


def spec(**changes: Any) -> PairSpec:
    return pair(**{"calendar": "fx", "source": SourceSpec(kind="csv"), **changes})


def audited(frame: pl.DataFrame, form: Form, *, of: PairSpec | None = None, **arguments: Any) -> PriceAudit:
    """An audit that has seen the blocks of `frame`."""
    audit = PriceAudit(of or spec(), form, now=LATER, **arguments)
    for block in frame.partition_by("block", maintain_order=True):
        audit.add(block)
    return audit


def collected(**facts: Any) -> Collected:
    found = Collected("EURUSD", "csv")
    for name, value in facts.items():
        setattr(found, name, value)
    return found


def read(of: PairSpec, folder: Path) -> tuple[Collected, pl.DataFrame]:
    """The real files of a pair's source, cleaned."""
    asked = request(Settings(home=folder, live=False), of)
    found = collect(
        source(of.source.kind).open(asked).batches,
        pair=of.pair,
        source=of.source.kind,
        scratch=folder,
        now=asked.now,
        plausible=of.plausible_range,
        fx_week=of.calendar != "24x7",
    )
    return found, pl.concat([current_view(found.block(name)) for name in found.blocks])


def real(of: str, files: Path, **source_keys: Any) -> PairSpec:
    """The pair as it would be configured for these files."""
    chosen = SourceSpec(files=str(files), **source_keys)
    return pair(of, calendar="fx", source=chosen, history_start=date(2000, 1, 1))
