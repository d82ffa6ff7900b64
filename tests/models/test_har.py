from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.har import Har, regression
from fx_assets.models.volatility import ewma_variance, log_returns
from tests.models.simulated import calibration_file, cuts, model_spec, pair_history

TRUE = (2e-6, 0.25, 0.3, 0.35)


def har_returns(n: int, seed: int) -> FloatArray:
    """Returns whose variance is exactly HAR in past squared returns, with the coefficients `TRUE`."""
    rng = np.random.default_rng(seed)
    shocks = (1 + rng.uniform(-0.9, 0.9, n)).tolist()  # squared shocks of mean 1, calm: the fit needs fewer rows
    squares = [2e-5] * 22
    for t in range(22, n):
        squares.append(true_variance(squares[t - 22 : t]) * shocks[t])
    returns: FloatArray = np.sqrt(squares) * rng.choice([-1, 1], n)
    return returns


def true_variance(past: list[float]) -> float:
    return TRUE[0] + TRUE[1] * past[-1] + TRUE[2] * sum(past[-5:]) / 5 + TRUE[3] * sum(past[-22:]) / 22


def fitted(history: PairHistory, **changes: Any) -> tuple[Har, dict[str, Any]]:
    predictor = Har(model_spec("har", **changes))
    files = predictor.fit({history.pair: history}, cuts(history), seed=1)
    predictor.load_model({**files, **calibration_file(predictor.spec.horizon, history.pair)}, predictor.identity())
    return predictor, json.loads(files[PARAMS])


def test_regression_rows_by_hand() -> None:
    x, y = regression(np.arange(1.0, 8.0), (1, 3), 2)
    # Origins after 3, 4 and 5 squares: the last, the mean of three, and the mean of the two that follow.
    assert x.tolist() == [[3, 2], [4, 3], [5, 4]]
    assert y.tolist() == [4.5, 5.5, 6.5]


def test_the_fit_is_compared_with_the_ewma_of_its_own_origins() -> None:
    predictor = Har(model_spec("har", hyperparameters={"lags": [1, 3], "alpha": 0.5}))
    squares = np.array([2.0, 4.0, 8.0, 0.0, 16.0, 1.0, 1.0])
    # From 4: 3, 3.5, 5.75, 2.875, 9.4375, ...; the origins come after 3, 4 and 5 squares.
    assert predictor._ewma_path(squares, 3, 2, 4.0).tolist() == [5.75, 2.875, 9.4375]


def test_it_recovers_the_coefficients_of_a_simulated_har_process() -> None:
    history = pair_history(returns=har_returns(60_000, seed=5))
    _, params = fitted(history, horizon=1)
    found = np.array(params["coefficients"][0])
    assert params["refused"] == {}
    assert found[0] == pytest.approx(TRUE[0], rel=0.25)
    assert found[1:] == pytest.approx(np.array(TRUE[1:]), abs=0.05)


def test_it_forecasts_the_simulated_variance_better_than_the_ewma() -> None:
    returns = har_returns(12_000, seed=6)
    history = pair_history(returns=returns)
    predictor, params = fitted(history, horizon=2)
    squares = (returns**2).tolist()
    errors: dict[str, list[float]] = {"har": [], "ewma": []}
    for row in range(10_000, 11_900, 10):
        truth = true_variance(squares[row - 22 : row])
        window = history.window(row, 30)
        variance = float(predictor.predict(window[None]).scale[0, 0] ** 2)
        ewma = ewma_variance(log_returns(window[:, 0]), initial=params["initial_variance"])
        for name, guess in (("har", variance), ("ewma", ewma)):
            errors[name].append(np.log(guess / truth) ** 2)
    assert np.mean(errors["har"]) < 0.2 * np.mean(errors["ewma"])


def test_forecasts_are_positive_and_coefficients_never_negative() -> None:
    history = pair_history(n=500, seed=4)  # constant variance: unconstrained, some coefficient would be negative
    predictor, params = fitted(history)
    assert all(value >= 0 for row in params["coefficients"] for value in row)
    windows = np.array([history.window(row, 30) for row in range(100, 495, 20)])
    prediction = predictor.predict(windows)
    assert (prediction.scale > 0).all()
    assert not prediction.location.any()


def with_params(coefficients: list[Any], horizon: int) -> Har:
    predictor = Har(model_spec("har", horizon=horizon))
    params = {"initial_variance": 2.5e-5, "coefficients": coefficients, "refused": {}}
    predictor.load_model({PARAMS: dump_params(params), **calibration_file(horizon, "EURUSD")}, predictor.identity())
    return predictor


def test_one_horizon_by_hand() -> None:
    predictor = with_params([[1e-6, 0.2, 0.3, 0.4], [2e-6, 0.1, 0.2, 0.3]], 2)
    window = pair_history(n=100).window(80, 30)
    squares = np.diff(np.log(window[:, 0])) ** 2
    means = squares[-1], squares[-5:].mean(), squares[-22:].mean()
    first = 1e-6 + 0.2 * means[0] + 0.3 * means[1] + 0.4 * means[2]
    second = 2e-6 + 0.1 * means[0] + 0.2 * means[1] + 0.3 * means[2]
    prediction = predictor.predict(window[None])
    assert prediction.scale[0] == pytest.approx(np.sqrt([first, 2 * second]), rel=1e-12)
    assert prediction.notes == ((),)


@pytest.mark.parametrize("coefficients", [[1.0, 0, 0, 0], [1e-12, 0, 0, 0], [0, 0, 0, 0]])
def test_a_variance_far_from_the_ewma_is_not_believed_and_it_says_so(coefficients: list[float]) -> None:
    """FAULTS 27b, at prediction."""
    sound = [2.5e-5, 0, 0, 0]
    predictor = with_params([sound, coefficients, sound, coefficients], 4)
    window = pair_history(n=100).window(80, 30)
    prediction = predictor.predict(window[None])
    ewma = ewma_variance(log_returns(window[:, 0]), initial=2.5e-5)
    assert prediction.scale[0] == pytest.approx(np.sqrt([2.5e-5, 2 * ewma, 3 * 2.5e-5, 4 * ewma]), rel=1e-12)
    (note,) = prediction.notes[0]
    assert "EWMA variance used at horizons 2, 4" in note
    assert predictor.run({"data": window.tolist()}, "EURUSD").notes == (note,)


def test_the_bounds_are_a_tenth_and_ten_times_the_ewma() -> None:
    window = pair_history(n=100).window(80, 30)
    ewma = ewma_variance(log_returns(window[:, 0]), initial=2.5e-5)
    for factor, used in ((0.099, "ewma"), (0.101, "har"), (9.9, "har"), (10.1, "ewma")):
        predictor = with_params([[factor * ewma, 0, 0, 0]], 1)
        prediction = predictor.predict(window[None])
        assert prediction.scale[0, 0] == pytest.approx(np.sqrt(ewma * (factor if used == "har" else 1)))
        assert bool(prediction.notes[0]) == (used == "ewma")


def test_a_fit_far_from_the_ewma_is_refused_and_the_forecast_says_so() -> None:
    """FAULTS 27b, at fit: one monstrous day among calm ones spoils the least squares."""
    returns = np.random.default_rng(8).normal(0, 1e-4, 400)
    returns[30] = 0.5
    history = pair_history(returns=returns)
    predictor, params = fitted(history, window=40)
    assert params["coefficients"] == [None] * 5
    assert "leave [1/10, 10] times the EWMA variance" in params["refused"]["1"]
    window = history.window(350, 40)
    prediction = predictor.predict(window[None])
    assert prediction.notes == (("EWMA variance used at horizons 1 to 5: no HAR fit was accepted there",),)
    ewma = ewma_variance(log_returns(window[:, 0]), initial=params["initial_variance"])
    assert prediction.scale[0] == pytest.approx(np.sqrt(ewma * np.arange(1, 6)), rel=1e-12)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("scipy.optimize.nnls", fails)
    _, params = fitted(pair_history(n=300), horizon=2)
    assert params["coefficients"] == [None, None]
    assert params["refused"] == {"1": "the least squares did not converge", "2": "the least squares did not converge"}
