"""Losses and coverage, one value per forecast window; whoever reports them aggregates.

All arguments are keyword-only, float64 arrays with windows on the first axis. Losses are kept per window so that tests
of skill can be made on them. Raises `ValueError` naming the argument for a wrong shape or a value that is not finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SQUARED_PERCENT = 1e4


def squared_error(*, y: ArrayLike, y_hat: ArrayLike) -> Floats:
    """(y - y_hat)**2; `y` and `y_hat` of one shape, in any unit; returns that shape, unit squared."""
    actual, forecast = _alike(y=y, y_hat=y_hat)
    return np.square(actual - forecast)


def absolute_error(*, y: ArrayLike, y_hat: ArrayLike) -> Floats:
    """|y - y_hat|; `y` and `y_hat` of one shape, in any unit; returns that shape and unit."""
    actual, forecast = _alike(y=y, y_hat=y_hat)
    return np.abs(actual - forecast)


def naive_scale(*, series: ArrayLike) -> float:
    """Mean absolute one-step change of a series (t,): by how much "no change" errs in-sample, the scale of MASE.

    `series`: the levels that were trained on, oldest first, in the unit of the errors that are to be scaled: log prices
    where those are log returns. Raises `ValueError` for fewer than two levels, and where they never move. Source:
    Hyndman and Koehler (2006), doi 10.1016/j.ijforecast.2006.03.001, section 3.
    """
    levels = _finite("series", series)
    if levels.ndim != 1 or len(levels) < 2:
        raise ValueError(f"series: expected (t,) with two levels or more, got {levels.shape}")
    scale = float(np.mean(np.abs(np.diff(levels))))
    if scale == 0:
        raise ValueError(f"series: its {len(levels)} levels never move, so that no error can be scaled by it")
    return scale


def scaled_absolute_error(*, y: ArrayLike, y_hat: ArrayLike, scale: ArrayLike) -> Floats:
    """|y - y_hat| / scale, whose mean is MASE; `y` and `y_hat` of one shape, which is returned, without a unit.

    `scale` above 0 as `naive_scale` gives it: one number, or one for each window on the first axis. It is of one step
    at every horizon, so that at horizon h a random walk scores about sqrt(h). Source: as `naive_scale`.
    """
    error = absolute_error(y=y, y_hat=y_hat)
    divisor = _finite("scale", scale)
    if divisor.shape not in ((), error.shape[:1]):
        raise ValueError(f"scale: expected one number or {error.shape[:1]}, one for each window; got {divisor.shape}")
    if (divisor <= 0).any():
        raise ValueError("scale: expected values above 0")
    return np.asarray(error / divisor.reshape(divisor.shape + (1,) * (error.ndim - divisor.ndim)))


def pinball(*, y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Floats:
    """Quantile loss at each level: `y` (n,), `quantiles` (n, q), `levels` (q,) in (0, 1); returns (n, q), unit of y."""
    return _pinball(*_quantile_arguments(y, quantiles, levels))


def _pinball(actual: Floats, forecast: Floats, level: Floats) -> Floats:
    error = actual[:, None] - forecast
    return np.maximum(level * error, (level - 1) * error)


def crps_quantiles(*, y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Floats:
    """Continuous ranked probability score of quantile forecasts: twice the mean pinball loss over an even grid.

    `y` (n,), `quantiles` (n, q) that do not cross, `levels` (q,) increasing and evenly spaced; returns (n,) in y's
    unit. Two forecasts are compared on the same grid. Source: as scoringrules' `crps_quantile`, to the last bit;
    written out because importing scoringrules compiles for five seconds, which each run of the night would pay.
    """
    actual, forecast, level = _quantile_arguments(y, quantiles, levels)
    if len(level) > 1 and not np.allclose(np.diff(level), level[1] - level[0], rtol=0, atol=1e-9):
        raise ValueError("levels: expected evenly spaced levels; on others the mean of the losses is not a CRPS")
    if (np.diff(forecast, axis=1) < 0).any():
        row = int(np.argmax((np.diff(forecast, axis=1) < 0).any(axis=1)))
        raise ValueError(f"quantiles: those of window {row} cross; expected them not to fall as the level rises")
    return np.asarray(2 * np.mean(_pinball(actual, forecast, level), axis=-1), dtype=np.float64)


def crps_normal(*, y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Floats:
    """CRPS of normal forecasts in closed form; one shape for all, `scale` above 0; returns that shape in y's unit.

    Source: Gneiting and Raftery (2007), doi 10.1198/016214506000001437, section 4.2. Written out for the reason given
    at `crps_quantiles`; a test holds it equal to scoringrules.
    """
    from scipy.special import ndtr

    actual, centre, width = (
        _finite(name, value) for name, value in (("y", y), ("location", location), ("scale", scale))
    )
    if not actual.shape == centre.shape == width.shape:
        raise ValueError(f"expected one shape, got y {actual.shape}, location {centre.shape}, scale {width.shape}")
    if (width <= 0).any():
        raise ValueError("scale: expected values above 0")
    z = (actual - centre) / width
    density = np.exp(-0.5 * np.square(z)) / np.sqrt(2 * np.pi)
    return np.asarray(width * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def crps_student_t(*, y: ArrayLike, location: ArrayLike, scale: ArrayLike, df: ArrayLike) -> Floats:
    """CRPS of Student t forecasts in closed form; one shape for all, returns that shape in y's unit.

    `scale`, above 0, is what multiplies a standard t, not its standard deviation: see `student_t_scale`. `df`, above 1,
    of that shape or one number. Source: Jordan, Krueger and Lerch (2019), doi 10.18637/jss.v090.i12, appendix A.
    Written out for the reason given at `crps_quantiles`; a test holds it equal to scoringrules.
    """
    from scipy.special import beta, stdtr

    actual, centre, width = _alike(y=y, location=location, scale=scale)
    freedom = _each(actual, df=df)
    if (width <= 0).any():
        raise ValueError("scale: expected values above 0")
    if (freedom <= 1).any():
        raise ValueError("df: expected more than 1 degree of freedom; with fewer there is no mean, and no CRPS")
    z = (actual - centre) / width
    density = np.exp(-(freedom + 1) / 2 * np.log1p(np.square(z) / freedom)) / (
        np.sqrt(freedom) * beta(0.5, freedom / 2)
    )
    spread = 2 * np.sqrt(freedom) / (freedom - 1) * beta(0.5, freedom - 0.5) / np.square(beta(0.5, freedom / 2))
    inner = z * (2 * stdtr(freedom, z) - 1) + 2 * density * (freedom + np.square(z)) / (freedom - 1)
    return np.asarray(width * (inner - spread))


def student_t_scale(*, deviation: ArrayLike, df: ArrayLike) -> Floats:
    """The scale at which a Student t has the standard deviation `deviation`: deviation sqrt((df - 2) / df).

    Both positive; `df`, above 2, of the shape of `deviation` or one number; returns that shape and unit.
    """
    wanted = _finite("deviation", deviation)
    freedom = _each(wanted, df=df)
    if (wanted <= 0).any():
        raise ValueError("deviation: expected values above 0")
    if (freedom <= 2).any():
        raise ValueError("df: expected more than 2 degrees of freedom; with fewer there is no standard deviation")
    return np.asarray(wanted * np.sqrt((freedom - 2) / freedom))


def qlike(*, variance: ArrayLike, realised: ArrayLike) -> Floats:
    """log h + y / h of a variance forecast h and a realised variance y (a squared return will do), lower is better.

    One shape and one unit for both; `variance` above 0, `realised` 0 or more. Source: Patton (2011), doi
    10.1016/j.jeconom.2010.03.034.
    """
    forecast, actual = _alike(variance=variance, realised=realised)
    if (forecast <= 0).any():
        raise ValueError("variance: expected values above 0")
    if (actual < 0).any():
        raise ValueError("realised: expected values of 0 or more")
    return np.log(forecast) + actual / forecast


def qlike_percent(*, variance: ArrayLike, y: ArrayLike | None = None, realised: ArrayLike | None = None) -> Floats:
    """QLIKE as the project reports it: log h + x / h with h and x in squared percent; only differences mean something.

    Give `variance` in squared log returns (.005**2, say), and either `y`, log returns, whose square is x, or
    `realised`, a realised variance in squared log returns: the unit is changed here and nowhere else. One shape;
    returns that shape, without a unit. A change of unit adds the same constant to the loss of every forecast: compare
    two forecasts of the same windows by their difference, never by a ratio, and no figure alone. See `qlike`.
    """
    if y is not None and realised is None:
        forecast, returns = _alike(variance=variance, y=y)
        actual = np.square(returns)
    elif realised is not None and y is None:
        forecast, actual = _alike(variance=variance, realised=realised)
    else:
        raise ValueError("qlike_percent: expected either y or realised")
    return qlike(variance=forecast * _SQUARED_PERCENT, realised=actual * _SQUARED_PERCENT)


def covered(*, y: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> NDArray[np.bool_]:
    """Whether lower <= y <= upper; all of one shape; returns that shape."""
    actual, low, high = _range_arguments(y, lower, upper)
    return (low <= actual) & (actual <= high)


def interval_score(*, y: ArrayLike, lower: ArrayLike, upper: ArrayLike, coverage: float) -> Floats:
    """Width of the range plus 2 / (1 - coverage) times the distance by which y lies outside it; in y's unit.

    All of one shape; `coverage` in (0, 1) is the share that the range is meant to hold. Source: Gneiting and Raftery
    (2007), doi 10.1198/016214506000001437.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: expected a share between 0 and 1, got {coverage}")
    actual, low, high = _range_arguments(y, lower, upper)
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return (high - low) + 2 / (1 - coverage) * outside


def _alike(**named: ArrayLike) -> list[Floats]:
    arrays = {name: _finite(name, value) for name, value in named.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1:
        # Broadcasting (n,) against (n, 1) would give (n, n) losses in silence.
        raise ValueError(f"expected one shape, got {', '.join(f'{name} {shape}' for name, shape in shapes.items())}")
    return list(arrays.values())


def _each(like: Floats, **named: ArrayLike) -> Floats:
    """The one named argument, either a single number or of the shape of `like`."""
    ((name, value),) = named.items()
    array = _finite(name, value)
    if array.shape not in ((), like.shape):
        raise ValueError(f"{name}: expected one number or shape {like.shape}, got {array.shape}")
    return array


def _require_uncrossed(quantiles: Floats) -> None:
    crossing = (np.diff(quantiles, axis=1) < 0).any(axis=1)
    if crossing.any():
        row = int(np.argmax(crossing))
        raise ValueError(f"quantiles: those of window {row} cross; expected them not to fall as the level rises")


def _range_arguments(y: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> list[Floats]:
    arrays = _alike(y=y, lower=lower, upper=upper)
    if (arrays[1] > arrays[2]).any():
        raise ValueError("lower: expected no value above upper")
    return arrays


def _quantile_arguments(y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    actual, forecast, level = _finite("y", y), _finite("quantiles", quantiles), _finite("levels", levels)
    if actual.ndim != 1 or level.ndim != 1 or forecast.shape != (*actual.shape, *level.shape):
        raise ValueError(
            f"expected y (n,), quantiles (n, q), levels (q,); got {actual.shape}, {forecast.shape}, {level.shape}"
        )
    if not len(level) or level[0] <= 0 or level[-1] >= 1 or (np.diff(level) <= 0).any():
        raise ValueError("levels: expected increasing levels between 0 and 1")
    return actual, forecast, level


def _finite(name: str, value: ArrayLike) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite values; {int((~np.isfinite(array)).sum())} of {array.size} are not")
    return array
