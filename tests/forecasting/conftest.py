"""A trained random walk on simulated TARGET days, and the document it issues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.models.base import BasePredictor
from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.inputs import PairHistory
from fx_assets.models.manifest import Manifest, config_hash
from fx_assets.models.params import dump_params
from fx_assets.models.registry import predictor_class
from fx_assets.specs.loader import load_catalog
from fx_assets.specs.schema import ModelSpec, PairSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_ends
from fx_assets.timegrid.windows import EvaluationWindow

CONFIGS = Path(__file__).parents[2] / "configs"
VERSION = "20261121T031500123456Z"
NOW = datetime(2026, 11, 2, 22, 30, tzinfo=UTC)
LAST = date(2026, 10, 30)

Issuer = Callable[..., ForecastDocument]


@pytest.fixture(scope="session")
def pair() -> PairSpec:
    """USDJPY as configured."""
    return load_catalog(CONFIGS, environ={}).pairs["USDJPY"]


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    """A small random walk."""
    return ModelSpec.model_validate(
        {"model_id": "walk", "kind": "random_walk", "pairs": "all", "window": 64, "horizon": 20}
    )


def simulated(
    returns: NDArray[np.float64], *, pair: str = "USDJPY", start: float = 150.0, last: date = LAST
) -> PairHistory:
    """A history of TARGET days that ends on `last`, with these one-day log returns."""
    rows = len(returns) + 1
    days = calendar("target").days(date(2014, 1, 2), last)[-rows:]
    assert len(days) == rows
    ends = np.array([end.replace(tzinfo=None) for end in bar_ends(days)], dtype="datetime64[us]")
    closes = start * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    return PairHistory(pair, ends, np.array(days, dtype="datetime64[D]"), closes, np.empty((rows, 0)))


@pytest.fixture(scope="session")
def prices() -> PairHistory:
    """Six years of a random walk of 0.6 % a day."""
    return simulated(np.random.default_rng(5).normal(0, 0.006, 1560))


def trained(spec: ModelSpec, prices: PairHistory) -> tuple[BasePredictor, Manifest, EvaluationWindow]:
    """A predictor of `spec`, fitted on training rows and calibrated on validation rows, with its manifest."""
    window = EvaluationWindow.held_out_year(prices.ends, refit_every="month", validation_years=2)
    predictor = predictor_class(spec.kind)(spec, prices.columns)
    files = predictor.fit({prices.pair: prices}, window, seed=1)
    predictor.load_model(files, predictor.identity())
    origins = window.origins(prices.ends, window=spec.window, horizon=spec.horizon, part="validation")
    prediction = predictor.predict(np.stack([prices.window(int(i), spec.window) for i in origins]))
    ahead = prices.closes[origins[:, None] + np.arange(1, spec.horizon + 1)]
    y = np.log(ahead / prices.closes[origins][:, None])
    scores = np.abs(y - prediction.location) / prediction.scale
    files |= {CALIBRATION: dump_params({prices.pair: fit_calibration(scores)})}
    predictor.load_model(files, predictor.identity())
    return predictor, manifest_of(spec, prices.pair, window.validate_until), window


def manifest_of(spec: ModelSpec, pair: str, trained_until: datetime, **changes: Any) -> Manifest:
    """A manifest such as the artifact store writes."""
    base = {
        "model_id": spec.model_id,
        "scope": pair,
        "version": VERSION,
        "kind": spec.kind,
        "pairs": [pair],
        "columns": ["close"],
        "config": spec.training_config(),
        "config_hash": config_hash(spec),
        "feature_schema_hash": None,
        "code_version": "1.1",
        "created_at": NOW,
        "trained_until": trained_until,
        "fingerprint": "f" * 64,
        "run_id": "run-0",
        "seed": 1,
        "digest": "d" * 64,
    }
    return Manifest.model_validate({**base, **changes})


@pytest.fixture(scope="session")
def walk(spec: ModelSpec, prices: PairHistory) -> tuple[BasePredictor, Manifest, EvaluationWindow]:
    """The random walk, trained on `prices`."""
    return trained(spec, prices)


@pytest.fixture(scope="session")
def issued(walk: tuple[BasePredictor, Manifest, EvaluationWindow], prices: PairHistory, pair: PairSpec) -> Issuer:
    """Issues the walk's forecast; keywords change how."""

    def make(**changes: Any) -> ForecastDocument:
        predictor, manifest, _ = walk
        arguments: dict[str, Any] = {
            "manifest": manifest,
            "kind_of_price": "fixing",
            "champion": "walk",
            "now": NOW,
            "data_version": "d1",
            "run_id": "run-1",
        }
        return issue(predictor, changes.pop("history", prices), changes.pop("pair", pair), **{**arguments, **changes})

    return make


@pytest.fixture(scope="session")
def document(issued: Issuer) -> ForecastDocument:
    """The forecast from the last row, issued the next business evening."""
    return issued()
