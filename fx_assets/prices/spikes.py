"""Spikes that revert: prices that were never there, told from crashes that were.

The rule. A row, or a run of up to 3 rows, is a spike where all of this holds, measured in log prices:

1. Its smallest departure from the row before it and from the row after it, on the same side of both, is more than 8
   times the local scale and more than a floor by form: 10 basis points for ticks, 15 for minutes, 40 up to 5 minutes,
   60 up to half an hour, 100 up to an hour, 150 within the day, 200 for days and fixings.
2. The row after is back at the row before, to within a quarter of the departure or 4 times the local scale, whichever
   is more, and never more than half the departure.
3. The 3 rows after, and at least 4 of the 5 rows before, are nearer to that home than half the departure; and the
   departure is more than 4 times the scale of these rows, so that the zigzag of a panic is not taken for errors.
4. It is over soon: 60 seconds after it began for ticks, 4 bars and 4 days (a long weekend) for bars and fixings.

The local scale is 1.4826 times the median absolute return of the 100 rows before (at least 20, else nothing is judged).
Nothing later than the third row after enters, so that row proves the spike: what is known then is all that is used.
A crash survives by recovering late or in part: USDJPY of 2019-01-02 22:00 UTC (hourly, 409 basis points away, back to
within 38 % of that) and the franc of 2015-01-15 do. Judged is the close, of ticks the mid: the high or low of one bar
cannot tell a wrong quote from a flash crash, and stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fx_assets.prices.batch import Form

LONGEST_RUN = 3
SETTLED = 3  # rows after a run that must be back; the last of them proves the spike
CONTEXT = 110  # rows before a row on which its verdict depends, with some to spare
_BEFORE = 5
_STRAY = 1  # of the rows before that may be elsewhere
_SCALE_ROWS, _LEAST_ROWS = 100, 20
_TO_SIGMA = 1.4826  # of a normal distribution, from the median absolute value
_TIMES_SCALE, _TIMES_NEAR_SCALE = 8.0, 4.0
_BACK_SHARE, _BACK_SCALES, _FAR_SHARE = 0.25, 4.0, 0.5
_BASIS_POINT = 1e-4
_DAY = 86_400
# Basis points by the longest bar they are for; above each real move of the kind that came back on the real files.
_FLOORS = ((0, 10.0), (60, 15.0), (300, 40.0), (1_800, 60.0), (3_600, 100.0), (_DAY - 1, 150.0))
_FLOOR_OF_DAYS = 200.0

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FOUND = pl.Schema(
    {
        "row": pl.Int64,
        "proof": pl.Int64,
        "before": pl.Float64,
        "after": pl.Float64,
        "departure_bp": pl.Float64,
        "limit_bp": pl.Float64,
    }
)


def floor_of(form: Form) -> float:
    """The least departure, in basis points, that can be a spike in prices of that form."""
    if form.kind == "fixing":
        return _FLOOR_OF_DAYS
    return next((floor for seconds, floor in _FLOORS if form.seconds <= seconds), _FLOOR_OF_DAYS)


def price_of(form: Form) -> pl.Expr:
    """The price that is judged: the close; of ticks the mid, of the last that each side said where one is blank."""
    if form.kind != "tick":
        return pl.col("close")
    return pl.mean_horizontal(pl.col("bid").forward_fill(), pl.col("ask").forward_fill())


def find(times: pl.Series, prices: pl.Series, form: Form) -> pl.DataFrame:
    """The rows that are spikes by the rule above, in their order.

    `times`: Datetime[us], increasing, each once; `prices`: Float64 above 0, of the same length. Columns: `row`, and
    `proof` (the row that proves it), places from 0; `before` and `after` (the prices around it); `departure_bp` and
    `limit_bp` (what it departed, what it would have had to stay under), in basis points.
    """
    x = np.log(prices.to_numpy())
    microseconds = times.to_physical().to_numpy()
    taken: dict[int, tuple[int, int, float, float, float, float]] = {}
    for length in range(1, LONGEST_RUN + 1):
        for start, departure, limit in _runs(x, microseconds, length, form):
            rows = range(start, start + length)
            if not any(row in taken for row in rows):
                around = prices[start - 1], prices[start + length]
                proof = start + length + SETTLED - 1
                taken |= {row: (row, proof, *around, departure / _BASIS_POINT, limit / _BASIS_POINT) for row in rows}
    return pl.DataFrame([taken[row] for row in sorted(taken)], schema=FOUND, orient="row")


def _runs(x: Floats, times: Places, length: int, form: Form) -> Iterator[tuple[int, float, float]]:
    """Start, departure and limit of each run of `length` rows that is a spike."""
    floor = floor_of(form) * _BASIS_POINT
    steps = np.abs(np.diff(x, prepend=np.nan))
    start = np.flatnonzero(steps > floor)
    start = start[(start > _LEAST_ROWS) & (start + length + SETTLED <= len(x))]
    start = start[times[start + length] - times[start] <= _patience(form) // timedelta(microseconds=1)]
    before, after = x[start - 1], x[start + length]
    run = x[start[:, None] + np.arange(length)]
    above, below = run.min(axis=1) - np.maximum(before, after), np.minimum(before, after) - run.max(axis=1)
    departure = np.maximum(above, below)
    home = (before + after) / 2
    far = _FAR_SHARE * departure[:, None]
    led = np.abs(x[start[:, None] + np.arange(-_BEFORE, 0)] - home[:, None]) <= far
    settled = np.abs(x[start[:, None] + length + np.arange(SETTLED)] - home[:, None]) <= far
    likely = (departure > floor) & (np.abs(after - before) <= _FAR_SHARE * departure)
    likely &= (led.sum(axis=1) >= _BEFORE - _STRAY) & settled.all(axis=1)
    for at in np.flatnonzero(likely):
        first = int(start[at])
        scale = _scale(steps[max(1, first - _SCALE_ROWS) : first])
        near = np.concatenate(
            [steps[first - _BEFORE + 1 : first], steps[first + length + 1 : first + length + SETTLED]]
        )
        limit = max(floor, _TIMES_SCALE * scale, _TIMES_NEAR_SCALE * _scale(near))
        back = max(_BACK_SHARE * departure[at], _BACK_SCALES * scale)
        if departure[at] > limit and abs(after[at] - before[at]) <= back:
            yield first, float(departure[at]), limit


def _scale(returns: Floats) -> float:
    return _TO_SIGMA * float(np.median(returns))


def _patience(form: Form) -> timedelta:
    if form.kind == "tick":
        return timedelta(seconds=60)
    return 4 * timedelta(seconds=form.seconds or _DAY) + timedelta(days=4)


def told(time: datetime, price: float, proof: datetime, found: dict[str, float]) -> str:
    """A spike in words, for the record of rejects."""
    return (
        f"time={time.isoformat()}, price={price:.10g}: {found['departure_bp']:.1f} bp away from {found['before']:.10g} "
        f"before and {found['after']:.10g} after, limit {found['limit_bp']:.1f} bp, back at {proof.isoformat()}"
    )
