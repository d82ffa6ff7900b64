"""One model's forecast of one pair, from its history to the document. Pure: writes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from fx_assets.forecasting.certificate import UNTESTED, Certificate
from fx_assets.forecasting.document import (
    ForecastDocument,
    HorizonForecast,
    Lineage,
    Revision,
    level_key,
)
from fx_assets.forecasting.freshness import freshness
from fx_assets.forecasting.targets import KindOfPrice, Target, targets
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory, check_gap, coming
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges
from fx_assets.models.results import Distribution
from fx_assets.specs.schema import ModelSpec, PairSpec
from fx_assets.timegrid.calendars import calendar


def issue(
    predictor: BasePredictor,
    history: PairHistory,
    pair: PairSpec,
    *,
    manifest: Manifest,
    kind_of_price: KindOfPrice,
    champion: str,
    now: datetime,
    data_version: str,
    run_id: str,
    origin: int | None = None,
    ranges: Ranges | None = None,
    certificate: Certificate | None = None,
) -> ForecastDocument:
    """Forecast from the last row of `history`, or from row `origin` as a replay of the past.

    `predictor` has loaded the checkpoint of `manifest`; `now` (aware) becomes `issued_at`; `ranges` as outcomes known
    at the origin have moved the checkpoint's calibration; `certificate`: the version's, if any. The rows go through the
    predictor as JSON rows from outside do, so that the night and HTTP agree to the last bit. Raises
    `InsufficientHistory` for too few rows or a gap in the window, `ValueError` for a history or manifest of another
    pair or model, and whatever the predictor raises.
    """
    spec = predictor.spec
    _check_identity(predictor, history, pair, manifest)
    if now.tzinfo is None:
        raise ValueError("now has no time zone; give an aware time such as datetime.now(UTC)")
    row = len(history) - 1 if origin is None else origin
    window = history.window(row, spec.window)
    days = calendar(pair.calendar)
    check_gap(history, row, spec.window, days, pair.gap_limit)
    distribution = predictor.run({"data": window.tolist(), **_ahead(history, row, spec)}, pair.pair, ranges)
    data_as_of: date = history.trading_dates[row].astype("datetime64[D]").item()
    end: datetime = history.ends[row].astype("datetime64[us]").item().replace(tzinfo=UTC)
    fresh = freshness(data_as_of, days, pair.freshness, now, origin=end, frequency=spec.frequency)
    steps = targets(data_as_of, spec.horizon, days, kind_of_price, origin=end, frequency=spec.frequency)
    revision: Revision = "live" if row == len(history) - 1 else "replay"
    return ForecastDocument(
        pair=pair.pair,
        model_id=spec.model_id,
        model_version=manifest.version,
        kind=spec.kind,
        frequency=spec.frequency,
        origin=end,
        data_as_of=data_as_of,
        issued_at=now.astimezone(UTC),
        valid_until=fresh.valid_until,
        stale=fresh.stale,
        revision=revision,
        in_sample=manifest.trained_until > end,
        last_price=float(history.closes[row]),
        pip=pair.pip,
        target=spec.target,
        horizons=_horizons(distribution, steps, now),
        champion=champion,
        verdict=UNTESTED if certificate is None else certificate.verdict,
        signal=distribution.signal,
        notes=distribution.notes,
        lineage=Lineage(
            data_version=data_version,
            feature_schema_hash=manifest.feature_schema_hash,
            config_hash=manifest.config_hash,
            code_version=manifest.code_version,
            run_id=run_id,
            trained_until=manifest.trained_until,
        ),
    )


def _ahead(history: PairHistory, row: int, spec: ModelSpec) -> dict[str, Any]:
    ahead = coming(history, np.array([row]), spec)
    return {} if ahead is None else {"ahead": ahead[0].tolist()}


def _check_identity(predictor: BasePredictor, history: PairHistory, pair: PairSpec, manifest: Manifest) -> None:
    if history.pair != pair.pair:
        raise ValueError(f"history is of {history.pair}, the pair is {pair.pair}")
    if manifest.model_id != predictor.spec.model_id:
        raise ValueError(f"manifest is of model {manifest.model_id}, the predictor of {predictor.spec.model_id}")
    if pair.pair not in manifest.pairs:
        raise ValueError(f"model {manifest.model_id} {manifest.version} was not trained on {pair.pair}; train it again")
    if history.columns != predictor.columns:
        raise ValueError(
            f"history of {pair.pair} has columns {', '.join(history.columns)}; "
            f"model {manifest.model_id} reads {', '.join(predictor.columns)}"
        )


def _horizons(distribution: Distribution, steps: list[Target], now: datetime) -> tuple[HorizonForecast, ...]:
    keys = [level_key(level) for level in distribution.levels.tolist()]
    columns = (distribution.horizons, distribution.median, distribution.volatility, distribution.quantiles)
    rows = zip(*(column.tolist() for column in columns), steps, strict=True)
    return tuple(
        HorizonForecast(
            h=h,
            target_date=target.day,
            target_time=target.time,
            retrospective=now >= target.time,
            median=median,
            volatility=volatility,
            quantiles=dict(zip(keys, quantiles, strict=True)),
        )
        for h, median, volatility, quantiles, target in rows
    )
