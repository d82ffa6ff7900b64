from __future__ import annotations

import re

import numpy as np
import pytest

from fx_assets.features.kernels.base import Params, Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, by_tsfresh, differences, families

OTHERS: list[Params] = [{"bins": bins} for bins in (1, 11)]


def test_is_tsfreshs_value_whatever_the_other_windows() -> None:
    assert disagreements("lempel_ziv_complexity", efficient("lempel_ziv_complexity") + OTHERS, 2) == {}


@pytest.mark.parametrize("length", [254, 255, 256, 600])
def test_phrases_of_long_windows_are_counted_beyond_a_byte(length: int) -> None:
    """All values differ: as many phrases as values, which one byte cannot number."""
    windows = np.stack([np.arange(length, dtype=np.float64), np.random.default_rng(length).permutation(length)])
    params = [{"bins": bins} for bins in (2, 256, 5000)]
    ours = by_kernel(windows, "lempel_ziv_complexity", params)
    assert differences(ours, by_tsfresh(windows, "lempel_ziv_complexity", params)) == []
    assert ours["value__lempel_ziv_complexity__bins_5000"].tolist() == [1.0, 1.0]


def test_refuses_what_has_no_value() -> None:
    message = "lempel_ziv_complexity: bins is 0; give a whole number of 1 or more"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()["lempel_ziv_complexity"](Windows(families()["returns"]), [{"bins": 0}])
