"""What is there is found, what is not there is not, and widths follow the market."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from fx_assets.models.predictors.gradient_boosting import GradientBoostingPredictor
from fx_assets.models.predictors.random_walk import RandomWalk
from tests.models.simulated import cuts, model_spec, pair_history
from tests.models.tabular.helpers import HORIZON, KINDS, WINDOW, autoregressive, empty, fitted, led, ratio, unseen

each = pytest.mark.parametrize("kind", KINDS)


@each
def test_momentum_is_found(kind: str) -> None:
    """AR(1) with .3: of a next return's variance .09 can be known, of the sum of 8 next ones about .02."""
    history = autoregressive(0.3)
    found = ratio(fitted(kind, history), history, every=4)
    assert found[0] < 0.955
    assert found[-1] < 1.005


@each
def test_a_feature_that_leads_is_found_and_the_others_are_left(kind: str) -> None:
    """Strength .4: of a next return's variance .16 / 1.16 = .14 can be known."""
    history = led(0.4)
    predictor = fitted(kind, history)
    assert ratio(predictor, history, every=4)[0] < 0.92
    window = history.window(3000, WINDOW)[None]

    def moved(column: int) -> float:
        changed = window.copy()
        changed[0, -1, column] += 3.0
        return float(predictor.predict(changed).location[0, 0] - predictor.predict(window).location[0, 0])

    assert moved(2) > 0.0005
    assert max(abs(moved(1)), abs(moved(3))) < 0.2 * moved(2)


@pytest.mark.parametrize(
    ("kind", "largest", "worst"),
    [("ridge", 0.06, 1.01), ("elastic_net", 0.01, 1.0005), ("gradient_boosting", 0.15, 1.02)],
    ids=KINDS,
)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_noise_is_left_alone(kind: str, largest: float, worst: float, seed: int) -> None:
    """Locations in deviations, and squared errors over the random walk's. Least squares would answer .075 and 1.006."""
    history = autoregressive(0.0, seed=seed, features=8)
    predictor = fitted(kind, history)
    assert (ratio(predictor, history, every=4) < worst).all()
    answer = predictor.predict(unseen(history, every=10)[0])
    assert (np.sqrt(np.mean((answer.location / answer.scale) ** 2, axis=0)) < largest).all()


@each
def test_a_drift_of_the_training_rows_is_not_carried_on(kind: str) -> None:
    history = pair_history(returns=np.random.default_rng(4).normal(0.001, 0.005, 2999), features=2)
    answer = fitted(kind, history).predict(unseen(history, every=10)[0])
    carried = np.mean(answer.location[:, -1]) / (0.001 * HORIZON)
    assert abs(carried) < 0.3


@each
def test_linear_widths_are_the_random_walks(kind: str) -> None:
    history = autoregressive(0.3, n=800)
    predictor = fitted(kind, history)
    walk = RandomWalk(model_spec(window=WINDOW, horizon=HORIZON))
    files = walk.fit({"EURUSD": history.bare()}, cuts(history), seed=1)
    walk.load_model(files, walk.identity())
    windows, _ = unseen(history, every=40)
    equal = np.allclose(predictor.predict(windows).scale, walk.predict(windows[..., :1]).scale, rtol=1e-12)
    assert equal == (kind != "gradient_boosting")


@pytest.mark.parametrize("target", ["log_return", "volatility"])
def test_widths_of_gradient_boosting_follow_the_market(target: str) -> None:
    """The next return's width is e^(.5 z) times as large, and z is a feature: the EWMA cannot know it."""
    history = led(0.5, width=True)
    predictor = fitted("gradient_boosting", history, target=target, horizon=2)
    windows, truth = unseen(history, 2, every=2)
    answer = predictor.predict(windows)
    lead = (windows[:, -1, 2] - 5) / 3
    expected = 0.005 * np.exp(0.5 * lead)
    assert np.corrcoef(np.log(answer.scale[:, 0]), lead)[0, 1] > 0.8
    calm, wild = (np.mean(answer.scale[part, 0] / expected[part]) for part in (lead < -1, lead > 1))
    assert 0.8 < wild < 1.1  # the EWMA's: 0.6
    assert 0.9 < calm < 1.7  # the EWMA's: 2.9; few small trees go most of the way
    inside = np.abs(truth[:, 0] - answer.location[:, 0]) < NormalDist().inv_cdf(0.9) * answer.scale[:, 0]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)
    assert answer.location.any() == (target == "log_return")


def units(target: str, answers: list[list[float]]) -> Any:
    history = pair_history(n=100, features=2)
    predictor = empty("gradient_boosting", history, target=target)
    assert isinstance(predictor, GradientBoostingPredictor)
    return predictor._units(np.array(answers))


def test_crossing_quantiles_are_put_in_order() -> None:
    z = NormalDist().inv_cdf(0.9)
    location, width, notes = units("log_return", [[0.3, 0.1, 1.1], [-1, 0, 1], [0.5, 0.7, -0.5]])
    assert location.tolist() == [0.3, 0, 0.5]
    assert width.tolist() == pytest.approx([1 / (2 * z), 1 / z, 1.2 / (2 * z)])
    assert notes == ()
    location, width, notes = units("volatility", [[1.0, -1.0], [-2, 2], [0.01, 0.02]])
    assert location.tolist() == [0, 0, 0]
    assert width.tolist() == pytest.approx([1 / z, 2 / z, 0.1])
    assert notes == ("width held at a tenth of the EWMA's at steps 8: its quantiles were closer",)


def test_between_steps_location_and_width_are_interpolated_in_their_units() -> None:
    history = autoregressive(0.3, n=1500)
    predictor = fitted("gradient_boosting", history)
    window = history.window(1400, WINDOW)
    _, sigma = predictor.row(window)
    answer = predictor.predict(window[None])
    unit = sigma * np.sqrt(np.arange(1, HORIZON + 1))
    for values in (answer.location[0] / unit, answer.scale[0] / unit):
        assert values[2] == pytest.approx((values[0] + values[4]) / 2, rel=1e-9)
        assert values[5] == pytest.approx(values[4] + (values[7] - values[4]) / 3, rel=1e-9)
        assert values[0] != values[4]


def test_level_answers_the_log_of_a_simple_return() -> None:
    history = led(0.4, n=1500)
    predictor = fitted("ridge", history, target="level", horizon=1)
    window = history.window(1400, WINDOW)
    row, sigma = predictor.row(window)
    assert predictor._session is not None
    ((units,),) = predictor._session.run(["units"], {"row": row})[0].tolist()
    location = predictor.predict(window[None]).location[0, 0]
    assert abs(units * sigma) > 1e-4
    assert location == pytest.approx(np.log1p(units * sigma), rel=1e-12)
