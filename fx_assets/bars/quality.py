"""Checks of bars of any frequency. What blocks keeps the last good version in place; the rest only warns.

They look at the bars that were made anew and at every version of them, so that a nightly append does not read history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from fx_assets.prices.schema import OHLC
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.blocks import dates_of
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.sessions import by_hour, trading_date_expr

# Every check by name, and whether it blocks.
CHECKS: dict[str, bool] = {
    "not_empty": True,
    "increasing_times": True,
    "unique_times": True,
    "start_before_end": True,
    "known_from_its_end": True,
    "finite_closes": True,
    "ohlc_consistent": True,
    "no_invented_bars": False,
    "gap_within_limit": False,
}
_DAY = timedelta(days=1)
_LONG = timedelta(days=2)  # a trading date has 25 hours at most, a week has more than 100
_SATURDAY = 6  # Polars counts weekdays from Monday, 1

Gap = tuple[int, date | None, date | None]


def check_bars(bars: pl.DataFrame, spec: PairSpec) -> list[CheckOutcome]:
    """One outcome for each of `CHECKS`, in that order.

    `bars`: BAR_SCHEMA of one pair and frequency, by `time` and `known_at`: of some blocks, not of parts of a bar.
    """
    step, known = (pl.col(name).diff().dt.total_microseconds() for name in ("time", "known_at"))
    backwards = (step < 0) | ((step == 0) & (known < 0))
    lasting = pl.col("time").ne_missing(pl.col("time").shift(-1))
    sound = pl.col("close").is_finite() & (pl.col("close") > 0)
    # A version without a close takes the bar back, which has to have been there before.
    took_back = pl.col("close").is_null() & (step.is_null() | (step != 0))
    low, high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    torn = (pl.col("low") > low) | (pl.col("high") < high) | (pl.col("low") > pl.col("high"))
    weekend = pl.col("trading_date").dt.weekday() >= _SATURDAY
    return [
        _outcome("not_empty", bars, 0 if bars.height else 1, "no bar at all"),
        _rows_with("increasing_times", bars, backwards, "start, or are known, before the one before them"),
        _rows_with(
            "unique_times",
            bars,
            pl.struct("time", "known_at").is_duplicated(),
            "share their start, and since when they are known, with another",
        ),
        _rows_with("start_before_end", bars, _not(pl.col("time") < pl.col("end")), "do not end after they start"),
        _rows_with("known_from_its_end", bars, _not(pl.col("known_at") >= pl.col("end")), "are known before they end"),
        _rows_with("finite_closes", bars, (lasting & ~sound) | took_back, "have no finite close above 0"),
        _rows_with("ohlc_consistent", bars, torn, f"have {', '.join(OHLC)} that contradict each other"),
        _rows_with(
            "no_invented_bars",
            bars,
            weekend & pl.lit(spec.calendar != "24x7"),
            "lie between Friday and Sunday 17:00 New York, when the market is closed",
        ),
        _gap_within_limit(bars, spec),
    ]


def longest_gap(dates: Sequence[date], spec: PairSpec, *, since: Sequence[date] | None = None) -> Gap:
    """The most open trading dates missing in a row, and the dates around them; 0 and None where none is missing.

    `dates`: increasing trading dates; `since`: the first date that each of them stands for, where they stand for weeks.
    What is missing before the first or after the last is no gap: that is freshness.
    """
    open_dates = calendar(spec.calendar)
    longest: Gap = (0, None, None)
    for before, begin, after in zip(dates[:-1], (since or dates)[1:], dates[1:], strict=True):
        # Most neighbours are one day apart, and counting is dear only for long gaps.
        if (begin - before).days - 1 > longest[0]:
            missing = len(open_dates.days(before + _DAY, begin - _DAY))
            if missing > longest[0]:
                longest = (missing, before, after)
    return longest


def _gap_within_limit(bars: pl.DataFrame, spec: PairSpec) -> CheckOutcome:
    missing, before, after = max(
        (longest_gap(dates, spec, since=since) for dates, since in _stretches(bars)),
        key=lambda gap: gap[0],
        default=(0, None, None),
    )
    return CheckOutcome(
        name="gap_within_limit",
        passed=missing <= spec.gap_limit,
        blocking=CHECKS["gap_within_limit"],
        description="" if not missing else f"longest gap: {missing} open dates between {before} and {after}",
        metadata={
            "longest_gap": missing,
            "limit": spec.gap_limit,
            "before": None if before is None else str(before),
            "after": None if after is None else str(after),
        },
    )


def _stretches(bars: pl.DataFrame) -> list[tuple[list[date], list[date]]]:
    """Last and first dates of the bars that stand, of each row of blocks that follow each other without a break."""
    standing = bars.filter(pl.col("time").ne_missing(pl.col("time").shift(-1)) & pl.col("close").is_not_null())
    if standing.is_empty():
        return []
    day = pl.col("trading_date")
    long = pl.col("end") - pl.col("time") > _LONG
    first = pl.when(long).then(by_hour(standing["time"], trading_date_expr)).otherwise(day)
    standing = standing.select("block", day, first=first).drop_nulls("trading_date").unique().sort("trading_date")
    found: list[tuple[list[date], list[date]]] = []
    after: date | None = None
    for part in standing.partition_by("block", maintain_order=True):
        begin, last = dates_of(part["block"][0])
        if begin != after:
            found.append(([], []))
        found[-1][0].extend(part["trading_date"].to_list())
        found[-1][1].extend(part["first"].to_list())
        after = last + _DAY if last < date.max else None
    return found


def _not(condition: pl.Expr) -> pl.Expr:
    return ~condition.fill_null(value=False)


def _rows_with(name: str, bars: pl.DataFrame, condition: pl.Expr, said: str) -> CheckOutcome:
    """Fails where `condition` holds for any row; names the first."""
    bad = bars.filter(condition)
    first = None if bad.is_empty() else str(bad["time"][0])
    return _outcome(name, bars, bad.height, f"{bad.height} bars {said}, first {first}", first)


def _outcome(name: str, bars: pl.DataFrame, bad: int, said: str, first: str | None = None) -> CheckOutcome:
    return CheckOutcome(
        name=name,
        passed=not bad,
        blocking=CHECKS[name],
        description=said if bad else "",
        metadata={"rows": bars.height, "bad": bad, "first": first},
    )
