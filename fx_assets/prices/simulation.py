"""Ticks of a market that does not exist: sessions, clustered volatility, spreads. For load tests, never for skill.

Each trading date is drawn from its own seed, made of (seed, pair, date), so that any stretch can be had alone and is
equal, bit for bit, to the same stretch of a longer run. What ties the dates together is drawn first: the log volatility
of a date, an autoregression that makes turbulent dates cluster, and its log return, which chain from `EPOCH` on to
the level at which each date opens and ends. Between the two, prices are a Brownian bridge in the time of the date's own
variance, which follows the sessions and a second, faster autoregression. The level is drawn back to the start price
with a half-life of two years, so that a long run stays believable. The streams are those of numpy's version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fx_assets.timegrid.calendars import TradingCalendar, calendar
from fx_assets.timegrid.trading_dates import NEW_YORK, bar_end, bar_start

EPOCH = date(2000, 1, 3)
"""The Monday on which every simulated pair starts, at its start price."""

Floats = NDArray[np.float64]
_CELL = 300  # seconds over which intraday volatility and activity are constant
_MOST_TICKS = 5_000_000  # a day, so that a tick each millisecond always has room
_PERSISTENCE, _SPREAD_OF_LOG_VOLATILITY = 0.97, 0.35  # of a date's log volatility
_CELL_PERSISTENCE, _CELL_SPREAD = 0.95, 0.30  # of the log volatility inside a date
_REVERSION = 0.5 ** (1 / 520)
_AT_NIGHT = 0.15  # activity outside the sessions, where London's peak adds 1
_SESSIONS = (
    (ZoneInfo("Asia/Tokyo"), 9.0, 15.0, 0.45),
    (ZoneInfo("Europe/London"), 8.0, 16.5, 1.0),
    (NEW_YORK, 8.0, 17.0, 0.9),
)
_ROLL_WIDENING, _BEFORE_ROLL, _AFTER_ROLL = 5.0, 600.0, 1_800.0  # times the usual spread, fading over these seconds


@dataclass(frozen=True)
class Market:
    """What is simulated. Volatility is annual, of log returns; the bid and ask stand on a grid of a tenth of a pip.

    `around_the_clock`: ticks on every date, as of a crypto pair; else none outside Sunday 17:00 to Friday 17:00 in New
    York, Christmas and New Year's Day. Raises `ValueError` for what cannot be simulated.
    """

    pair: str
    seed: int = 7
    ticks_per_day: int = 20_000
    start_price: float = 1.1
    annual_volatility: float = 0.08
    spread_pips: float = 0.6
    pip: float = 0.0001
    around_the_clock: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {self.seed}")
        if not 1 <= self.ticks_per_day <= _MOST_TICKS:
            raise ValueError(f"ticks_per_day: expected 1 to {_MOST_TICKS:,}, got {self.ticks_per_day}")
        for name in ("start_price", "annual_volatility", "spread_pips", "pip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if abs(math.log10(self.pip) - round(math.log10(self.pip))) > 1e-9:
            raise ValueError(f"pip: expected a power of ten such as 0.0001 or 0.01, got {self.pip}")
        if self.start_price < 100 * self.pip:
            raise ValueError(f"start_price: expected 100 pips of {self.pip} or more, got {self.start_price}")

    @property
    def calendar(self) -> TradingCalendar:
        """The trading dates of this market."""
        return calendar("24x7" if self.around_the_clock else "fx")


@dataclass(frozen=True)
class _Day:
    """What is known of a date before its ticks are drawn. Levels are log prices less that of the start price."""

    day: date
    opening: float
    ending: float
    log_volatility: float


def simulate_days(market: Market, first: date, last: date) -> Iterator[tuple[date, pl.DataFrame]]:
    """The ticks of each trading date from `first` to `last`, both included, oldest first.

    Frames of `time` (Datetime[us, UTC], whole milliseconds, increasing, each once), `bid`, `ask` and `volume`
    (Float64). Raises `ValueError` where `first` lies before `EPOCH`.
    """
    if first < EPOCH:
        raise ValueError(f"first: expected {EPOCH} or later, got {first}")
    for year in range(first.year, last.year + 1):
        for day in _chain(market, year):
            if first <= day.day <= last:
                yield day.day, _ticks(market, day)


def simulate_ticks(market: Market, first: date, last: date) -> pl.DataFrame:
    """The ticks of `simulate_days` in one frame."""
    frames = [frame for _, frame in simulate_days(market, first, last)]
    return pl.concat(frames) if frames else _frame(np.empty(0, np.int64), *(np.empty(0) for _ in range(3)))


def minutes(ticks: pl.DataFrame) -> pl.DataFrame:
    """One-minute bars of ticks that stand by increasing time: the mid's `open` to `close`, both sides', and counts."""
    sides = {"": (pl.col("bid") + pl.col("ask")) / 2, "bid_": pl.col("bid"), "ask_": pl.col("ask")}
    quotes = [
        expression.alias(name)
        for prefix, side in sides.items()
        for name, expression in (
            (f"{prefix}open", side.first()),
            (f"{prefix}high", side.max()),
            (f"{prefix}low", side.min()),
            (prefix.rstrip("_") or "close", side.last()),
        )
    ]
    minute = pl.col("time").dt.truncate("1m")
    counts = (pl.len().cast(pl.Int64).alias("ticks"), pl.col("volume").sum())
    return ticks.group_by(minute, maintain_order=True).agg(*quotes, *counts)


def _generator(market: Market, day: date) -> np.random.Generator:
    return np.random.default_rng([market.seed, int.from_bytes(market.pair.encode(), "big"), day.toordinal()])


@lru_cache(maxsize=256)
def _chain(market: Market, year: int) -> tuple[_Day, ...]:
    """Every date of a year, each step from the two numbers that its own seed gives first."""
    before = _chain(market, year - 1)[-1] if year > EPOCH.year else _Day(EPOCH, 0.0, 0.0, 0.0)
    log_volatility, level = before.log_volatility, before.ending
    innovation = math.sqrt(1 - _PERSISTENCE**2) * _SPREAD_OF_LOG_VOLATILITY
    days = []
    for day in market.calendar.days(max(EPOCH, date(year, 1, 1)), date(year, 12, 31)):
        shock, move = _generator(market, day).standard_normal(2).tolist()
        log_volatility = _PERSISTENCE * log_volatility + innovation * shock
        days.append(_Day(day, level, _REVERSION * level + _sigma(market, log_volatility) * move, log_volatility))
        level = days[-1].ending
    return tuple(days)


def _sigma(market: Market, log_volatility: float) -> float:
    """Deviation of a date's log return; less the variance, so that the mean square is that of the usual volatility."""
    usual = market.annual_volatility / math.sqrt(365 if market.around_the_clock else 252)
    return usual * math.exp(log_volatility - _SPREAD_OF_LOG_VOLATILITY**2)


def _ticks(market: Market, day: _Day) -> pl.DataFrame:
    rng = _generator(market, day.day)
    rng.standard_normal(2)  # those of the chain
    begin, end = bar_start(day.day), bar_end(day.day)
    length = int((end - begin).total_seconds())
    edges = np.arange(0.0, length + 1, _CELL)
    activity = _activity(length, tuple(_hour(end, zone) for zone, *_ in _SESSIONS))
    shocks = rng.standard_normal(len(activity)) * _CELL_SPREAD
    shocks[1:] *= math.sqrt(1 - _CELL_PERSISTENCE**2)
    volatility = np.exp(list(accumulate(shocks.tolist(), lambda before, shock: _CELL_PERSISTENCE * before + shock)))
    count = int(rng.poisson(market.ticks_per_day))
    # Cumulated exponential gaps, divided by their sum, are sorted uniform numbers without sorting.
    uniform = np.cumsum(rng.standard_exponential(count + 1))
    seconds = np.interp(uniform[:-1] / uniform[-1], _cumulated(activity * np.sqrt(volatility)), edges)
    milliseconds = _distinct((seconds * 1_000).astype(np.int64), length * 1_000)
    seconds = milliseconds / 1_000

    share = np.interp(seconds, edges, _cumulated(activity * volatility**2))
    steps = np.diff(share, prepend=0.0, append=1.0)
    walk = np.cumsum(rng.standard_normal(count + 1) * np.sqrt(steps))
    bridge = _sigma(market, day.log_volatility) * (walk[:-1] - share * walk[-1])
    mid = market.start_price * np.exp(day.opening + share * (day.ending - day.opening) + bridge)

    roll = np.exp(-seconds / _AFTER_ROLL) + np.exp((seconds - length) / _BEFORE_ROLL)
    noise = np.exp(0.2 * rng.standard_normal(count))
    usual = market.spread_pips * market.pip
    spread = usual * (1 + _ROLL_WIDENING * roll) * noise * np.sqrt(volatility)[milliseconds // (_CELL * 1_000)]
    digits = 1 - round(math.log10(market.pip))
    bid = np.maximum(np.rint((mid - spread / 2) * 10.0**digits), 1)
    ask = bid + np.maximum(np.rint(spread * 10.0**digits), 1)
    # Whole steps divided by a power of ten are the floats nearest to the decimals that a file would show.
    bid, ask = (side / 10.0**digits if digits > 0 else side * 10.0**-digits for side in (bid, ask))
    return _frame(
        int(begin.timestamp()) * 1_000 + milliseconds, bid, ask, rng.integers(1, 11, count).astype(np.float64)
    )


def _frame(milliseconds: NDArray[np.int64], bid: Floats, ask: Floats, volume: Floats) -> pl.DataFrame:
    time = pl.Series("time", milliseconds * 1_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame([time, pl.Series("bid", bid), pl.Series("ask", ask), pl.Series("volume", volume)])


def _distinct(sorted_times: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    """Times moved by as little as makes each of them later than the one before and earlier than `end`."""
    order = np.arange(len(sorted_times))
    later = np.maximum.accumulate(sorted_times - order) + order
    return np.minimum(later, end - len(order) + order)


def _cumulated(weights: Floats) -> Floats:
    """Cumulated shares of the weights, from 0 to 1; one more than there are weights."""
    total = np.zeros(len(weights) + 1)
    np.cumsum(weights, out=total[1:])
    shares: Floats = total / total[-1]
    return shares


def _hour(when: datetime, zone: ZoneInfo) -> float:
    wall = when.astimezone(zone)
    return wall.hour + wall.minute / 60


@lru_cache(maxsize=64)
def _activity(length: int, hours_at_end: tuple[float, ...]) -> Floats:
    """Activity in each cell of a date `length` seconds long that ends at these wall-clock hours of the sessions."""
    before_end = (length - np.arange(_CELL / 2, length, _CELL)) / 3_600
    activity = np.full(len(before_end), _AT_NIGHT)
    for (_, opens, closes, weight), hour_at_end in zip(_SESSIONS, hours_at_end, strict=True):
        hour = (hour_at_end - before_end) % 24
        activity += weight / (1 + np.exp(2 * (opens - hour))) / (1 + np.exp(2 * (hour - closes)))
    return activity
