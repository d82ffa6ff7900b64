"""The fan chart: a small PNG of what it was given, the same bytes each time."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import matplotlib.image
import pyarrow as pa
import pytest

from fx_assets.forecasting.charts import MAX_BYTES, decimals, fan_chart
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.models.inputs import PairHistory


def bars(prices: PairHistory, pair: str = "USDJPY") -> pa.Table:
    days = pa.array(prices.trading_dates.astype("datetime64[D]"))
    return pa.table({"pair": [pair] * len(prices), "trading_date": days, "close": prices.closes})


def test_a_readable_picture_under_the_limit(document: ForecastDocument, prices: PairHistory) -> None:
    picture = fan_chart(bars(prices), document)
    assert picture.startswith(b"\x89PNG")
    assert 10_000 < len(picture) < MAX_BYTES == 100_000
    pixels: Any = matplotlib.image.imread(io.BytesIO(picture))
    assert pixels.shape[0] >= 400
    assert pixels.shape[1] >= 800
    assert fan_chart(bars(prices), document) == picture


def test_rows_in_any_order_and_after_the_origin_make_no_difference(
    document: ForecastDocument, prices: PairHistory
) -> None:
    table = bars(prices)
    early = document.model_copy(update={"data_as_of": prices.trading_dates[-30].item()})
    assert fan_chart(table, early) == fan_chart(table.slice(0, len(prices) - 29), early)
    assert fan_chart(table.take(list(range(len(prices)))[::-1]), document) == fan_chart(table, document)
    assert fan_chart(table, early) != fan_chart(table, document)


def test_bars_of_another_pair_are_refused(document: ForecastDocument, prices: PairHistory) -> None:
    with pytest.raises(ValueError, match="no close of USDJPY up to 2026-10-30"):
        fan_chart(bars(prices, "EURUSD"), document)


@pytest.mark.parametrize(("pip", "places"), [(0.0001, 4), (0.01, 2), (1.0, 0)])
def test_prices_are_shown_to_the_pip(pip: float, places: int) -> None:
    assert decimals(pip) == places


def test_the_room_loads_no_plotting_or_training_library() -> None:
    code = (
        "import sys, fx_assets.forecasting.batch, fx_assets.forecasting.charts, fx_assets.forecasting.table;"
        "import fx_assets.forecasting.champion, fx_assets.forecasting.quality, fx_assets.evaluation.holdout;"
        "bad = {'torch', 'sklearn', 'matplotlib', 'dagster', 'scipy', 'scoringrules'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
