"""Each check of raw prices on rows that break it, and on real ones that do not."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.history import current_view
from fx_assets.prices.quality import CHECKS, check_prices
from fx_assets.prices.schema import REJECTS_SCHEMA, polars_schema
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.storage.records import CheckOutcome
from tests.prices.conftest import pair
from tests.prices.test_history import NOW, fixings

NONE = pl.DataFrame(schema=polars_schema(REJECTS_SCHEMA))
GOOD = fixings([1.1, 1.2], first=date(2026, 10, 29))  # a Thursday and a Friday


def rejects(n: int) -> pl.DataFrame:
    rows = [("EURUSD", "ecb", 7 + i, "not_a_number: USD", "x", NOW) for i in range(n)]
    return pl.DataFrame(rows, schema=polars_schema(REJECTS_SCHEMA), orient="row")


def outcomes(view: pl.DataFrame, rejected: pl.DataFrame = NONE, **spec: Any) -> dict[str, CheckOutcome]:
    found = check_prices(view, rejected, pair(**spec), now=NOW)
    assert {outcome.name: outcome.blocking for outcome in found} == CHECKS
    assert [outcome.name for outcome in found] == list(CHECKS)
    return {outcome.name: outcome for outcome in found}


def failed(found: dict[str, CheckOutcome]) -> list[str]:
    return [name for name, outcome in found.items() if not outcome.passed]


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY", "EURJPY", "GBPUSD"])
def test_the_real_history_passes_all(offline: Settings, name: str) -> None:
    fetched = source("ecb").fetch(pair(name), settings=offline, log=lambda _: None)
    found = check_prices(current_view(fetched.rows), fetched.rejects, pair(name))
    assert [outcome.name for outcome in found if not outcome.passed] == []


def test_good_rows_pass_and_say_their_range() -> None:
    found = outcomes(GOOD)
    assert failed(found) == []
    assert found["plausible_range"].metadata == {"rows": 2, "bad": 0, "lowest": 1.1, "highest": 1.2, "first": None}


def test_no_rows() -> None:
    assert failed(outcomes(GOOD.clear())) == ["not_empty"]
    assert failed(outcomes(GOOD.clear(), rejects(1))) == ["not_empty", "rejects_within_limit"]


def test_rejects_up_to_the_limit_pass() -> None:
    """One of three rows rejected."""
    assert failed(outcomes(GOOD, rejects(1), reject_limit=0.34)) == []
    found = outcomes(GOOD, rejects(1), reject_limit=0.33)
    assert failed(found) == ["rejects_within_limit"]
    outcome = found["rejects_within_limit"]
    assert outcome.metadata == {
        "rejects": 1,
        "share": 1 / 3,
        "limit": 0.33,
        "first": "line 7: not_a_number: USD",
    }
    assert outcome.description == "33.33% of the rows rejected, limit 33.00%; first line 7: not_a_number: USD"


@pytest.mark.parametrize("close", [math.nan, math.inf, -math.inf, 0.0, -1.1, None])
def test_closes_that_are_no_prices(close: float | None) -> None:
    view = GOOD.with_columns(close=pl.Series([1.1, close], dtype=pl.Float64))
    found = outcomes(view)
    assert "positive_finite" in failed(found)
    assert found["positive_finite"].metadata["bad"] == 1
    assert "2026-10-30" in found["positive_finite"].description


def test_a_null_bid_is_none_and_a_zero_bid_is_wrong() -> None:
    assert failed(outcomes(GOOD.with_columns(bid=pl.lit(0.0)))) == ["positive_finite", "plausible_range"]


@pytest.mark.parametrize("close", [110.0, 0.4999, 2.0001])
def test_a_price_in_points_or_of_another_pair(close: float) -> None:
    view = GOOD.with_columns(close=pl.Series([1.1, close]))
    found = outcomes(view)
    assert failed(found) == ["plausible_range"]
    assert f"1 prices outside [0.5, 2], first {close} at 2026-10-30" in found["plausible_range"].description


def test_the_edges_of_the_range_are_plausible() -> None:
    assert failed(outcomes(GOOD.with_columns(close=pl.Series([0.5, 2.0])))) == []


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
        return GOOD.with_columns(time=pl.Series([GOOD["time"][0], time]), known_at=time)

    assert failed(outcomes(at(NOW + timedelta(minutes=5)))) == []
    assert failed(outcomes(at(NOW + timedelta(minutes=5, microseconds=1)))) == ["not_from_the_future"]


def test_the_clock_decides_where_no_now_is_given() -> None:
    far = datetime(2900, 1, 1, tzinfo=UTC)
    view = GOOD.with_columns(time=far, known_at=far).head(1)
    assert "not_from_the_future" in [o.name for o in check_prices(view, NONE, pair()) if not o.passed]


def test_fixings_on_a_weekend_and_on_a_holiday_only_warn() -> None:
    saturday = outcomes(fixings([1.1], first=date(2026, 10, 31)))
    good_friday = outcomes(fixings([1.1], first=date(2026, 4, 3)))
    assert failed(saturday) == ["no_weekend_fixings"]
    assert failed(good_friday) == ["no_holiday_fixings"]
    assert not saturday["no_weekend_fixings"].blocking
    assert not good_friday["no_holiday_fixings"].blocking
    assert "'target', first 2026-04-03" in good_friday["no_holiday_fixings"].description
