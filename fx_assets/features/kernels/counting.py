"""How many, by window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray

BoolArray = NDArray[np.bool_]


def count(mask: BoolArray) -> FloatArray:
    """(W,): how many of each row of (W, n) are true."""
    # The narrowest sum that cannot overflow: numpy adds bytes in one go, but turns each into eight to count booleans.
    width: Any = np.uint8 if mask.shape[1] <= np.iinfo(np.uint8).max else np.uint32
    return np.asarray(np.add.reduce(mask.view(np.uint8), axis=1, dtype=width), dtype=np.float64)


def share(mask: BoolArray) -> FloatArray:
    """(W,): the part of each row of (W, n) that is true."""
    return np.asarray(count(mask) / mask.shape[1])
