"""The contract of `BasePredictor`, on real kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import (
    BasePredictor,
    Distribution,
    FitFailed,
    InsufficientHistory,
    InvalidInput,
    ModelOutputInvalid,
    NotLoaded,
    Prediction,
    Row,
)
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.har import Har
from fx_assets.models.predictors.random_walk import RandomWalk
from tests.models.example_drift import Drift
from tests.models.loading import HISTORY, Featured, loaded
from tests.models.simulated import cuts, model_spec, pair_history

# -- predict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [RandomWalk, Har, Drift])
def test_a_batch_of_six_equals_six_of_one_bit_for_bit(cls: type[BasePredictor]) -> None:
    predictor = loaded(cls)
    batch = np.array([HISTORY.window(row, 30) for row in range(100, 106)])
    together = predictor.predict(batch)
    for layout in (batch, np.asfortranarray(batch), batch[::-1][::-1], np.repeat(batch, 2, axis=1)[:, ::2]):
        again = predictor.predict(layout)
        assert again.location.tobytes() == together.location.tobytes()
        assert again.scale.tobytes() == together.scale.tobytes()
    for number in range(6):
        alone = predictor.predict(batch[number : number + 1])
        assert alone.location.tobytes() == together.location[number].tobytes()
        assert alone.scale.tobytes() == together.scale[number].tobytes()
        assert alone.notes == together.notes[number : number + 1]


class Layout(Drift):
    """Looks at how its window lies in memory."""

    kind = "test_layout"

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert window.flags.c_contiguous
        assert window.flags.owndata
        window[:] = 1.0  # may not reach the caller's batch
        return np.zeros(5), np.ones(5)


def test_each_window_is_an_array_of_its_own_in_one_layout() -> None:
    predictor = Layout(model_spec("test_layout"))
    predictor.load_model({PARAMS: b"{}"}, predictor.identity())
    batch = np.array([HISTORY.window(row, 30) for row in range(100, 106)])
    kept = batch.copy()
    for layout in (batch, np.asfortranarray(batch), np.repeat(batch, 2, axis=1)[:, ::2]):
        predictor.predict(layout)
    assert batch.tobytes() == kept.tobytes()


def test_rows_sent_as_json_give_the_bits_of_the_night() -> None:
    predictor = loaded(Har)
    window = HISTORY.window(200, 30)
    night = predictor.postprocess(predictor.predict(window[None]), window[-1:, 0], "EURUSD")[0]
    http = predictor.run(json.loads(json.dumps({"data": window.tolist()})), "EURUSD")
    for name in ("median", "quantiles", "log_quantiles", "volatility", "location", "scale"):
        assert getattr(http, name).tobytes() == getattr(night, name).tobytes()
    assert set(http.timings) == {"prepare_input", "predict", "postprocess"}
    assert predictor.timings == http.timings
    assert all(seconds >= 0 for seconds in http.timings.values())


def test_no_window_gives_no_forecast() -> None:
    prediction = loaded().predict(np.empty((0, 30, 1)))
    assert prediction.location.shape == prediction.scale.shape == (0, 5)


def test_predict_refuses_what_prepare_input_refuses() -> None:
    batch = HISTORY.window(200, 30)[None]
    batch[0, 3, 0] = 0
    with pytest.raises(InvalidInput, match=r"data\[0\]\[3\]\[0\]"):
        loaded().predict(batch)


def test_prepare_input_is_bound_to_window_and_columns() -> None:
    predictor = loaded()
    with pytest.raises(InvalidInput, match="expected 30 rows"):
        predictor.prepare_input({"data": [[1.0]] * 29})
    with pytest.raises(InvalidInput, match=r"data\[0\]: expected 1 columns \(close\), got 2"):
        predictor.prepare_input({"data": [[1.0, 2.0]] * 30})


def test_predict_before_load_and_a_pair_without_calibration_say_what_to_do() -> None:
    window = HISTORY.window(200, 30)[None]
    with pytest.raises(NotLoaded, match="call load_model first"):
        RandomWalk(model_spec()).predict(window)
    predictor = loaded()
    with pytest.raises(NotLoaded, match=r"no calibration for USDJPY \(there is: EURUSD\); train on USDJPY"):
        predictor.postprocess(predictor.predict(window), np.array([1.2]), "USDJPY")
    with pytest.raises(ValueError, match="expected one for each of 1 windows"):
        predictor.postprocess(predictor.predict(window), np.array([1.2, 1.3]), "EURUSD")


# -- output ---------------------------------------------------------------------------------------


class Puppet(BasePredictor):
    """Says what a test tells it to."""

    kind = "test_puppet"
    answer: Any = (np.zeros(5), np.ones(5))
    signal: float | None = None

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        return {"rows": len(histories["EURUSD"]), "last": float(histories["EURUSD"].closes[-1]), "chance": rng.random()}

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray] | Row:
        del window
        answer: Row = self.answer
        return answer

    def _signal(self, distribution: Distribution) -> float | None:
        del distribution
        return self.signal


def puppet(answer: Any, signal: float | None = None) -> Distribution:
    predictor = loaded(Puppet)
    assert isinstance(predictor, Puppet)
    predictor.answer, predictor.signal = answer, signal
    return predictor.run({"data": [[1.25]] * 30}, "EURUSD")


@pytest.mark.parametrize(
    ("location", "scale", "message"),
    [
        ([0, 0, np.nan, 0, 0], [1] * 5, "location is not finite"),
        ([0] * 5, [1, 1, np.inf, 1, 1], "scale is not finite"),
        ([0] * 5, [1, 1, 0, 1, 1], "scale must be greater than 0"),
        ([0] * 5, [1, 1, -1, 1, 1], "scale must be greater than 0"),
        ([0] * 4, [1] * 5, r"location \(4,\), expected \(5,\)"),
        ([0] * 5, [[1] * 5], r"scale \(1, 5\), expected \(5,\)"),
        ([800] * 5, [1] * 5, "a price is not positive and finite"),
        ([-800] * 5, [1] * 5, "a price is not positive and finite"),
        ([0] * 5, [1e308] * 5, "a price is not positive and finite"),
    ],
)
def test_an_output_that_is_no_distribution_is_refused_by_model(location: Any, scale: Any, message: str) -> None:
    with pytest.raises(ModelOutputInvalid, match=message) as caught:
        puppet((np.array(location, float), np.array(scale, float)))
    assert "tried" in str(caught.value)


def test_crossed_quantiles_are_refused() -> None:
    predictor = loaded()
    broken = predictor.calibrations["EURUSD"].z.copy()[:, ::-1]
    object.__setattr__(predictor.calibrations["EURUSD"], "z", broken)
    with pytest.raises(ModelOutputInvalid, match="quantiles cross"):
        predictor.run({"data": HISTORY.window(200, 30).tolist()}, "EURUSD")


@pytest.mark.parametrize("signal", [1.01, -1.01, float("nan"), float("inf")])
def test_a_signal_outside_its_range_is_refused(signal: float) -> None:
    with pytest.raises(ModelOutputInvalid, match="signal outside"):
        puppet((np.zeros(5), np.ones(5)), signal)


def test_a_distribution_has_prices_at_every_level_signal_and_notes() -> None:
    location, scale = np.array([0.0, 0.01, 0.02, 0.03, 0.04]), np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    found = puppet(Row(location, scale, ("remark",)), -0.5)
    assert (found.signal, found.notes) == (-0.5, ("remark",))
    assert found.horizons.tolist() == [1, 2, 3, 4, 5]
    assert found.levels.tolist() == [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    assert found.quantiles.shape == found.log_quantiles.shape == (5, 7)
    assert (np.diff(found.quantiles, axis=1) > 0).all()
    assert found.median == pytest.approx(1.25 * np.exp(location))
    assert found.quantiles[:, 3].tobytes() == found.median.tobytes()
    assert found.quantiles == pytest.approx(1.25 * np.exp(found.log_quantiles))
    # standard normal scores, mass .8
    assert (found.log_quantiles[:, 5] - location) / scale == pytest.approx(1.2816, abs=0.15)
    assert found.volatility.tolist() == scale.tolist()


# -- fit ------------------------------------------------------------------------------------------


def test_fit_sees_training_rows_only_and_chance_only_from_the_seed() -> None:
    window = cuts(HISTORY)
    predictor = Puppet(model_spec(Puppet.kind))
    files = predictor.fit({"EURUSD": HISTORY}, window, seed=3)
    params = json.loads(files[PARAMS])
    assert params["rows"] == 181
    assert params["last"] == HISTORY.closes[180]
    assert predictor.fit({"EURUSD": HISTORY}, window, seed=3) == files
    assert predictor.fit({"EURUSD": HISTORY}, window, seed=4) != files


def test_fit_says_which_pair_has_too_few_rows_or_other_columns() -> None:
    predictor = RandomWalk(model_spec(window=180))
    with pytest.raises(InsufficientHistory, match=r"EURUSD: 181 training rows until 2015-06-30; .* need 185"):
        predictor.fit({"EURUSD": HISTORY}, cuts(HISTORY), seed=1)
    with pytest.raises(InsufficientHistory, match="no pair"):
        predictor.fit({}, cuts(HISTORY), seed=1)
    with pytest.raises(ValueError, match="scope 'pair', got EURUSD, USDJPY; fit one pair at a time"):
        predictor.fit({"EURUSD": HISTORY, "USDJPY": HISTORY}, cuts(HISTORY), seed=1)
    with pytest.raises(ValueError, match="EURUSD: columns"):
        predictor.fit({"EURUSD": pair_history(features=1)}, cuts(HISTORY), seed=1)


@pytest.mark.parametrize("bad", [{"a": [1.0, float("nan")]}, {"a": [1.0, float("inf")]}])
def test_parameters_that_are_not_finite_are_not_stored(bad: dict[str, Any]) -> None:
    with pytest.raises(FitFailed, match=r"a\[1\] is not finite"):
        dump_params(bad)


def test_parameters_json_does_not_have_name_their_remedy() -> None:
    with pytest.raises(FitFailed, match=r"a is a float32.*float\(\)"):
        dump_params({"a": np.float32(1)})


# -- construction ---------------------------------------------------------------------------------


def test_a_predictor_is_not_made_for_a_spec_it_cannot_serve() -> None:
    with pytest.raises(ValueError, match=r"model tried: target: kind 'random_walk' has no target 'volatility'"):
        RandomWalk(model_spec(target="volatility"))
    with pytest.raises(ValueError, match="kind: RandomWalk is 'random_walk', the spec says 'har'"):
        RandomWalk(model_spec("har", target="log_return"))
    with pytest.raises(ValueError, match="looks at closes only, got 2 columns"):
        RandomWalk(model_spec(), ("close", "rsi"))
    with pytest.raises(ValueError, match="expected 'close' first"):
        Featured(model_spec("test_featured", features="core"), ("rsi", "close"))


def test_a_prediction_made_elsewhere_can_be_postprocessed() -> None:
    predictor = loaded()
    made = Prediction(np.zeros((1, 5)), np.ones((1, 5)) / 100, ((),))
    assert predictor.postprocess(made, np.array([1.25]), "EURUSD")[0].median.tolist() == [1.25] * 5
