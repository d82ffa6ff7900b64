"""Where a kernel and tsfresh part, over all families of windows and those at the limits of calculators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import Params
from tests.features.kernels.support import FloatArray, by_kernel, by_tsfresh, differences, families, unlike_alone


def efficient(calculator: str) -> list[Params]:
    """The parameter sets of tsfresh's own efficient settings; one empty set for a calculator without parameters."""
    from tsfresh.feature_extraction.settings import EfficientFCParameters

    return list(EfficientFCParameters()[calculator] or [{}])


def edges(count: int = 4) -> dict[str, FloatArray]:
    """`count` windows each: of few and many values, very small and large ones, both zeros, and a rounded constant."""
    draw = np.random.default_rng(20260102)
    values = draw.standard_normal((count, 96))
    return {
        **{f"of_{n}": draw.standard_normal((count, n)) for n in (1, 2, 3, 4, 5)},
        "of_5_tied": np.round(draw.standard_normal((count, 5))),
        "of_300": draw.standard_normal((count, 300)),
        "small": values * 1e-7,
        "large": values * 1e5,
        "signed_zeros": np.where(values > 0, 0.0, -0.0),
        "tenths": np.full((count, 96), 0.1),
    }


def disagreements(calculator: str, params: Sequence[Params], count: int = 6) -> dict[str, list[str]]:
    """By family of `count` windows, what is not tsfresh's value, or depends on the other windows."""
    # Each set computed alone takes a kernel's whole work once for each window, so a few stand for all.
    few = params[:: len(params) // 4 + 1]
    found = {}
    for family, values in (families(count=count) | edges(count=min(count, 4))).items():
        differs = differences(by_kernel(values, calculator, params), by_tsfresh(values, calculator, params))
        differs += unlike_alone(values, calculator, few)
        if differs:
            found[family] = differs
    return found
