"""The two files of a network: equal to it, to each other and from one export to the next."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import onnx
import pytest
import safetensors.torch
import torch

from fx_assets.models.network import WEIGHTS
from fx_assets.models.networks.heads import Forecaster, PointHead, StudentTHead
from fx_assets.models.networks.itransformer import ITransformer
from fx_assets.models.onnx_model import ONNX
from fx_assets.training.export import OPSET, Examples, export, verify
from fx_assets.training.records import TrainingFailed

SIZE: dict[str, Any] = {"window": 12, "horizon": 4, "width": 8, "layers": 1, "heads": 2, "feed_forward": 8}


def make() -> Forecaster:
    return Forecaster(ITransformer(**SIZE, dropout=0.1), PointHead())


def make_wide() -> Forecaster:
    """With a width, and with what is known ahead."""
    return Forecaster(ITransformer(**SIZE, dropout=0.1, ahead=2, outputs=StudentTHead.outputs), StudentTHead())


def moved(forecaster: Forecaster) -> Forecaster:
    """Answers something."""
    torch.manual_seed(3)
    for parameter in forecaster.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return forecaster


@pytest.fixture(scope="module")
def network() -> Forecaster:
    return moved(make())


@pytest.fixture(scope="module")
def examples() -> Examples:
    return (torch.randn(5, 12, 3, generator=torch.Generator().manual_seed(4)),)


@pytest.fixture(scope="module")
def files(network: Forecaster, examples: Examples) -> dict[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return export(network, make, examples)


def test_export_says_nothing(
    files: dict[str, bytes],
    network: Forecaster,
    examples: Examples,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        again = export(network, make, examples)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert again == files


def test_onnx_is_of_the_stated_opset_and_knows_nothing_of_this_machine(files: dict[str, bytes]) -> None:
    model = onnx.load_from_string(files[ONNX])
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}
    assert b".py" not in files[ONNX]
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 12, 3]


def test_files_agree_with_the_network(files: dict[str, bytes], network: Forecaster, examples: Examples) -> None:
    verify(network, make, examples, files)
    with torch.no_grad():
        location, deviation = network(*examples).unbind(-1)
    assert location.abs().max() > 0.1
    assert torch.equal(deviation, torch.ones_like(deviation))


def test_a_width_and_what_is_known_ahead_are_exported_too() -> None:
    forecaster = moved(make_wide())
    examples = (torch.randn(3, 12, 3), torch.randn(3, 4, 2))
    files = export(forecaster, make_wide, examples)
    model = onnx.load_from_string(files[ONNX])
    shapes = [
        [d.dim_value for d in node.type.tensor_type.shape.dim] for node in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [[1, 12, 3], [1, 4, 2], [1, 1, 4, 2]]
    with torch.no_grad():
        assert forecaster(*examples)[..., 1].std() > 0.01


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_file_that_answers_differently_is_refused(
    name: str, files: dict[str, bytes], network: Forecaster, examples: Examples
) -> None:
    other = make()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.get_parameter("network.head.bias").add_(1e-4)
    if name == WEIGHTS:
        wrong = safetensors.torch.save(other.state_dict())
    else:
        model = onnx.load_from_string(files[ONNX])
        bias = next(t for t in model.graph.initializer if t.name == "network.head.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(other.get_parameter(bias.name).detach().numpy(), bias.name))
        wrong = model.SerializeToString()
    with pytest.raises(TrainingFailed, match=f"{name} differs from the trained network by 0.000"):
        verify(network, make, examples, {**files, name: wrong})
