"""Window sums: right, and the same to the last bit wherever a window lies and however many lie beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features.frames import FloatArray
from fx_assets.features.indicators import windows
from tests.features.indicators.support import bits, rolled, same

Window = Callable[[FloatArray, int], FloatArray]
SLOW: dict[str, tuple[Window, Callable[[FloatArray], float]]] = {
    "total": (windows.total, lambda w: float(w.sum())),
    "mean": (windows.mean, lambda w: float(w.mean())),
    "highest": (windows.highest, lambda w: float(w.max())),
    "lowest": (windows.lowest, lambda w: float(w.min())),
    "above_mean": (windows.above_mean, lambda w: float(w[-1] - w.mean())),
    "mean_distance": (windows.mean_distance, lambda w: float(np.abs(w - w.mean()).mean())),
    "deviation": (windows.deviation, lambda w: float(w.std())),
    "second": (lambda v, p: windows.moments(v, p, 2)[0], lambda w: float(w.var())),
    "third": (lambda v, p: windows.moments(v, p, 2, 3)[1], lambda w: float(((w - w.mean()) ** 3).mean())),
    "covariance": (lambda v, p: windows.covariance(v, v**2, p), lambda w: float(np.cov(w, w**2, bias=True)[0, 1])),
}
EVERY = pytest.mark.parametrize("name", list(SLOW))
VALUES = st.lists(st.floats(-100, 100, width=32), max_size=40).map(lambda v: np.array(v, dtype=np.float64))


@EVERY
@settings(max_examples=40, deadline=None)
@given(values=VALUES, period=st.integers(1, 12))
def test_a_window_is_what_its_definition_says(name: str, values: FloatArray, period: int) -> None:
    fast, slow = SLOW[name]
    if name == "covariance" and period == 1:
        return  # numpy's own is undefined
    same(fast(values, period), rolled(slow, len(values), period, values), 1e-7)


@EVERY
@settings(max_examples=40, deadline=None)
@given(values=VALUES, period=st.integers(1, 12), begin=st.integers(0, 20), rows=st.integers(0, 30))
def test_a_window_does_not_know_its_place(name: str, values: FloatArray, period: int, begin: int, rows: int) -> None:
    fast, _ = SLOW[name]
    stretch = slice(begin, begin + rows)
    part, whole = fast(values[stretch], period), fast(values, period)[stretch]
    assert (np.isnan(part[: period - 1])).all()
    assert np.array_equal(bits(part[period - 1 :]), bits(whole[period - 1 :]))


@EVERY
def test_a_missing_value_is_forgotten_when_it_leaves_the_window(name: str) -> None:
    values = np.arange(20.0)
    values[8] = np.nan
    assert np.flatnonzero(np.isnan(SLOW[name][0](values, 3))).tolist() == [0, 1, 8, 9, 10]


@pytest.mark.parametrize("name", ["above_mean", "mean_distance", "deviation"])
@given(price=st.floats(1e-3, 1e5), period=st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_what_stands_still_has_no_distance_from_its_mean(name: str, price: float, period: int) -> None:
    assert (SLOW[name][0](np.full(40, price), period)[period - 1 :] == 0).all()


def test_a_ratio_says_what_it_is_where_nothing_is_below_the_line() -> None:
    over, under = np.array([1.0, 2.0, 3.0, np.nan, 1.0, 0.0]), np.array([2.0, 0.0, 1e-9, 1.0, np.nan, -1.0])
    same(windows.ratio(over, under, otherwise=7.0, floor=1e-6), [0.5, 7.0, 7.0, np.nan, np.nan, 7.0])


def test_returns_are_logs_in_basis_points() -> None:
    close = np.array([1.0, 1.01, 1.0, 1.1])
    same(windows.log_returns(close, 2), [np.nan, np.nan, 0.0, 1e4 * np.log(1.1 / 1.01)])
    assert windows.log_distance(close, close).tolist() == [0.0] * 4
