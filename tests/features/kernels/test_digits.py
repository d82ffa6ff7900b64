from __future__ import annotations

import numpy as np

from fx_assets.features.kernels.digits import leading_digits
from tests.features.kernels.agreement import disagreements


def test_is_tsfreshs_value_whatever_the_other_windows() -> None:
    assert disagreements("benford_correlation", [{}]) == {}


def test_digits_are_those_of_the_shortest_text() -> None:
    """Every digit and power of ten that float64 has, its neighbours on both sides, and numbers of all sizes."""
    powers = [float(f"{digit}e{power}") for power in range(-307, 308) for digit in range(1, 10)]
    exact = np.array(powers)
    sizes = np.random.default_rng(7)
    values = np.concatenate(
        [
            exact,
            np.nextafter(exact, 0.0),
            np.nextafter(exact, np.inf),
            10.0 ** sizes.uniform(-307, 308, 5000),
            [0.0, np.finfo(np.float64).tiny, np.finfo(np.float64).max],
        ]
    )
    assert leading_digits(values).tolist() == [int(np.format_float_scientific(value)[0]) for value in values]
