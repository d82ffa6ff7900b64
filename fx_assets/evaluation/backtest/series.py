"""Where a back-test's arrays come from: forecasts on record, bars, and prices of the pairs that lead to the account.

Only forecasts out of sample are taken: rows of the scores table, which keeps each fold's forecasts of what came after
it was learned. They are those of one version and of its earlier selves in the walk forward, which together are one
series without a gap. That they are out of sample is checked once more here, by the name of the fold and by the
version's last training row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.account import crosses_needed
from fx_assets.evaluation.backtest.fills import Bars, Quotes, bars_from
from fx_assets.evaluation.backtest.sizing import Signals, round_trip_costs, signals_of_locations
from fx_assets.evaluation.certify import current
from fx_assets.evaluation.walk import selves_on_record
from fx_assets.forecasting.scores import LIVE
from fx_assets.specs.schema import Frequency
from fx_assets.storage.control import ModelVersion
from fx_assets.storage.errors import NoData
from fx_assets.storage.lake import Lake
from fx_assets.storage.two_times import current_rows
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.frequencies import seconds_of
from fx_assets.timegrid.trading_dates import bar_start

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
SCORES = "scores"
_WALK = "walk-"
_COLUMNS = (
    "model_id",
    "model_version",
    "fold",
    "horizon",
    "origin",
    "target_time",
    "location",
    "volatility",
    "observed_until",
)
# A price of another pair that is older than this is none to turn profit into the account's currency by.
STALE = np.timedelta64(7, "D")
_DAY, _HOUR = 86_400, 3_600
# Whole leap cycles, so that the mean of a year does not depend on when it is taken.
_FIRST_YEAR, _YEARS = 2000, 28


class InSample(ValueError):
    """A forecast on record was made by a model that had learned from what it forecasts."""


@dataclass(frozen=True)
class Forecasts:
    """One version's forecasts one bar ahead, oldest first; arrays (m,).

    `origins`, `known_at`: datetime64[us] in UTC, the second the later one of origin and last observation of the market;
    `location`, `volatility`: of the log return over one bar.
    """

    version: str
    origins: Times
    known_at: Times
    location: Floats
    volatility: Floats


def stored_forecasts(lake: Lake, pair: str, model_id: str, versions: Sequence[ModelVersion]) -> Forecasts:
    """The forecasts on record of the newest of `versions` (newest first) that has any on `pair`.

    Before them come those of its earlier selves, as the model's walk forward has them now.

    Raises `NoData` where there are none, `ValueError` for a table of an older form, and as `out_of_sample`.
    """
    try:
        table = lake.read(SCORES, pair, columns=_COLUMNS)
    except NoData as error:
        raise NoData(f"{SCORES}/{model_id}", pair) from error
    rows = table.filter(pc.and_(pc.equal(table.column("model_id"), model_id), pc.equal(table.column("horizon"), 1)))
    scored = set(rows.column("model_version").unique().to_pylist())
    for version in versions:
        if version.version in scored:
            selves = selves_on_record(lake, model_id, version.scope)
            return out_of_sample(current(rows, model_id, version.version, selves), version)
    if scored:
        raise ValueError(
            f"scores of {model_id} on {pair} are of {', '.join(sorted(scored))}, and no such version is registered: "
            f"when it was trained is not known. Materialize scores/{model_id} again"
        )
    raise NoData(f"{SCORES}/{model_id}", pair)


def out_of_sample(rows: pa.Table, version: ModelVersion) -> Forecasts:
    """The forecasts in `rows` of the scores table, all of horizon 1 and `version`.

    Raises `InSample` where a fold or the version had learned by the origin of a row or later, `ValueError` for a fold
    that is neither a walk's nor the version's own, and for two forecasts of one origin.
    """
    rows = rows.sort_by("origin")
    origins, targets = _times(rows, "origin"), _times(rows, "target_time")
    folds = np.array(rows.column("fold").to_pylist(), dtype=np.str_)
    for fold in np.unique(folds).tolist():
        learned = _learned_until(fold, version)
        # A fold begins with its first target: its first origin may be of the evening, or the Friday, before.
        early = targets[folds == fold] <= learned if fold.startswith(_WALK) else origins[folds == fold] < learned
        if early.any():
            raise InSample(
                f"{version.model_id}, fold {fold}: {int(early.sum())} forecasts from {origins[folds == fold][0]} on "
                f"are in sample, for it learned until {learned}. Materialize scores/{version.model_id} again"
            )
    twice = np.flatnonzero(origins[1:] == origins[:-1])
    if len(twice):
        raise ValueError(
            f"{version.model_id}: {len(twice)} origins have two forecasts, first {origins[twice[0]]}. Materialize "
            f"scores/{version.model_id} again"
        )
    return Forecasts(
        version=version.version,
        origins=origins,
        known_at=np.maximum(origins, _times(rows, "observed_until")),
        location=_floats(rows, "location"),
        volatility=_floats(rows, "volatility"),
    )


def signals_of(forecasts: Forecasts, quotes: Quotes, commission_per_million: float) -> Signals:
    """Signals for the forecasts that can be filled: the sign of a location that pays for a round trip.

    The cost of the round trip is that of the spread at the end of the bar before the fill, in which the signal stands.
    """
    bars = np.searchsorted(quotes.times, forecasts.known_at, side="left")
    fits = (bars > 0) & (bars < len(quotes.times))
    before = bars[fits] - 1
    costs = round_trip_costs(quotes.spreads[before], quotes.marks[before], commission_per_million)
    return Signals(
        known_at=forecasts.known_at[fits],
        values=signals_of_locations(forecasts.location[fits], costs),
        volatility=forecasts.volatility[fits],
    )


def stored_bars(lake: Lake, pair: str, frequency: Frequency) -> Bars:
    """All bars of the pair as they are known now. Raises `NoData` where there are none."""
    return bars_from(current_rows(lake.read(f"bars/{frequency}", pair)), pair)


def stored_crosses(lake: Lake, pair: str, account: str, frequency: Frequency, ends: Times) -> dict[str, Floats]:
    """Prices, as last known at each of `ends` (n,), of a pair that leads from `pair`'s quote currency to `account`.

    Empty where none is needed or none is in the lake. Raises `ValueError` where its newest price is over a week old.
    """
    for cross in crosses_needed(pair, account):
        try:
            bars = stored_bars(lake, cross, frequency)
        except NoData:
            continue  # the other way round, or `account_rates` says which are missing
        return {cross: as_of(cross, bars.ends, bars.close, ends)}
    return {}


def as_of(name: str, times: Times, prices: Floats, at: Times) -> Floats:
    """The last of `prices` (k,), known since `times` (k,), at each of `at` (n,).

    Raises `ValueError` for a moment without a price of the week before it.
    """
    place = np.searchsorted(times, at, side="right") - 1
    old = (place < 0) | (at - times[np.maximum(place, 0)] > STALE)
    if old.any():
        raise ValueError(
            f"{name} has no price in the week before {int(old.sum())} of {len(at)} bars, first {at[old][0]}: "
            f"materialize its bars, or choose another account currency"
        )
    found: Floats = prices[place]
    return found


def bars_a_year(frequency: Frequency, name: CalendarName) -> float:
    """Bars of a mean year by the calendar, whatever the history: 258.9 days of `fx`, times 24 for hours."""
    last = date(_FIRST_YEAR + _YEARS - 1, 12, 31)
    days = len(calendar(name).days(date(_FIRST_YEAR, 1, 1), last)) / _YEARS
    seconds = seconds_of(frequency)
    return days * (_DAY / seconds) if seconds <= _DAY else 365.25 * _DAY / seconds


def _learned_until(fold: str, version: ModelVersion) -> np.datetime64:
    if fold in (LIVE, version.version):
        return _naive(version.trained_until)
    try:
        year, month, day = (int(part) for part in f"{fold.removeprefix(_WALK)}-1-1".split("-")[:3])
        first = date(year, month, day)
    except ValueError:
        raise ValueError(
            f"{version.model_id}: fold {fold!r} is unknown; expected {LIVE}, the version, or {_WALK}2019 and the like"
        ) from None
    return _naive(bar_start(first))


def _naive(moment: datetime) -> np.datetime64:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return np.datetime64(int(moment.timestamp() * 1_000_000), "us")


def _times(table: pa.Table, name: str) -> Times:
    return np.asarray(table.column(name).to_numpy()).astype("datetime64[us]")


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)
