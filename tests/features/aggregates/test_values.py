"""What the stage computes, beside plain pandas: over changes of daylight saving, holidays and thin days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import numpy as np
import pytest

from fx_assets.features.aggregates import asof
from fx_assets.features.aggregates.compute import Stretch, aggregate
from fx_assets.features.aggregates.periods import GROUPS
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions
from tests.features.aggregates.reference import assert_equal, expected
from tests.features.aggregates.support import bars, without

STAGE = Featuretools()
SPRING = (date(2026, 3, 2), date(2026, 4, 3))  # New York changes its clocks on 8 March, London on the 29th
WEEKEND = np.array(["2025-12-27", "2025-12-28"], dtype="datetime64[D]")
WINTER = (date(2025, 12, 15), date(2026, 1, 9))
EVERY = ["mean", "std", "min", "max", "median", "skew", "first", "last", "trend"]
QUICK = EVERY[:-1]


def compute(frame: Frame, first: int = 0, **options: Any) -> dict[str, FloatArray]:
    return STAGE.compute(frame, FeaturetoolsOptions(**options), first)


def check(frame: Frame, **options: Any) -> None:
    """Every column of those options against the reference, from the first bar on."""
    asked = FeaturetoolsOptions(**options)
    found = compute(frame, **options)
    kinds = [kind for group in asked.groups for kind in GROUPS[group]]
    for kind, window in product(kinds, asked.windows):
        wanted = expected(frame, list(asked.columns), list(asked.primitives), kind, window)
        for value, primitive in product(asked.columns, asked.primitives):
            assert_equal(found[f"{primitive}_{value}_{kind}_{window}"], wanted[value, primitive], primitive)


def test_days_and_sessions_over_both_changes_to_summer_time() -> None:
    check(
        bars(*SPRING),
        groups=["day", "session"],
        primitives=QUICK,
        columns=["close", "returns", "range", "spread", "ticks", "volume"],
        windows=[1, 3],
    )


def test_days_and_sessions_over_christmas_with_an_eve_of_few_bars() -> None:
    full = bars(*WINTER)
    eve = np.flatnonzero(full.trading_date == np.datetime64("2025-12-24"))
    # Five bars: of Tokyo some, of London and New York none.
    thin = without(full, slice(int(eve[5]), int(eve[-1]) + 1))
    check(thin, groups=["day", "session"], primitives=EVERY, columns=["close", "returns"], windows=[1, 2])


def test_bars_of_five_minutes() -> None:
    check(
        bars(date(2026, 3, 5), date(2026, 3, 10), "5min"),
        groups=["day", "session"],
        primitives=QUICK,
        columns=["returns"],
        windows=[1],
    )


def test_a_day_counts_from_its_last_bar_and_a_session_from_its_closing_hour() -> None:
    frame = bars(date(2026, 1, 5), date(2026, 1, 7))
    found = compute(frame, groups=["day", "session"], primitives=["last"], columns=["ticks"], windows=[1])
    known = {name: frame.end[np.flatnonzero(np.isfinite(values))[0]] for name, values in found.items()}
    assert known == {
        "last_ticks_day_1": np.datetime64("2026-01-06T22:00"),
        "last_ticks_tokyo_1": np.datetime64("2026-01-06T09:00"),
        "last_ticks_london_1": np.datetime64("2026-01-06T17:00"),
        "last_ticks_new_york_1": np.datetime64("2026-01-06T22:00"),
    }
    for name, values in found.items():
        at = int(np.flatnonzero(frame.end == known[name])[0])
        assert values[at] == frame.columns["ticks"][at]


def test_a_bar_that_crosses_the_close_of_a_session_is_not_in_it() -> None:
    # In winter Tokyo is open from 0:00 to 9:00 UTC, and bars of two hours end at 0:00, 2:00, ... 10:00.
    frame = bars(date(2026, 1, 5), date(2026, 1, 8), "2h")
    found = compute(frame, groups=["session"], primitives=["first", "last", "mean"], columns=["ticks"], windows=[1, 2])
    at = {str(end)[:13]: row for row, end in enumerate(frame.end)}
    now, ticks = at["2026-01-08T10"], frame.columns["ticks"]
    inside = [at[f"2026-01-0{day}T0{hour}"] for day in (7, 8) for hour in (2, 4, 6, 8)]
    assert {name: values[now] for name, values in found.items() if "tokyo" in name} == {
        "first_ticks_tokyo_1": ticks[inside[4]],
        "last_ticks_tokyo_1": ticks[inside[7]],
        "mean_ticks_tokyo_1": ticks[inside[4:]].mean(),
        "first_ticks_tokyo_2": ticks[inside[0]],
        "last_ticks_tokyo_2": ticks[inside[7]],
        "mean_ticks_tokyo_2": ticks[inside].mean(),
    }


def test_stray_bars_of_closed_dates_are_no_day() -> None:
    every_day = bars(date(2025, 12, 22), date(2025, 12, 30), calendar_name="24x7")
    frame = replace(every_day, calendar="fx")
    found = compute(frame, groups=["day", "session"], primitives=["max"], columns=["ticks"], windows=[2])

    def highest(*days: str) -> float:
        inside = np.isin(frame.trading_date, np.array(days, dtype="datetime64[D]"))
        return float(frame.columns["ticks"][inside].max())

    def at_end_of(day: str) -> float:
        return float(found["max_ticks_day_2"][np.flatnonzero(frame.trading_date == np.datetime64(day))[-1]])

    # Christmas Day is a Thursday.
    assert at_end_of("2025-12-25") == highest("2025-12-23", "2025-12-24")
    assert at_end_of("2025-12-26") == highest("2025-12-24", "2025-12-26")
    assert at_end_of("2025-12-28") == at_end_of("2025-12-26") != at_end_of("2025-12-29")
    for kind in ("tokyo", "london", "new_york"):
        weekend = found[f"max_ticks_{kind}_2"][np.isin(frame.trading_date, WEEKEND)]
        assert len(set(weekend)) == 1


def test_only_what_a_row_takes_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = bars(date(2026, 1, 5), date(2026, 1, 16))
    given: list[Stretch] = []

    def recorded(features: Any, stretches: list[Stretch], *rest: Any) -> dict[str, FloatArray]:
        given.extend(stretches)
        return aggregate(features, stretches, *rest)

    monkeypatch.setattr(asof, "aggregate", recorded)
    first = int(np.flatnonzero(frame.trading_date == np.datetime64("2026-01-15"))[0])
    compute(frame, first, groups=["day"], primitives=["mean"], windows=[1])
    ends = [str(stretch.end)[:13] for stretch in given]
    assert ends == ["2026-01-14T22", "2026-01-15T22", "2026-01-16T22"]


def test_weeks_and_months_of_fixings_end_with_their_last_open_date() -> None:
    # Good Friday is 3 April and Easter Monday the 6th; May Day, a Friday, is closed too.
    frame = bars(date(2026, 3, 2), date(2026, 5, 8), "1d", "target")
    found = compute(frame, groups=["week", "month"], primitives=["mean"], columns=["returns"], windows=[1])
    returns = np.diff(np.log(frame.columns["close"]), prepend=np.nan) * 1e4
    days = frame.trading_date

    def mean(first: str, last: str) -> float:
        return float(returns[(days >= np.datetime64(first)) & (days <= np.datetime64(last))].mean())

    def at(day: str) -> int:
        return int(np.flatnonzero(days == np.datetime64(day))[0])

    week, month = found["mean_returns_week_1"], found["mean_returns_month_1"]
    assert week[at("2026-04-01")] == pytest.approx(mean("2026-03-23", "2026-03-27"), rel=1e-12)
    # Thursday ends the week before Easter.
    assert week[at("2026-04-02")] == pytest.approx(mean("2026-03-30", "2026-04-02"), rel=1e-12)
    assert week[at("2026-04-07")] == week[at("2026-04-02")]
    assert np.isnan(month[: at("2026-04-30")]).all()
    assert month[at("2026-04-30")] == pytest.approx(mean("2026-04-01", "2026-04-30"), rel=1e-12)
    assert month[-1] == month[at("2026-04-30")]


def test_a_trend_is_of_one_unit_whatever_the_clock_shows() -> None:
    # featuretools itself takes days where the first bar closes at midnight, hours or minutes where at a full one.
    frame = bars(date(2026, 1, 5), date(2026, 1, 7))
    hours = (frame.end - frame.end[0]).astype(np.float64) / 3.6e9
    rising = replace(frame, columns={"close": np.exp(hours * 1e-4)})
    found = compute(rising, groups=["day", "session"], primitives=["trend"], columns=["close"], windows=[1])
    assert [values[-1] for values in found.values()] == pytest.approx([24.0] * 4, rel=1e-9)


def test_what_too_few_bars_say_is_missing_and_nothing_else() -> None:
    full = bars(date(2026, 1, 5), date(2026, 1, 7))
    second = np.flatnonzero(full.trading_date == np.datetime64("2026-01-06"))
    one = without(full, slice(int(second[0]), int(second[-1])))  # the last bar of Tuesday stays
    found = compute(one, groups=["day", "session"], primitives=EVERY, columns=["returns"], windows=[1])
    end = {
        name: values[np.flatnonzero(one.trading_date == np.datetime64("2026-01-06"))[-1]]
        for name, values in found.items()
    }
    missing = {name for name, value in end.items() if np.isnan(value)}
    of_one_bar = {
        f"{primitive}_returns_{kind}_1" for primitive in ("std", "skew", "trend") for kind in ("day", "new_york")
    }
    of_none = {f"{primitive}_returns_{kind}_1" for primitive in EVERY for kind in ("tokyo", "london")}
    assert missing == of_one_bar | of_none


def test_rows_before_the_first_are_missing_and_the_rest_the_same() -> None:
    frame = bars(date(2026, 1, 5), date(2026, 1, 9))
    options: dict[str, Any] = {
        "groups": ["day", "session"],
        "primitives": ["mean", "skew"],
        "columns": ["returns"],
        "windows": [1],
    }
    whole, part = compute(frame, **options), compute(frame, first=60, **options)
    for name, values in part.items():
        assert np.isnan(values[:60]).all()
        np.testing.assert_array_equal(values[60:], whole[name][60:])


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_a_frame_without_a_finished_day_knows_nothing(rows: int) -> None:
    frame = bars(date(2026, 1, 5), date(2026, 1, 7)).take(slice(0, rows))
    found = compute(frame, groups=["day", "session"], primitives=["mean"], columns=["close"])
    assert len(found) == 8
    for values in found.values():
        assert values.shape == (rows,)
        assert np.isnan(values).all()


def test_months_of_weekly_bars_go_by_the_dates_they_end_on() -> None:
    frame = bars(date(2025, 12, 29), date(2026, 3, 13), "1w")
    found = compute(frame, groups=["month"], primitives=["mean"], columns=["returns"], windows=[1])
    returns = np.diff(np.log(frame.columns["close"]), prepend=np.nan) * 1e4
    # The first bar ends on 2 January and takes that month with it. The last open date of February is Friday the 27th.
    assert np.isnan(found["mean_returns_month_1"][:8]).all()
    assert frame.trading_date[8] == np.datetime64("2026-02-27")
    np.testing.assert_allclose(found["mean_returns_month_1"][8:], returns[5:9].mean(), rtol=1e-12)
