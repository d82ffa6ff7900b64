"""GARCH(1,1): tomorrow's variance from today's and from today's squared return, drawn back to a level.

Source: Bollerslev 1986, "Generalized autoregressive conditional heteroskedasticity"; with Student t, Bollerslev 1987.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fx_assets.models.arch_models import STATIONARY, ArchPredictor

if TYPE_CHECKING:
    from arch.univariate.volatility import VolatilityProcess


class Garch(ArchPredictor):
    """v' = omega + alpha r^2 + beta v, with omega and variances in squared returns a bar."""

    kind = "garch"
    title = "GARCH"
    names = ("omega", "alpha", "beta", "nu")

    @classmethod
    def _process(cls) -> VolatilityProcess:
        from arch.univariate import GARCH

        return GARCH(p=1, o=0, q=1)

    @classmethod
    def _rescaled(cls, parameters: dict[str, float], unit: float) -> dict[str, float]:
        return {**parameters, "omega": parameters["omega"] * unit}

    @classmethod
    def _explosive(cls, parameters: Mapping[str, float]) -> str:
        if parameters["omega"] < 0 or parameters["alpha"] < 0 or parameters["beta"] < 0:
            return "omega, alpha or beta is negative"
        persistence = parameters["alpha"] + parameters["beta"]
        return "" if persistence < STATIONARY else f"alpha + beta is {persistence:.6f}, not below 1"

    @classmethod
    def _next(cls, variance: float, value: float, parameters: Mapping[str, float]) -> float:
        return parameters["omega"] + parameters["alpha"] * (value * value) + parameters["beta"] * variance

    def _ahead(self, variance: float, params: Mapping[str, Any]) -> list[float]:
        omega, alpha, beta = (params["parameters"][name] for name in ("omega", "alpha", "beta"))
        variances = [variance]
        while len(variances) < self.spec.horizon:
            variances.append(omega + (alpha + beta) * variances[-1])
        return variances
