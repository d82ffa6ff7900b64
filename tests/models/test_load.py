"""FAULTS 25 and 26: what a checkpoint may be."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import (
    InvalidCheckpoint,
    MemoryCheckpoint,
    ModelMismatch,
    NotLoaded,
)
from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.har import Har
from fx_assets.models.predictors.random_walk import RandomWalk
from tests.models.example_drift import Drift
from tests.models.loading import HISTORY, Featured, loaded, stored
from tests.models.simulated import model_spec


def test_another_config_is_refused_field_by_field() -> None:
    first = RandomWalk(model_spec(hyperparameters={"alpha": 0.1}))
    second = RandomWalk(model_spec(hyperparameters={"alpha": 0.2}, window=31))
    with pytest.raises(ModelMismatch) as caught:
        second.load_model(MemoryCheckpoint(first.identity(), stored(first)))
    assert caught.value.differences == (
        "config.hyperparameters.alpha: checkpoint 0.1, this model 0.2",
        "config.window: checkpoint 30, this model 31",
    )
    assert all(line in str(caught.value) for line in caught.value.differences)
    with pytest.raises(NotLoaded):
        second.predict(np.ones((1, 31, 1)))


def test_a_description_makes_no_other_model() -> None:
    first = RandomWalk(model_spec(description="one"))
    second = RandomWalk(model_spec(description="two", schedule={"nightly": False}))
    assert second.load_model(stored(first), first.identity()).skipped == []


def test_another_config_hash_without_a_config_is_refused() -> None:
    predictor = RandomWalk(model_spec())
    manifest = {**predictor.identity(), "config_hash": "0" * 64}
    with pytest.raises(ModelMismatch, match="config_hash: checkpoint '0000"):
        predictor.load_model(stored(predictor), manifest)


def test_a_manifest_that_does_not_say_is_refused() -> None:
    predictor = RandomWalk(model_spec())
    with pytest.raises(ModelMismatch) as caught:
        predictor.load_model(stored(predictor), {})
    assert len(caught.value.differences) == 5
    with pytest.raises(TypeError, match="manifest"):
        predictor.load_model(stored(predictor))


def test_another_kind_is_refused_even_when_not_strict() -> None:
    walk, drift = RandomWalk(model_spec()), Drift(model_spec("example_drift"))
    for strict in (True, False):
        with pytest.raises(ModelMismatch, match="kind: checkpoint 'random_walk', this model 'example_drift'"):
            drift.load_model(stored(walk), walk.identity(), strict=strict)


@pytest.mark.parametrize(
    ("columns", "schema", "message"),
    [
        (("close", "rsi"), "1a2b", "columns: only in the checkpoint: macd"),
        (("close", "rsi", "ema", "macd"), "1a2b", "columns: only in this model: ema"),
        (("close", "macd", "rsi"), "1a2b", "same names in another order"),
        (("close", "rsi", "macd"), "3c4d", "feature_schema_hash: checkpoint '1a2b', this model '3c4d'"),
        (("close", "rsi", "macd"), None, "feature_schema_hash: checkpoint '1a2b', this model None"),
    ],
)
def test_another_feature_schema_is_refused(columns: tuple[str, ...], schema: str | None, message: str) -> None:
    spec = model_spec("test_featured", features="core")
    first = Featured(spec, ("close", "rsi", "macd"), feature_schema="1a2b")
    files = {PARAMS: dump_params({"drift": 0.0})}
    assert first.load_model(files, first.identity()).skipped == []
    with pytest.raises(ModelMismatch, match=message):
        Featured(spec, columns, feature_schema=schema).load_model(files, first.identity())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "params.json is missing; the checkpoint has calibration.json"),
        (b"", "cannot be read"),
        (b'{"initial_variance": 2e-5', "cannot be read"),
        (b'{"initial_variance": NaN}', "NaN is not a number"),
        (b'{"initial_variance": Infinity}', "Infinity is not a number"),
        (b'{"initial_variance": 1e999}', "initial_variance is not finite"),
        (b"[1, 2]", "expected an object, got list"),
        (b"\xff\xfe", "cannot be read"),
        (b"[" * 100_000, "params.json"),
        (b"{}", "initial_variance is missing"),
        (b'{"initial_variance": "2e-5"}', "initial_variance must be a number greater than 0"),
        (b'{"initial_variance": true}', "initial_variance must be a number greater than 0"),
        (b'{"initial_variance": 0}', "initial_variance must be a number greater than 0"),
        (b'{"initial_variance": -1}', "initial_variance must be a number greater than 0"),
    ],
)
def test_spoilt_parameters_are_refused_and_the_last_good_stay(content: bytes | None, message: str) -> None:
    predictor = loaded()
    before = predictor.predict(HISTORY.window(200, 30)[None]).scale.tobytes()
    files = stored(predictor)
    del files[PARAMS]
    if content is not None:
        files[PARAMS] = content
    with pytest.raises(InvalidCheckpoint, match=message):
        predictor.load_model(files, predictor.identity())
    assert predictor.predict(HISTORY.window(200, 30)[None]).scale.tobytes() == before


@pytest.mark.parametrize(
    "coefficients",
    [
        None,
        [],
        [[1.0, 0, 0, 0]] * 4,
        [[1.0, 0, 0]] * 5,
        [[1.0, 0, 0, -1]] * 5,
        [["1", 0, 0, 0]] * 5,
        [[True, 0, 0, 0]] * 5,
    ],
)
def test_har_refuses_coefficients_of_another_form(coefficients: Any) -> None:
    predictor = Har(model_spec("har"))
    files = {PARAMS: dump_params({"initial_variance": 1e-5, "coefficients": coefficients})}
    with pytest.raises(InvalidCheckpoint, match="coefficients must"):
        predictor.load_model(files, predictor.identity())
    report = predictor.load_model(files, predictor.identity(), strict=False)
    assert len(report.skipped) == 1
    with pytest.raises(NotLoaded, match="parameter 'coefficients' was not loaded"):
        predictor.predict(HISTORY.window(200, 30)[None])


def test_not_strict_loads_what_fits_and_reports_the_rest() -> None:
    first, second = Har(model_spec("har")), Har(model_spec("har", horizon=7))
    report = second.load_model(stored(first), first.identity(), strict=False)
    assert report.skipped == [
        "config.horizon: checkpoint 5, this model 7",
        "params.json: coefficients must be a list of 7, one for each horizon",
        "calibration.json: EURUSD: calibration has 5 horizons, the model 7",
    ]
    assert second.params["initial_variance"] > 0
    assert second.calibrations == {}
    spoilt = first.load_model({PARAMS: b"{", CALIBRATION: b"{"}, first.identity(), strict=False)
    assert [line.split()[0] for line in spoilt.skipped] == ["params.json", "calibration.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "calibration.json cannot be read"),
        (dump_params({"EURUSD": 3}), "EURUSD: calibration has format None"),
        (dump_params({"EURUSD": fit_calibration(np.ones((200, 4)))}), "EURUSD: .*4 horizons, the model 5"),
        (dump_params({"EURUSD": {**fit_calibration(np.ones((200, 5))), "n": 50}}), "EURUSD: calibration: z has shape"),
    ],
)
def test_a_spoilt_calibration_is_refused_by_pair(content: bytes, message: str) -> None:
    predictor = RandomWalk(model_spec())
    with pytest.raises(InvalidCheckpoint, match=message):
        predictor.load_model({**stored(predictor), CALIBRATION: content}, predictor.identity())


def test_any_mapping_of_files_will_do() -> None:
    predictor = RandomWalk(model_spec())
    predictor.load_model(MappingProxyType(stored(predictor)), predictor.identity())
