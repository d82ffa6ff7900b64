"""Checks of raw prices. What blocks keeps the last good version in place; the rest only warns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from fx_assets.prices.schema import PRICE_COLUMNS
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.calendars import calendar

# Every check by name, and whether it blocks.
CHECKS: dict[str, bool] = {
    "not_empty": True,
    "rejects_within_limit": True,
    "positive_finite": True,
    "plausible_range": True,
    "unique_times": True,
    "not_known_before_its_time": True,
    "not_from_the_future": True,
    "no_weekend_fixings": False,
    "no_holiday_fixings": False,
}
_FUTURE = timedelta(minutes=5)
_SATURDAY = 6  # of Polars, whose week begins with Monday = 1


def check_prices(
    view: pl.DataFrame, rejects: pl.DataFrame, spec: PairSpec, *, now: datetime | None = None
) -> list[CheckOutcome]:
    """One outcome for each of `CHECKS`, in that order.

    `view`: RAW_SCHEMA, the current view; `rejects`: REJECTS_SCHEMA of the same fetch; `now` (aware): what counts as the
    future, the clock's where it is not given.
    """
    return [
        _outcome(
            "not_empty", view.height, bad=0 if view.height else 1, said="no price at all: is the pair in the source?"
        ),
        _rejects_within_limit(view, rejects, spec),
        _positive_finite(view),
        _plausible_range(view, spec),
        _unique_times(view),
        _rows_with("not_known_before_its_time", view, pl.col("known_at") < pl.col("time"), "known before their time"),
        _rows_with(
            "not_from_the_future", view, pl.col("time") > (now or datetime.now(UTC)) + _FUTURE, "from the future"
        ),
        _rows_with(
            "no_weekend_fixings",
            view,
            (pl.col("kind") == "fixing") & (pl.col("trading_date").dt.weekday() >= _SATURDAY),
            "fixings on a Saturday or Sunday",
        ),
        _no_holiday_fixings(view, spec),
    ]


def _outcome(name: str, rows: int, *, bad: int, said: str, **metadata: float | int | str | None) -> CheckOutcome:
    return CheckOutcome(
        name=name,
        passed=not bad,
        blocking=CHECKS[name],
        description=said if bad else "",
        metadata={"rows": rows, "bad": bad, **metadata},
    )


def _rows_with(name: str, view: pl.DataFrame, condition: pl.Expr, said: str) -> CheckOutcome:
    """Fails where `condition` holds for any row; names the first."""
    bad = view.filter(condition)
    first = None if bad.is_empty() else str(bad["time"][0])
    return _outcome(name, view.height, bad=bad.height, said=f"{bad.height} prices {said}, first {first}", first=first)


def _rejects_within_limit(view: pl.DataFrame, rejects: pl.DataFrame, spec: PairSpec) -> CheckOutcome:
    total = view.height + rejects.height
    share = rejects.height / total if total else 0.0
    first = None if rejects.is_empty() else f"line {rejects['line'][0]}: {rejects['reason'][0]}"
    return CheckOutcome(
        name="rejects_within_limit",
        passed=share <= spec.reject_limit,
        blocking=CHECKS["rejects_within_limit"],
        description=""
        if first is None
        else f"{share:.2%} of the rows rejected, limit {spec.reject_limit:.2%}; first {first}",
        metadata={"rejects": rejects.height, "share": share, "limit": spec.reject_limit, "first": first},
    )


def _positive_finite(view: pl.DataFrame) -> CheckOutcome:
    """Every close, and every other price that is there."""
    wrong = [~(pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(name != "close") for name in PRICE_COLUMNS]
    return _rows_with("positive_finite", view, pl.any_horizontal(wrong), "are not finite numbers above 0")


def _plausible_range(view: pl.DataFrame, spec: PairSpec) -> CheckOutcome:
    """Every close, and every other price that is there."""
    low, high = spec.plausible_range
    outside = [~pl.col(name).is_between(low, high).fill_null(name != "close") for name in PRICE_COLUMNS]
    bad = view.filter(pl.any_horizontal(outside))
    first = None if bad.is_empty() else f"{bad['close'][0]} at {bad['time'][0]}"
    closes = view["close"].drop_nulls()
    finite = closes.filter(closes.is_finite()).to_list()  # JSON, and so an outcome, has no NaN
    return _outcome(
        "plausible_range",
        view.height,
        bad=bad.height,
        said=f"{bad.height} prices outside [{low:g}, {high:g}], first {first}: in points, inverted, of another pair?",
        lowest=min(finite, default=None),
        highest=max(finite, default=None),
        first=first,
    )


def _unique_times(view: pl.DataFrame) -> CheckOutcome:
    bad = int(view["time"].is_duplicated().sum())
    return _outcome("unique_times", view.height, bad=bad, said=f"{bad} prices share their time with another")


def _no_holiday_fixings(view: pl.DataFrame, spec: PairSpec) -> CheckOutcome:
    """Weekdays on which the pair's own calendar is closed."""
    dates = calendar(spec.calendar)
    fixings = view.filter((pl.col("kind") == "fixing") & (pl.col("trading_date").dt.weekday() < _SATURDAY))
    closed = [day for day in fixings["trading_date"] if not dates.is_open(day)]
    first = str(closed[0]) if closed else None
    said = f"{len(closed)} fixings on closed days of the calendar {spec.calendar!r}, first {first}"
    return _outcome("no_holiday_fixings", view.height, bad=len(closed), said=said, first=first)
