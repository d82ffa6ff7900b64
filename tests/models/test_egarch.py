"""EGARCH's own: the recursion in logs, and expectations several bars ahead. The rest is in test_garch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fx_assets.models.base import InvalidCheckpoint
from fx_assets.models.inputs import FloatArray
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.egarch import Egarch
from tests.models.arch_worlds import EGARCH, UNIT, fitted, fixings, loaded, simulated
from tests.models.simulated import model_spec, pair_history


def test_one_return_and_two_horizons_by_hand() -> None:
    parameters = {"omega": -0.4, "alpha": 0.2, "gamma": -0.1, "beta": 0.95, "nu": 5.0}
    params = {"initial_variance": 4e-4, "parameters": parameters, "multipliers": [1.0, 0.6]}
    predictor = loaded(Egarch, params, window=2, horizon=2)
    # A fall of one and a half deviations: z = -.03 / .02
    log = -0.4 + 0.2 * (1.5 - math.sqrt(2 / math.pi)) + 0.1 * 1.5 + 0.95 * math.log(4e-4)
    ahead = [math.exp(log), math.exp(0.95 * log) * 0.6]
    prediction = predictor.predict(np.exp([[[0.0], [-0.03]]]))
    assert prediction.scale[0] == pytest.approx(np.sqrt(np.cumsum(ahead)), rel=1e-12)
    assert prediction.notes == ((),)


def by_arch(returns: FloatArray, parameters: dict[str, float]) -> FloatArray:
    """Conditional variances as `arch` has them, and the one after the last return."""
    from arch import univariate

    p = parameters
    model = univariate.ZeroMean(
        100 * returns, volatility=univariate.EGARCH(1, 1, 1), distribution=univariate.StudentsT()
    )
    omega = p["omega"] + (1 - p["beta"]) * math.log(1e4)
    result = model.fix([omega, p["alpha"], p["gamma"], p["beta"], p["nu"]])
    ahead = result.forecast(horizon=1, reindex=False).variance.to_numpy()[-1]
    return np.concatenate([np.asarray(result.conditional_volatility) ** 2, ahead]) / 1e4


@pytest.mark.parametrize("world", ["simulated", "USDJPY"])
def test_variances_and_the_next_are_those_of_arch(world: str) -> None:
    returns = simulated(Egarch, EGARCH, 3000, seed=1)[0] if world == "simulated" else fixings(world)[:3000]
    history = pair_history(returns=returns)
    predictor, params = fitted(Egarch, history, window=1500, horizon=1)
    assert params["refused"] == ""
    theirs = by_arch(returns, params["parameters"])
    ours = predictor.variances(returns, params["parameters"], theirs[0])
    assert ours == pytest.approx(theirs, rel=1e-6)
    prediction = predictor.predict(history.window(3000, 1500)[None])
    assert prediction.scale[0, 0] ** 2 == pytest.approx(theirs[-1], rel=1e-6)


def test_it_recovers_the_parameters_of_a_simulated_process() -> None:
    returns, _ = simulated(Egarch, EGARCH, 20_000, seed=2)
    _, params = fitted(Egarch, pair_history(returns=returns), train=0.9)
    found = params["parameters"]
    assert found["alpha"] == pytest.approx(EGARCH["alpha"], abs=0.02)
    assert found["gamma"] == pytest.approx(EGARCH["gamma"], abs=0.015)
    assert found["beta"] == pytest.approx(EGARCH["beta"], abs=0.01)
    assert found["nu"] == pytest.approx(EGARCH["nu"], rel=0.2)


def test_several_bars_ahead_are_the_mean_of_paths_of_resampled_shocks() -> None:
    """Brute force: 200,000 paths, each shock drawn from the training rows' own."""
    horizon = 8
    returns = fixings("EURUSD")[:3000]
    history = pair_history(returns=returns)
    predictor, params = fitted(Egarch, history, train=0.9, window=250, horizon=horizon)
    p = params["parameters"]
    training = returns[: params["fit"]["rows"]]
    path = predictor.variances(training, p, params["initial_variance"])
    shocks = training / np.sqrt(path[:-1])
    draw = np.random.default_rng(3)
    start = 5 * path[-1]  # away from its level, so that the way back is seen
    log, means = np.full(200_000, math.log(start)), []
    for _ in range(horizon):
        means.append(np.mean(np.exp(log)))
        z = draw.choice(shocks, len(log))
        log = p["omega"] + p["alpha"] * (np.abs(z) - math.sqrt(2 / math.pi)) + p["gamma"] * z + p["beta"] * log
    assert predictor._ahead(start, params) == pytest.approx(means, rel=2e-3)


def test_multipliers_by_hand() -> None:
    predictor = Egarch(model_spec("egarch", target="volatility", horizon=3))
    centre = math.sqrt(2 / math.pi)
    parameters = {"omega": -0.1, "alpha": 0.3, "gamma": -0.2, "beta": 0.5, "nu": 5.0}
    up, down = 0.3 * (2 - centre) - 0.2 * 2, 0.3 * (1 - centre) + 0.2 * 1
    first = (math.exp(-0.1 + up) + math.exp(-0.1 + down)) / 2
    second = (math.exp(0.5 * (-0.1 + up)) + math.exp(0.5 * (-0.1 + down))) / 2
    found = predictor._expected(parameters, np.array([2.0, -1.0]))
    assert found["multipliers"] == pytest.approx([1.0, first, first * second], rel=1e-12)


def test_expectations_that_are_not_finite_refuse_the_fit() -> None:
    """A peg with a few leaps: the optimiser calls alpha = -865 a success, in which no expectation is a number."""
    _, params = fitted(Egarch, pair_history(returns=fixings("EURBGN")), train=0.5, window=96, horizon=22)
    assert params["fit"]["flag"] == 0
    assert params["parameters"] is None
    assert "not finite" in params["refused"]
    assert "multipliers" not in params


@pytest.mark.parametrize("multipliers", [None, [1.0] * 4, [1.0, 1.0, 0.0, 1.0, 1.0], [1.0, 1.0, True, 1.0, 1.0]])
def test_unusable_multipliers_are_refused_at_load(multipliers: list[float] | None) -> None:
    predictor = Egarch(model_spec("egarch", target="volatility"))
    params = {"initial_variance": UNIT, "parameters": EGARCH, "multipliers": multipliers}
    with pytest.raises(InvalidCheckpoint, match="multipliers must be a list of 5 numbers over 0"):
        predictor.load_model({PARAMS: dump_params(params)}, predictor.identity())
