"""Every version of a bar, and since when it was known: by hand, and whatever the order in which the prices arrived."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.bars import resample, versions
from fx_assets.bars.resample import VALUES, compose, minutes
from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.bars.versions import bar_versions
from fx_assets.prices.batch import Form
from fx_assets.prices.schema import polars_schema
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import FREQUENCIES
from fx_assets.timegrid.trading_dates import bar_end, bar_start, trading_date_of
from tests.bars.prices import bars, end_of, fixings, raw, ticks, utc

TICKS, FIXINGS = Form("tick"), Form("fixing")
MINUTES, HOURS, DAYS = Form("bar", 60), Form("bar", 3_600), Form("bar", 86_400)
NOON = utc("2018-03-12T12:00")  # a Monday, the first day of daylight saving in New York
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ALL = "all"


def made(
    rows: pl.DataFrame, frequency: Frequency, form: Form, *, calendar: CalendarName = "fx", now: datetime | None = None
) -> pl.DataFrame:
    found = bar_versions(rows, "EURUSD", frequency, form=form, calendar=calendar, now=now)
    assert found.schema == polars_schema(BAR_SCHEMA)
    return found


def quotes(*given: tuple[float, float | None, datetime | None]) -> pl.DataFrame:
    """Ticks: seconds after `NOON`, bid (ask is 0.2 more; None takes the tick back), known at (None: at its time)."""
    rows = [
        (NOON + timedelta(seconds=at), price, None if price is None else price + 0.2, known)
        for at, price, known in given
    ]
    known_at = [known or time for time, _, _, known in rows]
    return ticks((row[:3] for row in rows), known_at=pl.Series(known_at, dtype=pl.Datetime("us", "UTC")))


def said(found: pl.DataFrame) -> list[tuple[datetime, datetime, float | None]]:
    """(start, known at, last bid) of each version."""
    return found.select("time", "known_at", pl.col("bid").round(9)).rows()


def test_what_came_in_time_is_known_at_the_end() -> None:
    found = made(quotes((0, 1.0, None), (59.9, 1.1, None), (60, 1.2, None), (200, 1.3, None)), "1min", TICKS)
    assert said(found) == [
        (NOON, NOON + MINUTE, 1.1),
        (NOON + MINUTE, NOON + 2 * MINUTE, 1.2),
        (NOON + 3 * MINUTE, NOON + 4 * MINUTE, 1.3),
    ]
    first = found.row(0, named=True)
    assert {name: first[name] for name in ("pair", "block", "end", "trading_date", "kind", "side", "ticks")} == {
        **{"pair": "EURUSD", "block": "2018q1", "end": NOON + MINUTE, "trading_date": date(2018, 3, 12)},
        **{"kind": "bar", "side": "mid", "ticks": 2},
    }


def test_a_late_tick_makes_a_later_version() -> None:
    late = NOON + DAY
    found = made(quotes((0, 1.0, None), (30, 1.5, late), (61, 1.2, None)), "1min", TICKS)
    assert said(found) == [
        (NOON, NOON + MINUTE, 1.0),
        (NOON, late, 1.5),
        (NOON + MINUTE, NOON + 2 * MINUTE, 1.2),
    ]
    hour = made(quotes((0, 1.0, None), (30, 1.5, late), (61, 1.2, None)), "1h", TICKS)
    assert hour.select("known_at", "bid", "ticks", "bid_high").rows() == [
        (NOON + HOUR, 1.2, 2, 1.2),
        (late, 1.2, 3, 1.5),
    ]


def test_late_within_the_bar_is_in_time_for_it() -> None:
    late = NOON + 30 * MINUTE
    rows = quotes((0, 1.0, None), (30, 1.5, late))
    assert said(made(rows, "1min", TICKS)) == [(NOON, NOON + MINUTE, 1.0), (NOON, late, 1.5)]
    assert said(made(rows, "1h", TICKS)) == [(NOON, NOON + HOUR, 1.5)]


def test_a_bar_of_late_ticks_only_is_known_with_the_first() -> None:
    first, second = NOON + DAY, NOON + 2 * DAY
    found = made(quotes((0, 1.0, second), (30, 1.5, first), (40, 1.4, first)), "1min", TICKS)
    assert said(found) == [(NOON, first, 1.4), (NOON, second, 1.4)]
    assert found["ticks"].to_list() == [2, 3]


def test_a_correction_and_one_that_changes_nothing() -> None:
    later, last = NOON + DAY, NOON + 2 * DAY
    found = made(quotes((0, 1.0, None), (0, 1.1, later), (0, 1.1, last)), "1min", TICKS)
    assert said(found) == [(NOON, NOON + MINUTE, 1.0), (NOON, later, 1.1)]
    # Corrected before the bar ended: it never said anything else.
    in_time = made(quotes((0, 1.0, None), (0, 1.1, NOON + 5 * SECOND)), "1min", TICKS)
    assert said(in_time) == [(NOON, NOON + MINUTE, 1.1)]
    back = made(quotes((0, 1.0, None), (0, 1.1, later), (0, 1.0, last)), "1min", TICKS)
    assert said(back) == [(NOON, NOON + MINUTE, 1.0), (NOON, later, 1.1), (NOON, last, 1.0)]


def test_a_tick_that_is_taken_back() -> None:
    later = NOON + DAY
    found = made(quotes((0, 1.0, None), (30, 9.9, None), (30, None, later)), "1min", TICKS)
    assert said(found) == [(NOON, NOON + MINUTE, 9.9), (NOON, later, 1.0)]
    # The spike was proved one before the bar ended: it never was in it.
    proved = made(quotes((0, 1.0, None), (30, 9.9, None), (30, None, NOON + 31 * SECOND)), "1min", TICKS)
    assert said(proved) == [(NOON, NOON + MINUTE, 1.0)]


def test_a_bar_of_which_nothing_stands_is_taken_back() -> None:
    later, last = NOON + DAY, NOON + 2 * DAY
    found = made(quotes((0, 1.0, None), (0, None, later), (0, 1.2, last)), "1h", TICKS)
    assert said(found) == [(NOON, NOON + HOUR, 1.0), (NOON, later, None), (NOON, last, 1.2)]
    gone = found.row(1, named=True)
    assert [gone[name] for name in VALUES] == [None] * len(VALUES)
    assert (gone["end"], gone["block"], gone["kind"]) == (NOON + HOUR, "2018", "bar")
    # What was taken back before it was ever known is no bar at all.
    assert made(quotes((0, 1.0, None), (0, None, NOON + SECOND)), "1h", TICKS).is_empty()
    assert made(quotes((0, None, later)), "1min", TICKS).is_empty()


def test_bars_that_have_not_ended_are_left_out() -> None:
    rows = quotes((0, 1.0, None), (60, 1.1, None))
    assert made(rows, "1min", TICKS, now=NOON + 2 * MINUTE).height == 2
    assert made(rows, "1min", TICKS, now=NOON + 2 * MINUTE - timedelta(microseconds=1)).height == 1
    assert made(rows, "1h", TICKS, now=NOON + 2 * MINUTE).is_empty()
    with pytest.raises(ValueError, match="has no time zone; give it in UTC"):
        made(rows, "1h", TICKS, now=datetime(2018, 3, 12))


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_no_prices_no_bars(frequency: Frequency) -> None:
    assert made(ticks([]), frequency, TICKS).is_empty()
    assert made(raw([]), frequency, MINUTES).is_empty()
    if frequency in ("1d", "1w"):
        assert made(raw([]), frequency, FIXINGS).is_empty()


OHLC = {"open": 1.0, "high": 1.4, "low": 0.9, "close": 1.2, "bid": 1.1, "ask": 1.3, "ticks": 7}


def test_bars_of_the_wanted_length_stay_what_they_are() -> None:
    given = bars(3_600, [(NOON, OHLC), (NOON + HOUR, {"close": 1.3, "bid": 1.2})])
    first, second = made(given, "1h", HOURS).to_dicts()
    assert {name: first[name] for name in OHLC} == OHLC
    assert first["spread"] == pytest.approx(0.2)
    assert first["realised_variance"] == pytest.approx(0.03324, rel=1e-3)  # log(1.2 / 1.0) squared
    assert (first["time"], first["end"], first["known_at"]) == (NOON, NOON + HOUR, NOON + HOUR)
    assert {name for name in VALUES if second[name] is not None} == {"close", "bid"}


def test_a_source_with_a_grid_of_its_own_keeps_it() -> None:
    four = Form("bar", 4 * 3_600)
    given = bars(four.seconds, [(NOON + 8 * HOUR, OHLC)])  # 20:00 UTC, an hour before the trading date ends
    (bar,) = made(given, "4h", four).to_dicts()
    assert (bar["time"], bar["end"]) == (NOON + 8 * HOUR, NOON + 12 * HOUR)
    with pytest.raises(ValueError, match=r"bar of 4h at 2018-03-12 20:00:00\+00:00 reaches beyond 2018-03-12 21:00:00"):
        made(given, "1d", four)
    with pytest.raises(ValueError, match="cannot be made into bars of 1h; ask for whole multiples"):
        made(given, "1h", four)


def test_days_and_weeks_of_hours() -> None:
    week = bar_start(date(2018, 3, 12))
    given = bars(3_600, [(week + i * HOUR, {**OHLC, "close": 1.0 + i / 1000}) for i in range(5 * 24)])
    days = made(given, "1d", HOURS)
    assert days["trading_date"].to_list() == [date(2018, 3, 12) + i * DAY for i in range(5)]
    assert days["ticks"].to_list() == [24 * 7] * 5
    assert (days["known_at"] == days["end"]).all()
    (bar,) = made(given, "1w", HOURS).to_dicts()
    assert (bar["time"], bar["end"], bar["trading_date"]) == (week, bar_end(date(2018, 3, 16)), date(2018, 3, 16))
    assert (bar["close"], bar["ticks"], bar["block"]) == (1.119, 120 * 7, ALL)


def test_the_weekend_is_in_no_week_but_of_a_market_that_never_closes() -> None:
    friday = bar_start(date(2018, 3, 16))
    given = bars(3_600, [(friday + i * HOUR, OHLC) for i in range(4 * 24)])
    assert made(given, "1w", HOURS)["ticks"].to_list() == [24 * 7, 24 * 7]
    always = made(given, "1w", HOURS, calendar="24x7")
    assert always["ticks"].to_list() == [3 * 24 * 7, 24 * 7]
    assert always["trading_date"].to_list() == [date(2018, 3, 18), date(2018, 3, 25)]
    assert made(given, "1d", HOURS).height == 4  # days there are: the check of bars names them


def test_weeks_of_fixings_have_the_last_close() -> None:
    days = fixings([1.0 + i / 100 if i % 7 < 5 else None for i in range(12)], first=date(2026, 10, 19))
    found = made(days, "1w", FIXINGS)
    assert found.select("trading_date", "close", "kind").rows() == [
        (date(2026, 10, 23), 1.04, "fixing"),
        (date(2026, 10, 30), 1.11, "fixing"),
    ]
    assert [name for name in VALUES if found[name].null_count() == 0] == ["close"]
    assert (found["known_at"] == found["end"]).all()
    with pytest.raises(ValueError, match="fixings cannot be made into bars of 1h"):
        made(days, "1h", FIXINGS)


def test_prices_that_are_not_what_they_should_be() -> None:
    given = bars(3_600, [(NOON, OHLC), (NOON + HOUR, OHLC)])
    wrong: list[tuple[Mapping[str, Any], str]] = [
        (
            {"pair": pl.lit("USDJPY")},
            r"EURUSD: price of 2018-03-12 12:00:00\+00:00 has pair 'USDJPY'; expected 'EURUSD'",
        ),
        ({"kind": pl.lit("fixing")}, "has kind 'fixing'; expected 'bar'"),
        ({"seconds": pl.lit(60, pl.Int32)}, "has seconds 60; expected 3600"),
        ({"known_at": pl.lit(None, pl.Datetime("us", "UTC"))}, "2 rows have no known_at"),
    ]
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            made(given.with_columns(**change), "1h", HOURS)
    with pytest.raises(
        ValueError, match=r"2018-03-12 12:00:00\+00:00 has more than one price known at 2018-03-12 13:00"
    ):
        made(pl.concat([given, given.head(1)]), "1h", HOURS)
    with pytest.raises(ValueError, match=r"EURUSD: columns missing: \['seconds'\]"):
        made(given.drop("seconds"), "1h", HOURS)
    with pytest.raises(ValueError, match="1 prices have no trading_date"):
        made(fixings([1.0]).with_columns(trading_date=pl.lit(None, pl.Date)), "1d", FIXINGS)


SPREADS = (0, 30, 61, 3_599, 3_600, 86_399, 86_401, 3 * 86_400)
LATE = (0, 0, 0, 20, 400, 9_000, 100_000, 700_000)


@st.composite
def histories(draw: st.DrawFn) -> pl.DataFrame:
    """Ticks over the change of New York's clocks, some late, some corrected, some taken back, in any order."""
    steps = st.tuples(
        st.sampled_from(SPREADS), st.lists(st.tuples(st.sampled_from(LATE), st.integers(0, 4)), min_size=1, max_size=3)
    )
    rows = []
    time = utc("2018-03-09T20:30")
    for gap, told in draw(st.lists(steps, min_size=1, max_size=10)):
        time += timedelta(seconds=gap + 1)
        for late, price in {time + timedelta(seconds=late): price for late, price in told}.items():
            quote = None if price == 0 else 1 + price / 10
            rows.append((time, late, quote))
    shuffled = draw(st.permutations(rows))
    known_at = pl.Series([row[1] for row in shuffled], dtype=pl.Datetime("us", "UTC"))
    return ticks(((t, p, None if p is None else p + 0.2) for t, _, p in shuffled), known_at=known_at)


def view(rows: pl.DataFrame, when: datetime, *prices: str) -> pl.DataFrame:
    """What was known at `when`: written once more, by dictionary."""
    latest: dict[datetime, dict[str, Any]] = {}
    for row in rows.filter(pl.col("known_at") <= when).sort("known_at").to_dicts():
        latest[row["time"]] = row
    standing = [row for _, row in sorted(latest.items()) if any(row[name] is not None for name in prices)]
    return pl.DataFrame(standing, schema=rows.schema)


@settings(max_examples=20, deadline=None)
@given(histories(), st.sampled_from(FREQUENCIES), st.sampled_from(("fx", "24x7")))
def test_each_view_of_the_versions_is_made_of_the_view_of_the_prices(
    rows: pl.DataFrame, frequency: Frequency, calendar: CalendarName
) -> None:
    found = made(rows, frequency, TICKS, calendar=calendar)
    assert (found["known_at"] >= found["end"]).all()
    for when in sorted({*rows["known_at"], *found["end"], *found["known_at"]}):
        finest = minutes(view(rows, when, "bid", "ask"))
        expected = finest if frequency == "1min" else compose(finest, frequency, calendar=calendar)
        known = view(found, when, "close")
        ended = expected.filter(
            pl.Series([end_of(time, frequency, calendar) <= when for time in expected["time"]], dtype=pl.Boolean)
        )
        assert known.select("time", *VALUES).equals(ended)
    kept = found.with_columns(pl.struct(VALUES).shift().over("time").alias("before"))
    assert kept.filter(pl.col("time").is_duplicated(), pl.struct(VALUES) == pl.col("before")).is_empty()


@settings(max_examples=20, deadline=None)
@given(histories(), st.sampled_from(FREQUENCIES), st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_order_of_arrival_and_the_blocks_do_not_matter(
    rows: pl.DataFrame, frequency: Frequency, random: Any, block_rows: int
) -> None:
    found = made(rows, frequency, TICKS, calendar="24x7")
    order = list(range(rows.height))
    random.shuffle(order)
    assert made(rows[order], frequency, TICKS, calendar="24x7").equals(found)

    def block(time: datetime) -> date:
        day = trading_date_of(time)
        return day - timedelta(days=day.weekday()) if frequency == "1w" else day

    names = pl.Series([block(time) for time in rows["time"]])
    parts = [rows.filter(names == name) for name in sorted(set(names))]
    assert pl.concat([made(part, frequency, TICKS, calendar="24x7") for part in parts]).equals(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "BLOCK_ROWS", block_rows)
        patch.setattr(versions, "BLOCK_ROWS", block_rows)
        assert made(rows, frequency, TICKS, calendar="24x7").equals(found)


@settings(max_examples=12, deadline=None)
@given(histories(), st.sampled_from(FREQUENCIES[1:]))
def test_minutes_of_a_source_make_the_same_as_its_ticks(rows: pl.DataFrame, frequency: Frequency) -> None:
    """The versions of minute bars are raw prices like any other."""
    minute = made(rows, "1min", TICKS, calendar="24x7")
    given = raw(
        {
            **{name: value for name, value in bar.items() if name in polars_schema(BAR_SCHEMA)},
            "seconds": 60,
            "source": "x",
        }
        for bar in minute.drop("spread", "realised_variance", "end").to_dicts()
    )
    direct, detour = made(rows, frequency, TICKS, calendar="24x7"), made(given, frequency, MINUTES, calendar="24x7")
    # The spread of a minute bar is that at its end, not the mean over its ticks, which a source does not tell.
    assert detour.drop("spread").equals(direct.drop("spread"))
