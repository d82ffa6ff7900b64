"""What predictors around a trained network share: its inputs, its units, and ONNX Runtime to run it.

The network sees windows of (log price relative to the last one) / sigma and z-scored features, and
answers y_h = cumulative log return / (sigma sqrt(h)), sigma the EWMA volatility of that very window. So
an answer of 0 is the random walk, whatever the pair and the year, and pairs can share one network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fx_assets.settings  # noqa: F401 - turns ONNX Runtime's telemetry off, before its first import
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import FitFailed, InvalidCheckpoint, NotLoaded
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import positive_number
from fx_assets.models.volatility import ewma_variances, fitted_initial_variance, log_returns

if TYPE_CHECKING:
    import onnxruntime

ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
INPUT, OUTPUT = "window", "scaled_return"


class Encoded(NamedTuple):
    """Network inputs (B, window, columns), and sigma (B,) per square root of a bar."""

    inputs: NDArray[np.float32]
    sigma: FloatArray


def encode(windows: FloatArray, params: Mapping[str, Any]) -> Encoded:
    """Windows (B, window, columns), column 0 the close, as the network sees them.

    Used by training and by predicting alike. `params`: `initial_variance` of one bar's log return, and
    `mean` and `std` of the features over the training rows.
    """
    closes = np.ascontiguousarray(windows[..., 0])
    sigma = np.sqrt(ewma_variances(log_returns(closes), initial=params["initial_variance"]))
    inputs = np.empty(windows.shape, dtype=np.float32)
    inputs[..., 0] = np.log(closes / closes[:, -1:]) / sigma[:, None]
    inputs[..., 1:] = (windows[..., 1:] - np.array(params["mean"])) / np.array(params["std"])
    return Encoded(inputs, sigma)


class NetworkPredictor(BasePredictor):
    """Base of kinds whose network trains by Lightning and predicts by ONNX Runtime."""

    trainer: ClassVar[Literal["fit", "lightning"]] = "lightning"
    scopes: ClassVar[frozenset[str]] = frozenset({"pair", "panel"})
    uses_features: ClassVar[bool] = True

    _session: onnxruntime.InferenceSession | None = None

    def network_options(self) -> dict[str, Any]:
        """Hook: keyword arguments of the network's constructor."""
        return {"window": self.spec.window, "horizon": self.spec.horizon, **self.hyperparameters.model_dump()}

    def fit_scaler(self, histories: Mapping[str, PairHistory]) -> dict[str, Any]:
        """`params` of `encode` from histories that hold training rows only, pooled over the pairs.

        Raises `FitFailed` naming a feature that never changes: it has no scale.
        """
        features = np.concatenate([history.features for history in histories.values()])
        std = features.std(axis=0)
        # A constant column of large numbers has a deviation of rounding errors, not of 0.
        constant = ~(std > 1e-12 * (1 + np.abs(features).max(axis=0, initial=0)))
        if constant.any():
            names = ", ".join(np.array(self.inside[1:])[constant])
            raise FitFailed(f"features {names} never change in the training rows; remove them from the feature set")
        return {
            "initial_variance": fitted_initial_variance(histories),
            "mean": features.mean(axis=0).tolist(),
            "std": std.tolist(),
        }

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems = positive_number(params, "initial_variance")
        features = len(self.inside) - 1
        for name, fits in (("mean", _number), ("std", _positive)):
            values = params.get(name)
            if not isinstance(values, list) or len(values) != features or not all(map(fits, values)):
                problems[name] = f"is not a list of {features} numbers that a scaler can have"
        return problems

    def _load(self, files: Mapping[str, bytes], *, strict: bool) -> list[str]:
        skipped = super()._load(files, strict=strict)
        try:
            self._session = self._open(files)
        except InvalidCheckpoint as error:
            if strict:
                raise
            skipped.append(str(error))
        return skipped

    def _open(self, files: Mapping[str, bytes]) -> onnxruntime.InferenceSession:
        if ONNX not in files:
            raise InvalidCheckpoint(f"{ONNX} is missing; the checkpoint has {', '.join(sorted(files)) or 'no files'}")
        try:
            session = open_session(files[ONNX])
        except Exception as error:  # onnxruntime has a dozen exception types without a common base
            raise InvalidCheckpoint(f"{ONNX} cannot be read ({type(error).__name__}); train again") from error
        expected = {
            INPUT: [1, self.spec.window, len(self.inside)],
            OUTPUT: [1, 1, self.spec.horizon],
        }
        found = {node.name: node.shape for node in (*session.get_inputs(), *session.get_outputs())}
        if found != expected:
            raise InvalidCheckpoint(f"{ONNX}: expected inputs and outputs {expected}, got {found}; train again")
        return session

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self._session is None:
            raise NotLoaded(f"model {self.spec.model_id}: {ONNX} was not loaded; train again")
        inputs, sigma = encode(window[None], self.params)
        (answer,) = self._session.run([OUTPUT], {INPUT: inputs})
        scale = sigma[0] * np.sqrt(np.arange(1, self.spec.horizon + 1))
        return np.asarray(answer, dtype=np.float64).reshape(-1) * scale, scale


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that computes the same bits everywhere: one thread, in order, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0
