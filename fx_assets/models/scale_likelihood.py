"""Maximum likelihood of returns whose Student t has a log scale that is linear in inputs.

r = exp(a + b'x) t_nu: the log scale of Harvey 2013, "Dynamic Models for Volatility and Heavy Tails", chapter 4, with
inputs that are given instead of its recursion. However wild a return, the likelihood asks for at most nu times
the scale's growth that an ordinary one asks for; the likelihood of a normal, or least squares, would see nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.models.inputs import FloatArray

# As `arch` bounds them: below, the variance is not finite; above, the t is a normal.
FEWEST_DEGREES, MOST_DEGREES = 2.05, 500.0
# Of the coefficients of inputs with deviation 1, around 0: as much as one row's worth of doubt. What a year-end says
# of a history that has none is thereby nothing.
DOUBT = 1.0
_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class LogScale:
    """`intercept` + `coefficients` (k,) times inputs: log of what a t of `degrees` is multiplied by.

    `log_likelihood`: mean of a row, of returns in their own unit. `refused`: why it cannot be used, "" where it can.
    """

    intercept: float
    coefficients: FloatArray
    degrees: float
    log_likelihood: float
    rows: int
    iterations: int
    refused: str = ""

    @property
    def diagnostics(self) -> dict[str, Any]:
        """What is kept of the fit beside its numbers."""
        return {"rows": self.rows, "iterations": self.iterations, "log_likelihood": self.log_likelihood}


def fit_log_scale(inputs: FloatArray, returns: FloatArray, offset: FloatArray | None = None) -> LogScale:
    """The most likely log scale of `returns` (n,) given `inputs` (n, k), beside an `offset` (n,) that is known.

    Equal arguments give equal bits on one machine, with one thread. A column that never changes gets no coefficient.
    Raises `ValueError` where no return differs from 0.
    """
    from scipy.optimize import minimize

    typical = float(np.mean(np.abs(returns)))
    if not typical > 0:
        raise ValueError("no return differs from 0; check the prices")
    known = np.zeros(len(returns)) if offset is None else offset
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    moves = spread > 1e-9 * (1.0 + np.abs(centre))
    # With rows in the columns of one block, both products run over memory in order.
    scaled = np.where(moves, (inputs - centre) / np.where(moves, spread, 1.0), 0.0)
    start = np.zeros(inputs.shape[1] + 2)
    start[-1] = math.log(6.0)
    bounds = [(None, None)] * (len(start) - 1) + [
        (math.log(FEWEST_DEGREES - 2), math.log(MOST_DEGREES - 2)),
    ]
    found = minimize(
        negative_log_likelihood,
        start,
        args=(scaled, returns / typical, known),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _ITERATIONS, "ftol": 1e-12, "gtol": 1e-7},
    )
    slopes = np.where(moves, found.x[1:-1] / np.where(moves, spread, 1.0), 0.0)
    return LogScale(
        intercept=float(found.x[0] + math.log(typical) - slopes @ centre),
        coefficients=slopes,
        degrees=2.0 + math.exp(float(found.x[-1])),
        log_likelihood=-float(found.fun) - math.log(typical),
        rows=len(returns),
        iterations=int(found.nit),
        refused="" if found.success else f"the fit did not converge: {found.message}",
    )


def negative_log_likelihood(
    parameters: FloatArray, inputs: FloatArray, returns: FloatArray, offset: FloatArray
) -> tuple[float, FloatArray]:
    """Mean over the rows (n,), the doubt included, and its gradient (k + 2,).

    `parameters`: intercept, coefficients (k,), log(degrees - 2).
    """
    from scipy.special import digamma, gammaln

    rows, slopes = len(returns), parameters[1:-1]
    degrees = 2.0 + math.exp(float(parameters[-1]))
    log_scale = parameters[0] + inputs @ slopes + offset
    surprise = np.square(returns) * np.exp(-2.0 * log_scale) / degrees
    tail = np.log1p(surprise)
    constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - math.log(math.pi * degrees) / 2
    loss = np.mean(log_scale + (degrees + 1) / 2 * tail) - constant + DOUBT / 2 * (slopes @ slopes) / rows
    share = surprise / (1.0 + surprise)
    by_scale = 1.0 - (degrees + 1) * share
    by_degrees = tail / 2 - (degrees + 1) / (2 * degrees) * share
    of_constant = (digamma((degrees + 1) / 2) - digamma(degrees / 2) - 1 / degrees) / 2
    gradient = np.empty(len(parameters))
    gradient[0] = by_scale.mean()
    gradient[1:-1] = (by_scale @ inputs + DOUBT * slopes) / rows
    gradient[-1] = (by_degrees.mean() - of_constant) * (degrees - 2)
    return float(loss), gradient
