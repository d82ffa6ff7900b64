"""HAR: volatility from its means over a day, a week and a month.

Source: Corsi 2009, "A simple approximate long-memory model of realized volatility", on squared daily returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from fx_assets.models.base import BasePredictor, Row
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import positive_number
from fx_assets.models.volatility import (
    DEFAULT_ALPHA,
    MOST_OUTSIDE,
    believable,
    ewma_variance,
    fitted_initial_variance,
    log_returns,
)
from fx_assets.specs.schema import ModelSpec, Strict


class Hyperparameters(Strict):
    """`lags`: lengths in bars of the means of squared returns, rising; `alpha`: weight of the newest in the EWMA."""

    lags: tuple[int, ...] = Field(default=(1, 5, 22), min_length=1, max_length=6)
    alpha: float = Field(default=DEFAULT_ALPHA, gt=0, lt=1)

    @field_validator("lags")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 1 or list(value) != sorted(set(value)):
            raise ValueError("expected rising whole numbers from 1")
        return value


class Har(BasePredictor):
    """Location 0; the mean squared return of the next h bars by one non-negative least squares fit for each h.

    Where a fit fails or is not believable, that horizon uses the EWMA variance, and a note says so.
    """

    kind = "har"
    Hyperparameters = Hyperparameters
    targets = frozenset({"volatility"})

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        longest = Hyperparameters.model_validate(spec.hyperparameters).lags[-1]
        if spec.window <= longest:
            yield "window", f"{spec.window} bars have {spec.window - 1} returns; the longest lag needs {longest}"

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del rng  # least squares has one answer
        (history,) = histories.values()
        initial = fitted_initial_variance(histories)
        squares = np.square(log_returns(history.closes))
        fits = [self._fit_one(squares, h, initial) for h in range(1, self.spec.horizon + 1)]
        return {
            "initial_variance": initial,
            "coefficients": [row for row, _ in fits],
            "refused": {str(h): reason for h, (_, reason) in enumerate(fits, 1) if reason},
        }

    def _fit_one(self, squares: FloatArray, horizon: int, initial: float) -> tuple[list[float] | None, str]:
        """Coefficients [constant, one a lag] for the mean of the next `horizon` squares; or None and the reason."""
        from scipy.optimize import nnls

        x, y = regression(squares, self.hyperparameters.lags, horizon)
        unit = float(np.mean(squares))  # squared returns are near 1e-5: solved in units of their mean
        try:
            solution, _ = nnls(np.column_stack([np.ones(len(x)), x / unit]), y / unit)
        except RuntimeError:
            return None, "the least squares did not converge"
        coefficients = np.array([solution[0] * unit, *solution[1:]])
        ratio = (coefficients[0] + x @ coefficients[1:]) / self._ewma_path(squares, len(x), horizon, initial)
        outside = float(np.mean(~believable(ratio)))
        if outside > MOST_OUTSIDE:
            return None, f"{outside:.0%} of its training rows leave [1/10, 10] times the EWMA variance"
        return coefficients.tolist(), ""

    def _ewma_path(self, squares: FloatArray, rows: int, horizon: int, initial: float) -> FloatArray:
        """EWMA variance at the origin of each of the last `rows` regression rows."""
        path, variance = [], initial
        for square in squares.tolist():
            variance += self.hyperparameters.alpha * (square - variance)
            path.append(variance)
        return np.array(path[len(path) - horizon - rows : len(path) - horizon])

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = positive_number(params, "initial_variance")
        rows, width = params.get("coefficients"), 1 + len(self.hyperparameters.lags)
        if not isinstance(rows, list) or len(rows) != self.spec.horizon:
            problems["coefficients"] = f"must be a list of {self.spec.horizon}, one for each horizon"
        elif not all(row is None or _usable(row, width) for row in rows):
            problems["coefficients"] = f"must each be {width} numbers, none negative, or null"
        return problems

    def _predict(self, window: FloatArray) -> Row:
        returns = log_returns(window[:, 0])
        ewma = ewma_variance(returns, initial=self.params["initial_variance"], alpha=self.hyperparameters.alpha)
        squares = np.square(returns)
        means = [1.0, *(float(np.mean(squares[-lag:])) for lag in self.hyperparameters.lags)]
        variances, unfitted, left = [], [], []
        for h, row in enumerate(self.params["coefficients"], 1):
            # Plain sums in a fixed order: no library, so the same bits wherever it runs.
            fitted = ewma if row is None else sum(a * b for a, b in zip(row, means, strict=True))
            if row is None:
                unfitted.append(h)
            elif not believable(fitted / ewma):
                left.append(h)
                fitted = ewma
            variances.append(h * fitted)
        notes = []
        if unfitted:
            notes.append(f"EWMA variance used at {_steps(unfitted)}: no HAR fit was accepted there")
        if left:
            notes.append(f"EWMA variance used at {_steps(left)}: the HAR variance left [1/10, 10] times it")
        return Row(np.zeros(len(variances)), np.sqrt(variances), tuple(notes))


def regression(squares: FloatArray, lags: tuple[int, ...], horizon: int) -> tuple[FloatArray, FloatArray]:
    """Means of the last `lag` squares (n, lags), and the mean of the `horizon` squares after them (n,)."""
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    at = np.arange(lags[-1], len(squares) - horizon + 1)  # squares before `at` are known, those from `at` are not
    x = np.column_stack([(sums[at] - sums[at - lag]) / lag for lag in lags])
    return x, (sums[at + horizon] - sums[at]) / horizon


def _usable(row: Any, width: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == width
        and all(isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 for value in row)
    )


def _steps(horizons: list[int]) -> str:
    if len(horizons) == 1:
        return f"horizon {horizons[0]}"
    if horizons == list(range(horizons[0], horizons[-1] + 1)):
        return f"horizons {horizons[0]} to {horizons[-1]}"
    return f"horizons {', '.join(map(str, horizons))}"
