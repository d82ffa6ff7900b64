"""On a month of real hourly bars: both changes to summer time, Good Friday, and the hours in which nobody quotes."""

from __future__ import annotations

import lzma
from datetime import timedelta
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fx_assets.features.frames import Frame
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions
from fx_assets.timegrid.sessions import by_hour, trading_date_expr
from tests.features.aggregates.reference import ZONES, assert_equal, expected

HOUR = timedelta(hours=1)
VALUES = ["close", "returns", "range", "spread", "volume"]
PRIMITIVES = ["mean", "std", "min", "max", "median", "skew", "first", "last"]


@pytest.fixture
def march(sample_data: Path) -> Frame:
    """EURUSD of March 2016, mid prices."""
    text = lzma.decompress((sample_data / "oanda_h1" / "EUR_USD_H1.csv.xz").read_bytes())
    rows = pl.read_csv(text, schema_overrides={"volume": pl.Float64}, try_parse_dates=True)
    time = rows["time"].dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    rows = rows.with_columns(time=time, date=by_hour(time, trading_date_expr))
    rows = rows.filter((pl.col("date") >= pl.date(2016, 3, 1)) & (pl.col("date") <= pl.date(2016, 3, 31)))
    start, end = (times.dt.replace_time_zone(None).to_numpy() for times in (rows["time"], rows["time"] + HOUR))
    columns = {
        "close": rows["mid_c"],
        "high": (rows["bid_h"] + rows["ask_h"]) / 2,
        "low": (rows["bid_l"] + rows["ask_l"]) / 2,
        "spread": rows["ask_c"] - rows["bid_c"],
        "ticks": rows["volume"],
        "volume": rows["volume"],
    }
    return Frame(
        pair="EURUSD",
        frequency="1h",
        calendar="fx",
        time=start,
        end=end,
        trading_date=rows["date"].to_numpy(),
        columns={name: values.to_numpy() for name, values in columns.items()},
    )


def test_real_days_and_sessions_are_those_of_pandas(march: Frame) -> None:
    assert 500 < len(march) <= 23 * 24
    options = FeaturetoolsOptions.model_validate(
        {"groups": ["day", "session"], "primitives": PRIMITIVES, "columns": VALUES, "windows": [1, 5]}
    )
    found = Featuretools().compute(march, options)
    for kind, window in product(ZONES, options.windows):
        wanted = expected(march, VALUES, PRIMITIVES, kind, window)
        for value, primitive in product(VALUES, PRIMITIVES):
            assert_equal(found[f"{primitive}_{value}_{kind}_{window}"], wanted[value, primitive], primitive)
    # From the end of the first whole day on, every value of a day is there.
    day = found["skew_returns_day_1"]
    assert np.isfinite(day[np.flatnonzero(np.isfinite(day))[0] :]).all()
