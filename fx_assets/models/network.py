"""What predictors around a trained network share: its inputs, its units, and ONNX Runtime to run it.

The network sees windows of (log price relative to the last one) / sigma and z-scored features, and
answers location and deviation of y_h = cumulative return / (sigma sqrt(h)), sigma the EWMA volatility of that very
window. So an answer of (0, 1) is the random walk, whatever the pair and the year, and pairs can share one network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.onnx_model import OnnxPredictor
from fx_assets.models.params import Params
from fx_assets.models.scaler import fit_scaler, scaler_problems
from fx_assets.models.volatility import ewma_variances, log_returns
from fx_assets.specs.schema import ModelSpec, Strict

WEIGHTS = "model.safetensors"
INPUT, AHEAD, OUTPUT = "window", "ahead", "forecast"

# Scaling happens here and nowhere else: in `scaled_rows` and `anchored`, by training and by predicting alike.


def scaled_rows(values: FloatArray, params: Mapping[str, Any]) -> FloatArray:
    """Rows (..., columns), column 0 the close: its logarithm, and z-scored features.

    `params`: `mean` and `std` of the features over the training rows.
    """
    rows = np.empty(values.shape)
    rows[..., 0] = np.log(values[..., 0])
    rows[..., 1:] = (values[..., 1:] - np.array(params["mean"])) / np.array(params["std"])
    return rows


def anchored(windows: Any, sigma: Any) -> Any:
    """Windows (B, window, columns) of scaled rows, column 0 relative to its last and over sigma (B,), in place.

    Arrays of numpy or tensors of torch.
    """
    windows[..., 0] = (windows[..., 0] - windows[:, -1:, 0]) / sigma[:, None]
    return windows


def window_sigma(closes: FloatArray, params: Mapping[str, Any]) -> FloatArray:
    """EWMA volatility (B,) per square root of a bar, of windows of closes (B, window); from `initial_variance`."""
    return returns_sigma(log_returns(closes), params)


def returns_sigma(returns: FloatArray, params: Mapping[str, Any]) -> FloatArray:
    """The same from log returns (B, window - 1)."""
    sigma: FloatArray = np.sqrt(ewma_variances(returns, initial=params["initial_variance"]))
    return sigma


class NetworkHyperparameters(Strict):
    """What networks have in common."""

    head: Literal["point", "quantile", "student_t"] = Field(
        default="point", description="point: the location; quantile, student_t: its width too"
    )


class NetworkPredictor(OnnxPredictor):
    """Base of kinds whose network trains by Lightning and predicts by ONNX Runtime.

    Target `log_return` or `level` (the same by simple returns, whose mean is that of the price), or `volatility`: the
    width alone, which needs a head that has one.
    """

    Hyperparameters: ClassVar[type[BaseModel]] = NetworkHyperparameters
    trainer: ClassVar[Literal["fit", "lightning", "ensemble"]] = "lightning"
    targets: ClassVar[frozenset[str]] = frozenset({"log_return", "level", "volatility"})
    scopes: ClassVar[frozenset[str]] = frozenset({"pair", "panel"})
    uses_features: ClassVar[bool] = True
    warm: ClassVar[bool] = True
    made_with: ClassVar[frozenset[str]] = frozenset({"pytorch", "onnx"})
    _scaling: Params | None = None
    _roots: FloatArray

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """A width is learned only by a head that has one."""
        if spec.target == "volatility" and spec.hyperparameters.get("head", "point") == "point":
            yield "hyperparameters.head", "'point' has no width to learn; write quantile or student_t"

    def network_options(self) -> dict[str, Any]:
        """Hook: keyword arguments of the network's constructor, beside `outputs`, which its head decides."""
        return {
            "window": self.spec.window,
            "horizon": self.spec.horizon,
            "variates": len(self.inside),
            "ahead": len(self.spec.known_ahead),
            **self.hyperparameters.model_dump(exclude={"head"}),
        }

    def fit_scaler(self, histories: Mapping[str, PairHistory]) -> dict[str, Any]:
        """`params` of `encode` from histories that hold training rows only, pooled over the pairs.

        Raises `FitFailed` naming a feature that never changes: it has no scale.
        """
        return fit_scaler(histories, self.inside[1:])

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        return scaler_problems(params, len(self.inside) - 1)

    def _shapes(self) -> dict[str, list[int]]:
        shapes = {INPUT: [1, self.spec.window, len(self.inside)], OUTPUT: [1, 1, self.spec.horizon, 2]}
        if self.spec.known_ahead:
            shapes[AHEAD] = [1, self.spec.horizon, len(self.spec.known_ahead)]
        return shapes

    def _load(self, files: Mapping[str, bytes], *, strict: bool) -> list[str]:
        self._scaling = None
        return super()._load(files, strict=strict)

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self._predict_ahead(window, None)

    def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        if self._scaling is None:  # arrays once, not for each window
            self._scaling = Params({name: np.array(value) for name, value in self.params.items()})
            self._roots = np.sqrt(np.arange(1, self.spec.horizon + 1))
        rows = scaled_rows(window[None], self._scaling)
        sigma = returns_sigma(rows[:, 1:, 0] - rows[:, :-1, 0], self._scaling)
        feed = {INPUT: anchored(rows, sigma).astype(np.float32)}
        if ahead is not None:
            feed[AHEAD] = ahead[None].astype(np.float32)
        unit = sigma[0] * self._roots
        location, scale = self._answer(OUTPUT, feed).reshape(-1, 2).T * unit
        if self.spec.target == "level":
            location = np.log1p(np.maximum(location, -0.99))
        return location, scale
