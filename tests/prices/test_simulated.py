"""The simulated market: any stretch alone equals the same stretch of a longer run, and it looks like a market."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.simulation import EPOCH, Market, minutes, simulate_days, simulate_ticks
from fx_assets.prices.sources.base import Feed, Request, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from fx_assets.timegrid.trading_dates import trading_date_of

SMALL = Market("EURUSD", ticks_per_day=400)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def year() -> pl.DataFrame:
    """A year of ticks over both changes of daylight saving and both holidays."""
    return simulate_ticks(SMALL, date(2000, 12, 20), date(2001, 12, 20))


def new_york(times: pl.Series) -> pl.Series:
    return times.dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 40), st.integers(0, 25), st.booleans())
def test_a_stretch_alone_equals_that_of_a_longer_run(skip: int, length: int, around_the_clock: bool) -> None:
    market = Market("USDJPY", ticks_per_day=50, start_price=110, pip=0.01, around_the_clock=around_the_clock)
    whole = dict(simulate_days(market, date(2000, 3, 1), date(2000, 5, 10)))
    first = date(2000, 3, 1) + skip * DAY
    alone = dict(simulate_days(market, first, first + length * DAY))
    assert list(alone) == [day for day in whole if first <= day <= first + length * DAY]
    for day, ticks in alone.items():
        assert_frame_equal(ticks, whole[day], check_exact=True)


def test_seed_and_pair_decide() -> None:
    day = date(2000, 5, 8)
    base = simulate_ticks(SMALL, day, day)
    for other in (Market("EURUSD", seed=8, ticks_per_day=400), Market("GBPUSD", ticks_per_day=400)):
        assert not simulate_ticks(other, day, day)["bid"].head(50).equals(base["bid"].head(50))
    assert simulate_ticks(SMALL, day, day).equals(base)


def test_each_tick_lies_in_its_trading_date_and_in_the_week(year: pl.DataFrame) -> None:
    times = year["time"]
    assert (times.diff().drop_nulls() > timedelta(0)).all()
    wall = new_york(times)
    after = wall.dt.offset_by("7h")  # midnight is 17:00
    assert after.dt.weekday().unique().sort().to_list() == [1, 2, 3, 4, 5]
    closed = {(12, 25), (1, 1)}
    assert not closed & set(zip(after.dt.month().to_list(), after.dt.day().to_list(), strict=True))
    for day, ticks in simulate_days(SMALL, date(2001, 3, 29), date(2001, 4, 3)):  # daylight saving begins on 1 April
        assert {trading_date_of(time) for time in ticks["time"]} == {day}


def test_around_the_clock_every_date_has_ticks_to_its_ends() -> None:
    market = Market("BTCUSD", ticks_per_day=2_000, start_price=30_000, pip=1.0, around_the_clock=True)
    days = dict(simulate_days(market, date(2001, 3, 30), date(2001, 4, 2)))
    assert list(days) == [date(2001, 3, 30), date(2001, 3, 31), date(2001, 4, 1), date(2001, 4, 2)]
    spans = [(ticks["time"][-1] - ticks["time"][0]).total_seconds() / 3600 for ticks in days.values()]
    assert [round(span) for span in spans] == [24, 24, 23, 24]


@pytest.mark.parametrize(
    ("market", "step"), [(SMALL, 1e-5), (Market("USDJPY", ticks_per_day=99, start_price=110, pip=0.01), 1e-3),
                         (Market("BTCUSD", ticks_per_day=99, start_price=3e4, pip=10.0, spread_pips=3), 1.0)],
)  # fmt: skip
def test_quotes_stand_on_the_grid_and_are_never_crossed(market: Market, step: float) -> None:
    ticks = simulate_ticks(market, date(2000, 5, 8), date(2000, 5, 12))
    assert (ticks["ask"] > ticks["bid"]).all()
    for side in ("bid", "ask"):
        assert ticks[side].to_list() == [
            float(f"{value:.{max(0, round(-pl.select(pl.lit(step).log10()).item()))}f}") for value in ticks[side]
        ]


def test_activity_follows_the_sessions_and_spreads_widen_at_the_roll(year: pl.DataFrame) -> None:
    by_hour = (
        year.group_by(new_york(year["time"]).dt.hour().alias("hour"))
        .agg(pl.len(), spread=(pl.col("ask") - pl.col("bid")).mean())
        .sort("hour")
    )
    count, spread = by_hour["len"].to_list(), by_hour["spread"].to_list()
    assert max(range(24), key=count.__getitem__) in (8, 9, 10)  # London and New York together
    assert count[18] < count[21] < count[4] < count[9]  # after the roll, Tokyo, London, both
    assert max(range(24), key=spread.__getitem__) == 17
    assert spread[17] > 2 * spread[12]


def test_volatility_has_the_size_asked_for_and_clusters() -> None:
    ticks = simulate_ticks(Market("EURUSD", ticks_per_day=20, annual_volatility=0.1), EPOCH, date(2006, 12, 31))
    dates = new_york(ticks["time"]).dt.offset_by("7h").dt.date()
    returns = ticks.group_by(dates, maintain_order=True).agg(pl.col("bid").last())["bid"].log().diff().drop_nulls()
    assert returns.std() * 252**0.5 == pytest.approx(0.1, rel=0.2)
    size = returns.abs()
    assert pl.select(pl.corr(size[1:], size[:-1])).item() > 0.08  # 0.048 would be two deviations of chance
    assert ticks["bid"].min() > 0.55  # type: ignore[operator]
    assert ticks["bid"].max() < 2.2  # type: ignore[operator]


def test_the_price_goes_on_where_the_date_before_ended() -> None:
    ticks = simulate_ticks(Market("EURUSD", ticks_per_day=5_000), date(2000, 5, 8), date(2000, 5, 12))
    mid = ((ticks["bid"] + ticks["ask"]) / 2).log()
    assert mid.diff().abs().max() < 2e-3  # type: ignore[operator]


def test_a_crowded_day_keeps_its_times_apart() -> None:
    market = Market("EURUSD", ticks_per_day=300_000)
    [(day, ticks)] = simulate_days(market, date(2000, 5, 8), date(2000, 5, 8))
    assert ticks["time"].n_unique() == ticks.height > 290_000
    assert {trading_date_of(ticks["time"][0]), trading_date_of(ticks["time"][-1])} == {day}


def test_minutes_are_those_of_the_ticks() -> None:
    ticks = simulate_ticks(Market("EURUSD", ticks_per_day=3_000), date(2000, 5, 8), date(2000, 5, 8))
    bars = minutes(ticks)
    assert bars["ticks"].sum() == ticks.height
    assert bars["volume"].sum() == ticks["volume"].sum()
    bar = bars.row(100, named=True)
    inside = ticks.filter(pl.col("time").is_between(bar["time"], bar["time"] + timedelta(minutes=1), closed="left"))
    mid = ((inside["bid"] + inside["ask"]) / 2).to_list()
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (mid[0], max(mid), min(mid), mid[-1])
    assert (bar["bid_open"], bar["bid_low"]) == (inside["bid"][0], inside["bid"].min())
    assert (bar["bid"], bar["ask"], bar["ask_high"]) == (inside["bid"][-1], inside["ask"][-1], inside["ask"].max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed: expected 0 or more"),
        ({"ticks_per_day": 0}, "ticks_per_day: expected 1 to 5,000,000"),
        ({"pip": 0.0005}, "pip: expected a power of ten"),
        ({"annual_volatility": float("nan")}, "annual_volatility: expected a number above 0"),
        ({"start_price": 0.001}, "start_price: expected 100 pips"),
    ],
)
def test_what_cannot_be_simulated_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Market("EURUSD", **options)
    with pytest.raises(ValueError, match="first: expected 2000-01-03 or later"):
        next(simulate_days(SMALL, date(1999, 12, 31), date(2000, 1, 5)))


def request(tmp_path: Path, cursor: Mapping[str, Any] | None = None, now: str = "2000-05-13", **keys: Any) -> Request:
    spec = SourceSpec.model_validate({"kind": "simulated", **keys})
    return Request(
        pair="EURUSD",
        source=spec,
        settings=Settings(home=tmp_path),
        log=lambda _: None,
        now=datetime.fromisoformat(now).replace(tzinfo=UTC),
        history_start=date(2000, 5, 1),
        cursor=cursor or {},
    )


def read(given: Request) -> tuple[list[Batch], Feed]:
    feed = source("simulated").open(given)
    return list(feed.batches), feed


@pytest.mark.parametrize("resolution", ["tick", "1min"])
def test_nights_one_by_one_give_what_one_fetch_gives(tmp_path: Path, resolution: str) -> None:
    keys: dict[str, Any] = {"resolution": resolution, "options": {"ticks_per_day": 500}}
    whole, feed = read(request(tmp_path, **keys))
    assert feed.cursor == {"last": "2000-05-12"}
    assert whole[0].form == (Form("tick") if resolution == "tick" else Form("bar", 60))
    cursor: dict[str, Any] = {}
    nights: list[Batch] = []
    ended: list[str] = []
    for night in ("2000-05-06", "2000-05-07", "2000-05-09T20:00", "2000-05-09T22:00", "2000-05-13"):
        batches, feed = read(request(tmp_path, cursor, night, **keys))
        nights, cursor = nights + batches, feed.cursor
        ended.append(cursor["last"])
    # On Tuesday the 9th the date ends at 21:00 UTC; what has not ended is not there yet.
    assert ended == ["2000-05-05", "2000-05-05", "2000-05-08", "2000-05-09", "2000-05-12"]
    assert [batch.origin for batch in nights] == [batch.origin for batch in whole]
    assert_frame_equal(pl.concat(b.rows for b in nights), pl.concat(b.rows for b in whole), check_exact=True)
    again, feed = read(request(tmp_path, cursor, **keys))
    assert (again, feed.cursor) == ([], cursor)


def test_rows_are_what_a_batch_promises(tmp_path: Path) -> None:
    given = request(tmp_path, now="2000-05-13", options={"ticks_per_day": 150_000, "until": "2000-05-01"})
    batches, feed = read(given)
    assert all(batch.rows.height <= 131_072 and batch.rejects.is_empty() for batch in batches)
    assert {batch.origin for batch in batches} == {"simulated, seed 7, 2000-05-01"}
    rows = pl.concat(batch.rows for batch in batches)
    assert rows["line"].to_list() == list(range(1, rows.height + 1))
    assert dict(rows.schema) == {
        "line": pl.Int64(),
        "time": pl.Datetime("us", "UTC"),
        "bid": pl.Float64(),
        "ask": pl.Float64(),
        "volume": pl.Float64(),
    }
    assert feed.notes["simulated"] == rows.height


def test_a_wrong_key_is_named() -> None:
    spec = SourceSpec.model_validate(
        {
            "kind": "simulated",
            "resolution": "1h",
            "files": "x.csv",
            "options": {"tick_per_day": 3, "seed": -1, "until": "May", "pip": 0.5},
        }
    )
    found = dict(source("simulated").problems(spec))
    assert found.keys() == {"resolution", "files"} | {
        f"options.{key}" for key in ("tick_per_day", "seed", "until", "pip")
    }
    assert "Did you mean 'ticks_per_day'" in found["options.tick_per_day"]
