"""Diebold-Mariano, Clark-West, Giacomini-White and Pesaran-Timmermann: against statsmodels, by hand, by simulation."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from fx_assets.evaluation.inference import long_run
from fx_assets.evaluation.inference.comparison import clark_west, diebold_mariano, giacomini_white
from fx_assets.evaluation.inference.direction import pesaran_timmermann
from fx_assets.metrics.losses import Floats


def sample(n: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Outcomes, a benchmark of 0 and a forecast that knows a little."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=n)
    return 0.3 * signal + rng.standard_t(6, n), np.zeros(n), 0.3 * signal


@pytest.mark.parametrize("horizon", [1, 20])
def test_diebold_mariano_is_that_of_statsmodels_but_for_the_law(horizon: int) -> None:
    stattools = import_module("statsmodels.tsa.stattools")
    y, benchmark, forecast = sample(300, 0)
    gain = np.square(y - benchmark) - np.square(y - forecast)
    width = long_run.bandwidth(300, horizon)
    theirs = stattools.diebold_mariano_test(y, benchmark, forecast, lags=width - 1, horizon=horizon)
    ours = diebold_mariano(gain, horizon=horizon, way="bartlett")
    assert ours.statistic == pytest.approx(float(theirs.statistic), rel=1e-9)
    assert ours.p_value > float(theirs.pvalue) / 2  # fixed-b values are stricter than normal ones


def test_the_two_ways_agree_where_there_is_no_overlap() -> None:
    y, benchmark, forecast = sample(3000, 1)
    gain = np.square(y - benchmark) - np.square(y - forecast)
    cosines, bartlett = (diebold_mariano(gain, horizon=1, way=way).statistic for way in ("cosines", "bartlett"))
    assert cosines == pytest.approx(bartlett, rel=0.2)
    assert cosines > 5


def test_clark_west_by_regression() -> None:
    """The statistic is that of a regression of the adjusted gain on a constant, as the paper says."""
    sm = import_module("statsmodels.api")
    y, benchmark, forecast = sample(200, 2)
    adjusted = np.square(y - benchmark) - (np.square(y - forecast) - np.square(benchmark - forecast))
    lags = long_run.bandwidth(200, 1) - 1
    fit = sm.OLS(adjusted, np.ones(200)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert clark_west(y, benchmark, forecast, horizon=1, way="bartlett").statistic == pytest.approx(
        float(fit.tvalues[0])
    )


def test_clark_west_says_skill_of_a_forecast_that_is_worse() -> None:
    """Why it never decides: a signal drowned in the noise of a fit."""
    rng = np.random.default_rng(3)
    y, benchmark, forecast = sample(1500, 3)
    noisy = forecast + rng.normal(0, 0.45, 1500)
    gain = np.square(y) - np.square(y - noisy)
    assert gain.mean() < 0
    assert clark_west(y, benchmark, noisy, horizon=1).p_value < 0.01
    assert diebold_mariano(gain, horizon=1).p_value > 0.9


def test_giacomini_white_on_a_constant_is_diebold_mariano_squared() -> None:
    gain = np.random.default_rng(4).normal(0.1, 1, 500)
    white, mariano = giacomini_white(gain, horizon=5, instruments=np.ones((500, 1))), diebold_mariano(gain, horizon=5)
    assert white.statistic == pytest.approx(mariano.statistic**2)
    assert white.degrees == (1.0, 25.0)
    assert white.p_value == pytest.approx(2 * min(mariano.p_value, 1 - mariano.p_value))


def test_giacomini_white_by_hand() -> None:
    gain = np.random.default_rng(5).normal(0.1, 1, 300)
    moments = np.column_stack([gain[5:], gain[5:] * gain[:-5]])
    count = 295 // 20
    angles = np.pi * np.arange(1, count + 1)[:, None] * (np.arange(295) + 0.5) / 295
    terms = np.sqrt(2 / 295) * np.cos(angles) @ moments
    wald = 295 * moments.mean(axis=0) @ np.linalg.inv(terms.T @ terms / count) @ moments.mean(axis=0)
    found = giacomini_white(gain, horizon=5)
    assert found.statistic == pytest.approx(wald * (count - 1) / (2 * count))
    assert (found.degrees, found.n) == ((2.0, count - 1.0), 295)


def test_giacomini_white_finds_a_gain_that_comes_in_spells() -> None:
    """Better in some spells and worse in others, 0 on average: nothing for Diebold-Mariano."""
    rng = np.random.default_rng(6)
    gain = np.repeat(np.tile([1.0, -1.0], 30), 25) + rng.normal(0, 1, 1500)
    assert giacomini_white(gain, horizon=1).p_value < 1e-4
    assert diebold_mariano(gain, horizon=1).p_value > 0.1


def test_giacomini_white_size() -> None:
    rng = np.random.default_rng(7)
    share = np.mean([giacomini_white(gain, horizon=1).p_value < 0.05 for gain in rng.standard_t(6, (600, 400))])
    assert 0.025 < share < 0.08


def test_pesaran_timmermann_is_that_of_statsmodels() -> None:
    theirs = import_module("statsmodels.stats.diagnostic").pesaran_timmermann
    rng = np.random.default_rng(8)
    y = rng.normal(size=200)
    y[:5] = 0.0
    forecast = 0.4 * y + rng.normal(0.2, 1, 200)
    ours, reference = pesaran_timmermann(y, forecast), theirs(y, forecast, alternative="larger")
    assert (ours.statistic, ours.p_value) == pytest.approx((reference.statistic, reference.pvalue), rel=1e-9)
    assert ours.p_value < 0.01


def test_pesaran_timmermann_is_for_one_step() -> None:
    with pytest.raises(ValueError, match="horizon: expected 1, got 5; the test takes hits for independent"):
        pesaran_timmermann([1.0, -1.0], [1.0, -1.0], horizon=5)


@pytest.mark.parametrize("forecast", [np.ones(50), -np.ones(50)], ids=["up", "down"])
def test_one_direction_says_nothing(forecast: Floats) -> None:
    y = np.random.default_rng(9).normal(size=50)
    found = pesaran_timmermann(y, forecast)
    assert (found.statistic, found.p_value) == (0.0, 1.0)
    assert found.assumed.startswith("undefined: ")


def test_refusals() -> None:
    with pytest.raises(ValueError, match="expected one shape, got y 3, benchmark 3, forecast 2"):
        clark_west(np.ones(3), np.ones(3), np.ones(2), horizon=1)
    with pytest.raises(ValueError, match="forecast: 1 of 3 windows are not finite, the first is 2"):
        clark_west(np.ones(3), np.ones(3), [1.0, 1.0, np.nan], horizon=1)
    with pytest.raises(ValueError, match="expected one shape, got y 3 and forecast 2"):
        pesaran_timmermann(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"instruments: expected finite values of shape \(30, q\), got \(29, 1\)"):
        giacomini_white(np.ones(30), horizon=1, instruments=np.ones((29, 1)))
    with pytest.raises(ValueError, match="gain: 6 windows leave none whose gain 5 origins before is known"):
        giacomini_white(np.ones(6), horizon=5)
    with pytest.raises(ValueError, match="give 1 cosines, too few for 2 instruments"):
        giacomini_white(np.arange(40.0), horizon=10)
