"""What scikit-learn's models share: one row of inputs for a window, direct regressions at a few steps, one ONNX file.

A row holds the features of the window's last bar, z-scored over the training rows, and its last `lags` log
returns over sigma, newest first. The answer at step h is in units of sigma sqrt(h). Sigma is the EWMA volatility of
that very window, as in `models.network`, whose scaling this is: so an answer of location 0 and width 1 is the random
walk, whatever the pair and the year, and pairs can share one model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BaseModel, Field, field_validator

from fx_assets.models.base import Row
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.network import anchored, scaled_rows, window_sigma
from fx_assets.models.onnx_model import ONNX, OnnxPredictor
from fx_assets.models.onnx_stack import ROW, UNITS, stacked
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.scaler import fit_scaler, scaler_problems
from fx_assets.models.volatility import ewma_variances, log_returns
from fx_assets.specs.schema import ModelSpec, Strict

# Of inputs and targets, in deviations; what is beyond counts as this. A day such as 2015-01-15 in CHF, after
# years of calm, would otherwise outweigh all others together, and a feature gone astray would carry the forecast away.
FARTHEST = 10.0
# Fewer windows teach nothing, and their outer quantiles are their extremes.
FEWEST = 50


class TabularHyperparameters(Strict):
    """What the kinds have in common."""

    lags: int = Field(default=5, ge=1, le=64, description="Newest log returns among the inputs")
    steps: tuple[int, ...] = Field(
        default=(1, 5, 20),
        min_length=1,
        max_length=12,
        description="Bars ahead with a model of their own, up to the horizon, which always has one; "
        "between them the answers are interpolated",
    )

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 1 or list(value) != sorted(set(value)):
            raise ValueError("expected rising whole numbers from 1")
        return value


class TabularPredictor(OnnxPredictor):
    """Base of kinds that scikit-learn fits and ONNX Runtime runs: predicting imports no scikit-learn.

    A kind says how it fits one step (`_estimators`, as many as it has `outputs`) and what the answers mean (`_units`).
    Target `level` learns simple returns, whose mean is that of the price.
    """

    Hyperparameters: ClassVar[type[BaseModel]] = TabularHyperparameters
    scopes: ClassVar[frozenset[str]] = frozenset({"pair", "panel"})
    uses_features: ClassVar[bool] = True
    made_with: ClassVar[frozenset[str]] = frozenset({"scikitlearn", "onnx"})

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """A window holds the returns that are asked for."""
        lags = cls.Hyperparameters.model_validate(spec.hyperparameters).model_dump()["lags"]
        if spec.window <= lags:
            yield "window", f"{spec.window} bars have {spec.window - 1} returns; lags asks for {lags}"

    @property
    def steps(self) -> tuple[int, ...]:
        """Bars ahead that have a model of their own; the last is the horizon."""
        horizon = self.spec.horizon
        return (*(step for step in self.hyperparameters.steps if step < horizon), horizon)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of a row's inputs."""
        return (*self.inside[1:], *(f"log_return_{lag}" for lag in range(1, self.hyperparameters.lags + 1)))

    @property
    def outputs(self) -> int:
        """How many estimators a step has."""
        return 1

    def overlap(self, step: int) -> float:
        """How many neighbouring training targets share bars at `step`: n of them say as much as n / overlap."""
        return max(1.0, step / self.spec.training.stride)

    @abstractmethod
    def _estimators(
        self, rows: NDArray[np.float32], targets: FloatArray, step: int, rng: np.random.Generator
    ) -> list[Any]:
        """Hook: the step's estimators, fitted on rows (n, inputs) and scaled targets (n,). Raises `FitFailed`."""

    def _units(self, answers: FloatArray) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
        """Hook: location and width (steps,) in units of sigma sqrt(h), and notes, from (steps, outputs).

        Here: the first output is the location, and the width is the random walk's.
        """
        return answers[:, 0], np.ones(len(answers)), ()

    # -- training -------------------------------------------------------------------------------

    def _fit_files(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, bytes]:
        import sklearn.ensemble
        import sklearn.linear_model  # noqa: F401 - both load the libraries whose threads are limited below
        from threadpoolctl import threadpool_limits

        scaler = fit_scaler(histories, self.inside[1:])
        rows, targets = self.training_rows(histories, scaler)
        if len(rows) < FEWEST:
            raise InsufficientHistory(
                f"{', '.join(histories)}: {len(rows)} training windows, and kind {self.kind!r} needs {FEWEST}; "
                "start the history earlier, or shorten window, horizon or stride"
            )
        # One thread: several may add up in another order, and wait for one another where other work is running.
        with threadpool_limits(1):
            estimators = [
                estimator
                for number, step in enumerate(self.steps)
                for estimator in self._estimators(rows, targets[:, number], step, rng)
            ]
            model = stacked(estimators, rows)
        params = {**scaler, "steps": list(self.steps), "inputs": list(self.inputs)}
        return {PARAMS: dump_params(params), ONNX: model}

    def training_rows(
        self, histories: Mapping[str, PairHistory], scaler: Mapping[str, Any]
    ) -> tuple[NDArray[np.float32], FloatArray]:
        """Rows (n, inputs) and scaled targets (n, steps) of every window whose horizon ends inside its history.

        Pooled over the pairs; every `training.stride`-th window, counted from the newest, as networks have it.
        """
        rows, targets = [], []
        for history in histories.values():
            count = len(history) - self.spec.window - self.spec.horizon + 1
            skipped = (count - 1) % self.spec.training.stride
            every = slice(skipped, count, self.spec.training.stride)
            last = np.arange(self.spec.window - 1, len(history) - self.spec.horizon)[every]
            # Views, column by column: no window is copied.
            returns = sliding_window_view(log_returns(history.closes), self.spec.window - 1)[:count][every]
            sigma = np.sqrt(ewma_variances(returns, initial=scaler["initial_variance"]))
            scaled = scaled_rows(np.column_stack([history.closes, history.features]), scaler)
            closes = sliding_window_view(scaled[:, 0], self.hyperparameters.lags + 1)[last - self.hyperparameters.lags]
            rows.append(_rows(closes, scaled[last, 1:], sigma))
            targets.append(self._targets(history, last, sigma))
        return np.concatenate(rows), np.concatenate(targets)

    def _targets(self, history: PairHistory, last: NDArray[np.int64], sigma: FloatArray) -> FloatArray:
        steps = np.array(self.steps)
        moves = np.log(history.closes[last[:, None] + steps] / history.closes[last, None])
        moves = np.expm1(moves) if self.spec.target == "level" else moves
        targets: FloatArray = np.clip(moves / (sigma[:, None] * np.sqrt(steps)), -FARTHEST, FARTHEST)
        return targets

    # -- checkpoints ----------------------------------------------------------------------------

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = scaler_problems(params, len(self.inside) - 1)
        for name, expected in (("steps", list(self.steps)), ("inputs", list(self.inputs))):
            if params.get(name) != expected:
                problems[name] = f"must be {expected}"
        return problems

    def _shapes(self) -> dict[str, list[int]]:
        return {ROW: [1, len(self.inputs)], UNITS: [1, len(self.steps) * self.outputs]}

    # -- forecasting ----------------------------------------------------------------------------

    def row(self, window: FloatArray) -> tuple[NDArray[np.float32], float]:
        """One window (window, inside) as a row (1, inputs), and its sigma."""
        sigma = window_sigma(window[None, :, 0], self.params)
        scaled = scaled_rows(window[-self.hyperparameters.lags - 1 :], self.params)
        return _rows(scaled[None, :, 0], scaled[-1:, 1:], sigma), float(sigma[0])

    def _predict(self, window: FloatArray) -> Row:
        row, sigma = self.row(window)
        at = self._answer(UNITS, {ROW: row}).reshape(len(self.steps), self.outputs)
        location, width, notes = self._units(at)
        horizons = np.arange(1, self.spec.horizon + 1)
        unit = sigma * np.sqrt(horizons)
        location = np.interp(horizons, self.params["steps"], location) * unit
        if self.spec.target == "level":
            location = np.log1p(np.maximum(location, -0.99))
        return Row(location, np.interp(horizons, self.params["steps"], width) * unit, notes)


def _rows(log_closes: FloatArray, features: FloatArray, sigma: FloatArray) -> NDArray[np.float32]:
    """Rows (n, inputs) from the last log closes (n, lags + 1), scaled features (n, k) and sigma (n,).

    Of 32 bits when fitting too: a tree must send a number to the same side then and later.
    """
    closes = anchored(np.array(log_closes)[..., None], sigma)[..., 0]
    values = np.concatenate([features, np.diff(closes, axis=1)[:, ::-1]], axis=1)
    rows: NDArray[np.float32] = np.clip(values, -FARTHEST, FARTHEST).astype(np.float32)
    return rows
