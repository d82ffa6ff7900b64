"""Coefficients of the continuous wavelet transform with the Mexican hat, as `pywt.cwt` computes it.

A coefficient is linear in the window, so its weights are the transforms of the unit impulses.
Source: tsfresh 0.21, PyWavelets 1.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least


@kernel("cwt_coefficients")
def cwt_coefficients(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Coefficient at place `coeff` for the width `w`, one of `widths`; NaN beyond the window."""
    at_least("cwt_coefficients", params, "coeff", 0)
    for item in params:
        if item["w"] not in item["widths"]:
            raise ValueError(f"cwt_coefficients: w is {item['w']!r}; known are its widths {tuple(item['widths'])}")
        if min(item["widths"]) <= 0:
            raise ValueError(f"cwt_coefficients: widths are {tuple(item['widths'])}; give numbers above 0")
    asked = sorted({(i["w"], i["coeff"]) for i in params if i["coeff"] < windows.length})
    if not asked:
        return [windows.missing for _ in params]
    # One inner product per window and coefficient: a product of matrices would round by the number of windows.
    found = np.vecdot(windows.values[:, None, :], _weights(windows.length, tuple(asked))[None])
    columns = dict(zip(asked, found.T, strict=True))
    return [columns.get((item["w"], item["coeff"]), windows.missing) for item in params]


@lru_cache(maxsize=16)
def _weights(length: int, asked: tuple[tuple[float, int], ...]) -> FloatArray:
    """(asked, length): what each value of a window adds to the coefficient of each width and place."""
    import pywt

    widths = sorted({width for width, _ in asked})
    transformed, _ = pywt.cwt(np.eye(length), scales=widths, wavelet="mexh")
    return np.array([transformed[widths.index(width), :, place] for width, place in asked])
