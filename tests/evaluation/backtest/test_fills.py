"""Orders are filled at the next bar's quotes; where there are none, at a spread that is assumed and said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from fx_assets.evaluation.backtest.fills import AT_THE_ROLL, bars_from, quotes
from fx_assets.timegrid.trading_dates import bar_end, bar_start, fixing_time
from tests.evaluation.backtest.helpers import daily, instants, lake_rows

NAN = float("nan")


def test_quoted_bars_are_filled_at_their_opening_bid_and_ask() -> None:
    bars = daily([1.0, 1.25], [1.125, 1.5], spread=0.25)
    found = quotes(bars, spread=99.0)
    assert found.times.tolist() == bars.starts.tolist()
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.875, 1.125], [1.125, 1.375])
    assert (found.mid.tolist(), found.marks.tolist()) == ([1.0, 1.25], [1.125, 1.5])
    assert found.spreads.tolist() == [0.25, 0.25]
    assert not found.assumed.any()


def test_bars_quoted_at_their_end_only_are_filled_there() -> None:
    bars = daily([NAN, NAN], [1.0, 1.5], spread=0.25)
    bars = replace(bars, bid_open=bars.open, ask_open=bars.open)
    found = quotes(bars, spread=99.0)
    assert found.times.tolist() == bars.ends.tolist()
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.875, 1.375], [1.125, 1.625])
    assert not found.assumed.any()


def test_without_quotes_the_spread_is_assumed_and_wider_at_the_roll() -> None:
    bars = daily([1.0, 1.25], [1.125, 1.5])
    found = quotes(bars, spread=0.25, at_the_roll=2.0)
    assert found.assumed.all()
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.75, 1.0], [1.25, 1.5])
    assert found.mid.tolist() == [1.0, 1.25]
    noon = instants([datetime(2019, 1, 2, 15 + hour, tzinfo=UTC) for hour in range(2)])
    found = quotes(replace(bars, starts=noon, ends=noon + np.timedelta64(1, "h")), spread=0.25)
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.875, 1.125], [1.125, 1.375])
    assert found.spreads.tolist() == [0.25, 0.25]


def test_the_roll_is_17_00_in_new_york_in_winter_and_in_summer() -> None:
    times = instants([datetime(2019, month, 14, hour, tzinfo=UTC) for month in (1, 7) for hour in (20, 21, 22)])
    bars = daily([1.0] * 6, [1.0] * 6)
    bars = replace(bars, starts=times, ends=times + np.timedelta64(30, "m"))
    found = quotes(bars, spread=0.1)
    wide = np.isclose(found.ask - found.bid, 0.1 * AT_THE_ROLL)
    assert wide.tolist() == [False, False, True, False, True, False]


def test_fixings_are_filled_at_the_fixing() -> None:
    bars = daily([NAN, NAN], [1.0, 1.5], fixing=True)
    found = quotes(bars, spread=0.25)
    assert found.times.tolist() == instants([fixing_time(day) for day in bars.dates.tolist()]).tolist()
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.875, 1.375], [1.125, 1.625])
    assert found.marks.tolist() == [1.0, 1.5]
    assert found.assumed.all()


@pytest.mark.parametrize(
    ("side", "bid", "ask"),
    [("mid", 0.875, 1.125), ("trade", 0.875, 1.125), ("bid", 1.0, 1.25), ("ask", 0.75, 1.0)],
)
def test_prices_of_one_side_get_the_other(side: str, bid: float, ask: float) -> None:
    bars = daily([1.0], [1.0])
    found = quotes(replace(bars, sides=np.array([side])), spread=0.25, at_the_roll=1.0)
    assert (found.bid[0], found.ask[0], found.marks[0]) == (bid, ask, (bid + ask) / 2)
    assert found.assumed.all()


def test_half_a_quote_and_a_crossed_one_are_made_whole() -> None:
    bars = daily([1.0] * 3, [1.0] * 3)
    bars = replace(bars, bid_open=np.array([0.5, NAN, 1.5]), ask_open=np.array([NAN, 1.5, 0.5]))
    found = quotes(bars, spread=0.25, at_the_roll=1.0)
    assert (found.bid.tolist(), found.ask.tolist()) == ([0.5, 1.25, 0.875], [0.75, 1.5, 1.125])
    assert found.assumed.all()


def test_bars_are_read_as_they_lie_in_the_lake() -> None:
    bars = daily([1.0, NAN], [1.125, 1.5], spread=0.25)
    found = bars_from(lake_rows(bars), "EURUSD")
    for name in ("starts", "ends", "dates", "open", "close", "bid_open", "ask_open", "bid", "ask"):
        assert np.array_equal(getattr(found, name), getattr(bars, name), equal_nan="date" not in name), name
        assert getattr(found, name).dtype == getattr(bars, name).dtype, name
    few = lake_rows(bars).select(["pair", "time", "end", "trading_date", "kind", "close"])
    assert np.isnan(bars_from(few, "EURUSD").bid_open).all()
    assert bars_from(lake_rows(bars, kind=["fixing"] * 2), "EURUSD").fixing
    assert bars.starts[0] == instants([bar_start(date(2019, 1, 2))])[0]
    assert bars.ends[0] == instants([bar_end(date(2019, 1, 2))])[0]


def test_what_is_no_history_is_refused() -> None:
    bars = daily([1.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="there are no bars"):
        bars_from(lake_rows(bars).slice(0, 0), "EURUSD")
    with pytest.raises(ValueError, match=r"\['bar', 'fixing'\]"):
        bars_from(lake_rows(bars, kind=["bar", "fixing"]), "EURUSD")
    with pytest.raises(ValueError, match="expected bars of USDJPY"):
        bars_from(lake_rows(bars), "USDJPY")
    with pytest.raises(ValueError, match="1 bars have no close, first 2019-01-03"):
        replace(bars, close=np.array([1.0, NAN]))
    with pytest.raises(ValueError, match="out of order"):
        replace(bars, starts=bars.starts[::-1])
    with pytest.raises(ValueError, match="one shape"):
        replace(bars, open=bars.open[:1])
    with pytest.raises(ValueError, match="spread of 0 or more"):
        quotes(bars, spread=-1.0)
