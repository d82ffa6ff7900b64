"""What lies in the lake, as pandas: bars, forecasts and scores of one pair; and forecasts of the past, made again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.features.sets import table_name
from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import latest
from fx_assets.models.manifest import Manifest
from fx_assets.models.stored import load_inputs
from fx_assets.orchestration.resources import Stores
from fx_assets.prices.sources.base import price_kind
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.lake import Lake
from fx_assets.storage.two_times import current_rows


def bars(lake: Lake, pair: str, frequency: str = "1d") -> pd.DataFrame:
    """Bars as they are known now, by their end (UTC), with `log_return` of the close. Raises `NoData` without any."""
    frame: pd.DataFrame = current_rows(lake.read(f"bars/{frequency}", pair)).to_pandas().set_index("end")
    return frame.assign(log_return=np.log(frame["close"]).diff())


def features(lake: Lake, spec: FeatureSetSpec, pair: str) -> pd.DataFrame:
    """The candidate features of a set by the end of their bar (UTC); which of them a model keeps, its training says."""
    frame: pd.DataFrame = lake.read(table_name(spec), pair).to_pandas().set_index("end").sort_index()
    return frame.drop(columns=["pair", "block", "time", "known_at", "trading_date"], errors="ignore")


def scores_table(lake: Lake, pair: str, model_id: str) -> pa.Table:
    """Every window of one model on record, as the pictures take it."""
    table = lake.read("scores", pair)
    return table.filter(pc.equal(table.column("model_id"), model_id))


def scores(lake: Lake, pair: str, model_id: str, horizon: int = 1) -> pd.DataFrame:
    """The windows of one horizon by origin (UTC), each origin once: of two scores the one first on record."""
    frame: pd.DataFrame = scores_table(lake, pair, model_id).to_pandas()
    return frame[frame["horizon"] == horizon].drop_duplicates("origin").set_index("origin").sort_index()


def forecast(lake: Lake, pair: str, model_id: str) -> pd.DataFrame:
    """The newest forecast, a row a bar ahead: target date, median, volatility, and a column for each quantile."""
    (document,) = latest(lake.read("forecasts", pair), model_id=model_id)
    rows = [
        {"h": step.h, "target_date": step.target_date, "median": step.median, "volatility": step.volatility}
        | {f"q{level}": price for level, price in step.quantiles.items()}
        for step in document.horizons
    ]
    return pd.DataFrame(rows).set_index("h")


def replays(
    stores: Stores, catalog: Catalog, pair: str, model_id: str, origins: Sequence[int]
) -> list[ForecastDocument]:
    """What the newest checkpoint says from past rows of the pair's history; `origins` may count from the end.

    They are replays: drawn to look at, never part of any score.
    """
    spec = catalog.models[model_id]
    scope = "panel" if spec.scope == "panel" else pair
    version = stores.control.versions(model_id, scope)[0]
    inputs = load_inputs(stores.lake, stores.artifacts, version, pair, spec, catalog)
    rows = range(len(inputs.history))
    return [
        issue(
            inputs.predictor,
            inputs.history,
            catalog.pairs[pair],
            manifest=Manifest.model_validate(inputs.manifest),
            kind_of_price=price_kind(catalog.pairs[pair]),
            champion=model_id,
            now=datetime.now(UTC),
            data_version=inputs.data_version,
            run_id="notebook",
            origin=rows[origin],
        )
        for origin in origins
    ]
