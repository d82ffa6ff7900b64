"""EGARCH(1,1) with asymmetry: the logarithm of the variance moves with the size and with the sign of the last return.

Source: Nelson 1991, "Conditional heteroskedasticity in asset returns: a new approach".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fx_assets.models.arch_models import STATIONARY, ArchPredictor
from fx_assets.models.inputs import FloatArray
from fx_assets.models.volatility import MIN_VARIANCE

if TYPE_CHECKING:
    from arch.univariate.volatility import VolatilityProcess

# As `arch` centres the size of a shock, whatever its distribution; omega takes up the difference.
_CENTRE = math.sqrt(2.0 / math.pi)
# Variances below the one and over a deviation of 100 % a bar are no market's; in logs, so that none overflows.
_LOWEST, _HIGHEST = math.log(MIN_VARIANCE), 0.0


class Egarch(ArchPredictor):
    """ln v' = omega + g(z) + beta ln v, with g(z) = alpha (|z| - sqrt(2 / pi)) + gamma z and z = r / sqrt(v).

    `v` is in squared returns a bar. Several bars ahead ln v is linear in shocks that are still to come, all
    independent, so E[v_h] = v_1^(beta^(h-1)) times the product over j = 0 .. h-2 of E[exp(beta^j (omega + g(z)))].
    Under a Student t that expectation is infinite: its tails fall as a power, and exp(alpha |z|) rises faster (Nelson
    1991 takes the generalised error distribution instead). So it is the mean over the training rows' own z, as filtered
    historical simulation has it (Barone-Adesi, Giannopoulos and Vosper 1999); the H products are stored, `multipliers`.
    """

    kind = "egarch"
    title = "EGARCH"
    names = ("omega", "alpha", "gamma", "beta", "nu")

    @classmethod
    def _process(cls) -> VolatilityProcess:
        from arch.univariate import EGARCH

        return EGARCH(p=1, o=1, q=1)

    @classmethod
    def _rescaled(cls, parameters: dict[str, float], unit: float) -> dict[str, float]:
        return {**parameters, "omega": parameters["omega"] + (1.0 - parameters["beta"]) * math.log(unit)}

    @classmethod
    def _explosive(cls, parameters: Mapping[str, float]) -> str:
        beta = parameters["beta"]
        return "" if abs(beta) < STATIONARY else f"beta is {beta:.6f}, not within (-1, 1)"

    @classmethod
    def _next(cls, variance: float, value: float, parameters: Mapping[str, float]) -> float:
        shock = value / math.sqrt(variance)
        size = parameters["alpha"] * (abs(shock) - _CENTRE) + parameters["gamma"] * shock
        log = parameters["omega"] + size + parameters["beta"] * math.log(variance)
        return math.exp(min(max(log, _LOWEST), _HIGHEST))

    def _expected(self, parameters: Mapping[str, float], shocks: FloatArray) -> dict[str, list[float]]:
        news = parameters["alpha"] * (np.abs(shocks) - _CENTRE) + parameters["gamma"] * shocks
        multipliers, power = [1.0], 1.0
        for _ in range(1, self.spec.horizon):
            with np.errstate(over="ignore"):  # infinite is refused by the caller
                factor = float(np.mean(np.exp(power * (parameters["omega"] + news))))
            multipliers.append(multipliers[-1] * factor)
            power *= parameters["beta"]
        return {"multipliers": multipliers}

    def _ahead(self, variance: float, params: Mapping[str, Any]) -> list[float]:
        power, log, variances = 1.0, math.log(variance), []
        for multiplier in params["multipliers"]:
            variances.append(math.exp(power * log) * multiplier)
            power *= params["parameters"]["beta"]
        return variances

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = super()._check_params(params)
        if params.get("parameters") is None or "parameters" in problems:
            return problems
        values = params.get("multipliers")
        if not isinstance(values, list) or len(values) != self.spec.horizon or not all(map(_positive, values)):
            problems["multipliers"] = f"must be a list of {self.spec.horizon} numbers over 0, one for each horizon"
        return problems


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
