"""A forecast as a frame, and as a picture."""

from __future__ import annotations

import io
import pickle
from datetime import datetime
from typing import Any

import pandas as pd
import polars as pl
import pytest

from serving.client.results import Forecast, forecast
from tests.support.running_api import Api

LATEST = "/v1/forecasts/EURUSD/latest"


@pytest.fixture(scope="module")
def found(shared_client: Api) -> Forecast:
    return forecast(shared_client.get(LATEST).json())


def test_frames_are_the_csv_of_the_api(shared_client: Api, found: Forecast) -> None:
    text = shared_client.get(LATEST, headers={"accept": "text/csv"}).text
    expected = pd.read_csv(io.StringIO(text), float_precision="round_trip")
    pandas, polars = found.to_df(), found.to_polars()
    assert list(pandas.columns) == polars.columns == list(expected.columns)
    for name in ("pair", "h", "median", "volatility", "last_price", "q0.1", "q0.5", "q0.9", "forecast_id", "stale"):
        assert pandas[name].tolist() == polars[name].to_list() == expected[name].tolist()
    for name in ("origin", "issued_at", "valid_until", "target_time"):
        moments = [datetime.fromisoformat(text) for text in expected[name]]
        assert pandas[name].tolist() == polars[name].to_list() == moments
        assert (str(pandas[name].dt.tz), polars[name].dtype) == ("UTC", pl.Datetime("us", "UTC"))
    for name in ("data_as_of", "target_date"):
        assert pandas[name].dt.strftime("%Y-%m-%d").tolist() == expected[name].tolist()
        assert polars[name].dtype == pl.Date


def test_a_forecast_on_demand_has_the_same_columns(found: Forecast) -> None:
    demand = forecast({**found.raw, "forecast_id": None})
    assert demand.to_polars().schema == found.to_polars().schema
    assert list(demand.to_df().columns) == list(found.to_df().columns)


@pytest.mark.parametrize("frequency", ["1d", "1h"])
def test_a_fan_chart(found: Forecast, frequency: str) -> None:
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    drawn = forecast({**found.raw, "frequency": frequency})
    ax = drawn.plot()
    try:
        assert isinstance(ax.figure, Figure)
        (median,) = ax.get_lines()
        values: Any = median.get_ydata()
        assert list(values) == [found.last_price, *(step.median for step in found.horizons)]
        _, labels = ax.get_legend_handles_labels()
        assert labels == ["80%", "median"]
        assert "EURUSD by random_walk" in ax.get_title()
        picture = io.BytesIO()
        ax.figure.savefig(picture, format="png")
        assert len(picture.getvalue()) > 5_000
        assert drawn.plot(ax) is ax
    finally:
        pyplot.close("all")


def test_a_forecast_is_a_value(found: Forecast) -> None:
    again = pickle.loads(pickle.dumps(found))
    assert (again, hash(again), again.raw) == (found, hash(found), found.raw)
    assert found != forecast({**found.raw, "stale": not found.stale})
    assert found != 7
    with pytest.raises(AttributeError):
        found.pair = "USDJPY"  # type: ignore[misc]
