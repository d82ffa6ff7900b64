from __future__ import annotations

import json

import numpy as np
import pytest

from fx_assets.models.base import FitFailed, MemoryCheckpoint
from fx_assets.models.inputs import PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.random_walk import RandomWalk
from fx_assets.models.volatility import (
    MIN_VARIANCE,
    ewma_variance,
    ewma_variances,
    fitted_initial_variance,
    log_returns,
)
from tests.models.simulated import calibration_file, cuts, model_spec, pair_history


def test_the_recursion_by_hand() -> None:
    # 4 -> .75 x 4 + .25 x 1 = 3.25 -> .75 x 3.25 + .25 x 9 = 4.6875
    assert ewma_variance(np.array([1.0, -3.0]), initial=4.0, alpha=0.25) == 4.6875


def test_a_batch_equals_its_rows_bit_for_bit() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (50, 127))
    single = [ewma_variance(row, initial=3e-5) for row in returns]
    assert ewma_variances(returns, initial=3e-5).tolist() == single
    alone = [ewma_variances(row[None], initial=3e-5) for row in returns]
    assert np.concatenate(alone).tolist() == single
    assert all(item.shape == (1,) for item in alone)


def test_frozen_quotes_leave_a_spread() -> None:
    assert ewma_variance(np.zeros(10_000), initial=1e-5, alpha=0.5) == MIN_VARIANCE
    assert ewma_variances(np.zeros((1, 10_000)), initial=1e-5, alpha=0.5).tolist() == [MIN_VARIANCE]


def test_log_returns_do_not_depend_on_memory_layout() -> None:
    table = np.random.default_rng(2).uniform(1, 2, (97, 16))
    assert log_returns(table[:, 0]).tobytes() == log_returns(table[:, 0].copy()).tobytes()


def test_the_initial_variance_pools_all_rows_of_all_pairs() -> None:
    one = pair_history("EURUSD", returns=np.array([0.01, -0.01]))
    two = pair_history("USDJPY", returns=np.array([0.02, -0.02, 0.02, -0.02]))
    assert fitted_initial_variance({"EURUSD": one, "USDJPY": two}) == pytest.approx((2 * 1e-4 + 4 * 4e-4) / 6)


def test_closes_that_never_move_are_refused_by_pair() -> None:
    with pytest.raises(FitFailed, match="USDJPY: its 51 training closes never move"):
        fitted_initial_variance({"EURUSD": pair_history(), "USDJPY": pair_history("USDJPY", returns=np.zeros(50))})


def loaded(history: PairHistory, horizon: int = 5) -> RandomWalk:
    predictor = RandomWalk(model_spec(window=30, horizon=horizon))
    files = predictor.fit({history.pair: history}, cuts(history), seed=1)
    predictor.load_model({**files, **calibration_file(horizon, history.pair)}, predictor.identity())
    return predictor


def test_the_median_is_the_last_price_bit_for_bit() -> None:
    history = pair_history(n=300)
    predictor = loaded(history)
    for row in range(40, 300, 7):
        window = history.window(row, 30)
        forecast = predictor.run({"data": window.tolist()}, "EURUSD")
        last = history.closes[row]
        assert forecast.median.tobytes() == np.full(5, last).tobytes()
        assert forecast.quantiles[:, 3].tobytes() == np.full(5, last).tobytes()
        assert not forecast.location.any()


def test_the_scale_grows_with_the_root_of_time_from_the_ewma() -> None:
    history = pair_history(n=300)
    predictor = loaded(history)
    initial = predictor.params["initial_variance"]
    training = history.closes[:181]  # the cut is row 180
    assert initial == pytest.approx(float(np.mean(np.diff(np.log(training)) ** 2)), rel=1e-12)
    window = history.window(250, 30)
    variance = ewma_variance(np.diff(np.log(window[:, 0])), initial=initial)
    scale = predictor.predict(window[None]).scale[0]
    assert scale == pytest.approx(np.sqrt(variance * np.arange(1, 6)), rel=1e-14)


def test_rows_after_the_training_cut_change_nothing() -> None:
    history = pair_history(n=300)
    wild = pair_history(n=300, returns=np.where(np.arange(299) < 180, np.diff(np.log(history.closes)), 0.2))
    first = RandomWalk(model_spec()).fit({"EURUSD": history}, cuts(history), seed=1)
    second = RandomWalk(model_spec()).fit({"EURUSD": wild}, cuts(history), seed=1)
    assert json.loads(first[PARAMS]) == pytest.approx(json.loads(second[PARAMS]), rel=1e-12)


def test_frozen_quotes_at_night_still_give_a_forecast() -> None:
    predictor = loaded(pair_history(n=300))
    forecast = predictor.run({"data": [[1.25]] * 30}, "EURUSD")
    assert (np.diff(forecast.quantiles, axis=1) > 0).all()


def test_alpha_comes_from_the_hyperparameters() -> None:
    history = pair_history(n=300)
    spec = model_spec(hyperparameters={"alpha": 0.5})
    predictor = RandomWalk(spec)
    files = {PARAMS: dump_params({"initial_variance": 1e-4})}
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    window = history.window(100, 30)
    variance = ewma_variance(log_returns(window[:, 0]), initial=1e-4, alpha=0.5)
    assert predictor.predict(window[None]).scale[0, 0] == np.sqrt(variance)
