"""Bars in two times: each version of a bar, and since when it was known.

A bar is first known at its end, if any of its prices were known by then, else with the first of them. Each later moment
at which one of its prices came, was corrected or was taken back is a version of its own, made of the prices as they
were known at that moment, and left out where it says what the version before it said. So the versions are a function
of the raw rows alone, in whatever order and in however many runs these arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl

from fx_assets.bars.grid import placed, placed_by_date
from fx_assets.bars.resample import BLOCK_ROWS, VALUE_SCHEMA, VALUES, Kernel, as_they_are, in_blocks, of_bars, of_quotes
from fx_assets.bars.runs import Runs, microseconds, runs_of
from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.prices.batch import Form
from fx_assets.prices.schema import conform, schema_of
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.blocks import block_expr, period_of
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import makes, name_of, seconds_of
from fx_assets.timegrid.sessions import by_hour, trading_date_expr

_MINUTE, _DAY = 60, 86_400
_BAR = ("start", "end", "trading_date")


def bar_versions(
    raw: pl.DataFrame,
    pair: str,
    frequency: Frequency,
    *,
    form: Form,
    calendar: CalendarName,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Every version of the bars that `raw` makes: BAR_SCHEMA, by `time` and `known_at`.

    `raw`: all versions of the raw prices of `pair` (TICK_SCHEMA or RAW_SCHEMA, as `form` says) in some stretch of whole
    trading dates, for weekly bars of whole weeks, in any order. Its blocks may be given one by one: the bars are the
    same. Bars that have not ended by `now` (aware) are left out. Ticks are made into minutes and the rest of those;
    bars of the wanted length stay as they are; fixings and daily bars go by their `trading_date`. A version whose
    `close` is null takes the bar back: none of its prices stands any more.

    Raises `ValueError` for prices of another pair, kind or length than `form`'s, for a frequency that they cannot make,
    for two rows of one `time` and `known_at`, and for a finer bar that reaches beyond the end of the coarser one.
    """
    if now is not None and now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; give it in UTC")
    if not makes(form.kind, form.seconds, frequency):
        raise ValueError(f"{pair}: {form} cannot be made into bars of {frequency}; ask for whole multiples")
    rows = _checked(raw, pair, form)
    if form.kind == "tick":
        rows = _versions(placed(rows, "1min", calendar), of_quotes)
        if frequency != "1min":
            finest = rows.drop(_BAR[1:]).rename({"start": "time"}).with_columns(gone=pl.col("close").is_null())
            rows = _versions(_placed(finest, pair, frequency, _MINUTE, calendar), of_bars)
    else:
        kernel = as_they_are if form.kind == "bar" and form.seconds == seconds_of(frequency) else of_bars
        if form.kind == "fixing" and frequency == "1d":
            kernel = as_they_are
        rows = _versions(_placed(rows, pair, frequency, form.seconds or _DAY, calendar), kernel)
    if now is not None:
        rows = rows.filter(pl.col("end") <= now)
    return conform(
        rows.rename({"start": "time"}).with_columns(
            pair=pl.lit(pair),
            block=block_expr(pl.col("trading_date"), period_of("bar", seconds_of(frequency))),
            kind=pl.lit("fixing" if form.kind == "fixing" else "bar"),
            side=pl.lit(form.side),
        ),
        BAR_SCHEMA,
    )


def _checked(raw: pl.DataFrame, pair: str, form: Form) -> pl.DataFrame:
    """The rows by `time` and `known_at`, with `gone` where one takes back what was said before."""
    try:
        raw = conform(raw, schema_of(form.kind))
    except ValueError as error:
        raise ValueError(f"{pair}: {error}") from error
    expected: dict[str, object] = {"pair": pair}
    if form.kind != "tick":
        expected |= {"kind": form.kind, "seconds": form.seconds}
    for name, value in expected.items():
        other = raw.filter(pl.col(name).ne_missing(value))
        if not other.is_empty():
            raise ValueError(f"{pair}: price of {other['time'][0]} has {name} {other[name][0]!r}; expected {value!r}")
    if form.kind == "tick":
        rows = raw.select("time", "known_at", "bid", "ask", "volume", gone=_null("bid") & _null("ask"))
    else:
        given = [name for name in VALUES if name in raw.columns]
        spread = (pl.col("ask") - pl.col("bid")).alias("spread")
        rows = raw.select("time", "known_at", "trading_date", *given, spread, gone=_null("close"))
        rows = rows.with_columns(realised_variance=pl.lit(None, pl.Float64))
    for name in ("time", "known_at"):
        if empty := rows[name].null_count():
            raise ValueError(f"{pair}: {empty} rows have no {name}")
    times, known = microseconds(rows["time"]), microseconds(rows["known_at"])
    if not (times[1:] > times[:-1]).all():
        rows = rows.sort("time", "known_at")
        times, known = microseconds(rows["time"]), microseconds(rows["known_at"])
        twice = np.flatnonzero((times[1:] == times[:-1]) & (known[1:] == known[:-1]))
        if twice.size:
            time, at = rows.select("time", "known_at").row(int(twice[0]))
            raise ValueError(
                f"{pair}: {time} has more than one price known at {at}; a correction has to be known later"
            )
    return rows


def _placed(rows: pl.DataFrame, pair: str, frequency: Frequency, seconds: int, calendar: CalendarName) -> pl.DataFrame:
    """`rows`, bars of `seconds`, with `start`, `end` and `trading_date` of the bars of `frequency` they belong to."""
    if seconds >= _DAY:
        if empty := rows["trading_date"].null_count():
            raise ValueError(f"{pair}: {empty} prices have no trading_date; fixings and daily bars go by theirs")
        return placed_by_date(rows, frequency, calendar)
    length = pl.duration(seconds=seconds)
    if seconds == seconds_of(frequency):
        day = by_hour(rows["time"], trading_date_expr).alias("trading_date")
        return rows.with_columns(day, start=pl.col("time"), end=pl.col("time") + length)
    rows = placed(rows, frequency, calendar)
    across = rows.filter(pl.col("time") + length > pl.col("end"))
    if not across.is_empty():
        raise ValueError(
            f"{pair}: the bar of {name_of(seconds)} at {across['time'][0]} reaches beyond {across['end'][0]}, where a "
            f"bar of {frequency} ends; make {frequency} of finer prices, or check the source's clock"
        )
    return rows


def _versions(rows: pl.DataFrame, kernel: Kernel) -> pl.DataFrame:
    """All versions of the bars of `rows` (by `time` and `known_at`): `_BAR`, `known_at` and `VALUES`, sorted."""
    rows = rows.with_columns(when=pl.max_horizontal("known_at", "end"))
    if rows.is_empty():
        return _made(rows, kernel)
    runs = _runs(rows, "start")
    when, times = microseconds(rows["when"]), microseconds(rows["time"])
    several = runs.any(np.append(times[1:] == times[:-1], False)) | runs.any(rows["gone"].to_numpy())
    several |= np.minimum.reduceat(when, runs.starts) != np.maximum.reduceat(when, runs.starts)
    if not several.any():
        return _made(rows, kernel)
    disputed = pl.Series(runs.spread(several))
    known = pl.concat([_made(view, kernel) for view in _views(rows.filter(disputed))])
    return pl.concat([_made(rows.filter(~disputed), kernel), _news(known)]).sort("start", "known_at")


def _views(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of each bar as they were known at each of its moments (`when`), some bars and moments at a time."""
    moments = rows.select("start", "when").unique().sort("start", "when")
    moments = moments.join(rows.group_by("start").agg(rows=pl.len()), on="start", maintain_order="left")
    rows = rows.drop("when")
    # Every moment takes a copy of its bar's rows: at a time only as many as memory is meant to hold.
    parts = moments.with_columns(part=pl.col("rows").cum_sum() // BLOCK_ROWS)
    for part in parts.partition_by("part", maintain_order=True):
        view = part.select("start", "when").join(rows, on="start", maintain_order="left_right")
        view = view.filter(pl.col("known_at") <= pl.col("when"))
        yield view[_runs(view, "start", "when", "time").ends]


def _made(view: pl.DataFrame, kernel: Kernel) -> pl.DataFrame:
    """The bars of `view`, known at `when`. Rows that are `gone` do not count; a bar of those alone has no price."""
    if view.is_empty():
        kinds = {name: view.schema[name] for name in (*_BAR, "when")}
        return pl.DataFrame(schema={**kinds, **VALUE_SCHEMA}).rename({"when": "known_at"})
    runs = _runs(view, "start", "when")
    heads = view[runs.starts].select(*_BAR, known_at="when")
    gone = view["gone"].to_numpy()
    if not gone.any():
        return pl.concat([heads, in_blocks(view, runs, kernel)], how="horizontal")
    lost = pl.Series(~runs.any(~gone))
    made = _made(view.filter(~pl.col("gone")), kernel)
    nothing = (pl.lit(None, kind).alias(name) for name, kind in VALUE_SCHEMA.items())
    return pl.concat([made, heads.filter(lost).with_columns(nothing)]).sort("start", "known_at")


def _news(known: pl.DataFrame) -> pl.DataFrame:
    """Without versions that say what the one before said, and those that take back a bar that never was."""
    first = (pl.col("start") != pl.col("start").shift()).fill_null(True)
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in VALUES)
    return known.filter(pl.when(first).then(pl.col("close").is_not_null()).otherwise(other))


def _runs(rows: pl.DataFrame, *keys: str) -> Runs:
    return runs_of(*(microseconds(rows[key]) for key in keys))


def _null(name: str) -> pl.Expr:
    return pl.col(name).is_null()
