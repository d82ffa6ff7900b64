"""Scores of forecasters whose faults are known: normal returns of a steady market, forecasts as wide as one says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.metrics.losses import crps_normal, interval_score, qlike
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end

SIGMA = 0.005
_DAYS = [(day, bar_end(day)) for day in calendar("target").days(date(2010, 1, 4), date(2026, 10, 30))]


def scores(
    n: int = 600,
    *,
    width: float = 1.0,
    said: float = 0.0,
    believed: float | None = None,
    horizons: Sequence[int] = (1,),
    seed: int = 1,
    pair: str = "EURUSD",
    model_id: str = "walk",
) -> pa.Table:
    """Rows of `SCORES_SCHEMA`: forecasts `width` times as wide as right, `n` of them at each of `horizons`.

    `said`: the deviation of the part of the returns that the market tells in advance, in units of `SIGMA`; `believed`:
    that of the model's locations, by default the same; where it differs they point anywhere. GARCH is right, HAR is
    not known.
    """
    random = np.random.default_rng(seed)
    whole = n + max(horizons)
    told = said * random.standard_normal(whole)
    returns = SIGMA * (told + np.sqrt(1 - said**2) * random.standard_normal(whole))
    points = told if believed is None else believed * random.standard_normal(whole)
    return pa.concat_tables([_rows(n, h, returns, SIGMA * points, width, pair, model_id) for h in horizons])


def _rows(
    n: int,
    h: int,
    returns: np.ndarray[tuple[int], np.dtype[np.float64]],
    points: np.ndarray[tuple[int], np.dtype[np.float64]],
    width: float,
    pair: str,
    model_id: str,
) -> pa.Table:
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    y, location = sums[h : h + n] - sums[:n], points[:n]
    sigma = SIGMA * np.sqrt(h)
    scale, right = np.full(n, width * sigma), np.full(n, sigma)
    bp = {"y": 1e4 * y, "location": 1e4 * location, "scale": 1e4 * scale}
    half = {mass: NormalDist().inv_cdf(0.5 + mass / 200) * 1e4 * scale for mass in (80, 90)}
    days = _DAYS[-n - h :]
    ends = pa.array([end for _, end in days], SCORES_SCHEMA.field("origin").type)
    columns = {
        "pair": [pair] * n,
        "model_id": [model_id] * n,
        "model_version": ["v"] * n,
        "fold": [f"walk-{day.year}" for day, _ in days[:n]],
        "horizon": pa.array([h] * n, pa.int32()),
        "origin": ends[:n],
        "target_time": ends[h:],
        "y": y,
        "location": location,
        "volatility": scale,
        "pit": [NormalDist().cdf(z) for z in ((y - location) / scale).tolist()],
        "loss_se": np.square(bp["y"] - bp["location"]),
        "loss_ae": np.abs(bp["y"] - bp["location"]),
        "loss_crps": crps_normal(y=bp["y"], location=bp["location"], scale=bp["scale"]),
        "loss_crps_still": crps_normal(y=bp["y"], location=np.zeros(n), scale=bp["scale"]),
        "loss_qlike": qlike(variance=np.square(100 * scale), realised=np.square(100 * y)),
        "loss_se_walk": np.square(bp["y"]),
        "loss_crps_walk": crps_normal(y=bp["y"], location=np.zeros(n), scale=1e4 * right),
        "loss_qlike_garch": qlike(variance=np.square(100 * right), realised=np.square(100 * y)),
        "loss_qlike_har": pa.nulls(n, pa.float64()),
        "observed_until": ends[:n],
    }
    for mass, margin in half.items():
        low, high = bp["location"] - margin, bp["location"] + margin
        columns[f"score_{mass}"] = interval_score(y=bp["y"], lower=low, upper=high, coverage=mass / 100)
        columns[f"covered_{mass}"] = (low <= bp["y"]) & (bp["y"] <= high)
    return pa.table({name: columns[name] for name in SCORES_SCHEMA.names}, schema=SCORES_SCHEMA)
