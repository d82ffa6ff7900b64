"""A log scale that is linear in its inputs, with coefficients that all pairs share: volatility from the whole panel.

Made for the columns of configs/features/scale.yaml: how wide a pair and the panel have moved, in logarithms, and which
way. Pooled, because what volatility says of tomorrow's is much the same in every market (Bollerslev, Hood, Huss and
Pedersen 2018, "Risk everywhere", doi 10.1093/rfs/hhy041), and one pair alone has a sixth of the rows.
On the ECB's rates before 2012, where all of this was chosen (blocks of two years left out in turn), a level for each
pair made it no better: the slow half-lives say what a pair's level is, also of one that it was not trained on.

Beside it stands an EGARCH-t, a model of another kind, pooled likewise; the forecast is the geometric mean of both
scales, and no weight is fitted: equal ones are hard to beat where members differ in kind (Timmermann 2006, "Forecast
combinations", section 4). Walked forward over 2004 to 2011 on those rates, trained two years before as the night
trains, by Student t densities, the regression's one-day CRPS was .10 % under that of each pair's own EGARCH-t; with the
week's scaled return among its inputs .18 % (p .02) and QLIKE .009; with the EGARCH beside it .18 % (p .001) and QLIKE
.014. That was chosen of some 80 settings: half-lives, signed means, other members, the EGARCH as an input. Fitted on
all pairs the EGARCH is no worse than one for each pair, and never exploded, as AUDUSD's own did on its first years.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from fx_assets.models.base import BasePredictor, MemoryCheckpoint, Row
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, dump_params, positive_number
from fx_assets.models.predictors.egarch import Egarch
from fx_assets.models.scale_beside import chained, egarch_beside
from fx_assets.models.scale_likelihood import LogScale, fit_log_scale
from fx_assets.models.scale_rows import PooledRows, pooled_rows, share_outside
from fx_assets.models.volatility import (
    DEFAULT_ALPHA,
    MOST_OUTSIDE,
    believable,
    ewma_variance,
    fitted_initial_variance,
    log_returns,
)
from fx_assets.specs.schema import ModelSpec, Strict

# Fewer returns cannot tell the tails of a Student t from its width.
FEWEST = 100
_USED = "EWMA variance used at all horizons"


class Hyperparameters(Strict):
    """`steps`: bars ahead with coefficients of their own; `ewma_alpha`: of the EWMA variance that a fit is held to;
    `beside`: the other model."""

    steps: tuple[int, ...] = Field(
        default=(1, 5, 20),
        min_length=1,
        max_length=12,
        description="Up to the horizon, which always has its own; between them log scales are interpolated over log "
        "steps",
    )
    ewma_alpha: float = Field(default=DEFAULT_ALPHA, gt=0, lt=1)
    beside: Literal["egarch", "none"] = Field(
        default="egarch",
        description="The forecast is the geometric mean with an EGARCH-t of all pairs, which wants a window of 128 "
        "bars, or the regression alone",
    )

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 1 or list(value) != sorted(set(value)):
            raise ValueError("expected rising whole numbers from 1")
        return value


class Scale(BasePredictor):
    """Location 0; the variance of the next h bars is the sum of their own, each with its own calendar.

    The log scale of the bar j ahead is linear in the last row's features, with coefficients fitted on returns of the
    bar j ahead alone: they say how long a surge lasts, and what level it falls back to. To it comes what the calendar
    says of that bar (`known_ahead`), by the coefficients of the first step. Returns are Student t; the scale that is
    forecast is the standard deviation, and the degrees are in `params.json`. A fit that did not converge or is not
    believable is refused: the EWMA variance is used at all horizons instead, and every forecast says so. So it is
    for single windows whose variance is not believable; and so it is with the EGARCH beside, by itself.
    """

    kind = "scale"
    Hyperparameters = Hyperparameters
    targets = frozenset({"volatility"})
    scopes = frozenset({"panel"})
    uses_features = True
    uses_ahead = True

    _beside: Egarch | None = None

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """Features, which it cannot do without."""
        if spec.features is None:
            yield "features", "this key is missing: kind 'scale' is linear in features; write scale, or another set"

    @property
    def steps(self) -> tuple[int, ...]:
        """Bars ahead that have coefficients of their own; the last is the horizon."""
        horizon = self.spec.horizon
        return (*(step for step in self.hyperparameters.steps if step < horizon), horizon)

    # -- training -----------------------------------------------------------------------------------

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        rows = [pooled_rows(histories, step, self.spec.known_ahead) for step in self.steps]
        if len(rows[-1].returns) < FEWEST:
            raise InsufficientHistory(
                f"{', '.join(histories)}: {len(rows[-1].returns)} training rows, and kind {self.kind!r} needs "
                f"{FEWEST}; start the history earlier, or shorten the horizon"
            )
        params: dict[str, Any] = {
            "initial_variance": fitted_initial_variance(histories),
            "steps": list(self.steps),
            "inputs": list(self.inside[1:]),
            "known_ahead": list(self.spec.known_ahead),
            "coefficients": None,
        }
        if (egarch := self._egarch()) is not None:
            together = chained(histories)
            params["beside"] = egarch._fit({together.pair: together}, rng)
        fits, calendar = _fits(rows)
        params["fit"] = [fit.diagnostics for fit in fits]
        if reason := next((fit.refused for fit in fits if fit.refused), ""):
            return {**params, "refused": reason}
        accepted = {
            **params,
            "intercepts": [fit.intercept for fit in fits],
            "coefficients": [fit.coefficients[: len(self.inside) - 1].tolist() for fit in fits],
            "calendar": calendar.tolist(),
            "degrees": [fit.degrees for fit in fits],
        }
        outside = share_outside(
            histories,
            lambda features, ahead: self._sums(features, ahead, accepted),
            initial=params["initial_variance"],
            alpha=self.hyperparameters.ewma_alpha,
            horizon=self.spec.horizon,
            known_ahead=self.spec.known_ahead,
        )
        if outside > MOST_OUTSIDE:
            reason = f"{outside:.0%} of its training rows leave [1/10, 10] times the EWMA variance"
            return {**params, "refused": reason}
        return {**accepted, "refused": ""}

    # -- forecasting --------------------------------------------------------------------------------

    def _predict(self, window: FloatArray) -> Row:
        return self._predict_ahead(window, None)

    def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> Row:
        own = self._regression(window, ahead)
        if self._beside is None:
            return own
        other = self._beside.predict(window[None, :, :1])
        said = tuple(f"{Egarch.kind} beside: {note}" for note in other.notes[0])
        return Row(own.location, np.sqrt(own.scale * other.scale[0]), (*own.notes, *said))

    def _regression(self, window: FloatArray, ahead: FloatArray | None) -> Row:
        bars, alpha = np.arange(1, self.spec.horizon + 1), self.hyperparameters.ewma_alpha
        ewma = ewma_variance(log_returns(window[:, 0]), initial=self.params["initial_variance"], alpha=alpha)
        location = np.zeros(len(bars))
        if self.params["coefficients"] is None:
            return Row(location, np.sqrt(bars * ewma), (f"{_USED}: no fit of the log scale was accepted",))
        sums = self._sums(window[-1:, 1:], None if ahead is None else ahead[None], self.params)[0]
        if not believable(sums / (bars * ewma)).all():
            return Row(location, np.sqrt(bars * ewma), (f"{_USED}: the scale's variance left [1/10, 10] times it",))
        return Row(location, np.sqrt(sums))

    def _sums(self, features: FloatArray, ahead: FloatArray | None, params: Mapping[str, Any]) -> FloatArray:
        """Variance (n, H) of the return over 1..H bars, from features (n, k) and ahead (n, H, known_ahead) or None."""
        # A t's standard deviation over what it is multiplied by.
        tails = [math.log(degrees / (degrees - 2)) / 2 for degrees in params["degrees"]]
        at_steps = features @ np.array(params["coefficients"]).T + np.array(params["intercepts"]) + np.array(tails)
        bars, steps = np.arange(1, self.spec.horizon + 1), np.log(params["steps"])
        logs = at_steps @ np.array([np.interp(np.log(bars), steps, share) for share in np.eye(len(steps))])
        if ahead is not None:
            logs = logs + ahead @ np.array(params["calendar"])
        with np.errstate(over="ignore", under="ignore"):  # neither is believable, and so neither is used
            sums: FloatArray = np.cumsum(np.exp(2.0 * logs), axis=1)
        return sums

    def _egarch(self) -> Egarch | None:
        """The model beside, without parameters."""
        if self.hyperparameters.beside == "none":
            return None
        return egarch_beside(self.spec, ewma_alpha=self.hyperparameters.ewma_alpha)

    # -- checkpoints --------------------------------------------------------------------------------

    def _load(self, files: Mapping[str, bytes], *, strict: bool) -> list[str]:
        skipped = super()._load(files, strict=strict)
        self._beside = self._egarch()
        if self._beside is not None and "beside" in self.params:
            own = {PARAMS: dump_params(self.params["beside"])}
            self._beside.load_model(MemoryCheckpoint(self._beside.identity(), own))
        return skipped

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = positive_number(params, "initial_variance")
        inputs, known = list(self.inside[1:]), list(self.spec.known_ahead)
        for name, expected in (("steps", list(self.steps)), ("inputs", inputs), ("known_ahead", known)):
            if params.get(name) != expected:
                problems[name] = f"must be {expected}"
        if (egarch := self._egarch()) is not None:
            beside = params.get("beside")
            if not isinstance(beside, dict):
                problems["beside"] = f"must be the parameters of {Egarch.kind}"
            elif wrong := egarch._check_params(beside):
                problems["beside"] = ", ".join(f"{name} {problem}" for name, problem in wrong.items())
        if "coefficients" not in params:
            return {**problems, "coefficients": "is missing"}
        if params["coefficients"] is None:
            return problems
        steps = len(self.steps)
        rows = params["coefficients"]
        if not isinstance(rows, list) or len(rows) != steps or not all(_numbers(row, len(inputs)) for row in rows):
            problems["coefficients"] = f"must be null or {steps} lists of {len(inputs)} numbers"
        for name, length in (("intercepts", steps), ("calendar", len(known)), ("degrees", steps)):
            if not _numbers(params.get(name), length):
                problems[name] = f"must be a list of {length} numbers"
        if "degrees" not in problems and min(params["degrees"]) <= 2:
            problems["degrees"] = "must be above 2: no other Student t has a variance"
        return problems


def _fits(rows: list[PooledRows]) -> tuple[list[LogScale], FloatArray]:
    """A fit for each step, and the coefficients of what is known ahead, which all have from the first."""
    from threadpoolctl import threadpool_limits

    first, *later = rows
    # One thread: several may add up in another order.
    with threadpool_limits(1):
        fit = fit_log_scale(np.column_stack([first.features, first.ahead]), first.returns)
        calendar = fit.coefficients[first.features.shape[1] :]
        return [fit, *(fit_log_scale(each.features, each.returns, each.ahead @ calendar) for each in later)], calendar


def _numbers(value: Any, length: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == length
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
    )
