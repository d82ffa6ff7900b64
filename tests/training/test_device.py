"""Which device a training asks Lightning for, and that a compiled network leaves the same files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import safetensors.torch
import torch

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.network import WEIGHTS
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.training import loop
from fx_assets.training.device import CPU, CUDA, Device, chosen_device
from fx_assets.training.lightning_trainer import make_forecaster
from fx_assets.training.loop import LoopOptions, _lightning
from fx_assets.training.records import TrainingFailed
from tests.training.helpers import market, spec, trained

OPTIONS = LoopOptions(max_epochs=1, patience=1, batch_size=8, learning_rate=1e-3, seed=1)


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [("cpu", True, CPU), ("cpu", False, CPU), ("auto", True, CUDA), ("auto", False, CPU), ("cuda", True, CUDA)],
)
def test_the_device_follows_what_is_asked_for_and_what_is_there(
    name: str, there: bool, expected: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "as it was")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    assert chosen_device(name) == expected
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if expected is CUDA else None)


def test_cuda_that_is_not_there_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        TrainingFailed, match=r"device cuda was asked for, but torch .* sees no GPU here; set FX_DEVICE="
    ):
        trained(spec(), market(), scratch=tmp_path, device="cuda")


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="device 'tpu' is unknown; expected cpu, cuda or auto"):
        chosen_device("tpu")


def test_what_a_device_means() -> None:
    assert Device(torch.device("cpu"), "cpu", "32-true", compiler=None) == CPU
    assert Device(torch.device("cuda:0"), "gpu", "bf16-mixed", compiler="inductor") == CUDA


def test_lightning_is_asked_for_just_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(pl, "Trainer", lambda **options: asked.append(options))
    for device in (CPU, CUDA):
        _lightning(tmp_path, OPTIONS, device, [], begun=False)
    named = [{name: options[name] for name in ("accelerator", "devices", "precision")} for options in asked]
    assert named == [
        {"accelerator": "cpu", "devices": 1, "precision": "32-true"},
        {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed"},
    ]


@pytest.mark.slow
def test_compiled_and_in_half_precision_the_files_are_of_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, but computed here: weights keep names and 32 bits, and the exported files agree with them."""
    model = spec(training={"max_epochs": 1}, known_ahead=("weekday",))
    half = Device(torch.device("cpu"), "cpu", "bf16-mixed", compiler="aot_eager")
    monkeypatch.setattr(loop, "chosen_device", lambda _: half)
    result = trained(model, market(phi=0.5), scratch=tmp_path)
    weights = safetensors.torch.load(result.files[WEIGHTS])
    predictor = ITransformerPredictor(model, market().columns)
    plain = make_forecaster(predictor).state_dict()
    assert {name: value.dtype for name, value in weights.items()} == dict.fromkeys(plain, torch.float32)
    assert result.metrics["best_epoch"] == 1
    assert predictor.load_model(MemoryCheckpoint(predictor.identity(), result.files)).skipped == []
