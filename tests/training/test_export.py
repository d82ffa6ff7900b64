"""The two files of a network: equal to it, to each other and from one export to the next."""

from __future__ import annotations

import logging
import warnings
from functools import partial

import onnx
import pytest
import safetensors.torch
import torch

from fx_assets.models.network import ONNX, WEIGHTS
from fx_assets.models.networks.itransformer import ITransformer
from fx_assets.training.export import OPSET, export, verify
from fx_assets.training.records import TrainingFailed

MAKE = partial(ITransformer, window=12, horizon=4, width=8, layers=1, heads=2, feed_forward=8, dropout=0.1)


@pytest.fixture(scope="module")
def network() -> ITransformer:
    torch.manual_seed(3)
    made = MAKE()
    torch.nn.init.normal_(made.head.weight)
    return made


@pytest.fixture(scope="module")
def examples() -> torch.Tensor:
    return torch.randn(5, 12, 3, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def files(network: ITransformer, examples: torch.Tensor) -> dict[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return export(network, MAKE, examples)


def test_export_says_nothing(
    files: dict[str, bytes],
    network: ITransformer,
    examples: torch.Tensor,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        again = export(network, MAKE, examples)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert again == files


def test_onnx_is_of_the_stated_opset_and_knows_nothing_of_this_machine(files: dict[str, bytes]) -> None:
    model = onnx.load_from_string(files[ONNX])
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}
    assert b".py" not in files[ONNX]
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 12, 3]


def test_files_agree_with_the_network(files: dict[str, bytes], network: ITransformer, examples: torch.Tensor) -> None:
    verify(network, MAKE, examples, files)
    with torch.no_grad():
        assert network(examples).abs().max() > 0.1


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_file_that_answers_differently_is_refused(
    name: str, files: dict[str, bytes], network: ITransformer, examples: torch.Tensor
) -> None:
    other = MAKE()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.head.bias.add_(1e-4)
    if name == WEIGHTS:
        wrong = safetensors.torch.save(other.state_dict())
    else:
        model = onnx.load_from_string(files[ONNX])
        bias = next(t for t in model.graph.initializer if t.name == "head.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(other.head.bias.detach().numpy(), bias.name))
        wrong = model.SerializeToString()
    with pytest.raises(TrainingFailed, match=f"{name} differs from the trained network by 0.000"):
        verify(network, MAKE, examples, {**files, name: wrong})
