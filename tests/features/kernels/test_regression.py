from __future__ import annotations

import re

import numpy as np
import pytest

from fx_assets.features.kernels.base import Params, Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import FloatArray, by_kernel, by_tsfresh, differences, families, unlike_alone

OTHERS: list[Params] = [{"coeff": coeff, "k": k} for k in (0, 1, 3) for coeff in range(k + 2)]


def collinear() -> dict[str, FloatArray]:
    """Windows whose lags hardly differ from a constant, or from each other."""
    draw = np.random.default_rng(7)
    quiet = np.full((4, 96), 1.10347)
    quiet[0, -1] += 0.001
    quiet[1, 0] += 0.001
    quiet[2, 50] += 0.00001
    quiet[3, 50:] += 0.00001
    fat_finger = draw.standard_normal((3, 96))
    fat_finger[:, [40, 93, 2]] += np.eye(3) * 1e5
    return {
        "quiet": quiet,
        "fixed": np.full((1, 96), 110.347),
        "parabola": (np.arange(96) * 0.37) ** 2 + np.array([[1.1], [-3.0]]),
        "wave": np.sin(np.arange(96) * np.pi / 6) * np.array([[1.0], [7.0]]),
        "fat_finger": fat_finger,
        "as_many_values_as_weights": draw.standard_normal((3, 21)),
        "one_value_too_few": draw.standard_normal((3, 20)),
    }


def test_is_tsfreshs_value_whatever_the_other_windows() -> None:
    assert disagreements("ar_coefficient", efficient("ar_coefficient") + OTHERS, 2) == {}


@pytest.mark.parametrize("case", collinear())
def test_is_tsfreshs_value_where_lags_are_collinear(case: str) -> None:
    values, params = collinear()[case], efficient("ar_coefficient") + [{"coeff": coeff, "k": 5} for coeff in range(6)]
    ours = by_kernel(values, "ar_coefficient", params)
    assert differences(ours, by_tsfresh(values, "ar_coefficient", params)) == []
    assert unlike_alone(values, "ar_coefficient", params[::4]) == []


def test_a_window_too_short_ends_in_zero_as_tsfreshs_does() -> None:
    columns = kernels()["ar_coefficient"](Windows(families()["short"]), [{"coeff": c, "k": 10} for c in (0, 9, 10, 11)])
    assert [float(column[0]) for column in columns] == pytest.approx([np.nan, np.nan, 0.0, np.nan], nan_ok=True)


@pytest.mark.parametrize("key", ["coeff", "k"])
def test_refuses_what_has_no_value(key: str) -> None:
    message = f"ar_coefficient: {key} is -1; give a whole number of 0 or more"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()["ar_coefficient"](Windows(families()["returns"]), [{"coeff": 1, "k": 2, key: -1}])
