"""Exogenous series, one value a day, in two times as prices are: what is read, what is kept, what is seen of it.

`time` is the beginning of the date that a value describes, on the series' own clock; `known_at` when it could be known.
Nothing is overwritten: another value of a date is one more row, known later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl
import pyarrow as pa

from fx_assets.prices import history
from fx_assets.prices.batch import no_rejects
from fx_assets.prices.cleaning import FUTURE
from fx_assets.prices.clocks import clock
from fx_assets.prices.history import Merged
from fx_assets.prices.schema import RAW_SCHEMA, conform, polars_schema
from fx_assets.specs.exog import SeriesSpec
from fx_assets.timegrid.blocks import WHOLE

_UTC = pa.timestamp("us", tz="UTC")
_HIGHEST = 1e12
_DAY = timedelta(days=1)

# pair: the series' name. time: the beginning of `date` on the series' clock. era: how many changes of method came
# before, from 0. source: the file. A row whose value is null takes back what was said of its date before.
EXOG_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("time", _UTC),
        pa.field("known_at", _UTC),
        pa.field("date", pa.date32()),
        pa.field("value", pa.float64()),
        pa.field("era", pa.int32()),
        pa.field("source", pa.string()),
    ]
)
# The merge of prices does the merge of values: a value is a close, and its date a trading date.
_AS_PRICE = {"value": "close", "date": "trading_date"}
_AS_VALUE = {price: value for value, price in _AS_PRICE.items()}


@dataclass(frozen=True)
class Dated:
    """Rows with both times: `line`, `time`, `known_at`, `trading_date`, `close`, in the order of the file.

    `rejects`: `line`, `reason`, `raw`. `waiting`: rows left out since they are not known yet.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    waiting: int


@dataclass(frozen=True)
class Hole:
    """Two neighbouring values that lie far apart. `missing`: dates between them on weekdays that usually have one."""

    before: date
    after: date
    missing: int

    @property
    def days(self) -> int:
        """From one value to the next."""
        return (self.after - self.before).days

    def __str__(self) -> str:
        return f"{self.days} days from {self.before} to {self.after}"


def dated(rows: pl.DataFrame, spec: SeriesSpec, *, now: datetime) -> Dated:
    """The rules of a row, and its two times.

    `rows`: `line`, `time` (the stamp, or the date's midnight on the series' clock; UTC) and `close` (the value).
    Rejected: `missing_value`, `not_finite` (above 1e12 too), `in_the_future` (stamped more than 5 minutes after `now`),
    and `nonexistent_time` or `ambiguous_time` where the clock leaves out or repeats the hour of publication. Zero and
    negative values are values. One that is merely out of range stays: the checks fail on it.
    """
    wall, local = clock(spec.known_at.clock), pl.col("time").dt.convert_time_zone(spec.known_at.clock)
    days = rows.select(local.dt.date()).to_series()
    begins = wall.to_utc(days.cast(pl.Datetime("us")))
    if spec.known_at.as_stamped:
        known = pl.DataFrame({"time": rows["time"], "reason": pl.Series([None] * rows.height, dtype=pl.String)})
    else:
        known = wall.to_utc(days.cast(pl.Datetime("us")) + spec.known_at.after_midnight)
    close = pl.col("close")
    rules = {
        "missing_value": close.is_null(),
        "not_finite": ~(close.is_finite() & (close.abs() <= _HIGHEST)),
        "in_the_future": pl.col("time") > now + FUTURE,
    }
    faults = (pl.when(rule.fill_null(value=False)).then(pl.lit(name)) for name, rule in rules.items())
    own = rows.with_columns(
        reason=pl.coalesce(*faults, begins["reason"], known["reason"]),
        stamp=pl.col("time"),
        time=begins["time"],
        known_at=known["time"],
        trading_date=days,
    )
    bad, good = own.filter(pl.col("reason").is_not_null()), own.filter(pl.col("reason").is_null())
    waiting = good["known_at"] > now + FUTURE
    raw = pl.format(
        "time={}, value={}", pl.col("stamp").dt.to_string("iso:strict"), close.cast(pl.String).fill_null("")
    )
    rejects = bad.select(pl.col("line").cast(pl.Int64), "reason", raw=raw) if bad.height else no_rejects()
    return Dated(
        good.filter(~waiting).select("line", "time", "known_at", "trading_date", "close"), rejects, int(waiting.sum())
    )


def exog_rows(rows: pl.DataFrame, *, pair: str, changes: Sequence[date]) -> pl.DataFrame:
    """EXOG_SCHEMA of rows with `time`, `known_at`, `trading_date`, `close` and `source`."""
    eras = [(pl.col("trading_date") >= change).cast(pl.Int32) for change in changes]
    rows = rows.with_columns(
        pair=pl.lit(pair), era=pl.sum_horizontal(eras).cast(pl.Int32) if eras else pl.lit(0, dtype=pl.Int32)
    )
    return conform(rows.rename(_AS_VALUE).select(EXOG_SCHEMA.names), EXOG_SCHEMA)


def merge(
    held: pl.DataFrame | None, fresh: pl.DataFrame, *, changes: Sequence[date], now: datetime
) -> tuple[pl.DataFrame, Merged]:
    """All rows after `fresh` came in, EXOG_SCHEMA by `time` and then `known_at`; and what `prices.history` counted.

    `held` (None at first) and `fresh` (each date once): EXOG_SCHEMA of one series. Another value of a date is known
    from `now` on, and so is a date that fills a hole; the next dates and a longer past keep their own `known_at`.
    """
    witnessed = first_held = None
    if held is not None and held.height:
        first_held = held["time"][0]
        # When its last date was published, the past of the series was on view without what fills a hole now.
        witnessed = held.filter(pl.col("time") == held["time"][-1])["known_at"][0]
    merged = history.merge(
        None if held is None else _as_prices(held),
        _as_prices(fresh),
        now=now,
        witnessed=witnessed,
        first_held=first_held,
    )
    [pair] = merged.rows["pair"].unique().to_list() or [""]
    return exog_rows(merged.rows, pair=pair, changes=changes), merged


def values(rows: pl.DataFrame, when: datetime | None = None) -> pl.DataFrame:
    """The value of each date by increasing time: the last known, or the last known at `when` (aware, inclusive)."""
    prices = rows.rename(_AS_PRICE)
    view = history.current_view(prices) if when is None else history.view_at(prices, when)
    return view.rename(_AS_VALUE)


def holes(dates: pl.Series, limit: int) -> list[Hole]:
    """Where more than `limit` days lie from one of `dates` (increasing, each once) to the next, in order.

    A weekday usually has values where at least half as many dates fall on it as on the commonest: so weekends of an
    index of stocks are not missing.
    """
    weekdays = dict(dates.dt.weekday().value_counts().iter_rows())
    usual = {day for day, count in weekdays.items() if 2 * count >= max(weekdays.values())}
    steps = pl.DataFrame({"before": dates.shift(1), "after": dates})
    wide = steps.filter((pl.col("after") - pl.col("before")).dt.total_days() > limit)
    return [
        Hole(before, after, sum((before + _DAY * n).isoweekday() in usual for n in range(1, (after - before).days)))
        for before, after in wide.iter_rows()
    ]


def out_of_range(view: pl.DataFrame, low: float, high: float) -> pl.DataFrame:
    """The rows whose value is not a number from `low` to `high`."""
    return view.filter(~pl.col("value").is_between(low, high).fill_null(value=False) | pl.col("value").is_nan())


def era_means(view: pl.DataFrame) -> Iterator[tuple[int, int, float, float]]:
    """(era, values, mean, standard deviation; NaN of a single value) of each era that has values."""
    stats = view.group_by("era").agg(
        n=pl.len(), mean=pl.col("value").mean(), deviation=pl.col("value").std().fill_null(float("nan"))
    )
    yield from stats.sort("era").iter_rows()


def _as_prices(rows: pl.DataFrame) -> pl.DataFrame:
    """RAW_SCHEMA: fixings whose close is the value."""
    rows = rows.drop("era").rename(_AS_PRICE)
    told = {"block": pl.lit(WHOLE), "kind": pl.lit("fixing"), "side": pl.lit("mid")}
    rows = rows.with_columns(seconds=pl.lit(0, dtype=pl.Int32), **told)
    absent = {name: kind for name, kind in polars_schema(RAW_SCHEMA).items() if name not in rows.columns}
    return conform(rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items()), RAW_SCHEMA)
