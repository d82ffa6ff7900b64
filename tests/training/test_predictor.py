"""The network at run time: one window at a time, checked on loading, silent towards the outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.errors import InvalidCheckpoint, ModelMismatch, ModelOutputInvalid, NotLoaded
from fx_assets.models.inputs import FloatArray
from fx_assets.models.network import anchored, scaled_rows, window_sigma
from fx_assets.models.networks.heads import Forecaster, PointHead
from fx_assets.models.networks.itransformer import ITransformer
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.models.registry import check_model
from fx_assets.training.export import export
from tests.training.helpers import SMALL, market, spec

Files = dict[str, bytes]
OPTIONS = {"window": 16, "horizon": 3, **SMALL["hyperparameters"]}


def make() -> Forecaster:
    return Forecaster(ITransformer(**OPTIONS), PointHead())


@pytest.fixture(scope="module")
def network() -> Forecaster:
    torch.manual_seed(2)
    made = make()
    torch.nn.init.normal_(made.get_parameter("network.head.weight"))
    return made


@pytest.fixture(scope="module")
def files(network: Forecaster) -> Files:
    params = {"initial_variance": 4e-5, "mean": [3.0, 3.0], "std": [2.0, 2.0]}
    return {PARAMS: dump_params(params), **export(network, make, (torch.randn(2, 16, 3),))}


@pytest.fixture(scope="module")
def windows() -> FloatArray:
    history = market()
    return np.stack([history.window(row, 16) for row in range(500, 520)])


def predictor() -> ITransformerPredictor:
    return ITransformerPredictor(spec(), market().columns)


def loaded(files: Files) -> ITransformerPredictor:
    made = predictor()
    made.load_model(MemoryCheckpoint(made.identity(), files))
    return made


def test_the_answer_is_the_network_in_units_of_the_window(
    files: Files, network: Forecaster, windows: FloatArray
) -> None:
    params = json.loads(files[PARAMS])
    sigma = window_sigma(windows[..., 0], params)
    inputs = anchored(scaled_rows(windows, params), sigma)
    network.eval()
    with torch.no_grad():
        answer = network(torch.from_numpy(inputs).float())[:, 0, :, 0].numpy()
    prediction = loaded(files).predict(windows)
    np.testing.assert_allclose(prediction.scale, sigma[:, None] * np.sqrt([1, 2, 3]))
    np.testing.assert_allclose(prediction.location, answer * prediction.scale, rtol=1e-4, atol=1e-7)


def test_a_window_alone_and_in_a_batch_answers_the_same_bits(files: Files, windows: FloatArray) -> None:
    model = loaded(files)
    together = model.predict(windows)
    for index in range(len(windows)):
        alone = model.predict(windows[index : index + 1])
        assert alone.location.tobytes() == together.location[index : index + 1].tobytes()
        assert alone.scale.tobytes() == together.scale[index : index + 1].tobytes()


def test_one_thread(files: Files) -> None:
    session = loaded(files)._session
    assert session is not None
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (ONNX, None, r"model\.onnx is missing"),
        (ONNX, b"not a model", r"model\.onnx cannot be read"),
        (ONNX, b"", r"model\.onnx cannot be read"),
        (PARAMS, {"initial_variance": 0, "mean": [0, 0], "std": [1, 1]}, "initial_variance must be"),
        (PARAMS, {"initial_variance": 1e-5, "mean": [0], "std": [1, 1]}, "mean is not a list of 2 numbers"),
        (PARAMS, {"initial_variance": 1e-5, "mean": [0, 0], "std": [1, 0]}, "std is not a list of 2 numbers"),
        (PARAMS, {"initial_variance": 1e-5, "mean": [0, True], "std": [1, 1]}, "mean is not a list of 2 numbers"),
    ],
)
def test_unusable_files_are_refused(name: str, content: object, message: str, files: Files) -> None:
    changed = {key: value for key, value in files.items() if key != name}
    if content is not None:
        changed[name] = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(InvalidCheckpoint, match=message):
        loaded(changed)
    lenient = predictor()
    report = lenient.load_model(MemoryCheckpoint(lenient.identity(), changed), strict=False)
    assert len(report.skipped) == 1
    assert name in report.skipped[0]
    with pytest.raises(NotLoaded):
        lenient.predict(market().window(99, 16)[None])


def test_a_network_of_another_shape_is_refused(files: Files) -> None:
    wider = ITransformerPredictor(spec(), market(features=3).columns)
    params = dump_params({"initial_variance": 4e-5, "mean": [3.0] * 3, "std": [2.0] * 3})
    with pytest.raises(InvalidCheckpoint, match=r"expected inputs and outputs .*\[1, 16, 4\].* got .*\[1, 16, 3\]"):
        wider.load_model(MemoryCheckpoint(wider.identity(), {**files, PARAMS: params}))


def test_another_config_is_refused_by_name(files: Files) -> None:
    other = ITransformerPredictor(spec(hyperparameters={**SMALL["hyperparameters"], "dropout": 0.3}), market().columns)
    with pytest.raises(ModelMismatch, match="dropout"):
        other.load_model(MemoryCheckpoint(predictor().identity(), files))


def test_spoilt_weights_give_no_forecast(files: Files, windows: FloatArray) -> None:
    model = onnx.load_from_string(files[ONNX])
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "network.head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, dtype=np.float32), bias.name))
    with pytest.raises(ModelOutputInvalid, match="location is not finite"):
        loaded({**files, ONNX: model.SerializeToString()}).predict(windows)


def test_the_spec_is_checked_without_torch() -> None:
    assert check_model(spec()) == []
    ((path, message),) = check_model(spec(hyperparameters={"d_modle": 3}))
    assert path == "hyperparameters.d_modle"
    ((path, message),) = check_model(spec(hyperparameters={"width": 30, "heads": 4}))
    assert (path, message) == ("hyperparameters.width", "30 is not a multiple of 4 heads")


def test_the_runtime_reports_to_nobody(files: Files, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(files[ONNX])
    (tmp_path / "home").mkdir()
    code = (
        "from pathlib import Path; from fx_assets.models.onnx_model import open_session; "
        "print(open_session(Path('model.onnx').read_bytes()).get_inputs()[0].shape)"
    )
    # A bare environment: ONNX Runtime keeps quiet by itself where it sees a CI.
    environ = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[1, 16, 3]\n"
    assert list((tmp_path / "home").rglob("*")) == []
