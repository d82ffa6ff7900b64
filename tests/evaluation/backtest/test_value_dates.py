"""Spot value dates and days of financing, against published examples, a plain count, and over holidays."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from fx_assets.evaluation.backtest.holiday_calendars import CURRENCIES, closed_dates
from fx_assets.evaluation.backtest.value_dates import Days, financing_days, spot_dates
from fx_assets.specs.financing import HolidayChanges


def spot(pair: str, day: str, changes: dict[str, HolidayChanges] | None = None) -> str:
    return str(spot_dates(pair, np.array([day], dtype="datetime64[D]"), changes)[0])


def weekdays(first: str, last: str) -> Days:
    days = np.arange(first, last, dtype="datetime64[D]")
    return days[np.is_busday(days)]


def rolls(pair: str, first: str, last: str) -> dict[str, int]:
    """Days financed at the roll that ends each date."""
    days = weekdays(first, last)
    moved = financing_days(pair, days)
    return {str(day)[5:]: int(count) for day, count in zip(days[:-1], moved[1:], strict=True)}


@pytest.mark.parametrize(
    ("pair", "traded", "value"),
    [
        ("EURUSD", "2019-03-13", "2019-03-15"),
        ("USDCAD", "2019-03-13", "2019-03-14"),
        ("CADUSD", "2019-03-13", "2019-03-14"),
        ("USDTRY", "2019-03-13", "2019-03-14"),
        ("USDRUB", "2019-03-13", "2019-03-14"),
        ("USDPHP", "2019-03-13", "2019-03-14"),
        # Of crosses with the Canadian dollar the later leg counts (londonfx.co.uk).
        ("EURCAD", "2019-03-13", "2019-03-15"),
        # A holiday in New York on the day between does not count: quant.stackexchange.com/q/79295 saw this trade.
        ("EURUSD", "2023-06-16", "2023-06-20"),
        # It counts against the Mexican peso.
        ("USDMXN", "2023-06-16", "2023-06-21"),
        # No cross is settled on a holiday of the dollar: objectlabkit.sourceforge.net/currency.html.
        ("EURGBP", "2013-07-02", "2013-07-05"),
        # The day after Thanksgiving: the dollar has to be open on the day itself.
        ("USDCAD", "2019-11-27", "2019-11-29"),
        # Golden Week of 2019, when Tokyo was closed for ten days.
        ("USDJPY", "2019-04-25", "2019-05-07"),
        # Veterans Day fell on a Saturday: the Federal Reserve was open on the Friday before.
        ("EURUSD", "2023-11-08", "2023-11-10"),
        # New Year's Day fell on a Sunday, and was kept on Monday.
        ("EURUSD", "2022-12-29", "2023-01-03"),
        # A trade on a holiday of its own currency.
        ("USDJPY", "2019-12-31", "2020-01-07"),
    ],
)
def test_spot_dates_are_those_of_the_market(pair: str, traded: str, value: str) -> None:
    assert spot(pair, traded) == value


def test_a_usual_week_has_three_days_on_one_evening() -> None:
    assert list(rolls("EURUSD", "2019-03-11", "2019-03-20").values()) == [1, 1, 3, 1, 1, 1]
    assert list(rolls("USDCAD", "2019-03-11", "2019-03-20").values()) == [1, 1, 1, 3, 1, 1]


def test_the_rolls_of_christmas_and_the_new_year() -> None:
    christmas = {"12-20": 3, "12-23": 3, "12-24": 0, "12-25": 0, "12-26": 1, "12-27": 2, "12-30": 1}
    assert {day: rolls("EURUSD", "2019-12-20", "2020-01-08")[day] for day in christmas} == christmas
    # Tokyo's banks close from 31 December to 3 January; one roll is of a whole week.
    tokyo = {"12-25": 3, "12-26": 7, "12-27": 1, "12-30": 0, "12-31": 0, "01-01": 0, "01-02": 0, "01-03": 1}
    assert {day: rolls("USDJPY", "2019-12-20", "2020-01-08")[day] for day in tokyo} == tokyo


def test_days_add_up_over_dates_that_are_left_out() -> None:
    days = weekdays("2017-01-02", "2019-06-01")
    every = financing_days("USDJPY", days)
    some = np.sort(np.random.default_rng(1).choice(len(days), 200, replace=False))
    assert np.array_equal(financing_days("USDJPY", days[some])[1:], np.diff(np.cumsum(every)[some]))
    # Bars of one date are financed once, where the next date begins.
    assert np.array_equal(financing_days("USDJPY", np.repeat(days, 3)), np.repeat(every, 3) * ([1, 0, 0] * len(days)))


@pytest.mark.parametrize("pair", ["EURUSD", "USDJPY", "USDCAD", "EURGBP", "AUDJPY", "USDMXN", "GBPCAD"])
def test_spot_dates_against_a_plain_count(pair: str) -> None:
    """Counted day by day, over five years, from the rule as it is written."""
    legs = (pair[:3], pair[3:])
    closed = {name: set(closed_dates(name, 2017, 2023).tolist()) for name in {*legs, "USD"}}

    def opened(currency: str, day: date) -> bool:
        return day.weekday() < 5 and day not in closed[currency]

    def plain(traded: date) -> date:
        latest = traded
        for currency in legs:
            wanted = 1 if currency in ("USD", "CAD") and "MXN" not in legs else 2
            day = traded
            while wanted:
                day += timedelta(days=1)
                wanted -= opened(currency, day)
            latest = max(latest, day)
        while not all(opened(currency, latest) for currency in closed):
            latest += timedelta(days=1)
        return latest

    days = weekdays("2018-01-02", "2022-12-30")
    expected = [plain(day) for day in days.tolist()]
    assert spot_dates(pair, days).tolist() == expected


def test_the_dollars_holidays_are_the_federal_reserves() -> None:
    closed = {str(day) for day in closed_dates("USD", 2021, 2022)}
    # Its own list for 2022 (release K.8), and Juneteenth 2021 on a Saturday, which was not kept.
    kept = "01-17 02-21 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26"
    assert {day for day in closed if day.startswith("2022")} == {f"2022-{day}" for day in kept.split()}
    assert not {"2021-06-18", "2021-06-19", "2021-12-24", "2021-12-31"} & closed


def test_the_euros_holidays_are_those_of_target() -> None:
    kept = ["2022-04-15", "2022-04-18", "2022-12-26"]
    assert [str(day) for day in closed_dates("EUR", 2022, 2022)] == kept


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_each_currency_keeps_christmas_or_the_new_year(currency: str) -> None:
    closed = {str(day) for day in closed_dates(currency, 2019, 2019)}
    assert closed & {"2019-01-01", "2019-02-05"}
    assert 3 <= len(closed) <= 45


def test_corrections_close_and_open() -> None:
    changes = {"EUR": HolidayChanges(closed=(date(2019, 3, 14),), open=()), "BTC": HolidayChanges()}
    assert spot("EURUSD", "2019-03-13") == "2019-03-15"
    assert spot("EURUSD", "2019-03-13", changes) == "2019-03-18"
    again = {"EUR": HolidayChanges(open=(date(2019, 4, 22), date(2019, 4, 19)))}
    assert spot("EURUSD", "2019-04-17") == "2019-04-23"
    assert spot("EURUSD", "2019-04-17", again) == "2019-04-19"
    assert spot("BTCUSD", "2019-03-13", changes) == "2019-03-15"


def test_what_cannot_be_said_is_refused() -> None:
    day = np.array(["2019-03-13"], dtype="datetime64[D]")
    with pytest.raises(ValueError, match=r"of BTC; list its closed dates under holidays\.BTC"):
        spot_dates("BTCUSD", day)
    with pytest.raises(ValueError, match="from 1999 on, got 1998-12-31"):
        spot_dates("EURUSD", np.array(["1998-12-31"], dtype="datetime64[D]"))
    with pytest.raises(ValueError, match="do not fall"):
        financing_days("EURUSD", np.array(["2019-03-13", "2019-03-12"], dtype="datetime64[D]"))
    with pytest.raises(ValueError, match=r"expected datetime64\[D\]"):
        spot_dates("EURUSD", day.astype("datetime64[us]"))
    assert len(spot_dates("EURUSD", day[:0])) == 0
