"""Checks of bars. What blocks keeps the last good version in place; the rest only warns."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.calendars import calendar

# Every check by name, and whether it blocks.
CHECKS: dict[str, bool] = {
    "not_empty": True,
    "increasing_times": True,
    "unique_times": True,
    "start_before_end": True,
    "known_from_its_end": True,
    "finite_closes": True,
    "gap_within_limit": False,
}
_DAY = timedelta(days=1)


def check_bars(bars: pl.DataFrame, spec: PairSpec) -> list[CheckOutcome]:
    """One outcome for each of `CHECKS`, in that order. `bars`: BAR_SCHEMA of one pair."""
    step = pl.col("time").diff().dt.total_microseconds()
    sound = (pl.col("close").is_finite() & (pl.col("close") > 0)).fill_null(False)
    return [
        _outcome("not_empty", bars, 0 if bars.height else 1, "no bar at all"),
        _rows_with("increasing_times", bars, step < 0, "start before the one before them"),
        _rows_with("unique_times", bars, pl.col("time").is_duplicated(), "share their start with another"),
        _rows_with(
            "start_before_end", bars, ~(pl.col("time") < pl.col("end")).fill_null(False), "do not end after they start"
        ),
        _rows_with(
            "known_from_its_end",
            bars,
            ~(pl.col("known_at") >= pl.col("end")).fill_null(False),
            "are known before they end",
        ),
        _rows_with("finite_closes", bars, ~sound, "have no finite close above 0"),
        _gap_within_limit(bars, spec),
    ]


def longest_gap(dates: list[date], spec: PairSpec) -> tuple[int, date | None, date | None]:
    """The most open trading dates missing in a row, and the dates around them; 0 and None where none is missing.

    `dates`: increasing trading dates. What is missing before the first or after the last is no gap: that is freshness.
    """
    open_dates = calendar(spec.calendar)
    longest: tuple[int, date | None, date | None] = (0, None, None)
    for before, after in pairwise(dates):
        # Most neighbours are one day apart, and counting is dear only for long gaps.
        if (after - before).days - 1 > longest[0]:
            missing = len(open_dates.days(before + _DAY, after - _DAY))
            if missing > longest[0]:
                longest = (missing, before, after)
    return longest


def _gap_within_limit(bars: pl.DataFrame, spec: PairSpec) -> CheckOutcome:
    missing, before, after = longest_gap(sorted(bars["trading_date"].drop_nulls().to_list()), spec)
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
