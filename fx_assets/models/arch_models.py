"""What GARCH and EGARCH have in common: fitted by the `arch` package, evaluated without it.

Zero mean, Student t innovations (Bollerslev 1987), maximum likelihood on the training rows of one pair. `arch` is
imported by the fit alone; a forecast needs `params.json` and runs a recursion of plain numbers over the window, from
the training rows' mean squared return. What that start still weighs falls as beta^n: on the ECB's rates (tests from
2012) 128 bars and more forecast as the whole history does; 60 bars cost up to .026 of QLIKE, more than is won on EWMA.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

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
from fx_assets.specs.schema import Strict

if TYPE_CHECKING:
    from arch.univariate.volatility import VolatilityProcess

# Nearer to 1 a shock has lost half of its effect after 700,000 bars: the optimiser stopped at its bound.
STATIONARY = 1.0 - 1e-6
_USED = "EWMA variance used at all horizons"


class ArchHyperparameters(Strict):
    """`ewma_alpha`: weight of the newest squared return in the EWMA that a fit is held to."""

    ewma_alpha: float = Field(default=DEFAULT_ALPHA, gt=0, lt=1)


@dataclass(frozen=True)
class Estimate:
    """Parameters of a fit in squared returns a bar, what the optimiser said, and why it is refused ("" where not)."""

    parameters: dict[str, float]
    diagnostics: dict[str, Any]
    refused: str


class ArchPredictor(BasePredictor):
    """Location 0; the variance of the next h bars is the sum of their variance forecasts, by `_ahead`.

    A fit that did not converge, is not stationary or not believable is refused: the EWMA variance is used instead at
    all horizons, and every forecast says so. So it is for single windows whose variance is not believable.
    """

    Hyperparameters = ArchHyperparameters
    targets = frozenset({"volatility"})
    # As people and messages call it, and what a fit must find.
    title: ClassVar[str]
    names: ClassVar[tuple[str, ...]]

    # -- what a kind says ---------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def _process(cls) -> VolatilityProcess:
        """The process as `arch` has it."""

    @classmethod
    @abstractmethod
    def _rescaled(cls, parameters: dict[str, float], unit: float) -> dict[str, float]:
        """Parameters of returns divided by sqrt(`unit`), as those of the returns themselves."""

    @classmethod
    @abstractmethod
    def _explosive(cls, parameters: Mapping[str, float]) -> str:
        """Why the variance would not come back to a level; "" where it does."""

    @classmethod
    @abstractmethod
    def _next(cls, variance: float, value: float, parameters: Mapping[str, float]) -> float:
        """Variance of the bar after the return `value`, which had `variance`."""

    @abstractmethod
    def _ahead(self, variance: float, params: Mapping[str, Any]) -> list[float]:
        """Expected variances of bars 1..H, where that of bar 1 is known."""

    def _expected(self, parameters: Mapping[str, float], shocks: FloatArray) -> dict[str, list[float]]:
        """Hook: what `_ahead` needs beside the parameters, from the training rows' returns over their deviation."""
        del parameters, shocks
        return {}

    # -- training -----------------------------------------------------------------------------------

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del rng  # the optimiser starts from the same grid each time
        (history,) = histories.values()
        initial = fitted_initial_variance(histories)
        returns = log_returns(history.closes)
        found = self._estimate(returns, initial)
        params: dict[str, Any] = {"initial_variance": initial, "parameters": None, "fit": found.diagnostics}
        if found.refused:
            return {**params, "refused": found.refused}
        *before, _ = path = self.variances(returns, found.parameters, initial)
        extra = self._expected(found.parameters, returns / np.sqrt(before))
        if not all(0 < value < math.inf for values in extra.values() for value in values):
            return {**params, "refused": "its expected variances are not finite; some training rows lie too far out"}
        accepted = {**params, "parameters": found.parameters, **extra}
        outside = self._outside(returns, path, accepted)
        if outside > MOST_OUTSIDE:
            reason = f"{outside:.0%} of its training rows leave [1/10, 10] times the EWMA variance"
            return {**params, "refused": reason}
        return {**accepted, "refused": ""}

    def _estimate(self, returns: FloatArray, unit: float) -> Estimate:
        """Maximum likelihood by `arch`, on returns in units of their own deviation.

        In percent, as `arch` would have it, a pegged currency's variance is 1e-4, the optimiser's bounds and tolerances
        do not fit, and it stops where it started, content.
        """
        from arch.univariate import StudentsT, ZeroMean

        model = ZeroMean(returns / np.sqrt(unit), volatility=self._process(), distribution=StudentsT(), rescale=False)
        # `arch` changes the process's warning filters while it fits; here they are put back, and what numpy remarked
        # on the way is kept with the fit.
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            result = model.fit(disp="off", show_warning=False)
        names = [name.partition("[")[0] for name in result.params.index]
        values = dict(zip(names, result.params.to_numpy().tolist(), strict=True))
        diagnostics = {
            "rows": len(returns),
            "flag": int(result.convergence_flag),
            "message": str(result.optimization_result.message),
            "iterations": int(result.optimization_result.nit),
            "log_likelihood": float(result.loglikelihood) if math.isfinite(result.loglikelihood) else None,
            "remarks": sorted({str(remark.message) for remark in remarks}),
        }
        if diagnostics["flag"] != 0:
            return Estimate({}, diagnostics, f"the fit did not converge: {diagnostics['message']}")
        if diagnostics["log_likelihood"] is None or not all(math.isfinite(value) for value in values.values()):
            return Estimate({}, diagnostics, "a parameter or the likelihood is not finite")
        diagnostics["found"] = values
        parameters = self._rescaled(values, unit)
        return Estimate(parameters, diagnostics, self._explosive(parameters))

    def _outside(self, returns: FloatArray, path: list[float], params: Mapping[str, Any]) -> float:
        """Share of the training rows from which some horizon's mean variance is not believable."""
        ewma, outside = params["initial_variance"], 0
        for value, variance in zip(returns.tolist(), path[1:], strict=True):
            ewma = ewma_variance(np.array([value]), initial=ewma, alpha=self.hyperparameters.ewma_alpha)
            outside += not self._believed(self._sums(variance, params), ewma)
        return outside / len(returns)

    # -- forecasting --------------------------------------------------------------------------------

    @classmethod
    def variances(cls, returns: FloatArray, parameters: Mapping[str, float], initial: float) -> list[float]:
        """Variance of each return (n,) given those before it, and of the one to come: n + 1, the first is `initial`."""
        path = [float(initial)]
        for value in returns.tolist():
            path.append(cls._next(path[-1], value, parameters))
        return path

    def _predict(self, window: FloatArray) -> Row:
        returns, initial = log_returns(window[:, 0]), self.params["initial_variance"]
        ewma = ewma_variance(returns, initial=initial, alpha=self.hyperparameters.ewma_alpha)
        instead = [h * ewma for h in range(1, self.spec.horizon + 1)]
        parameters = self.params["parameters"]
        if parameters is None:
            return self._row(instead, f"{_USED}: no {self.title} fit was accepted")
        sums = self._sums(self.variances(returns, parameters, initial)[-1], self.params)
        if not self._believed(sums, ewma):
            return self._row(instead, f"{_USED}: the {self.title} variance left [1/10, 10] times it")
        return self._row(sums)

    def _row(self, sums: list[float], *notes: str) -> Row:
        return Row(np.zeros(len(sums)), np.sqrt(sums), notes)

    def _sums(self, variance: float, params: Mapping[str, Any]) -> list[float]:
        """Variance of the cumulative return 1..H bars ahead: plain sums in a fixed order."""
        sums, total = [], 0.0
        for value in self._ahead(variance, params):
            total += value
            sums.append(total)
        return sums

    @staticmethod
    def _believed(sums: list[float], ewma: float) -> bool:
        return all(believable(total / (h * ewma)) for h, total in enumerate(sums, 1))

    # -- checkpoints --------------------------------------------------------------------------------

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = positive_number(params, "initial_variance")
        if "parameters" not in params:
            return {**problems, "parameters": "is missing"}
        parameters = params["parameters"]
        if parameters is None:
            return problems
        if not isinstance(parameters, dict) or not all(_number(parameters.get(name)) for name in self.names):
            problems["parameters"] = f"must be null or have the numbers {', '.join(self.names)}"
        elif reason := self._explosive(parameters):
            problems["parameters"] = f"cannot be used: {reason}"
        return problems


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
