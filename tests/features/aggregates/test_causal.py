"""No aggregate sees what comes after its bar, nor depends on how far back a frame goes beyond the look-back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from tests.features.aggregates.support import bars, without

STAGE = Featuretools()
INTRADAY: dict[str, Any] = {
    "groups": ["day", "session"],
    "primitives": ["mean", "std", "max", "skew", "last"],
    "columns": ["close", "returns", "spread"],
    "windows": [1, 3],
}
TREND: dict[str, Any] = {"groups": ["day"], "primitives": ["trend"], "columns": ["close"], "windows": [1, 3]}
LONG: dict[str, Any] = {"groups": ["week", "month"], "primitives": ["mean", "skew"], "windows": [1, 2]}


def compute(frame: Frame, options: dict[str, Any], first: int = 0) -> dict[str, FloatArray]:
    return STAGE.compute(frame, FeaturetoolsOptions(**options), first)


def spoilt(frame: Frame, after: int) -> Frame:
    """The frame with other prices in every row after that one."""
    rng = np.random.default_rng(after)
    columns = {name: values.copy() for name, values in frame.columns.items()}
    for values in columns.values():
        values[after + 1 :] *= rng.uniform(0.1, 9, len(frame) - after - 1)
    return replace(frame, columns=columns)


def assert_same_bits(found: dict[str, FloatArray], wanted: dict[str, FloatArray], rows: slice) -> None:
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name][rows].view(np.int64), values[rows].view(np.int64), err_msg=name)


# Thursday 2026-01-08, in New York's winter: its last bar ends at 22:00 UTC, Tokyo closes at 9:00, London at 17:00.
MOMENTS = ["2026-01-08T03", "2026-01-08T09", "2026-01-08T16", "2026-01-08T17", "2026-01-08T21", "2026-01-08T22"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_comes_after_a_bar_changes_nothing_up_to_it(moment: str) -> None:
    frame = bars(date(2026, 1, 2), date(2026, 1, 12))
    row = int(np.flatnonzero(frame.end == np.datetime64(moment))[0])
    # Rows from the day before on: they, too, take aggregates that such a leak would reach.
    whole = compute(frame, INTRADAY, row - 30)
    known = slice(row - 30, row + 1)
    assert all(np.isfinite(values[known]).all() for name, values in whole.items() if name.endswith("_1"))
    assert_same_bits(compute(spoilt(frame, row), INTRADAY, row - 30), whole, known)
    assert_same_bits(compute(frame.take(slice(0, row + 1)), INTRADAY, row - 30), whole, known)


def test_a_trend_keeps_its_bits_too() -> None:
    frame = bars(date(2026, 1, 2), date(2026, 1, 12))
    row = int(np.flatnonzero(frame.end == np.datetime64("2026-01-08T22"))[0])
    whole = compute(frame, TREND)
    assert_same_bits(compute(spoilt(frame, row), TREND), whole, slice(0, row + 1))
    for start in (1, 17, 40):
        later = compute(frame.take(slice(start, None)), TREND)
        assert np.isfinite(whole["trend_close_day_3"][-40:]).all()
        assert_same_bits(
            {name: values[-40:] for name, values in later.items()},
            {name: values[-40:] for name, values in whole.items()},
            slice(None),
        )


def test_garbage_reaches_the_very_next_aggregate() -> None:
    # The other side of the leak tests: what they spoil is what the values are made of.
    frame = bars(date(2026, 1, 2), date(2026, 1, 12))
    row = int(np.flatnonzero(frame.end == np.datetime64("2026-01-08T21"))[0])
    whole, other = (compute(given, INTRADAY) for given in (frame, spoilt(frame, row)))
    changed = {name for name, values in whole.items() if values[row + 1] != other[name][row + 1]}
    assert {"last_spread_day_1", "mean_returns_new_york_1", "std_returns_new_york_3"} <= changed
    assert not {name for name in changed if "tokyo" in name and "close" not in name}


CASES: list[tuple[str, Frequency, CalendarName, tuple[date, date], dict[str, Any]]] = [
    ("hours", "1h", "fx", (date(2025, 11, 24), date(2026, 1, 9)), INTRADAY),
    ("hours of a market that never closes", "1h", "24x7", (date(2025, 10, 13), date(2025, 11, 10)), INTRADAY),
    (
        "half days",
        "12h",
        "24x7",
        (date(2025, 10, 1), date(2025, 11, 10)),
        INTRADAY | {"groups": ["day"], "windows": [2, 3]},
    ),
    ("fixings", "1d", "target", (date(2025, 1, 2), date(2026, 1, 9)), LONG),
    ("weeks", "1w", "fx", (date(2023, 1, 2), date(2026, 1, 9)), LONG | {"groups": ["month"]}),
]


@pytest.mark.parametrize(
    ("frequency", "calendar", "dates", "options"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_value_is_the_same_wherever_before_the_look_back_the_frame_begins(
    frequency: Frequency, calendar: CalendarName, dates: tuple[date, date], options: dict[str, Any]
) -> None:
    frame = bars(*dates, frequency, calendar)
    lookback = STAGE.lookback(FeaturetoolsOptions(**options), frequency)
    whole = compute(frame, options)
    assert lookback < len(frame)
    rows = np.unique(np.linspace(lookback, len(frame) - 1, 5, dtype=int)).tolist()
    for row, after in pairwise([*rows, len(frame)]):
        found = compute(frame.take(slice(row - lookback, after)), options, lookback)
        assert_same_bits(
            {name: values[lookback:] for name, values in found.items()},
            {name: values[row:after] for name, values in whole.items()},
            slice(None),
        )
        assert all(np.isfinite(values[lookback:]).all() for values in found.values())


def test_after_a_gap_longer_than_the_look_back_nothing_is_known() -> None:
    frame = bars(date(2026, 1, 5), date(2026, 2, 6))
    torn = without(frame, between(frame, "2026-01-10", "2026-01-27"))
    found = compute(torn, INTRADAY | {"groups": ["day"], "primitives": ["mean"], "columns": ["returns"]})
    known = {name: torn.trading_date[np.flatnonzero(np.isnan(values))[-1] + 1] for name, values in found.items()}
    # At the end of the first day after it, and of the third.
    assert known == {
        "mean_returns_day_1": np.datetime64("2026-01-28"),
        "mean_returns_day_3": np.datetime64("2026-01-30"),
    }


def test_weekends_that_fill_the_look_back_hide_no_session_of_one_frame_alone() -> None:
    torn = bars(date(2025, 9, 29), date(2025, 11, 17), calendar_name="24x7")
    for week in range(5):
        monday = np.datetime64("2025-10-06") + 7 * week
        torn = without(torn, between(torn, str(monday), str(monday + 4)))
    options = INTRADAY | {"groups": ["session"], "primitives": ["mean"], "columns": ["returns"], "windows": [1]}
    lookback = STAGE.lookback(FeaturetoolsOptions(**options), "1h")
    row = int(np.flatnonzero(torn.trading_date == np.datetime64("2025-11-10"))[0])
    first_of_frame = torn.trading_date[row - lookback]
    assert first_of_frame > np.datetime64("2025-10-06")
    whole, short = compute(torn, options), compute(torn.take(slice(row - lookback, None)), options, lookback)
    assert_same_bits({n: v[lookback:] for n, v in short.items()}, {n: v[row:] for n, v in whole.items()}, slice(None))
    assert all(np.isnan(values[row]) and np.isfinite(values[row + 24]) for values in whole.values())


def between(frame: Frame, first: str, last: str) -> slice:
    """Rows of those trading dates."""
    inside = (frame.trading_date >= np.datetime64(first)) & (frame.trading_date <= np.datetime64(last))
    rows = np.flatnonzero(inside)
    return slice(int(rows[0]), int(rows[-1]) + 1)
