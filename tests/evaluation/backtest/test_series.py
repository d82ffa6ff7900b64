"""Where signals come from: forecasts out of sample, of one version, filled after all that they observed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.backtest.fills import quotes
from fx_assets.evaluation.backtest.series import (
    Forecasts,
    InSample,
    as_of,
    bars_a_year,
    out_of_sample,
    signals_of,
    stored_bars,
    stored_crosses,
    stored_forecasts,
)
from fx_assets.storage.errors import NoData
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end
from tests.evaluation.backtest.helpers import daily, instants, lake_rows, score_rows, version, walk
from tests.support.tiny_lake import TinyLake, tiny_lake


def ends(first: date, count: int) -> Any:
    return instants([bar_end(day) for day in calendar("fx").days(first, date(2030, 1, 1))[:count]])


def test_the_walk_and_the_versions_own_origins_are_one_series() -> None:
    walk_2018, live = ends(date(2018, 12, 27), 3), ends(date(2019, 1, 2), 2)
    rows = pa.concat_tables([score_rows(live, [0.4, 0.5]), score_rows(walk_2018, [0.1, 0.2, 0.3], fold="walk-2018")])
    found = out_of_sample(rows, version())
    assert found.origins.tolist() == [*walk_2018.tolist(), *live.tolist()]
    assert found.location.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert found.volatility.tolist() == [0.005] * 5
    assert np.array_equal(found.known_at, found.origins)


def test_what_was_observed_later_is_known_later() -> None:
    origins = ends(date(2019, 1, 2), 2)
    observed = origins + np.array([3, -3]) * np.timedelta64(1, "h")
    found = out_of_sample(score_rows(origins, [0.1, 0.2], observed_until=observed), version())
    assert found.known_at.tolist() == [observed[0].item(), origins[1].item()]


@pytest.mark.parametrize(
    ("fold", "first", "good"),
    [
        ("live", date(2018, 12, 31), True),  # its bar ends at the cut
        ("live", date(2018, 12, 28), False),
        ("v2", date(2018, 12, 28), False),
        # The last bar before the fold's first trading date is its first origin.
        ("walk-2018", date(2017, 12, 28), False),
        ("walk-2018", date(2017, 12, 29), True),
        ("walk-2018", date(2018, 1, 2), True),
        ("walk-2018-07", date(2018, 6, 28), False),
        ("walk-2018-07", date(2018, 6, 29), True),  # a Friday
        ("walk-2018-07", date(2018, 7, 2), True),
        ("walk-2018-07-03", date(2018, 7, 2), True),
        ("walk-2018-07-04", date(2018, 7, 2), False),
    ],
)
def test_forecasts_in_sample_are_refused(fold: str, first: date, good: bool) -> None:
    rows = score_rows(ends(first, 1), [0.1], fold=fold)
    known = version(until=datetime(2018, 12, 31, 22, tzinfo=UTC))
    if good:
        assert len(out_of_sample(rows, known).origins) == 1
    else:
        with pytest.raises(InSample, match=rf"fold {fold}: 1 forecasts .* are in sample"):
            out_of_sample(rows, known)


def test_folds_that_nobody_knows_and_origins_told_twice_are_refused() -> None:
    origins = ends(date(2019, 1, 2), 2)
    with pytest.raises(ValueError, match="fold 'train' is unknown"):
        out_of_sample(score_rows(origins, [0.1, 0.2], fold="train"), version())
    with pytest.raises(ValueError, match="1 origins have two forecasts, first 2019-01-02"):
        out_of_sample(score_rows(origins[[0, 0, 1]], [0.1, 0.2, 0.3]), version())


def test_only_what_pays_for_a_round_trip_is_traded_and_only_what_can_be_filled() -> None:
    bars = walk(6, spread=0.01)
    quoted = quotes(bars, spread=0.0)
    cost = np.log1p((0.01 + 2 * 100 / 1e6) / quoted.marks)
    known = np.append(bars.starts[0], bars.ends)
    location = np.append(1.0, cost * [1.001, 0.999, -1.001, -0.999, 2.0, 2.0])
    found = signals_of(Forecasts("v", known, known, location, np.full(7, 0.01)), quoted, 100.0)
    # The first has no bar before it, the last no bar after it.
    assert found.known_at.tolist() == bars.ends[:-1].tolist()
    assert found.values.tolist() == [1, 0, -1, 0, 1]


def test_prices_of_another_pair_are_the_last_known() -> None:
    at = np.array(["2019-01-02T12:00", "2019-01-05", "2019-01-09"], dtype="datetime64[us]")
    times = np.array(["2019-01-02T12:00", "2019-01-05T00:00:01"], dtype="datetime64[us]")
    prices = np.array([1.0, 2.0])
    assert as_of("USDJPY", times, prices, at).tolist() == [1, 1, 2]
    with pytest.raises(ValueError, match="USDJPY has no price in the week before 1 of 1 bars, first 2019-01-01"):
        as_of("USDJPY", times, prices, np.array(["2019-01-01"], dtype="datetime64[us]"))
    with pytest.raises(ValueError, match="week before 1 of 1"):
        as_of("USDJPY", times, prices, np.array(["2019-01-12T00:00:02"], dtype="datetime64[us]"))


def test_a_year_has_as_many_bars_as_its_calendar() -> None:
    # 28 years from 2000 have 7,305 weekdays, of which Christmas and New Year's Day take 40.
    days = np.arange("2000-01-01", "2028-01-01", dtype="datetime64[D]")
    weekdays = int(np.is_busday(days).sum())
    off = [f"{year}-{day}" for year in range(2000, 2028) for day in ("01-01", "12-25")]
    open_days = weekdays - int(np.is_busday(np.array(off, dtype="datetime64[D]")).sum())
    assert bars_a_year("1d", "fx") == open_days / 28
    assert bars_a_year("1h", "fx") == 24 * open_days / 28
    assert bars_a_year("1d", "24x7") == pytest.approx(365.25)
    assert bars_a_year("1w", "fx") == pytest.approx(52.18, abs=0.01)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Bars of three pairs, and scores of two versions and another model."""
    tiny = tiny_lake(tmp_path_factory.mktemp("series"))
    tiny.settings.home.mkdir()
    bars = walk(60)
    tiny.commit_blocks("bars/1d", "EURUSD", [("all", lake_rows(bars))], asset="bars/1d")
    yen = daily(100 * bars.open, 100 * bars.close, pair="USDJPY")
    tiny.commit_blocks("bars/1d", "USDJPY", [("all", lake_rows(yen))], asset="bars/1d")
    origins = bars.ends[:20]
    for rows in (
        score_rows(origins, np.full(20, 0.1), of="v1"),
        score_rows(origins[:5], np.full(5, 0.2), fold="walk-2019"),
        score_rows(origins[5:], np.full(15, 0.3)),
        score_rows(origins, np.full(20, 0.4), horizon=[2] * 20),
        score_rows(origins, np.full(20, 0.5), model_id=["random_walk"] * 20),
    ):
        tiny.commit("scores", "EURUSD", rows, asset="scores/solo", append=True)
    return tiny


def test_forecasts_are_of_the_newest_version_that_was_scored(made: TinyLake) -> None:
    versions = [version("v3"), version("v2"), version("v1")]
    found = stored_forecasts(made.lake, "EURUSD", "solo", versions)
    assert (found.version, found.location.tolist()) == ("v2", [0.2] * 5 + [0.3] * 15)
    assert stored_forecasts(made.lake, "EURUSD", "solo", versions[2:]).version == "v1"


def test_forecasts_that_are_not_there_or_of_nobody_are_said(made: TinyLake, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are of v1, v2, and no such version is registered"):
        stored_forecasts(made.lake, "EURUSD", "solo", [version("v3")])
    with pytest.raises(NoData, match=r"scores/har.*has no rows of EURUSD"):
        stored_forecasts(made.lake, "EURUSD", "har", [version()])
    with pytest.raises(NoData, match=r"scores/solo.*has no rows of USDJPY"):
        stored_forecasts(made.lake, "USDJPY", "solo", [version()])
    with pytest.raises(NoData, match=r"scores/solo"):
        stored_forecasts(TinyLake(made.settings.model_copy(update={"home": tmp_path})).lake, "EURUSD", "solo", [])


def test_bars_and_crosses_are_read(made: TinyLake) -> None:
    bars = stored_bars(made.lake, "EURUSD", "1d")
    assert np.array_equal(bars.close, walk(60).close)
    found = stored_crosses(made.lake, "EURJPY", "USD", "1d", bars.ends)
    assert found.keys() == {"USDJPY"}
    assert np.array_equal(found["USDJPY"], 100 * bars.close)
    assert stored_crosses(made.lake, "EURJPY", "EUR", "1d", bars.ends) == {}
    assert stored_crosses(made.lake, "EURGBP", "USD", "1d", bars.ends) == {}
