"""Several scikit-learn regressors over one row of inputs as one ONNX file, proven equal to them before it leaves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import FitFailed
from fx_assets.models.onnx_model import ONNX, open_session

ROW, UNITS = "row", "units"

# The newest versions that ONNX Runtime 1.20, the oldest allowed, reads and that scikit-learn's operators need.
_OPSETS = {"": 18, "ai.onnx.ml": 1}
_IR_VERSION = 8
TOLERANCE = 1e-5
# Rows that are compared, spread over the training rows: one at a time, as they will be asked.
_COMPARED = 2000


def stacked(estimators: Sequence[Any], rows: NDArray[np.float32]) -> bytes:
    """One model: `row` (1, inputs) float32 -> `units` (1, estimators), by skl2onnx. Equal estimators give equal bytes.

    `rows` (n, inputs): what they learned from. Raises `FitFailed` where the model answers these rows differently.
    """
    model = _model(estimators, rows.shape[1])
    verify(model, estimators, rows)
    return model


def verify(model: bytes, estimators: Sequence[Any], rows: NDArray[np.float32]) -> None:
    """Raises `FitFailed` where the model differs from an estimator by more than `TOLERANCE`, on `rows` (n, inputs)."""
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _COMPARED)).astype(np.int64)]
    session = open_session(model)
    answers = np.concatenate([session.run([UNITS], {ROW: row[None]})[0] for row in rows])
    expected = np.column_stack([estimator.predict(rows) for estimator in estimators])
    off = float(np.max(np.abs(answers - expected)))
    if not off <= TOLERANCE:
        raise FitFailed(f"{ONNX} differs from what was fitted by {off:g} of the scaled target; nothing is stored")


def _model(estimators: Sequence[Any], inputs: int) -> bytes:
    from onnx import TensorProto, checker, compose, helper

    nodes, initializers, outputs = [], [], []
    for number, estimator in enumerate(estimators):
        graph = compose.add_prefix_graph(_converted(estimator, inputs).graph, f"{number}_", rename_inputs=False)
        nodes += graph.node
        initializers += graph.initializer
        outputs.append(graph.output[0].name)
    nodes.append(helper.make_node("Concat", outputs, [UNITS], axis=1, name=UNITS))
    for node in nodes:
        node.doc_string = ""
        del node.metadata_props[:]
    graph = helper.make_graph(
        nodes,
        "tabular",
        [helper.make_tensor_value_info(ROW, TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info(UNITS, TensorProto.FLOAT, [1, len(estimators)])],
        initializers,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, producer_name="fx-assets", opset_imports=opsets, ir_version=_IR_VERSION)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _converted(estimator: Any, inputs: int) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    with warnings.catch_warnings():
        # skl2onnx 1.20 writes the flags of a tree's nodes as True and False where protobuf wants 1 and 0.
        warnings.filterwarnings("ignore", r"Field onnx\.AttributeProto\.ints: Expected an int", DeprecationWarning)
        return to_onnx(estimator, initial_types=[(ROW, FloatTensorType([1, inputs]))], target_opset=_OPSETS)
