"""A trained network as two files: safetensors to train on, ONNX to predict with; proven equal before they leave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import safetensors.torch
import torch
from torch import Tensor, nn

from fx_assets.models.network import AHEAD, INPUT, OUTPUT, WEIGHTS
from fx_assets.models.onnx_model import ONNX, open_session
from fx_assets.training.records import TrainingFailed
from fx_assets.training.upstream import known_remarks

# Inputs, and what is known ahead where the network takes it.
Examples = tuple[Tensor, ...]

OPSET = 20  # the first with GELU as one operator; ONNX Runtime reads it since 1.17
TOLERANCE = 1e-5


def export(network: nn.Module, make: Callable[[], nn.Module], examples: Examples) -> dict[str, bytes]:
    """Files of a forecaster, for input (1, window, columns) and, where it takes it, ahead (1, horizon, known_ahead).

    `make` builds an untrained twin: the weights file is read back into it, and both files must answer the
    `examples` ((n, window, columns), and (n, horizon, known_ahead) where asked for), one at a time, like the network.
    Raises `TrainingFailed` where one does not.
    """
    network.eval()
    first = tuple(part[:1] for part in examples)
    files = {WEIGHTS: safetensors.torch.save(network.state_dict()), ONNX: _onnx(network, first)}
    verify(network, make, examples, files)
    return files


def verify(network: nn.Module, make: Callable[[], nn.Module], examples: Examples, files: dict[str, bytes]) -> None:
    """Raises `TrainingFailed` where a file answers differently from `network`, by more than `TOLERANCE`."""
    twin = make()
    twin.load_state_dict(safetensors.torch.load(files[WEIGHTS]))
    twin.eval()
    session = open_session(files[ONNX])
    for example in zip(*(torch.split(part, 1) for part in examples), strict=True):
        with torch.no_grad():
            expected, from_weights = network(*example).numpy(), twin(*example).numpy()
        feed = {name: part.numpy() for name, part in zip((INPUT, AHEAD), example, strict=False)}
        (from_onnx,) = session.run([OUTPUT], feed)
        for name, answer in ((WEIGHTS, from_weights), (ONNX, from_onnx)):
            if not np.allclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE):
                difference = float(np.max(np.abs(answer - expected)))
                raise TrainingFailed(f"{name} differs from the trained network by {difference:g}; nothing is stored")


def _onnx(network: nn.Module, example: Examples) -> bytes:
    with known_remarks():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT, AHEAD][: len(example)],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    # The exporter notes source lines and paths of this machine on each node: equal weights must give equal bytes.
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
