from __future__ import annotations

import numpy as np
import pytest

from fx_assets.features.kernels.counting import count, share


@pytest.mark.parametrize("length", [1, 96, 255, 256, 70_000])
def test_counts_windows_of_any_length(length: int) -> None:
    mask = np.ones((3, length), dtype=bool)
    mask[1] = False
    mask[2, ::2] = False
    assert count(mask).tolist() == [length, 0, length // 2]
    assert share(mask).tolist() == [1, 0, length // 2 / length]
