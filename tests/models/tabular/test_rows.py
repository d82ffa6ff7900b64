"""What the models learn from is what they are asked with, and nothing of it lies beyond the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fx_assets.models.errors import FitFailed, InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.models.registry import check_model
from fx_assets.models.scaler import fit_scaler
from fx_assets.models.tabular import FARTHEST, TabularPredictor
from tests.models.simulated import pair_history
from tests.models.tabular.helpers import HORIZON, WINDOW, empty, fitted, led, spec

SCALER: dict[str, Any] = {"initial_variance": 2.5e-5, "mean": [0.5, -1.0], "std": [2.0, 0.5]}


def loaded(history: PairHistory, scaler: dict[str, Any], **changes: Any) -> TabularPredictor:
    predictor = empty("ridge", history, **changes)
    predictor.params.update(scaler)
    return predictor


def test_the_training_matrix_is_what_predicting_builds_window_by_window() -> None:
    histories = {
        pair: pair_history(pair, n=n, seed=n, features=2, start=start)
        for pair, n, start in (("EURUSD", 150, 1.1), ("USDJPY", 131, 154.0))
    }
    predictor = loaded(histories["EURUSD"], SCALER, scope="panel")
    rows, _ = predictor.training_rows(histories, SCALER)
    alone = []
    for history in histories.values():
        for last in range(WINDOW - 1, len(history) - HORIZON):
            row, _ = predictor.row(np.array(history.window(last, WINDOW), order="C"))
            alone.append(row[0])
    assert rows.shape == (len(alone), 2 + 5)
    assert rows.dtype == np.float32
    # Logarithms of whole columns and of single numbers may differ in the last of 64 bits.
    np.testing.assert_allclose(rows, np.array(alone), rtol=3e-7, atol=1e-9)


def by_hand(history: PairHistory, last: int, step: int) -> tuple[list[float], float]:
    closes = history.closes.tolist()
    variance = SCALER["initial_variance"]
    for row in range(last - WINDOW + 2, last + 1):
        variance = 0.94 * variance + 0.06 * np.log(closes[row] / closes[row - 1]) ** 2
    sigma = np.sqrt(variance)
    inputs = [(history.features[last, 0] - 0.5) / 2, (history.features[last, 1] + 1) / 0.5]
    inputs += [np.log(closes[last - lag] / closes[last - lag - 1]) / sigma for lag in range(5)]
    return inputs, float(np.log(closes[last + step] / closes[last]) / (sigma * np.sqrt(step)))


def test_rows_and_targets_by_hand() -> None:
    history = pair_history(n=90, features=2)
    rows, targets = loaded(history, SCALER).training_rows({"EURUSD": history}, SCALER)
    assert targets.shape == (90 - WINDOW - HORIZON + 1, 3)
    for number in (0, 17, len(rows) - 1):
        for column, step in enumerate((1, 5, 8)):
            inputs, target = by_hand(history, WINDOW - 1 + number, step)
            assert rows[number].tolist() == pytest.approx(inputs, rel=1e-6)
            assert targets[number, column] == pytest.approx(target, rel=1e-12)


def test_the_last_target_ends_with_the_last_training_row() -> None:
    history = pair_history(n=90, features=2)
    predictor = loaded(history, SCALER)
    _, targets = predictor.training_rows({"EURUSD": history}, SCALER)
    closes = history.closes.copy()
    closes[-1] *= 1.5
    changed = PairHistory(history.pair, history.ends, history.trading_dates, closes, history.features, ("a", "b"))
    _, others = predictor.training_rows({"EURUSD": changed}, SCALER)
    assert np.argwhere(others != targets).tolist() == [[len(targets) - 1, 2]]


def test_level_learns_simple_returns() -> None:
    history = pair_history(n=90, features=2)
    _, logs = loaded(history, SCALER).training_rows({"EURUSD": history}, SCALER)
    predictor = loaded(history, SCALER, target="level")
    _, simple = predictor.training_rows({"EURUSD": history}, SCALER)
    _, sigma = predictor.row(history.window(WINDOW - 1, WINDOW))
    unit = sigma * np.sqrt([1, 5, 8])
    assert simple[0] * unit == pytest.approx(np.expm1(logs[0] * unit), rel=1e-12)


def test_every_stride_th_window_counted_from_the_newest() -> None:
    history = pair_history(n=120, features=2)
    rows, targets = loaded(history, SCALER).training_rows({"EURUSD": history}, SCALER)
    fewer = loaded(history, SCALER, training={"stride": 4})
    some, some_targets = fewer.training_rows({"EURUSD": history}, SCALER)
    assert some.tobytes() == rows[::-1][::4][::-1].tobytes()
    assert some_targets.tobytes() == targets[::-1][::4][::-1].tobytes()
    assert [fewer.overlap(step) for step in (1, 4, 8)] == [1, 1, 2]


def test_what_is_beyond_ten_deviations_counts_as_ten() -> None:
    returns = np.full(119, 1e-5) * np.resize([1, -1], 119)
    returns[100] = 0.19  # calm, then a day such as 2015-01-15 in CHF
    history = pair_history(returns=returns, features=2)
    history.features[110, 0] = 1e6
    rows, targets = loaded(history, SCALER).training_rows({"EURUSD": history}, SCALER)
    assert targets.max() == FARTHEST
    assert np.abs(rows).max() == FARTHEST
    day = 100 - (WINDOW - 1)  # the last window before it
    assert targets[day].tolist() == [FARTHEST] * 3


def test_one_monstrous_day_does_not_decide_the_forecast() -> None:
    history = led(0.0, n=1000)
    closes = history.closes.copy()
    closes[300:] *= 0.81
    shaken = PairHistory(
        history.pair, history.ends, history.trading_dates, closes, history.features, history.feature_names
    )
    window = history.window(900, WINDOW)[None]
    calm, after = (fitted("ridge", each).predict(window) for each in (history, shaken))
    assert np.abs(after.location - calm.location).max() < 0.05 * calm.scale.min()


@pytest.mark.parametrize(("asked", "horizon", "steps"), [((1, 5, 20), 20, (1, 5, 20)), ((1, 5, 20), 12, (1, 5, 12))])
def test_steps_are_cut_to_the_horizon_and_include_it(
    asked: tuple[int, ...], horizon: int, steps: tuple[int, ...]
) -> None:
    history = pair_history(features=2)
    assert empty("ridge", history, horizon=horizon, hyperparameters={"steps": asked}).steps == steps
    assert empty("ridge", history, horizon=1).steps == (1,)


def test_a_feature_that_never_changes_is_named() -> None:
    history = pair_history(n=400, features=2)
    history.features[:300, 1] = 1e7
    for kind in ("ridge", "gradient_boosting"):
        with pytest.raises(FitFailed, match="features feature_1 never change in the training rows"):
            fitted(kind, history)
    assert fit_scaler({"a": history}, history.feature_names)["std"][1] > 0


def test_too_few_windows_are_refused_with_the_remedy() -> None:
    history = pair_history(n=140, features=2)
    with pytest.raises(InsufficientHistory, match="EURUSD: 48 training windows, and kind 'ridge' needs 50; start"):
        fitted("ridge", history)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"window": 5}, "window", "5 bars have 4 returns; lags asks for 5"),
        ({"hyperparameters": {"steps": [5, 1]}}, "hyperparameters.steps", "expected rising whole numbers from 1"),
        ({"hyperparameters": {"steps": [0, 1]}}, "hyperparameters.steps", "expected rising whole numbers from 1"),
        ({"target": "volatility"}, "target", "kind 'ridge' has no target 'volatility'"),
        ({"known_ahead": ["gap"]}, "known_ahead", "takes no inputs of the bars to come"),
    ],
    ids=["window", "order", "zero", "target", "ahead"],
)
def test_a_spec_that_cannot_be_fitted_is_refused(changes: dict[str, Any], path: str, message: str) -> None:
    ((found, said),) = [problem for problem in check_model(spec("ridge", **changes)) if problem[0] == path]
    assert message in said
    assert found == path


def test_without_features_the_closes_alone_are_enough() -> None:
    history = pair_history(n=400)
    predictor = fitted("ridge", history, features=None)
    assert predictor.inputs == tuple(f"log_return_{lag}" for lag in range(1, 6))
    assert predictor.predict(history.window(300, WINDOW)[None]).location.shape == (1, HORIZON)
