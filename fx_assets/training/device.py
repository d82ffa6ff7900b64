"""Where networks train, and what that means for precision and compiling."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from fx_assets.training.records import TrainingFailed


@dataclass(frozen=True)
class Device:
    """`accelerator` and `precision` as Lightning calls them; `compiler`: of `torch.compile`, None for no compiling."""

    place: torch.device
    accelerator: str
    precision: str
    compiler: str | None


CPU = Device(torch.device("cpu"), "cpu", "32-true", compiler=None)
# Weights stay in 32 bits and are exported so; products are of 16.
CUDA = Device(torch.device("cuda", 0), "gpu", "bf16-mixed", compiler="inductor")


def chosen_device(name: str) -> Device:
    """The device that the settings call `cpu`, `cuda` or `auto` (CUDA where there is one).

    Raises `TrainingFailed` where CUDA is asked for and there is none, `ValueError` for another name.
    """
    if name not in ("cpu", "cuda", "auto"):
        raise ValueError(f"device {name!r} is unknown; expected cpu, cuda or auto")
    found = name != "cpu" and torch.cuda.is_available()
    if name == "cuda" and not found:
        build = torch.version.cuda or "no CUDA"
        raise TrainingFailed(
            f"device cuda was asked for, but torch {torch.__version__} (built for {build}) sees no GPU here; "
            "set FX_DEVICE=auto or cpu, or install torch for CUDA and check nvidia-smi"
        )
    if not found:
        return CPU
    # cuBLAS sums in one order only with a work space of its own, and reads this before its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return CUDA
