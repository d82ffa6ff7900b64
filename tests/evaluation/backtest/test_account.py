"""Rates to the account, commission, and financing by the days that the value date moves on."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from fx_assets.evaluation.backtest.account import (
    MissingRate,
    Terms,
    account_rates,
    carry_of,
    commission,
    crosses_needed,
)
from fx_assets.evaluation.backtest.value_dates import Days, financing_days
from fx_assets.specs.financing import SwapRate, SwapRates

MARKS = np.array([100.0, 125.0])


def weekdays(first: str, last: str) -> Days:
    days = np.arange(first, last, dtype="datetime64[D]")
    return days[np.is_busday(days)]


def swaps(*rates: tuple[str, float, float], unit: str = "pips", until: str = "2030-12-31", **more: int) -> SwapRates:
    rows = [SwapRate(since=date.fromisoformat(since), long=long, short=short) for since, long, short in rates]
    return SwapRates.model_validate({"unit": unit, "until": until, "rates": rows, **more})


def test_profit_is_turned_by_the_pair_itself_or_by_a_cross() -> None:
    assert account_rates("EURUSD", "USD", MARKS, {}).tolist() == [1, 1]
    assert account_rates("USDJPY", "USD", MARKS, {}).tolist() == [0.01, 0.008]
    assert account_rates("EURGBP", "USD", MARKS, {"GBPUSD": np.array([1.5, 1.25])}).tolist() == [1.5, 1.25]
    assert account_rates("EURJPY", "USD", MARKS, {"USDJPY": MARKS}).tolist() == [0.01, 0.008]
    assert (crosses_needed("USDJPY", "USD"), crosses_needed("EURJPY", "USD")) == ((), ("JPYUSD", "USDJPY"))


def test_a_rate_that_is_missing_is_named() -> None:
    with pytest.raises(MissingRate, match="prices of JPYUSD or USDJPY are needed, and there are none"):
        account_rates("EURJPY", "USD", MARKS, {"EURUSD": MARKS})


def test_commission_is_per_million_bought_or_sold() -> None:
    assert commission(250_000, 30.0) == 7.5
    assert commission(-250_000, 30.0) == 7.5


def test_pips_are_paid_for_each_day_the_value_date_moves() -> None:
    days = weekdays("2019-03-11", "2019-03-19")
    carry = carry_of("EURUSD", 0.0001, days, np.ones(6), swaps(("2019-01-01", -0.5, 0.25)))
    # Into Thursday three days, and none into the first bar.
    assert carry.days.tolist() == [0, 1, 1, 3, 1, 1]
    assert carry.long == pytest.approx(-0.00005 * carry.days)
    assert carry.short == pytest.approx(0.000025 * carry.days)
    assert not carry.unknown.any()


def test_percent_are_of_the_value_at_the_bar_before() -> None:
    days = weekdays("2019-03-12", "2019-03-16")
    marks = np.array([1.0, 2.0, 4.0, 8.0])
    carry = carry_of("EURUSD", 0.0001, days, marks, swaps(("2019-01-01", 3.6, -7.2), unit="annual_percent"))
    assert carry.long == pytest.approx(0.036 / 365 * np.array([0.0, 1.0, 2.0 * 3, 4.0]))
    other = swaps(("2019-01-01", 3.6, -7.2), unit="annual_percent", days_a_year=360)
    assert carry_of("EURUSD", 0.0001, days, marks, other).short == pytest.approx(carry.long * -2 * 365 / 360)


def test_a_roll_is_paid_at_the_rate_of_the_date_that_it_ends() -> None:
    days = weekdays("2019-03-11", "2019-03-19")
    dated = swaps(("2019-03-12", 1.0, 0.0), ("2019-03-14", 10.0, 0.0), until="2019-03-14")
    carry = carry_of("EURUSD", 1.0, days, np.ones(6), dated)
    # Monday's roll is before the list, Tuesday's and Wednesday's by the first rate, Friday's after its end.
    assert carry.long.tolist() == [0, 0, 1, 3, 10, 0]
    assert carry.unknown.tolist() == [0, 1, 0, 0, 0, 1]


def test_bars_of_an_hour_are_financed_where_the_date_changes() -> None:
    days = np.repeat(weekdays("2019-03-13", "2019-03-19"), 4)
    carry = carry_of("USDJPY", 0.01, days, np.full(len(days), 110.0), swaps(("2019-01-01", 1.0, -1.0)))
    assert np.flatnonzero(carry.long).tolist() == [4, 8, 12]
    assert carry.long[[4, 8, 12]] == pytest.approx([0.03, 0.01, 0.01])


def test_bars_that_are_missing_lose_no_roll() -> None:
    days = weekdays("2018-01-02", "2020-01-01")
    rates = swaps(("2017-01-01", -0.3, 0.1), ("2019-02-01", -0.6, 0.2))
    whole = carry_of("USDJPY", 0.01, days, np.full(len(days), 110.0), rates)
    some = np.union1d([0, len(days) - 1], np.random.default_rng(2).choice(len(days), 50, replace=False))
    few = carry_of("USDJPY", 0.01, days[some], np.full(len(some), 110.0), rates)
    assert few.days.sum() == whole.days.sum() == financing_days("USDJPY", days).sum()
    assert few.long.sum() == pytest.approx(whole.long.sum(), rel=1e-12)


def test_weekends_of_a_market_that_never_closes_are_paid_on_friday() -> None:
    days = np.arange("2019-03-14", "2019-03-20", dtype="datetime64[D]")
    carry = carry_of("EURUSD", 1.0, days, np.ones(len(days)), swaps(("2019-01-01", 1.0, 1.0)))
    assert carry.long.tolist() == [0, 1, 1, 0, 0, 1]


def test_terms_are_checked() -> None:
    good = {"currency": "USD", "capital": 1.0, "rates": np.ones(2)}
    for changes, words in (
        ({"capital": 0.0}, "more than 0 USD"),
        ({"rates": np.array([1.0, np.nan])}, "rates to USD above 0"),
        ({"rates": np.array([1.0, 0.0])}, "rates to USD above 0"),
        ({"commission_per_million": -1.0}, "0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            Terms(**{**good, **changes})  # type: ignore[arg-type]
