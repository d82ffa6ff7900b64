"""Each check of raw prices on rows that break it, and on real ones that do not."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.quality import CHECKS, PriceAudit
from fx_assets.storage.records import CheckOutcome
from tests.prices.audits import (
    HOURS,
    MINUTES,
    MONDAY,
    TICKS,
    audited,
    collected,
    open_times,
    read,
    real,
    rows,
    spec,
    walk,
)
from tests.prices.conftest import NOW, pair
from tests.prices.test_history import fixings

FIXING = Form("fixing")
GOOD = fixings([1.1, 1.2], first=date(2026, 10, 29))  # a Thursday and a Friday
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def outcomes(view: pl.DataFrame, rejects: int = 0, form: Form = FIXING, **changes: Any) -> dict[str, CheckOutcome]:
    fetched = collected(rows=view.height)
    if rejects:
        fetched.reject_counts = {"not_a_number": rejects}
        told = [("ecb.csv", 7 + i, "not_a_number: USD", "x") for i in range(rejects)]
        fetched.rejects = pl.DataFrame(told, schema=fetched.rejects.schema, orient="row")
    audit = PriceAudit(pair(**changes), form, now=NOW)
    audit.add(view)
    return by_name(audit.outcomes(fetched))


def by_name(found: list[CheckOutcome]) -> dict[str, CheckOutcome]:
    assert {outcome.name: outcome.blocking for outcome in found} == CHECKS
    assert [outcome.name for outcome in found] == list(CHECKS)
    return {outcome.name: outcome for outcome in found}


def failed(found: dict[str, CheckOutcome]) -> list[str]:
    return [name for name, outcome in found.items() if not outcome.passed]


def seen(frame: pl.DataFrame, form: Form, **changes: Any) -> dict[str, CheckOutcome]:
    return by_name(audited(frame, form, of=spec(**changes)).outcomes(collected(rows=frame.height)))


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY", "EURJPY", "GBPUSD"])
def test_the_real_fixings_pass_all(tmp_path: Path, name: str) -> None:
    of = pair(name)
    found, view = read(of, tmp_path)
    assert failed(by_name(audited(view, FIXING, of=of).outcomes(found))) == []


def test_the_real_bars_pass_all(sample_data: Path, tmp_path: Path) -> None:
    oanda, mt4 = sample_data / "oanda_h1", sample_data / "mt4_m5"
    minutes = sample_data / "histdata" / "DAT_ASCII_EURUSD_M1_2018.zip"
    five = {"kind": "metatrader", "clock": "new_york+7", "resolution": "5min"}
    cases = [
        (real("USDJPY", oanda / "USD_JPY_H1.csv.xz", kind="csv", resolution="1h"), HOURS),
        (real("EURUSD", oanda / "EUR_USD_H1.csv.xz", kind="csv", resolution="1h"), HOURS),
        (real("EURUSD", minutes, kind="histdata", resolution="1min"), MINUTES),
        *((real(name, mt4 / f"{name}5.csv.xz", **five), Form("bar", 300, "bid")) for name in ("EURUSD", "USDJPY")),
    ]
    for of, form in cases:
        found, view = read(of, tmp_path)
        assert failed(by_name(audited(view, form, of=of).outcomes(found))) == []


def test_no_more_checks_than_the_event_log_bears() -> None:
    assert len(CHECKS) <= 15


def test_good_rows_pass_and_say_their_range() -> None:
    found = outcomes(GOOD)
    assert failed(found) == []
    assert found["plausible_range"].metadata == {"rows": 2, "bad": 0, "lowest": 1.1, "highest": 1.2, "first": None}


def test_a_fetch_without_a_batch_is_empty_unless_prices_are_held() -> None:
    def found(held: dict[str, int] | None) -> list[str]:
        return failed(by_name(PriceAudit(spec(), MINUTES, now=NOW, held=held).outcomes(collected())))

    assert found(None) == found({}) == ["not_empty"]
    assert found({"2024q1": 5}) == []
    assert failed(outcomes(GOOD.clear(), 1)) == ["not_empty", "rejects_within_limit"]


def test_rejects_up_to_the_limit_pass() -> None:
    """One of three rows rejected."""
    assert failed(outcomes(GOOD, 1, reject_limit=0.34)) == []
    found = outcomes(GOOD, 1, reject_limit=0.33)
    assert failed(found) == ["rejects_within_limit"]
    outcome = found["rejects_within_limit"]
    said = "33.33% of the rows rejected, limit 33.00%; mostly not_a_number; first ecb.csv, line 7: not_a_number: USD"
    assert outcome.description == said
    assert (outcome.metadata["rejects"], outcome.metadata["share"]) == (1, 1 / 3)


def test_a_spike_counts_as_a_reject_but_its_row_only_once() -> None:
    audit = audited(GOOD.with_columns(block=pl.lit("all")), FIXING)
    found = by_name(audit.outcomes(collected(rows=100, spikes=1, reject_counts={"spike": 1})))
    assert found["rejects_within_limit"].metadata["share"] == 0.01
    assert failed(found) == ["rejects_within_limit", "spikes"]


@pytest.mark.parametrize("close", [math.nan, math.inf, -math.inf, 0.0, -1.1, None])
def test_closes_that_are_no_prices(close: float | None) -> None:
    found = outcomes(GOOD.with_columns(close=pl.Series([1.1, close], dtype=pl.Float64)))
    assert "positive_finite" in failed(found)
    assert found["positive_finite"].metadata["bad"] == 1
    assert "2026-10-30" in found["positive_finite"].description


def test_a_null_bid_is_none_and_a_zero_bid_is_wrong() -> None:
    assert failed(outcomes(GOOD.with_columns(bid=pl.lit(0.0)))) == ["positive_finite", "plausible_range"]


def test_of_a_tick_one_side_is_enough_and_each_side_is_looked_at() -> None:
    times = open_times(MONDAY, MINUTE, 3)
    ticks = rows(times, TICKS, walk(3))
    assert failed(seen(ticks.with_columns(bid=pl.Series([None, 1.1, 1.1])), TICKS)) == []
    found = seen(ticks.with_columns(ask=pl.Series([1.1, math.inf, 1.1])), TICKS)
    assert failed(found) == ["positive_finite", "plausible_range"]
    assert "inf at 2024-01-07 22:01" in found["plausible_range"].description


def test_a_high_out_of_range_is_named() -> None:
    found = outcomes(GOOD.with_columns(high=pl.Series([None, 110.0]), close=pl.lit(1.1)))
    assert failed(found) == ["plausible_range"]
    assert "first 110.0 at 2026-10-30" in found["plausible_range"].description


@pytest.mark.parametrize("close", [110.0, 0.4999, 2.0001])
def test_a_price_in_points_or_of_another_pair(close: float) -> None:
    found = outcomes(GOOD.with_columns(close=pl.Series([1.1, close])))
    assert failed(found) == ["plausible_range", "scale"]
    assert f"1 prices outside [0.5, 2], first {close} at 2026-10-30" in found["plausible_range"].description


def test_the_edges_of_the_range_are_plausible() -> None:
    assert failed(outcomes(GOOD.with_columns(close=pl.Series([0.6, 2.0])), plausible_range=(0.6, 2.0))) == []


def test_times_that_stand_twice() -> None:
    found = outcomes(pl.concat([GOOD, GOOD.tail(1)]))
    assert failed(found) == ["unique_times"]
    assert found["unique_times"].metadata["bad"] == 2


def test_prices_known_before_their_time() -> None:
    view = GOOD.with_columns(known_at=pl.col("time") - timedelta(microseconds=1))
    assert failed(outcomes(view)) == ["not_known_before_its_time"]
    assert failed(outcomes(GOOD.with_columns(known_at=pl.col("time")))) == []


def test_prices_from_the_future() -> None:
    def at(time: datetime) -> pl.DataFrame:
        return GOOD.with_columns(time=pl.Series([GOOD["time"][1] - timedelta(days=1), time]), known_at=time)

    limit = NOW + timedelta(minutes=5)
    assert "not_from_the_future" not in failed(outcomes(at(limit)))
    assert "not_from_the_future" in failed(outcomes(at(limit + timedelta(microseconds=1))))


def test_fixings_on_a_weekend_and_on_a_holiday_only_warn() -> None:
    saturday = outcomes(fixings([1.1], first=date(2026, 10, 31)))
    good_friday = outcomes(fixings([1.1], first=date(2026, 4, 3)))
    assert failed(saturday) == ["no_weekend_fixings"]
    assert failed(good_friday) == ["no_holiday_fixings"]
    assert "'target', first 2026-04-03" in good_friday["no_holiday_fixings"].description


@pytest.mark.parametrize(
    ("factor", "remedy"),
    [
        (1e5, "divided by 100,000 they fit: set source.points: 1e-05 in configs/pairs/EURUSD.yaml"),
        (100.0, "divided by 100 they fit: set source.points: 0.01"),
        (0.01, "times 100 they fit: set source.points: 100"),
    ],
)
def test_a_whole_file_in_points_says_what_fits(factor: float, remedy: str) -> None:
    frame = rows(open_times(MONDAY, HOUR, 48), HOURS, [price * factor for price in walk(48)])
    found = seen(frame, HOURS)
    assert failed(found) == ["plausible_range", "scale"]
    assert remedy in found["scale"].description
    assert found["scale"].metadata["factor"] == pytest.approx(1 / factor)


def test_a_pair_the_wrong_way_round_is_called_inverted() -> None:
    frame = rows(open_times(MONDAY, HOUR, 48), HOURS, [1 / price for price in walk(48, 110.0)])
    found = seen(frame, HOURS, pair="USDJPY", plausible_range=(50, 300))
    assert found["scale"].metadata["inverted"] is True
    assert "this is JPYUSD, and USDJPY is wanted" in found["scale"].description


@pytest.mark.parametrize("kind", ["ten", "hundred", "thousandth", "inverse"])
def test_a_jump_of_the_level_within_the_range_blocks(kind: str) -> None:
    change = {"ten": lambda p: 10 * p, "hundred": lambda p: 100 * p, "thousandth": lambda p: p / 1000,
              "inverse": lambda p: 1 / p}[kind]  # fmt: skip
    prices = walk(96, 1.3)
    frame = rows(open_times(MONDAY, HOUR, 96), HOURS, [*prices[:48], *map(change, prices[48:])])
    found = seen(frame, HOURS, plausible_range=(1e-6, 1e6))
    assert failed(found) == ["scale"]
    assert "2024-01-10" in found["scale"].description
    assert ("inverted?" in found["scale"].description) == (kind == "inverse")


def test_a_crash_is_no_matter_of_scale() -> None:
    prices = walk(96)
    frame = rows(open_times(MONDAY, HOUR, 96), HOURS, [*prices[:48], *(price * 0.6 for price in prices[48:])])
    assert failed(seen(frame, HOURS)) == []


def test_a_feed_that_hangs_is_named_also_over_two_blocks_and_over_a_weekend_it_is_not() -> None:
    times = open_times(datetime(2024, 3, 29, 12, tzinfo=UTC), MINUTE, 3_000)  # a Friday; a quarter ends on Sunday
    prices = walk(3_000)
    held = [*prices[:300], *[1.23] * 400, *prices[700:]]
    found = seen(rows(times, MINUTES, held), MINUTES)
    assert failed(found) == ["frozen_quotes"]
    assert found["frozen_quotes"].metadata["longest_hours"] == pytest.approx(399 / 60)
    short = [*prices[:500], *[1.23] * 121, *prices[621:]]  # 60 rows before the week's end and 61 after
    assert times[560] - times[559] > timedelta(days=2) or times[540] - times[539] > timedelta(days=2)
    assert failed(seen(rows(times, MINUTES, short), MINUTES)) == []


def test_a_hole_between_equal_ticks_is_a_gap_and_no_frozen_quote() -> None:
    times = [MONDAY, MONDAY + MINUTE, MONDAY + 3 * HOUR]
    found = seen(rows(times, TICKS, [1.1] * 3), TICKS)
    assert failed(found) == []
    assert found["gaps"].metadata["gaps"] == 1


def test_saturdays_and_weeks_that_lack_a_day_are_invented() -> None:
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(200)]
    noon = [datetime(day.year, day.month, day.day, 13, 10, tzinfo=UTC) for day in days]
    every_day = seen(rows(noon, FIXING, walk(200)), FIXING)
    assert "invented_dates" in failed(every_day)
    assert "28.00% of the rows" in every_day["invented_dates"].description
    no_wednesday = [time for time in noon if time.weekday() in {0, 1, 3, 4}]
    found = seen(rows(no_wednesday, FIXING, walk(len(no_wednesday))), FIXING)
    assert "invented_dates" in failed(found)
    assert "Wednesday: hardly a row" in found["invented_dates"].description


def test_a_few_stray_rows_of_a_weekend_are_borne() -> None:
    times = open_times(MONDAY, HOUR, 24 * 5 * 8)
    strays = [datetime(2024, 1, 13, 1, tzinfo=UTC), datetime(2024, 1, 27, 1, tzinfo=UTC)]
    frame = rows(sorted([*times, *strays]), HOURS, walk(len(times) + 2))
    assert failed(seen(frame, HOURS)) == []
    assert failed(seen(frame, HOURS, calendar="24x7")) == ["invented_dates"]  # Saturdays and Sundays are missing


def test_a_market_that_never_closes_may_trade_on_saturdays() -> None:
    frame = rows([MONDAY + i * HOUR for i in range(24 * 60)], HOURS, walk(24 * 60))
    assert failed(seen(frame, HOURS, calendar="24x7")) == []
    assert failed(seen(frame, HOURS)) == ["invented_dates"]


def test_what_the_fetch_counted_warns() -> None:
    audit = audited(rows(open_times(MONDAY, HOUR, 9), HOURS, walk(9)), HOURS)
    found = by_name(audit.outcomes(collected(rows=9_000, replaced=3, spikes=1, reject_counts={"spike": 1})))
    assert failed(found) == ["same_time_other_price", "spikes"]
    assert found["same_time_other_price"].description.startswith("3 rows")


def test_the_longest_gap_is_counted_in_open_trading_dates() -> None:
    times = open_times(MONDAY, HOUR, 24 * 25)
    hole = [*times[:24], *times[24 * 7 :]]  # six whole trading dates
    found = seen(rows(hole, HOURS, walk(len(hole))), HOURS)
    assert failed(found) == ["gaps"]
    assert found["gaps"].metadata["longest_dates"] == 6.0
    assert failed(seen(rows(hole, HOURS, walk(len(hole))), HOURS, gap_limit=6)) == []


def test_a_hole_between_blocks_counts_where_nothing_held_lies_in_it() -> None:
    early, late = (
        open_times(datetime(2024, 1, 8, tzinfo=UTC), MINUTE, 9),
        open_times(datetime(2026, 7, 1, tzinfo=UTC), MINUTE, 9),
    )
    frame = rows([*early, *late], MINUTES, walk(18))

    def gaps(**held: Any) -> Any:
        return by_name(audited(frame, MINUTES, **held).outcomes(collected()))["gaps"].metadata["gaps"]

    assert gaps() == gaps(held={"2025q1": 7}) == 0
    assert gaps(held={}) == gaps(held={"2023q4": 7}) == 1
    assert gaps(held={}, last_held=datetime(2023, 12, 1, tzinfo=UTC)) == 2
