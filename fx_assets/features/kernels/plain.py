"""Kernels of calculators without parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel

Plain = Callable[[Windows], NDArray[Any]]


def plain(name: str) -> Callable[[Plain], Plain]:
    """Register a function from windows to one value for each, (W,), numbers or booleans, as the kernel of `name`."""

    def register(function: Plain) -> Plain:
        def columns(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
            column = np.asarray(function(windows), dtype=np.float64)
            return [column for _ in params]

        kernel(name)(columns)
        return function

    return register
