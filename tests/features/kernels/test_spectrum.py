from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from fx_assets.features.kernels.spectrum import welch_density
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import families

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, Any]]] = {
    "fft_coefficient": [{"coeff": coeff, "attr": attr} for coeff in (150, 500) for attr in ("abs", "angle")],
    "fft_aggregated": [],
    "spkt_welch_density": [{"coeff": coeff} for coeff in (0, 10, 16, 47, 48, 49, 128, 129, 500)],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    params = efficient(calculator) + list(ASKED[calculator])
    # In rising order, or tsfresh gives the bins it has to the wrong names.
    assert disagreements(calculator, sorted(params, key=lambda item: item.get("coeff", 0)), 3) == {}


@pytest.mark.parametrize("length", [1, 2, 33, 255, 256, 257, 383, 384, 700])
def test_the_density_is_scipys_to_the_last_bit(length: int) -> None:
    """Noise in empty bins included: `fourier_entropy` divides by the highest bin, whatever that is."""
    from scipy.signal import welch

    draw = np.random.default_rng(length)
    for values in (draw.standard_normal((5, length)), np.full((5, length), 0.1)):
        theirs = np.array([welch(row, nperseg=min(length, 256))[1] for row in values])
        assert welch_density(Windows(values)).tobytes() == theirs.tobytes()


def test_bins_behind_the_spectrum_do_not_move_the_others() -> None:
    """tsfresh gives the bins that it has to the first names asked, whichever they are."""
    windows = Windows(families()["returns"])
    beyond, first = kernels()["spkt_welch_density"](windows, [{"coeff": 60}, {"coeff": 2}])
    assert np.isnan(beyond).all()
    (alone,) = kernels()["spkt_welch_density"](windows, [{"coeff": 2}])
    assert first.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        ("fft_coefficient", {"coeff": -1, "attr": "abs"}, "coeff is -1; give a whole number of 0 or more"),
        ("fft_coefficient", {"coeff": 1, "attr": "power"}, "attr is 'power'; known are real, imag, abs, angle"),
        ("fft_aggregated", {"aggtype": "mean"}, "aggtype is 'mean'; known are centroid, variance, skew, kurtosis"),
        ("spkt_welch_density", {"coeff": 2.5}, "coeff is 2.5; give a whole number of 0 or more"),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{calculator}: {re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
