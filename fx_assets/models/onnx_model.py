"""What predictors around an ONNX graph share: opening it, checking its shapes, asking it; by ONNX Runtime alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fx_assets.settings  # noqa: F401 - turns ONNX Runtime's telemetry off, before its first import
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InvalidCheckpoint, NotLoaded
from fx_assets.models.results import FloatArray

if TYPE_CHECKING:
    import onnxruntime

ONNX = "model.onnx"


class OnnxPredictor(BasePredictor):
    """Base of kinds whose checkpoint has a `model.onnx`."""

    _session: onnxruntime.InferenceSession | None = None

    @abstractmethod
    def _shapes(self) -> dict[str, list[int]]:
        """Hook: what the graph's inputs and outputs must be called, and their shapes."""

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
        expected = self._shapes()
        found = {node.name: node.shape for node in (*session.get_inputs(), *session.get_outputs())}
        if found != expected:
            raise InvalidCheckpoint(f"{ONNX}: expected inputs and outputs {expected}, got {found}; train again")
        return session

    def _answer(self, output: str, feed: Mapping[str, NDArray[np.float32]]) -> FloatArray:
        """One output of the graph, in 64 bits. Raises `NotLoaded`."""
        if self._session is None:
            raise NotLoaded(f"model {self.spec.model_id}: {ONNX} was not loaded; train again")
        (answer,) = self._session.run([output], dict(feed))
        return np.asarray(answer, dtype=np.float64)


def open_session(model: bytes) -> Any:
    """An ONNX Runtime session that computes the same bits everywhere: one thread, in order, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
