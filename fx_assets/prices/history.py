"""Prices in two times: `time`, what a price describes, and `known_at`, when it could be known.

Nothing is overwritten. A correction is one more row of the same `time`, known later; a row without prices (`close`
null, of ticks `bid` and `ask`) takes back what was said of its time; each view takes the last known for its moment.
Works alike on RAW_SCHEMA, TICK_SCHEMA and BAR_SCHEMA where a function does not say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from fx_assets.prices.schema import PRICE_COLUMNS, RAW_SCHEMA, TICK_SCHEMA, conform

_MOMENT = timedelta(microseconds=1)
_UTC = pl.Datetime("us", "UTC")
_ORDER = ("time", "known_at")


@dataclass(frozen=True)
class Merged:
    """All rows by `time` and then `known_at`, in the schema they came in; and what the fetch did to them.

    `added`: rows of new times, `late` those of them that were known too late for the past that was published already;
    `corrected`: rows with another price for a known time; `taken_back`: rows that take a price back. `changed`: whether
    `rows` differ from what was there at all.
    """

    rows: pl.DataFrame
    added: int
    corrected: int
    late: int = 0
    taken_back: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything was appended."""
        return self.added + self.corrected + self.taken_back > 0


def merge(
    current: pl.DataFrame | None,
    fetched: pl.DataFrame,
    *,
    now: datetime,
    witnessed: datetime | None = None,
    first_held: datetime | None = None,
) -> Merged:
    """Put what a source says now beside what is known already.

    `current` (None for a new block; else as the last merge left it), `fetched`: RAW_SCHEMA or TICK_SCHEMA rows of one
    pair; `fetched` has each time once with a price, and may have it once without, which takes it back. All instants
    aware.

    A new time is appended as it is, a changed price with `known_at` = `now`, an equal one not at all; nor does an equal
    one bring back what was taken back: only another price does. A time that the source no longer has stays. Prices are
    compared, not counts or volumes.

    `witnessed`: up to which moment the past view of this pair has been published. What would have been known by then
    becomes known `now` (or just after `witnessed`, where a clock went back), so that the past view stays as it was. Not
    so before `first_held`, the first time held of this pair: a longer past keeps its own `known_at`.

    Raises `ValueError` where `fetched` has a time twice, takes back a time that has no price, or the rows are of two
    pairs.
    """
    schema = RAW_SCHEMA if "kind" in fetched.columns else TICK_SCHEMA
    fetched = conform(fetched, schema)
    said, back = fetched.filter(~is_retraction(fetched)), fetched.filter(is_retraction(fetched))
    for name, instant in (("now", now), ("witnessed", witnessed), ("first_held", first_held)):
        if instant is not None:
            _aware(name, instant)
    for rows in (said, back):
        times = rows["time"].sort()
        if (times == times.shift(1)).any():
            raise ValueError(f"fetched: {times.is_duplicated().sum()} rows share their time; expected each once")
    current = _ordered(fetched.clear() if current is None else conform(current, schema))
    _one_pair(current, fetched)

    moment = now if witnessed is None else max(now, witnessed + _MOMENT)
    near = _between(current, fetched["time"])
    late = _late(moment, witnessed, first_held)
    held, there = _places(last_said(near), said["time"])
    added = said.filter(~there)
    late_rows = added.select(late.sum()).item() or 0
    added = added.with_columns(known_at=pl.when(late).then(_at(moment)).otherwise("known_at"))
    corrected = _corrected(held, said.filter(there), near, moment)
    taken = _taken_back(near, [added, corrected], back, late, moment)
    news = [rows.select(schema.names) for rows in (added, corrected, taken) if rows.height]
    return Merged(_appended(current, news), added.height, corrected.height, late_rows, taken.height)


def is_retraction(rows: pl.DataFrame) -> pl.Series:
    """Which rows say no price, and so take back what was said of their time before; Boolean (n,)."""
    names = ["close"] if "close" in rows.columns else ["bid", "ask"]
    return rows.select(pl.all_horizontal(pl.col(name).is_null() for name in names)).to_series()


def current_view(rows: pl.DataFrame) -> pl.DataFrame:
    """The last known row of each `time`, by increasing time, less what was taken back."""
    newest = _newest(rows)
    gone = is_retraction(newest)
    return newest.filter(~gone) if gone.any() else newest


def view_at(rows: pl.DataFrame, when: datetime) -> pl.DataFrame:
    """The view as it was known at `when` (aware), that instant included."""
    _aware("when", when)
    return current_view(rows.filter(pl.col("known_at") <= when))


def last_said(rows: pl.DataFrame) -> pl.DataFrame:
    """The last price that was said of each `time`, by increasing time, also of those that were taken back since."""
    return _newest(rows.filter(~is_retraction(rows)))


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The last row of each `time`; of two known at once, the later in `rows`."""
    rows = _ordered(rows)
    last = (rows["time"] != rows["time"].shift(-1)).fill_null(value=True)
    return rows if last.all() else rows.filter(last)


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` by time and then `known_at`; as they are where they lie so already."""
    times, known = rows["time"], rows["known_at"]
    if times.is_sorted():
        again = times == times.shift(1)
        if not (again & (known < known.shift(1))).any():
            return rows
    return rows.sort(_ORDER, maintain_order=True)


def _between(current: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    """The rows of `current`, by time, from the first of `times` to the last."""
    first, last = times.min(), times.max()
    if not (isinstance(first, datetime) and isinstance(last, datetime)):
        return current.clear()
    begin = current["time"].search_sorted(first, side="left")
    return current.slice(begin, current["time"].search_sorted(last, side="right") - begin)


def _places(known: pl.DataFrame, times: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """The rows of `known` (by time, each once) at `times`, in their order, and which of `times` it has.

    A search, since a join of two whole months of ticks costs ten times as much.
    """
    if known.is_empty():
        return known, pl.repeat(False, len(times), dtype=pl.Boolean, eager=True)
    at = known["time"].search_sorted(times, side="left").clip(upper_bound=known.height - 1)
    there = known["time"].gather(at) == times
    return known[at.filter(there)], there


def _corrected(held: pl.DataFrame, said: pl.DataFrame, near: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """Rows of `said` whose prices differ from those `held` row by row, known from `moment` on."""
    differs = pl.repeat(False, said.height, dtype=pl.Boolean, eager=True)
    for name in PRICE_COLUMNS:
        if name in said.columns:
            differs |= said[name].ne_missing(held[name])
    said = said.filter(differs)
    newest = _places(_newest(near), said["time"])[0]["known_at"]
    # Later than what it corrects even where that was known "in the future" (or a clock went back): else the view
    # would go on showing the old price.
    return said.with_columns(newest=newest).with_columns(
        known_at=pl.max_horizontal(_at(moment), pl.col("newest") + _MOMENT)
    )


def _taken_back(
    near: pl.DataFrame, news: Sequence[pl.DataFrame], back: pl.DataFrame, late: pl.Expr, moment: datetime
) -> pl.DataFrame:
    """The retractions of `back` whose times have a price by now; each known after that price."""
    if back.is_empty():
        return back
    latest = _newest(pl.concat([near, *(rows.select(near.columns) for rows in news)]))
    standing = latest.select("time", newest="known_at", gone=is_retraction(latest))
    both = back.join(standing, on="time", how="left", maintain_order="left")
    if both["gone"].has_nulls():
        first = both.filter(pl.col("gone").is_null())["time"][0]
        raise ValueError(f"fetched: takes back the price of {first}, which has none")
    known_at = pl.max_horizontal(pl.when(late).then(_at(moment)).otherwise("known_at"), pl.col("newest") + _MOMENT)
    return both.filter(~pl.col("gone")).with_columns(known_at=known_at)


def _late(moment: datetime, witnessed: datetime | None, first_held: datetime | None) -> pl.Expr:
    """Whether a row would change the past as it was published."""
    if witnessed is None:
        return pl.lit(value=False)
    late = (pl.col("known_at") <= witnessed) & (pl.col("known_at") < moment)
    return late if first_held is None else late & (pl.col("time") >= first_held)


def _appended(current: pl.DataFrame, news: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not news:
        return current
    fresh = _ordered(pl.concat(news))
    rows = pl.concat([current, fresh])
    if current.height and fresh["time"][0] <= current["time"][-1]:
        return rows.sort(_ORDER, maintain_order=True)
    return rows


def _one_pair(*frames: pl.DataFrame) -> None:
    pairs = sorted({pair for rows in frames for pair in rows["pair"].unique()})
    if len(pairs) > 1:
        raise ValueError(f"expected one pair, got {', '.join(pairs)}")


def _at(instant: datetime) -> pl.Expr:
    return pl.lit(instant).cast(_UTC)


def _aware(name: str, instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError(f"{name} {instant.isoformat()} has no time zone; give it in UTC")
