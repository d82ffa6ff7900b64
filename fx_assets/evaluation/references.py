"""What every forecast is judged by: volatility models made from closes alone, fitted anew in each fold.

`constant` (normal, the mean squared return of all rows up to the origin), `ewma` (normal) and `ewma_t`, `garch_t`,
`egarch_t`, and `har_t` on squared returns. Each is the project's own kind, fitted on every row up to the fold's
`validate_until`: a reference needs no validation, so it may learn from those rows too. The location is 0 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.metrics.losses import crps_normal, crps_quantiles, crps_student_t, qlike_percent
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import DENSE_LEVELS
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.params import PARAMS, read_json
from fx_assets.models.predictors.har import regression
from fx_assets.models.registry import predictor_class
from fx_assets.models.volatility import DEFAULT_ALPHA, MIN_VARIANCE, log_returns
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

NAMES = ("constant", "ewma", "ewma_t", "garch_t", "egarch_t", "har_t")
# Rows that a forecast looks at; of what lies before, beta^512 is left. Shorter where the training rows are fewer.
WINDOW = 512
_INSTANT = timedelta(microseconds=1)
# Degrees of freedom between which a Student t is fitted, as `arch` bounds them.
_FEWEST_DEGREES, _MOST_DEGREES = 2.05, 500.0


@dataclass(frozen=True, eq=False)
class Reference:
    """Forecasts of one reference at the n test origins of all folds, in time order.

    `origins` (n,): row numbers of the history. `fold` (n,): which of the folds each belongs to. `horizons` (H,) bars
    ahead. `variance` (n, H) of the cumulative log return, `degrees` (n,) of its Student t, the same at each horizon;
    infinite where it is normal. `notes`: where EWMA-t stands in, and why.
    """

    origins: Rows
    fold: Rows
    horizons: tuple[int, ...]
    variance: Floats
    degrees: Floats
    notes: tuple[str, ...] = ()

    @property
    def scale(self) -> Floats:
        """(n, H): what a standard t (or normal) is multiplied by; below the standard deviation where tails are fat."""
        shrunk = np.where(np.isinf(self.degrees), 1.0, 1.0 - 2.0 / self.degrees)
        return np.sqrt(self.variance * shrunk[:, None])

    def quantiles(self, levels: Sequence[float] | Floats) -> Floats:
        """(n, H, Q) of the cumulative log return, at any `levels` (Q,) within (0, 1)."""
        found = np.array([_standard(float(nu), np.asarray(levels, dtype=np.float64)) for nu in np.unique(self.degrees)])
        at = np.searchsorted(np.unique(self.degrees), self.degrees)
        quantiles: Floats = self.scale[:, :, None] * found[at][:, None, :]
        return quantiles

    def crps(self, y: Floats, horizon: int, *, dense: bool | None = None) -> Floats:
        """CRPS (n,) of outcomes `y` (n,) `horizon` bars ahead, in their unit; NaN where `y` is.

        In closed form at one bar ahead and on the dense grid of 199 levels beyond, unless `dense` says which: a
        forecast that has only quantiles is compared on its own grid.
        """
        column, known = self.horizons.index(horizon), np.isfinite(y)
        losses = np.full(len(self.origins), np.nan)
        if dense or (dense is None and horizon > 1):
            at = replace(self, variance=self.variance[:, [column]], horizons=(horizon,)).quantiles(DENSE_LEVELS)[:, 0]
            losses[known] = crps_quantiles(y=y[known], quantiles=at[known], levels=DENSE_LEVELS)
        else:
            losses[known] = _crps(y[known], self.scale[known, column], self.degrees[known])
        return losses

    def qlike(self, y: Floats, horizon: int) -> Floats:
        """QLIKE (n,) of outcomes `y` (n,) `horizon` bars ahead, in squared percent; NaN where `y` is."""
        variance, known = self.variance[:, self.horizons.index(horizon)], np.isfinite(y)
        losses = np.full(len(self.origins), np.nan)
        losses[known] = qlike_percent(variance=variance[known], y=y[known])
        return losses


@dataclass(frozen=True, eq=False)
class _Part:
    """Of one fold: `variance` (n, H), `degrees` (n,), and a remark or ""."""

    variance: Floats
    degrees: Floats
    note: str = ""


def references(
    history: PairHistory,
    folds: Sequence[EvaluationWindow],
    horizons: Sequence[int],
    names: Sequence[str] = NAMES,
    *,
    show: Callable[[str], None] | None = None,
) -> dict[str, Reference]:
    """The references `names` at every test origin of `folds` (oldest first), `horizons` bars ahead.

    Each fold is fitted and evaluated alone: asked for one by one they give the same bits as together, and a longer
    history changes none that was there. An origin is one from which the shortest horizon ends within the fold's test.
    `show` is called with the pair and the fold's number after each. Raises `ValueError` for an unknown name, and
    `FitFailed` or `InsufficientHistory` as the kinds do.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"reference {unknown[0]!r} is none of {', '.join(NAMES)}")
    if not folds or not horizons or min(horizons) < 1:
        raise ValueError(f"expected folds, and horizons of 1 or more; got {len(folds)} folds, horizons {horizons}")
    ahead, bare = tuple(horizons), history.bare()
    rows = [fold.origins(bare.ends, window=1, horizon=min(ahead), part="test") for fold in folds]
    parts: dict[str, list[_Part]] = {name: [] for name in names}
    for number, (fold, origins) in enumerate(zip(folds, rows, strict=True), 1):
        fitted = _Fold(bare, fold, origins, ahead)
        for name in names:
            parts[name].append(fitted.part(name))
        if show is not None:
            show(f"{history.pair}: references, fold {number} of {len(folds)}")
    number_of = np.repeat(np.arange(len(folds)), [len(part) for part in rows])
    return {
        name: Reference(
            origins=np.concatenate(rows),
            fold=number_of,
            horizons=ahead,
            variance=np.concatenate([part.variance for part in found]),
            degrees=np.concatenate([part.degrees for part in found]),
            notes=tuple(part.note for part in found if part.note),
        )
        for name, found in parts.items()
    }


class _Fold:
    """The references of one fold: fitted on rows up to its `validate_until`, evaluated at `origins`."""

    def __init__(self, history: PairHistory, fold: EvaluationWindow, origins: Rows, horizons: tuple[int, ...]) -> None:
        self._history, self._origins, self._horizons = history, origins, horizons
        # A kind fits on what lies before `train_until`; the validation rows are training rows of a reference.
        self._cuts = EvaluationWindow(
            fold.validate_until, fold.validate_until + _INSTANT, fold.test_until, fold.test_from
        )
        self._since = fold.test_from or fold.validate_until
        training = history.until(fold.validate_until)
        self._returns = log_returns(training.closes)
        self._window = min(WINDOW, len(training) - max(horizons))
        params, self._ewma, _ = self._of_kind("random_walk")
        self._initial = float(params["initial_variance"])
        path = ewma_path(self._returns, initial=self._initial)[:-1]
        self._ewma_degrees = student_degrees(self._returns / np.sqrt(path))

    def part(self, name: str) -> _Part:
        if name == "constant":
            return self._alike(self._expanding()[:, None] * np.asarray(self._horizons), math.inf)
        if name == "ewma":
            return self._alike(self._ewma, math.inf)
        if name == "ewma_t":
            return self._alike(self._ewma, self._ewma_degrees)
        params, variance, remarks = self._of_kind(name.removesuffix("_t"))
        degrees = self._har_degrees(params) if name == "har_t" else _nu(params)
        # Where the kind used the EWMA variance instead, the tails are the EWMA's too.
        instead = np.array([bool(said) for said in remarks], dtype=np.bool_)
        note = ""
        if instead.any():
            said = "; ".join(sorted({text for texts in remarks for text in texts}))
            refused = f" ({params['refused']})" if params.get("refused") else ""
            note = (
                f"{self._history.pair}, {name}, test from {self._since:%Y-%m-%d}: "
                f"EWMA-t at {int(instead.sum())} of {len(instead)} origins: {said}{refused}"
            )
        kept = self._ewma_degrees if degrees is None else degrees
        return _Part(variance, np.where(instead, self._ewma_degrees, kept), note)

    def _expanding(self) -> Floats:
        """Mean squared return (n,) of all rows up to each origin."""
        squares = np.square(log_returns(self._history.closes[: int(self._origins.max(initial=0)) + 1]))
        means = np.cumsum(squares)[self._origins - 1] / self._origins
        return np.asarray(np.maximum(means, MIN_VARIANCE))

    def _alike(self, variance: Floats, degrees: float) -> _Part:
        return _Part(variance, np.full(len(self._origins), degrees))

    def _of_kind(self, kind: str) -> tuple[dict[str, Any], Floats, tuple[tuple[str, ...], ...]]:
        """Parameters of the project's own kind, its variances (n, H) at the origins, and what it remarked there."""
        spec = ModelSpec(
            model_id=f"reference_{kind}",
            kind=kind,
            pairs=(self._history.pair,),
            window=max(2, self._window),
            horizon=max(self._horizons),
            target="log_return" if kind == "random_walk" else "volatility",
        )
        predictor = predictor_class(kind)(spec)
        files = predictor.fit({self._history.pair: self._history}, self._cuts, seed=spec.training.seed)
        predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
        columns = np.asarray(self._horizons) - 1
        if not len(self._origins):
            return read_json(files, PARAMS), np.empty((0, len(columns))), ()
        prediction = predictor.predict(*windows(self._history, self._origins, spec))
        return read_json(files, PARAMS), np.square(prediction.scale[:, columns]), prediction.notes

    def _har_degrees(self, params: Mapping[str, Any]) -> float | None:
        """Tails of the training rows' returns over HAR's own deviation; None where its first horizon has no fit."""
        row = params["coefficients"][0]
        if row is None:
            return None
        # As the kind's default lags have it; each regression row's target is one squared return, and so the next one.
        x, squares = regression(np.square(self._returns), (1, 5, 22), 1)
        fitted = row[0] + x @ np.asarray(row[1:])
        return student_degrees(np.sqrt(squares / np.maximum(fitted, MIN_VARIANCE)))


def ewma_path(returns: Floats, *, initial: float, alpha: float = DEFAULT_ALPHA) -> Floats:
    """EWMA variance before each of `returns` (n,), and after the last: (n + 1,), from `initial`."""
    path = [max(initial, MIN_VARIANCE)]
    for value in returns.tolist():
        path.append(max((1.0 - alpha) * path[-1] + alpha * (value * value), MIN_VARIANCE))
    return np.array(path)


def student_degrees(shocks: Floats) -> float:
    """Degrees of freedom of a Student t with variance 1 that make `shocks` (n,) most likely; from 2.05 to 500.

    Only sizes count, so signs may be lost. Raises `ValueError` where there is none.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln

    if not len(shocks):
        raise ValueError("expected shocks to fit degrees of freedom to, got none")
    squares = np.square(np.asarray(shocks, dtype=np.float64))

    def loss(inverse: float) -> float:
        nu = 1.0 / inverse
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(math.pi * (nu - 2))
        return float((nu + 1) / 2 * np.mean(np.log1p(squares / (nu - 2))) - constant)

    # By its inverse the normal lies at 0 and the likelihood is near to a parabola.
    found = minimize_scalar(loss, bounds=(1 / _MOST_DEGREES, 1 / _FEWEST_DEGREES), method="bounded")
    return 1.0 / float(found.x)


def _nu(params: Mapping[str, Any]) -> float | None:
    return None if params["parameters"] is None else float(params["parameters"]["nu"])


def _standard(nu: float, levels: Floats) -> Floats:
    """Quantiles (Q,) of the standard Student t, the normal where `nu` is infinite."""
    from scipy.special import ndtri, stdtrit

    return np.asarray(ndtri(levels) if math.isinf(nu) else stdtrit(nu, levels), dtype=np.float64)


def _crps(y: Floats, scale: Floats, degrees: Floats) -> Floats:
    losses, fat = np.empty(len(y)), np.isfinite(degrees)
    still = np.zeros(len(y))
    losses[~fat] = crps_normal(y=y[~fat], location=still[~fat], scale=scale[~fat])
    losses[fat] = crps_student_t(y=y[fat], location=still[fat], scale=scale[fat], df=degrees[fat])
    return losses
