"""What the calendar says of bars to come."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.timegrid.ahead import dates_ahead, known_ahead

ALL = ("weekday", "gap", "month_end", "payroll", "after_payroll", "year_end")


def dates(*days: str) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.array(days, dtype="datetime64[D]")


def test_the_dates_are_those_of_the_calendar() -> None:
    # Christmas and the new year are closed for the ECB; the interbank market works on 24 and 31 December.
    found = dates_ahead(dates("2026-12-23", "2026-12-30"), 4, "target").astype(str).tolist()
    assert found == [
        ["2026-12-24", "2026-12-28", "2026-12-29", "2026-12-30"],
        ["2026-12-31", "2027-01-04", "2027-01-05", "2027-01-06"],
    ]
    assert dates_ahead(dates("2026-11-20"), 2, "24x7").astype(str).tolist() == [["2026-11-21", "2026-11-22"]]
    assert dates_ahead(dates(), 3, "fx").shape == (0, 3)


def test_each_column_says_what_it_names() -> None:
    (row,) = known_ahead(dates("2026-12-30"), 3, "target", ALL)
    assert row.tolist() == [
        [0.5, 0.0, 1.0, 0.0, 0.0, 1.0],  # Thursday 31 December: last of month and year
        [-1.0, 1.0, 0.0, 0.0, 0.0, 0.0],  # Monday 4 January, after three closed days
        [-0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
    payroll = known_ahead(dates("2026-11-30"), 5, "fx", ["payroll", "after_payroll"])[0].T.tolist()
    assert payroll == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]  # Friday 4 December 2026, and the Monday after
    (monday,) = known_ahead(dates("2026-12-04"), 1, "fx", ["payroll", "after_payroll"])[0].tolist()
    assert monday == [0, 1]


def test_the_horizon_does_not_change_what_is_said_of_a_date() -> None:
    days = dates("2026-10-30", "2026-12-21")
    longer = known_ahead(days, 9, "fx", ALL)
    for horizon in (1, 2, 5):
        assert np.array_equal(known_ahead(days, horizon, "fx", ALL), longer[:, :horizon])
    assert np.abs(longer).max() <= 1


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match="'moon' is none of weekday, gap"):
        known_ahead(dates("2026-10-30"), 2, "fx", ["moon"])
