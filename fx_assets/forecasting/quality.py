"""What a forecast must hold before it is published. Order and sign hold by the document's own form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.models.inputs import FloatArray
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_start

# Every check by name, and whether failing it blocks the commit.
CHECKS = {
    "plausible_prices": True,
    "plausible_width": True,
    "starts_at_last_price": True,
    "targets_on_open_dates": True,
    "fresh": False,
}
# A day's volatility further than this from what the pair has just done is a broken model, not a view.
WIDTH_FACTOR = 10.0


def check_forecast(document: ForecastDocument, pair: PairSpec, closes: FloatArray) -> list[CheckOutcome]:
    """Outcomes of `CHECKS`, in order; `closes` (n,) are those of the window up to the origin, oldest first."""
    return [
        _plausible_prices(document, pair),
        _plausible_width(document, closes),
        _starts_at_last_price(document, closes),
        _open_dates(document, pair),
        _fresh(document),
    ]


def _outcome(name: str, passed: bool, description: str, **metadata: float | int | str) -> CheckOutcome:
    return CheckOutcome(
        name=name, passed=passed, blocking=CHECKS[name], description=description, metadata=dict(metadata)
    )


def _plausible_prices(document: ForecastDocument, pair: PairSpec) -> CheckOutcome:
    low, high = pair.plausible_range
    medians = [horizon.median for horizon in document.horizons]
    inside = low <= min(medians) and max(medians) <= high
    said = f"medians {min(medians):g} to {max(medians):g}; plausible for {pair.pair} is {low:g} to {high:g}"
    return _outcome("plausible_prices", inside, said, lowest=min(medians), highest=max(medians))


def _plausible_width(document: ForecastDocument, closes: FloatArray) -> CheckOutcome:
    recent = float(np.sqrt(np.mean(np.diff(np.log(closes)) ** 2)))
    ahead = document.horizons[0].volatility
    if recent == 0:
        return _outcome("plausible_width", True, "the window's prices stand still: nothing to compare with")
    said = f"one-bar volatility {ahead:.3g}, that of the window {recent:.3g}; within a factor of {WIDTH_FACTOR:g}"
    inside = recent / WIDTH_FACTOR <= ahead <= recent * WIDTH_FACTOR
    return _outcome("plausible_width", inside, said, volatility=ahead, recent=recent)


def _starts_at_last_price(document: ForecastDocument, closes: FloatArray) -> CheckOutcome:
    last = float(closes[-1])
    said = f"last price {document.last_price!r}, the window ends with {last!r}"
    return _outcome("starts_at_last_price", document.last_price == last, said)


def _open_dates(document: ForecastDocument, pair: PairSpec) -> CheckOutcome:
    dates = [horizon.target_date for horizon in document.horizons]
    if document.frequency != "1d":
        return _open_hours(document, pair)
    expected = calendar(pair.calendar).next_days(document.data_as_of, len(dates))
    said = f"{len(dates)} open dates of calendar {pair.calendar}, {dates[0]} to {dates[-1]}"
    wrong = next((at for at, other in zip(dates, expected, strict=True) if at != other), None)
    return _outcome("targets_on_open_dates", wrong is None, said if wrong is None else f"{wrong} is out of place")


def _open_hours(document: ForecastDocument, pair: PairSpec) -> CheckOutcome:
    """Of bars within a day: each target lies in the open trading date that it names, and dates follow each other."""
    days, times = calendar(pair.calendar), [horizon.target_time for horizon in document.horizons]
    wrong = next(
        (
            horizon.target_time
            for horizon in document.horizons
            if not (
                days.is_open(horizon.target_date)
                and bar_start(horizon.target_date) < horizon.target_time <= bar_end(horizon.target_date)
            )
        ),
        None,
    )
    known = [document.data_as_of, *(horizon.target_date for horizon in document.horizons)]
    skipped = next((day for before, day in pairwise(known) if len(days.days(before, day)) > 2), None)
    said = f"{len(times)} times in open dates of calendar {pair.calendar}, {times[0]} to {times[-1]}"
    if wrong is not None or skipped is not None:
        said = f"{skipped if wrong is None else wrong} is out of place"
    return _outcome("targets_on_open_dates", wrong is None and skipped is None, said)


def _fresh(document: ForecastDocument) -> CheckOutcome:
    late = sum(horizon.retrospective for horizon in document.horizons)
    said = f"data of {document.data_as_of}; {late} of {len(document.horizons)} horizons are retrospective"
    return _outcome("fresh", not document.stale, said, retrospective=late)
