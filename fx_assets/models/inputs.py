"""The history of one pair as arrays: what models train on and predict from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import Frequency, ModelSpec
from fx_assets.timegrid.ahead import ends_ahead, hours_of_week, known_ahead
from fx_assets.timegrid.calendars import CalendarName, calendar

if TYPE_CHECKING:
    import pyarrow as pa

    from fx_assets.timegrid.calendars import TradingCalendar

__all__ = ["FloatArray", "InsufficientHistory", "PairHistory", "check_gap", "history", "windows"]

FloatArray = NDArray[np.float64]

# Columns of a feature table that say which bar a row belongs to; all others are features.
_KEYS = frozenset({"pair", "block", "time", "end", "known_at", "trading_date"})


@dataclass(frozen=True, eq=False)
class PairHistory:
    """Rows of one pair, oldest first.

    `ends` (n,) naive datetime64[us] meaning UTC, strictly increasing; `trading_dates` (n,)
    datetime64[D]; `closes` (n,) in quote currency, positive; `features` (n, k) finite, or NaN where there is none;
    `calendar` and `frequency` say which bars are to come.
    Raises `ValueError` where these do not hold.
    """

    pair: str
    ends: NDArray[np.datetime64]
    trading_dates: NDArray[np.datetime64]
    closes: FloatArray
    features: FloatArray
    feature_names: tuple[str, ...] = ()
    calendar: CalendarName = "fx"
    frequency: Frequency = "1d"

    def __post_init__(self) -> None:
        n = len(self.ends)
        shapes = (self.trading_dates.shape, self.closes.shape, self.features.shape)
        if shapes != ((n,), (n,), (n, len(self.feature_names))):
            raise ValueError(
                f"{self.pair}: {n} ends, but trading dates, closes and features have shapes {shapes}; "
                f"expected ({n},), ({n},) and ({n}, {len(self.feature_names)})"
            )
        if np.any(np.diff(self.ends.astype(np.int64)) <= 0):
            raise ValueError(f"{self.pair}: ends do not increase; sort the bars by time and drop twins")
        self._refuse(~(np.isfinite(self.closes) & (self.closes > 0)), "close is not a positive finite price")
        for column, name in enumerate(self.feature_names):
            self._refuse(np.isinf(self.features[:, column]), f"feature {name} is infinite")

    def _refuse(self, bad: NDArray[np.bool_], what: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"{self.pair}: {what} in row {row} ({self.ends[row]} UTC), {int(bad.sum())} rows in all; "
                "materialize its bars and features again"
            )

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def end(self) -> datetime:
        """End of the last bar, aware."""
        moment: datetime = self.ends[-1].astype("datetime64[us]").item()
        return moment.replace(tzinfo=UTC)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a window's columns: the close, then the features."""
        return ("close", *self.feature_names)

    def window(self, i: int, rows: int) -> FloatArray:
        """The `rows` rows that end with row `i`: (rows, 1 + k), oldest first, column 0 the close.

        Raises `InsufficientHistory` where there are fewer, `IndexError` where there is no row `i`.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"{self.pair}: no row {i} among {len(self)}")
        first = i - rows + 1
        if first < 0:
            raise InsufficientHistory(
                f"{self.pair}: a window of {rows} rows ending in row {i} needs {-first} rows more; "
                "start the history earlier or shorten the model's window"
            )
        return np.column_stack([self.closes[first : i + 1], self.features[first : i + 1]])

    def until(self, when: datetime) -> PairHistory:
        """The rows whose bar had ended at `when` (aware)."""
        if when.tzinfo is None:
            raise ValueError("until() needs an aware time; write datetime(..., tzinfo=UTC)")
        limit = np.datetime64(when.astimezone(UTC).replace(tzinfo=None), "us")
        n = int(np.searchsorted(self.ends, limit, side="right"))
        return replace(
            self,
            ends=self.ends[:n],
            trading_dates=self.trading_dates[:n],
            closes=self.closes[:n],
            features=self.features[:n],
        )

    def bare(self) -> PairHistory:
        """The same without features."""
        return replace(self, features=np.empty((len(self), 0)), feature_names=())

    def outcomes(self, rows: NDArray[np.int64], steps: Sequence[int]) -> FloatArray:
        """Cumulative log returns (n, steps) that came after each of `rows` (n,), NaN where the history ends before."""
        at = rows[:, None] + np.asarray(steps)
        known = at < len(self)
        closes = self.closes[np.minimum(at, len(self) - 1)]
        values: FloatArray = np.where(known, np.log(closes / self.closes[rows][:, None]), np.nan)
        return values

    def ahead(self, rows: NDArray[np.int64], horizon: int, columns: Sequence[str]) -> FloatArray | None:
        """What the calendar says of the `horizon` bars after each of `rows` (n,): (n, horizon, columns), or None.

        None where no column is asked for. See `timegrid.ahead` for the columns.
        """
        if not columns:
            return None
        return known_ahead(self.trading_dates[rows], horizon, self.calendar, columns)

    def clock(self, rows: NDArray[np.int64], window: int, horizon: int) -> FloatArray:
        """Hour of the week in New York (`timegrid.ahead.hours_of_week`) of bars: (n, window + horizon, 1).

        They are the `window` bars that end with each of `rows` (n,), as they came, and the `horizon` planned after it.
        """
        past = hours_of_week(self.ends)[rows[:, None] + np.arange(1 - window, 1)]
        ends, _ = ends_ahead(
            self.ends[rows], self.trading_dates[rows], horizon, calendar(self.calendar), self.frequency
        )
        return np.concatenate([past, hours_of_week(ends)], axis=1)[:, :, None].astype(np.float64)


def history(
    pair: str,
    bars: pa.Table,
    features: pa.Table | None = None,
    *,
    calendar: CalendarName = "fx",
    frequency: Frequency = "1d",
) -> PairHistory:
    """Join bars and features of one pair on `time`; any row order.

    Feature rows may begin later (warm-up) or end earlier than the bars: only the common stretch is kept.
    Inside it every bar needs its feature row, for a row left out there would be a hidden gap. A feature row without a
    bar is passed over: that bar was taken back later, or is not known yet.
    Raises `ValueError` for such a hole, twins, rows of another pair, or a missing or NaN value;
    `InsufficientHistory` where nothing is left.
    """
    bar_times, bar_order = _times(pair, bars, "bars")
    kept = bar_order
    names: tuple[str, ...] = ()
    values = np.empty((len(kept), 0))
    if features is not None:
        feature_times, feature_order = _times(pair, features, "features")
        kept, feature_order = _common(pair, bar_times, bar_order, feature_times, feature_order)
        names = tuple(name for name in features.column_names if name not in _KEYS)
        columns = [_numbers(pair, features, name)[feature_order] for name in names]
        values = np.column_stack(columns) if columns else np.empty((len(kept), 0))
    if len(kept) == 0:
        raise InsufficientHistory(
            f"{pair}: no bar has features (bars {len(bar_order)}, features "
            f"{0 if features is None else features.num_rows}); the warm-up may be longer than the history"
        )
    return PairHistory(
        pair=pair,
        ends=_column(pair, bars, "end").astype("datetime64[us]")[kept],
        trading_dates=_column(pair, bars, "trading_date").astype("datetime64[D]")[kept],
        closes=_numbers(pair, bars, "close")[kept],
        features=values,
        feature_names=names,
        calendar=calendar,
        frequency=frequency,
    )


def windows(history: PairHistory, rows: NDArray[np.int64], spec: ModelSpec) -> tuple[FloatArray, FloatArray | None]:
    """What `BasePredictor.predict` takes for the windows that end with `rows` (n,): (n, window, columns), and ahead."""
    batch = np.stack([history.window(int(row), spec.window) for row in rows])
    return batch, coming(history, rows, spec)


def coming(history: PairHistory, rows: NDArray[np.int64], spec: ModelSpec) -> FloatArray | None:
    """What the model is told of times beside the windows that end with `rows` (n,).

    Of the bars to come (n, horizon, known_ahead) or None; for a kind that uses the clock, the hours of the week of the
    window's bars and of those to come: (n, window + horizon, 1).
    """
    if predictor_class(spec.kind).uses_clock:
        return history.clock(rows, spec.window, spec.horizon)
    return history.ahead(rows, spec.horizon, spec.known_ahead)


def check_gap(history: PairHistory, i: int, rows: int, calendar: TradingCalendar, gap_limit: int) -> None:
    """Refuse the window of `rows` rows ending in row `i` if over `gap_limit` open trading dates in a row are missing.

    Raises `InsufficientHistory` naming the longest gap.
    """
    dates = history.trading_dates[max(0, i - rows + 1) : i + 1]
    steps = np.diff(dates).astype(np.int64)
    worst: tuple[int, date, date] | None = None
    for at in np.flatnonzero(steps > gap_limit + 1):  # a gap of open dates is at least as many calendar days
        before, after = _date(dates[at]), _date(dates[at + 1])
        missing = sum(before < day < after for day in calendar.days(before, after))
        if missing > gap_limit and (worst is None or missing > worst[0]):
            worst = (missing, before, after)
    if worst is not None:
        missing, before, after = worst
        raise InsufficientHistory(
            f"{history.pair}: {missing} open trading dates without a price between {before} and {after}, "
            f"inside the {rows} rows up to {dates[-1]}; at most {gap_limit} are allowed. "
            "Fill the gap at its source, or raise gap_limit in the pair's file"
        )


def _date(value: Any) -> date:
    converted = value.astype("datetime64[D]").astype(object)
    assert isinstance(converted, date)
    return converted


def _times(pair: str, table: pa.Table, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted times of the rows in microseconds, and the row numbers in that order."""
    if "pair" in table.column_names:
        others = sorted(set(table.column("pair").unique().to_pylist()) - {pair}, key=str)
        if others:
            raise ValueError(f"{pair}: the {what} hold rows of {others[0]}; read one pair at a time")
    times = _column(pair, table, "time").astype("datetime64[us]").astype(np.int64)
    order = np.argsort(times, kind="stable").astype(np.int64)
    ordered = times[order]
    twins = np.flatnonzero(np.diff(ordered) == 0)
    if len(twins):
        when = ordered[twins[0]].astype("datetime64[us]")
        raise ValueError(f"{pair}: two rows of the {what} have the time {when} UTC; materialize them again")
    return ordered, order


def _common(
    pair: str,
    bar_times: NDArray[np.int64],
    bar_order: NDArray[np.int64],
    feature_times: NDArray[np.int64],
    feature_order: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the bars and of the features over the stretch that both cover."""
    if len(bar_times) == 0 or len(feature_times) == 0:
        return bar_order[:0], feature_order[:0]
    first = max(bar_times[0], feature_times[0])
    last = min(bar_times[-1], feature_times[-1])
    bars = (bar_times >= first) & (bar_times <= last)
    rows = (feature_times >= first) & (feature_times <= last)
    rows &= np.isin(feature_times, bar_times, assume_unique=True)
    bare = np.setdiff1d(bar_times[bars], feature_times[rows], assume_unique=True)
    if len(bare):
        raise ValueError(
            f"{pair}: the bar has no feature row at {bare[0].astype('datetime64[us]')} UTC, {len(bare)} such bars in "
            "all; materialize its features again"
        )
    return bar_order[bars], feature_order[rows]


def _column(pair: str, table: pa.Table, name: str) -> NDArray[Any]:
    if name not in table.column_names:
        raise ValueError(f"{pair}: no column {name!r}; the table has {', '.join(table.column_names)}")
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"{pair}: column {name} has {column.null_count} empty rows; materialize it again")
    values: NDArray[Any] = column.to_numpy()
    return values


def _numbers(pair: str, table: pa.Table, name: str) -> FloatArray:
    return np.asarray(_column(pair, table, name), dtype=np.float64)
