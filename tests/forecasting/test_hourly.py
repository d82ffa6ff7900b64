"""Targets, freshness and checks of forecasts of hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes

from fx_assets.forecasting.charts import fan_chart
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.freshness import as_served, freshness
from fx_assets.forecasting.quality import check_forecast
from fx_assets.forecasting.targets import targets
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar

FX = calendar("fx")
FRIDAY = datetime(2026, 10, 30, 20, tzinfo=UTC)  # 16:00 New York, in summer time until Sunday
SUNDAY = datetime(2026, 11, 1, 23, tzinfo=UTC)  # the first hour of the week ends at 18:00 New York


def test_targets_are_the_hours_to_come() -> None:
    found = targets(FRIDAY.date(), 3, FX, "bar", origin=FRIDAY, frequency="1h")
    assert [target.time for target in found] == [FRIDAY + timedelta(hours=1), SUNDAY, SUNDAY + timedelta(hours=1)]
    assert [target.day for target in found] == [date(2026, 10, 30), date(2026, 11, 2), date(2026, 11, 2)]
    for wrong in ({"origin": None}, {"origin": FRIDAY, "kind_of_price": "fixing"}):
        with pytest.raises(ValueError, match="bars of 1h are counted from the end of a bar"):
            targets(FRIDAY.date(), 3, FX, **{"kind_of_price": "bar", "frequency": "1h", **wrong})  # type: ignore[arg-type]


def test_it_is_valid_until_the_next_hour_ends_and_stale_by_dates() -> None:
    end = FRIDAY + timedelta(hours=1)
    found = freshness(end.date(), FX, 0, end + timedelta(days=1), origin=end, frequency="1h")
    assert (found.valid_until, found.stale) == (SUNDAY, False)
    later = freshness(end.date(), FX, 0, datetime(2026, 11, 2, 22, tzinfo=UTC), origin=end, frequency="1h")
    assert (later.missed, later.stale) == (1, True)


@pytest.fixture
def hourly(document: ForecastDocument) -> ForecastDocument:
    """The document as if of hours."""
    steps = targets(FRIDAY.date(), len(document.horizons), FX, "bar", origin=FRIDAY, frequency="1h")
    horizons = tuple(
        horizon.model_copy(update={"target_date": target.day, "target_time": target.time})
        for horizon, target in zip(document.horizons, steps, strict=True)
    )
    return document.model_copy(
        update={"frequency": "1h", "origin": FRIDAY, "data_as_of": FRIDAY.date(), "horizons": horizons}
    )


def outcome(document: ForecastDocument) -> tuple[bool, str]:
    pair = PairSpec.model_validate(
        {
            "pair": document.pair,
            "pip": 0.0001,
            "source": {"kind": "csv"},
            "calendar": "fx",
            "history_start": date(2016, 1, 1),
            "plausible_range": (0.1, 1000.0),
        }
    )
    closes = document.last_price * np.exp(np.random.default_rng(1).normal(0, 0.005, 50))
    (found,) = [one for one in check_forecast(document, pair, closes) if one.name == "targets_on_open_dates"]
    return found.passed, found.description


def test_the_check_finds_an_hour_out_of_place(hourly: ForecastDocument) -> None:
    assert outcome(hourly)[0]

    def moved(at: int, **changes: object) -> ForecastDocument:
        horizons = list(hourly.horizons)
        horizons[at] = horizons[at].model_copy(update=changes)
        return hourly.model_copy(update={"horizons": tuple(horizons)})

    saturday = FRIDAY + timedelta(days=1)
    assert outcome(moved(1, target_time=saturday)) == (False, f"{saturday} is out of place")
    assert not outcome(moved(1, target_date=saturday.date(), target_time=saturday))[0]
    tuesday = SUNDAY + timedelta(days=2)
    assert outcome(moved(1, target_date=date(2026, 11, 4), target_time=tuesday)) == (
        False,
        "2026-11-04 is out of place",
    )


def test_the_picture_has_an_hour_for_each_bar(hourly: ForecastDocument, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars of hours lie an hour apart on the axis, and those after the origin are left out."""
    ends = [FRIDAY - timedelta(hours=back) for back in range(9, -3, -1)]
    bars = pa.table(
        {
            "pair": [hourly.pair] * 12,
            "end": pa.array(ends, pa.timestamp("us", tz="UTC")),
            "trading_date": [FRIDAY.date()] * 12,
            "close": [hourly.last_price] * 12,
        }
    )
    drawn: list[Any] = []
    monkeypatch.setattr(Axes, "plot", _watched(Axes.plot, drawn))
    assert fan_chart(bars, hourly).startswith(b"\x89PNG")
    price, median, origin = drawn
    assert price.tolist() == [end.replace(tzinfo=None) for end in ends[:10]]
    assert median[0] == origin[0] == np.datetime64("2026-10-30T20:00")
    assert median[1] == np.datetime64("2026-10-30T21:00")


def _watched(plot: Any, drawn: list[Any]) -> Any:
    def watched(self: Axes, *args: Any, **kwargs: Any) -> Any:
        drawn.append(args[0])
        return plot(self, *args, **kwargs)

    return watched


def test_the_reader_judges_hours_by_their_own_bars(hourly: ForecastDocument) -> None:
    assert as_served(hourly, FX, 2, FRIDAY).valid_until == FRIDAY + timedelta(hours=1)
