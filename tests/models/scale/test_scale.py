from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models import scale_likelihood
from fx_assets.models.base import InsufficientHistory, InvalidCheckpoint, MemoryCheckpoint
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.params import PARAMS
from fx_assets.models.predictors.scale import Scale
from fx_assets.models.registry import check_model
from fx_assets.models.volatility import ewma_variance, log_returns
from fx_assets.settings import Settings
from fx_assets.training.materials import Materials
from fx_assets.training.trainers import train
from tests.models.scale.worlds import persistent, spec_of, with_params
from tests.models.simulated import cuts, pair_history

WINDOW = pair_history(n=100, features=1).window(80, 30)
EWMA = ewma_variance(log_returns(WINDOW[:, 0]), initial=2.5e-5)
COLUMNS = ("close", "feature_0")


def fitted(histories: dict[str, PairHistory], **changes: Any) -> dict[str, Any]:
    spec = spec_of(**changes)
    (first, *_) = histories.values()
    files = Scale(spec, first.columns).fit(histories, cuts(first), seed=1)
    params: dict[str, Any] = json.loads(files[PARAMS])
    return params


def test_a_forecast_by_hand() -> None:
    """Steps 1 and 4: at 2 and 3 the log scale lies between them, over log steps; each bar has its own calendar."""
    spec = spec_of(horizon=4, known_ahead=["weekday", "payroll"], hyperparameters={"steps": [1, 5], "beside": "none"})
    predictor = with_params(
        spec,
        COLUMNS,
        intercepts=[-5.3, -5.2],
        coefficients=[[0.4], [0.1]],
        calendar=[0.05, 0.5],
        degrees=[6.0, 5.0],
    )
    ahead = np.array([[[0.0, 0.0], [0.5, 0.0], [1.0, 1.0], [-1.0, 0.0]]])
    x = float(WINDOW[-1, 1])
    first, last = -5.3 + 0.4 * x + np.log(6 / 4) / 2, -5.2 + 0.1 * x + np.log(5 / 3) / 2
    shares = [0.0, np.log(2) / np.log(4), np.log(3) / np.log(4), 1.0]
    said = [0.0, 0.025, 0.55, -0.05]
    steps = [np.exp(2 * (first + share * (last - first) + c)) for share, c in zip(shares, said, strict=True)]
    prediction = predictor.predict(WINDOW[None], ahead)
    assert prediction.scale[0] == pytest.approx(np.sqrt(np.cumsum(steps)), rel=1e-12)
    assert not prediction.location.any()
    assert prediction.notes == ((),)


@pytest.mark.parametrize(("ratio", "believed"), [(0.099, False), (0.101, True), (9.9, True), (10.1, False)])
def test_a_variance_far_from_the_ewma_is_not_believed_and_it_says_so(ratio: float, believed: bool) -> None:
    intercept = float(np.log(ratio * EWMA * 6 / 8) / 2)
    predictor = with_params(spec_of(horizon=3), COLUMNS, intercepts=[intercept] * 2)
    prediction = predictor.predict(WINDOW[None])
    factor = ratio if believed else 1.0
    assert prediction.scale[0] == pytest.approx(np.sqrt(factor * EWMA * np.arange(1, 4)), rel=1e-12)
    (notes,) = prediction.notes
    assert bool(notes) != believed
    if notes:
        assert notes == ("EWMA variance used at all horizons: the scale's variance left [1/10, 10] times it",)
        assert predictor.run({"data": WINDOW.tolist()}, "EURUSD").notes == notes


def test_one_horizon_that_is_not_believable_is_enough() -> None:
    near, far = (float(np.log(ratio * EWMA * 6 / 8) / 2) for ratio in (1.0, 60.0))
    predictor = with_params(spec_of(horizon=8), COLUMNS, intercepts=[near, near, far])
    assert predictor.predict(WINDOW[None]).scale[0] == pytest.approx(np.sqrt(EWMA * np.arange(1, 9)), rel=1e-12)


@pytest.mark.parametrize("value", [1e9, -1e9])
def test_a_feature_gone_astray_ends_in_the_ewma(value: float) -> None:
    predictor = with_params(spec_of(), COLUMNS, coefficients=[[1.0]] * 2)
    window = WINDOW.copy()
    window[-1, 1] = value
    prediction = predictor.predict(window[None])
    assert prediction.scale[0] == pytest.approx(np.sqrt(EWMA * np.arange(1, 6)))
    assert "left [1/10, 10]" in prediction.notes[0][0]


def test_it_learns_how_long_a_surge_lasts() -> None:
    """The feature keeps .9 of itself a bar, so the bar j ahead has .9^(j - 1) of the first one's coefficient."""
    histories = {pair: persistent(pair, n=10_000, seed=k) for k, pair in enumerate(("EURUSD", "USDJPY"))}
    params = fitted(histories, horizon=20)
    assert params["steps"] == [1, 5, 20]
    found = [row[0] for row in params["coefficients"]]
    assert found == pytest.approx([0.3, 0.3 * 0.9**4, 0.3 * 0.9**19], abs=0.025)
    assert params["intercepts"][0] == pytest.approx(np.log(0.005), abs=0.02)
    assert params["degrees"][0] == pytest.approx(8, rel=0.15)
    assert params["refused"] == ""
    assert [fit["rows"] for fit in params["fit"]] == [2 * (6001 - step) for step in (1, 5, 20)]


def test_its_variances_are_the_true_ones_also_of_a_pair_it_never_saw(tmp_path: Path) -> None:
    histories = {pair: persistent(pair, n=5_000, seed=k) for k, pair in enumerate(("EURUSD", "USDJPY"))}
    spec = spec_of(horizon=20, window=60)
    settings = Settings(home=tmp_path)
    trained = train(spec, Materials(histories, tmp_path), cuts(histories["EURUSD"]), settings=settings)
    predictor = Scale(spec, ("close", "x"))
    predictor.load_model(MemoryCheckpoint(predictor.identity(), trained.files))
    assert set(predictor.calibrations) == {"EURUSD", "USDJPY"}
    stranger = persistent("GBPUSD", n=4_000, seed=9, start=150.0)
    rows = np.arange(100, 3_950, 20)
    prediction = predictor.predict(*windows(stranger, rows, spec))
    believed = np.array([not notes for notes in prediction.notes])
    assert believed.mean() > 0.98
    # Of exp(.3 x) t_8, where x keeps .9 of itself a bar and is uncertain by the rest.
    kept = 0.9 ** np.arange(20)
    squares = np.exp(0.6 * kept * stranger.features[rows] + 0.18 * (1 - kept**2))
    true = 0.005**2 * 8 / 6 * np.cumsum(squares, axis=1)
    ewma = np.array(
        [ewma_variance(log_returns(stranger.window(row, 60)[:, 0]), initial=2.5e-5) for row in rows.tolist()]
    )
    for h in (1, 5, 20):
        off = np.log(np.square(prediction.scale[:, h - 1]) / true[:, h - 1])[believed]
        assert np.abs(off).mean() < 0.06, h
        assert np.abs(off).mean() < 0.3 * np.abs(np.log(h * ewma / true[:, h - 1])).mean(), h


def test_pairs_are_pooled_and_their_order_does_not_matter() -> None:
    histories = {pair: persistent(pair, n=600, seed=k) for k, pair in enumerate(("EURUSD", "USDJPY"))}
    turned = dict(reversed(histories.items()))
    one, other, alone = fitted(histories), fitted(turned), fitted({"EURUSD": histories["EURUSD"]})
    assert np.array(one["coefficients"]) == pytest.approx(np.array(other["coefficients"]), abs=1e-5)
    assert np.abs(np.array(one["coefficients"]) - np.array(alone["coefficients"])).max() > 1e-3


def test_it_learns_what_the_calendar_says_and_says_it_of_each_bar() -> None:
    """Log scales that fall from Monday to Friday; the `24x7` calendar calls the days of the weekend Fridays."""
    bare = pair_history(n=6_000, features=1)
    weekday = np.minimum((bare.trading_dates.astype(np.int64) + 3) % 7, 4) / 2 - 1
    shocks = np.random.default_rng(5).standard_normal(5_999)
    moved = pair_history(returns=0.004 * np.exp(-0.5 * weekday[1:]) * shocks)
    world = PairHistory(
        "EURUSD", bare.ends, bare.trading_dates, moved.closes, bare.features, bare.feature_names, "24x7"
    )
    changes: dict[str, Any] = {"horizon": 9, "known_ahead": ["weekday"]}
    params = fitted({"EURUSD": world}, **changes)
    assert params["calendar"] == pytest.approx([-0.5], abs=0.03)
    assert np.array(params["coefficients"]) == pytest.approx(np.zeros((3, 1)), abs=0.05)
    # What the calendar explains is no fat tail, at any step.
    assert min(params["degrees"]) > 50
    assert np.exp(params["intercepts"]) == pytest.approx([0.004] * 3, rel=0.05)
    ready = with_params(spec_of(**changes), world.columns, **{name: params[name] for name in ("calendar", "degrees")})
    (scale,) = ready.predict(*windows(world, np.array([3_000]), ready.spec)).scale
    steps = np.diff(np.concatenate([[0.0], np.square(scale)]))
    assert np.log(steps / steps[0]) / 2 == pytest.approx(
        params["calendar"][0] * (weekday[3_001:3_010] - weekday[3_001])
    )


def test_a_fit_far_from_the_ewma_is_refused_and_the_forecast_says_so() -> None:
    """FAULTS 27b, at fit: dead days between wild ones, which the feature foretells and the EWMA does not."""
    rng = np.random.default_rng(8)
    wild = np.tile([1.0, 0.0], 500)
    returns = np.where(wild[1:] > 0, 1e-2, 1e-6) * rng.standard_normal(999)
    bare = pair_history(returns=returns)
    foretold = np.append(wild[1:], 0.0)[:, None]
    world = PairHistory("EURUSD", bare.ends, bare.trading_dates, bare.closes, foretold, ("feature_0",), "fx")
    params = fitted({"EURUSD": world}, horizon=1)
    assert params["coefficients"] is None
    assert params["refused"] == "50% of its training rows leave [1/10, 10] times the EWMA variance"
    predictor = with_params(spec_of(), COLUMNS, coefficients=None)
    prediction = predictor.predict(WINDOW[None])
    assert prediction.scale[0] == pytest.approx(np.sqrt(EWMA * np.arange(1, 6)), rel=1e-12)
    assert prediction.notes == (("EWMA variance used at all horizons: no fit of the log scale was accepted",),)


def test_a_fit_that_did_not_converge_is_refused_and_still_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scale_likelihood, "_ITERATIONS", 1)
    history = persistent("EURUSD", n=600, seed=1)
    trained = train(
        spec_of(), Materials({"EURUSD": history}, tmp_path), cuts(history), settings=Settings(home=tmp_path)
    )
    params = json.loads(trained.files[PARAMS])
    assert params["coefficients"] is None
    assert params["refused"].startswith("the fit did not converge")


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InsufficientHistory, match=r"EURUSD: 56 training rows, and kind 'scale' needs 100"):
        fitted({"EURUSD": persistent("EURUSD", n=100, seed=1)})


def test_it_needs_features_and_steps_that_rise() -> None:
    assert [path for path, _ in check_model(spec_of(features=None))] == ["features"]
    for steps in ([5, 1], [0, 5], [1, 1]):
        (problem,) = check_model(spec_of(hyperparameters={"steps": steps}))
        assert "expected rising whole numbers from 1" in problem[1]
    for horizon, expected in ((1, (1,)), (4, (1, 4)), (5, (1, 5)), (30, (1, 5, 20, 30))):
        assert Scale(spec_of(horizon=horizon), COLUMNS).steps == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": [[0.1]]}, "coefficients must be null or 2 lists of 1 numbers"),
        ({"coefficients": [[0.1], [True]]}, "coefficients must be null or 2 lists"),
        ({"intercepts": [0.1]}, "intercepts must be a list of 2 numbers"),
        ({"calendar": [0.1]}, "calendar must be a list of 0 numbers"),
        ({"degrees": [8.0, 2.0]}, "degrees must be above 2"),
        ({"degrees": None}, "degrees must be a list of 2 numbers"),
        ({"steps": [1, 4]}, r"steps must be \[1, 5\]"),
        ({"inputs": ["other"]}, r"inputs must be \['feature_0'\]"),
        ({"known_ahead": ["gap"]}, r"known_ahead must be \[\]"),
        ({"initial_variance": 0}, "initial_variance must be a number greater than 0"),
    ],
)
def test_damaged_parameters_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        with_params(spec_of(), COLUMNS, **changes)
