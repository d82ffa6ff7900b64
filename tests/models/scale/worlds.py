"""Worlds whose log scale is known, and histories with the features of the rates in the wheel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from fx_assets.features.frames import Frame
from fx_assets.features.indicators.log_scale import DECLARED, LogScaleOptions
from fx_assets.features.indicators.returns import scaled_return
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.scale import Scale
from fx_assets.prices.ecb_file import read_fixings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_ends
from tests.models.simulated import calibration_file, pair_history

PAIRS = ("EURUSD", "USDJPY", "EURJPY", "GBPUSD", "AUDUSD", "USDCHF")
# As configs/features/scale.yaml has it, with the week's scaled return.
OPTIONS = {"own": [10, 40], "coarse": [{"bars": 10, "half_life": 20}], "panel": [3, 10]}
CALENDAR = ("weekday", "gap", "payroll", "year_end")


def spec_of(**changes: Any) -> ModelSpec:
    base = {
        "model_id": "tried",
        "kind": "scale",
        "pairs": "all",
        "scope": "panel",
        "features": "scale",
        "target": "volatility",
        "window": 30,
        "horizon": 5,
        "hyperparameters": {"beside": "none"},
    }
    return ModelSpec.model_validate({**base, **changes})


def persistent(
    pair: str, *, n: int, seed: int, kept: float = 0.9, surge: float = 0.3, start: float = 1.25
) -> PairHistory:
    """Returns exp(log .005 + surge x) t_8, with x an AR(1) that keeps `kept` of itself a bar: the one feature."""
    rng = np.random.default_rng(seed)
    x = np.zeros(n)
    for t in range(1, n):
        x[t] = kept * x[t - 1] + rng.normal(0, np.sqrt(1 - kept**2))
    returns = 0.005 * np.exp(surge * x[:-1]) * rng.standard_t(8, n - 1)
    bare = pair_history(pair, returns=returns, start=start)
    return PairHistory(bare.pair, bare.ends, bare.trading_dates, bare.closes, x[:, None], ("x",), bare.calendar)


def with_params(spec: ModelSpec, columns: tuple[str, ...], **changes: Any) -> Scale:
    """A predictor with parameters written by hand, calibrated for EURUSD."""
    predictor = Scale(spec, columns)
    steps, inputs = list(predictor.steps), list(columns[1:])
    params = {
        "initial_variance": 2.5e-5,
        "steps": steps,
        "inputs": inputs,
        "known_ahead": list(spec.known_ahead),
        "intercepts": [float(np.log(0.005))] * len(steps),
        "coefficients": [[0.0] * len(inputs)] * len(steps),
        "calendar": [0.0] * len(spec.known_ahead),
        "degrees": [8.0] * len(steps),
        "refused": "",
        **changes,
    }
    stored = {PARAMS: dump_params(params), **calibration_file(spec.horizon, "EURUSD")}
    predictor.load_model(MemoryCheckpoint(predictor.identity(), stored))
    return predictor


@cache
def rates() -> Mapping[str, PairHistory]:
    """The ECB's rates of six pairs with the columns of `log_scale`, from the first row that has them all."""
    data = (files("currency_converter") / "eurofxref-hist.zip").read_bytes()
    closes: dict[str, FloatArray] = {}
    for pair in PAIRS:
        found = read_fixings(data, pair[:3], pair[3:], name="wheel", now=datetime(2027, 1, 1, tzinfo=UTC)).closes
        days = sorted(found)
        closes[pair] = np.array([found[day] for day in days])
    dates = np.array(days, dtype="datetime64[D]")
    assert calendar("target").is_open(days[-1])
    ends = np.array([end.replace(tzinfo=None) for end in bar_ends(days)], dtype="datetime64[us]")
    return {pair: _with_features(pair, ends, dates, closes) for pair in PAIRS}


def _with_features(pair: str, ends: Any, dates: Any, closes: Mapping[str, FloatArray]) -> PairHistory:
    declared, options = DECLARED[0], LogScaleOptions.model_validate(OPTIONS)
    others = {name: each for name, each in closes.items() if name != pair}
    frame = Frame(pair, "1d", "target", ends, ends, dates, {"close": closes[pair]}, others)
    values = np.column_stack([*declared.compute(frame, options), scaled_return(frame, 5)])
    first = declared.lookback(options)
    names = (*(column.name for column in declared.columns(options)), "scaled_return_5")
    return PairHistory(pair, ends[first:], dates[first:], closes[pair][first:], values[first:], names, "target")
