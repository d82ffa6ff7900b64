"""Date features against the calendars, day by day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from fx_assets.features.frames import Frame
from fx_assets.features.stages.indicators import Indicators
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.trading_dates import bar_ends, bar_starts
from tests.features.indicators.support import bars, computed, parsed, times

DATED = ("day_of_week", "day_of_month", "month_end", "quarter_end", "year_end", "payrolls", "gap_ahead")
CALENDARS = ("target", "fx", "24x7")


def daily(first: date, last: date, name: CalendarName = "fx") -> Frame:
    """Daily bars of every open date of a calendar, without any price."""
    days = calendar(name).days(first, last)
    time, end = (
        np.array([moment.replace(tzinfo=None) for moment in moments], dtype="datetime64[us]")
        for moments in (bar_starts(days), bar_ends(days))
    )
    return replace(
        bars(1),
        frequency="1d",
        calendar=name,
        time=time,
        end=end,
        trading_date=np.array(days, dtype="datetime64[D]"),
        columns={},
        others={},
        exog={},
    )


def flagged(frame: Frame, **options: object) -> list[date]:
    """Dates on which the one column of the options is 1."""
    (values,) = computed(frame, **options).values()
    assert set(values.tolist()) <= {0.0, 1.0}
    return list(frame.trading_date[values == 1].tolist())


@pytest.mark.parametrize("name", CALENDARS)
def test_days_are_counted_to_the_last_open_one_of_the_month(name: CalendarName) -> None:
    frame = daily(date(2022, 11, 1), date(2024, 3, 15), name)
    found = computed(frame, day_of_week=True, day_of_month=True)
    for row, day in enumerate(frame.trading_date.tolist()):
        last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        left = len(calendar(name).days(day + timedelta(days=1), last))
        assert [values[row] for values in found.values()] == [day.weekday(), day.day, left]


@pytest.mark.parametrize("name", CALENDARS)
@pytest.mark.parametrize(("option", "months"), [("month_end", 1), ("quarter_end", 3), ("year_end", 12)])
def test_ends_are_the_last_open_dates(option: str, months: int, name: CalendarName) -> None:
    frame = daily(date(2022, 1, 1), date(2023, 12, 31), name)
    stretches: dict[int, list[date]] = {}
    for day in calendar(name).days(date(2022, 1, 1), date(2023, 12, 31)):
        stretches.setdefault((12 * day.year + day.month - 1) // months, []).append(day)
    for days in (1, 3):
        expected = [day for stretch in stretches.values() for day in stretch[-days:]]
        assert flagged(frame, **{option: [days]}) == expected


def test_ends_are_known_in_the_middle_of_a_month() -> None:
    whole = daily(date(2023, 1, 1), date(2023, 12, 31))
    for rows in (1, 20, 61):
        part = whole.take(slice(0, rows))
        for values, all_values in zip(
            computed(part, day_of_month=True, year_end=[200]).values(),
            computed(whole, day_of_month=True, year_end=[200]).values(),
            strict=True,
        ):
            assert np.array_equal(values, all_values[:rows])


def test_payrolls_come_on_the_first_friday() -> None:
    frame = daily(date(2020, 12, 20), date(2021, 4, 10))
    found = computed(frame, payrolls=True)
    days = frame.trading_date.tolist()
    # 1 January 2021 was a Friday; the report came on the 8th.
    fridays = [date(2021, 1, 8), date(2021, 2, 5), date(2021, 3, 5), date(2021, 4, 2)]
    assert [day for day, on in zip(days, found["payrolls"], strict=True) if on] == fridays
    eves = [day - timedelta(days=1) for day in fridays]
    assert [day for day, on in zip(days, found["payrolls_next"], strict=True) if on] == eves


def test_a_coin_has_no_gap_and_a_week_has_one_of_two_days() -> None:
    assert set(computed(daily(date(2023, 1, 1), date(2023, 2, 1), "24x7"), gap_ahead=True)["gap_days_ahead"]) == {0.0}
    frame = daily(date(2023, 12, 18), date(2024, 1, 5))
    found = computed(frame, gap_ahead=True)["gap_days_ahead"]
    ahead = {str(day): gap for day, gap in zip(frame.trading_date, found, strict=True) if gap}
    assert ahead == {"2023-12-22": 3, "2023-12-29": 3, "2024-01-05": 2}


def test_inside_a_date_there_is_no_gap_ahead() -> None:
    time, end, day = times(400)
    frame = replace(daily(date(2023, 3, 6), date(2023, 3, 6)), frequency="1h", time=time, end=end, trading_date=day)
    found = computed(frame, gap_ahead=True)["gap_days_ahead"]
    follows = np.append(frame.trading_date[1:], frame.trading_date[-1])
    passed = (follows - frame.trading_date).astype(int) - 1
    assert np.array_equal(found[:-1], np.maximum(passed, 0)[:-1])
    assert found.sum() == 2 * 3


@pytest.mark.parametrize("name", DATED)
def test_a_week_has_no_date_of_its_own(name: str) -> None:
    options = parsed(**{name: [3] if name.endswith("_end") else True})
    for frequency in ("1h", "1d"):
        assert Indicators().problems(options, frequency) == []
    ((where, message),) = Indicators().problems(options, "1w")
    assert where == name
    assert "bars of 1w span several trading dates" in message
    assert Indicators().needs(options) == frozenset()
