"""`EvaluationWindow`: the only place of the project that cuts data into training, validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fx_assets.timegrid.trading_dates import bar_start, trading_date_of

Part = Literal["train", "validation", "test"]
Period = Literal["day", "month", "quarter", "year"]
Ends = NDArray[np.datetime64]  # datetime64[us] without a zone, meaning UTC
_INSTANT = timedelta(microseconds=1)
_DAYS_A_YEAR = 365.25
# From the start of a period this far lies in the next one.
_LONGEST: dict[Period, timedelta] = {
    "day": timedelta(days=1),
    "month": timedelta(days=31),
    "quarter": timedelta(days=92),
    "year": timedelta(days=366),
}


@dataclass(frozen=True)
class EvaluationWindow:
    """Three cuts in time (aware). Everything a part learns from or is judged by lies between its cuts.

    A row belongs to training up to and including `train_until`, to validation up to `validate_until`, to the test up
    to `test_until`. With an embargo the test begins at `test_from`, and what lies between belongs to no part. Raises
    `ValueError` where a cut has no time zone or the cuts are out of order.
    """

    train_until: datetime
    validate_until: datetime
    test_until: datetime
    test_from: datetime | None = None

    def __post_init__(self) -> None:
        cuts = {
            "train_until": self.train_until,
            "validate_until": self.validate_until,
            **({} if self.test_from is None else {"test_from": self.test_from}),
            "test_until": self.test_until,
        }
        for name, cut in cuts.items():
            if cut.tzinfo is None:
                raise ValueError(f"{name} {cut.isoformat()} has no time zone; give it in UTC")
        begin = self.validate_until if self.test_from is None else self.test_from
        if not self.train_until < self.validate_until <= begin < self.test_until:
            said = ", ".join(f"{name} {cut.isoformat()}" for name, cut in cuts.items())
            raise ValueError(f"expected train_until < validate_until <= test_from < test_until, got {said}")

    @classmethod
    def held_out_year(cls, ends: Ends, *, refit_every: Period, validation_years: float = 2) -> EvaluationWindow:
        """Hold out the last year for the test, and the `validation_years` before it for validation.

        `ends` (n,): bar ends, datetime64[us] in UTC, increasing. The cuts depend only on the refit period that the last
        trading date lies in, so that a longer history trains anew once a period and not every night; the test thus
        spans a year and up to one period more. Raises `ValueError` that begins with `insufficient_history` where no
        row is left to train on.
        """
        ends = _checked(ends)
        if not len(ends):
            raise ValueError("insufficient_history: there is no bar at all")
        if not validation_years > 0:
            raise ValueError(f"validation_years: expected more than 0, got {validation_years}")
        # A bar that ends at the roll belongs to the date that ends there, not to the one that begins.
        last = trading_date_of(_aware(ends[-1]) - _INSTANT)
        first_test_date = _years_before(_period_start(last, refit_every), 1)
        first_validation_date = _years_before(first_test_date, validation_years)
        # A bar start is also the end of the trading date before it: rows at the cut are the earlier part's.
        window = cls(bar_start(first_validation_date), bar_start(first_test_date), _aware(ends[-1]))
        if ends[0] > _naive(window.train_until):
            raise ValueError(
                f"insufficient_history: bars from {_aware(ends[0]).isoformat()} to {window.test_until.isoformat()} "
                f"leave none before {window.train_until.isoformat()} to train on, after a year of test and "
                f"{validation_years:g} years of validation"
            )
        return window

    @classmethod
    def after(cls, cut: datetime, ends: Ends) -> EvaluationWindow:
        """A window whose test is everything from `cut` (aware) to the last of `ends`: what a model has never seen.

        Raises `ValueError` where nothing comes after the cut.
        """
        return cls(cut - _INSTANT, cut, _aware(_checked(ends)[-1]))

    @classmethod
    def walk_forward(
        cls, ends: Ends, *, first: date, refit_every: Period, validation_years: float = 2, embargo: int = 0
    ) -> list[EvaluationWindow]:
        """One fold for each refit period from the one that trading date `first` lies in to the last bar, oldest first.

        `ends` (n,): bar ends, datetime64[us] in UTC, increasing. The tests of neighbouring folds meet without a gap;
        each fold's validation ends `embargo` rows before its test begins, and its training `validation_years` before
        that. A longer history adds rows to the last fold, or folds; it changes no other one. Periods that leave no row
        to train on are passed over. Raises `ValueError` that begins with `insufficient_history` where all do.
        """
        ends = _checked(ends)
        if embargo < 0 or not validation_years > 0:
            raise ValueError(f"expected an embargo of 0 or more and validation years above 0, got {embargo}")
        if not len(ends):
            raise ValueError("insufficient_history: there is no bar at all")
        last = trading_date_of(_aware(ends[-1]) - _INSTANT)
        starts = list(_periods(first, last, refit_every))
        # A cut is the end of the last row before the period, so that this row is an origin of it, weekend or not.
        rows = [int(np.searchsorted(ends, _naive(bar_start(day)), side="right")) - 1 for day in starts]
        folds = []
        for day, row, following in zip(starts, rows, [*rows, len(ends) - 1][1:], strict=True):
            learned, train_until = row - embargo, bar_start(_years_before(day, validation_years))
            if learned < 0 or following <= row or ends[learned] <= _naive(train_until) or ends[0] > _naive(train_until):
                continue
            begin = _aware(ends[row])
            folds.append(cls(train_until, _aware(ends[learned]), _aware(ends[following]), begin if embargo else None))
        if not folds:
            raise ValueError(
                f"insufficient_history: bars from {_aware(ends[0]).isoformat()} to {_aware(ends[-1]).isoformat()} "
                f"leave none to train on, {validation_years:g} years of validation before a test from {first} on"
            )
        return folds

    def origins(self, ends: Ends, *, window: int, horizon: int, part: Part) -> NDArray[np.int64]:
        """Rows from which `part` may forecast: indices of the last row of each input window.

        `ends` (n,): bar ends, datetime64[us] in UTC, increasing. For each index i returned, the input rows
        i-window+1..i and the target rows i+1..i+horizon exist, all target rows lie in `part`, and none lies in another
        part: forecasts whose target crosses a cut are left out (purged by `horizon`). Inputs may reach back into the
        part before, never forward. Raises `ValueError` for a window or horizon under 1.
        """
        if window < 1 or horizon < 1:
            raise ValueError(f"expected a window and a horizon of 1 or more, got {window} and {horizon}")
        ends = _checked(ends)
        begin, until = self._bounds(part)
        rows = np.arange(window - 1, len(ends) - horizon, dtype=np.int64)
        fits = ends[rows + horizon] <= _naive(until)
        if begin is not None:
            fits &= ends[rows] >= _naive(begin)
        return rows[fits]

    def folds(self, ends: Ends, count: int, *, share: float = 0.5) -> list[EvaluationWindow]:
        """Walk-forward folds inside the training part, oldest first, for choices that may see no later row.

        The last `share` of the training rows is cut into `count` + 1 equal stretches: fold k trains on what lies
        before stretch k, stops by stretch k (its validation) and is judged on stretch k + 1 (its test). Raises
        `ValueError` (`insufficient_history`) where a stretch would be empty.
        """
        if count < 1 or not 0 < share < 1:
            raise ValueError(f"expected one fold or more and a share between 0 and 1, got {count} and {share}")
        rows = int(np.searchsorted(_checked(ends), _naive(self.train_until), side="right"))
        cuts = np.linspace(rows * (1 - share), rows, count + 2).astype(np.int64) - 1
        if cuts[0] < 0 or (np.diff(cuts) < 1).any():
            raise ValueError(f"insufficient_history: {rows} training rows cannot be cut into {count} folds")
        at = [_aware(ends[cut]) for cut in cuts]
        return [type(self)(at[k], at[k + 1], at[k + 2]) for k in range(count)]

    @staticmethod
    def independent(n: int, horizon: int) -> int:
        """How many of `n` forecasts from neighbouring origins have targets that do not overlap.

        Raises `ValueError` for a negative `n` or a horizon under 1.
        """
        if n < 0 or horizon < 1:
            raise ValueError(f"expected n of 0 or more and a horizon of 1 or more, got {n} and {horizon}")
        return -(-n // horizon)

    def _bounds(self, part: Part) -> tuple[datetime | None, datetime]:
        if part == "train":
            return None, self.train_until
        if part == "validation":
            return self.train_until, self.validate_until
        if part == "test":
            return self.validate_until if self.test_from is None else self.test_from, self.test_until
        raise ValueError(f"part {part!r} is unknown; expected train, validation or test")


def _checked(ends: Ends) -> Ends:
    if ends.dtype != np.dtype("datetime64[us]") or ends.ndim != 1:
        raise ValueError(f"ends: expected datetime64[us] of shape (n,), got {ends.dtype} of shape {ends.shape}")
    if np.isnat(ends).any() or not (ends[1:] > ends[:-1]).all():
        raise ValueError("ends: expected increasing times, each once")
    return ends


def _naive(t: datetime) -> np.datetime64:
    return np.datetime64(t.astimezone(UTC).replace(tzinfo=None), "us")


def _aware(t: np.datetime64) -> datetime:
    value: datetime = t.astype("datetime64[us]").item()
    return value.replace(tzinfo=UTC)


def _period_start(day: date, period: Period) -> date:
    if period == "day":
        return day
    if period == "month":
        return day.replace(day=1)
    if period == "quarter":
        return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    if period == "year":
        return date(day.year, 1, 1)
    raise ValueError(f"refit_every {period!r} is unknown; expected day, month, quarter or year")


def _periods(first: date, last: date, period: Period) -> Iterator[date]:
    """First days of the periods from that of `first` to that of `last`."""
    start = _period_start(first, period)
    while start <= last:
        yield start
        start = _period_start(start + _LONGEST[period], period)


def _years_before(day: date, years: float) -> date:
    """`day` less whole calendar years (29 February becomes the 28th) and the rest in days."""
    whole = int(years)
    try:
        shifted = day.replace(year=day.year - whole)
    except ValueError:
        shifted = date(day.year - whole, 2, 28)
    return shifted - timedelta(days=round((years - whole) * _DAYS_A_YEAR))
