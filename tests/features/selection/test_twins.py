"""Of two columns that tell the same, the one of the earlier stage stays, then the cheaper, never the reverse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fx_assets.features.frames import FloatArray
from fx_assets.features.redundancy import Dropped, choose, correlations
from tests.features.selection.samples import MANUAL, TSFRESH, part, sample


def walk(seed: int, n: int = 3_000) -> FloatArray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).standard_normal(n) * 5e-4))


def rsi(close: FloatArray, period: int) -> FloatArray:
    import talib

    return np.asarray(talib.RSI(close, timeperiod=period))


def share_of_gains(close: FloatArray, period: int) -> FloatArray:
    """Gains as a share of all moves in each window: RSI with plain averages, as a window's statistics give it."""
    windows = np.lib.stride_tricks.sliding_window_view(np.diff(close, prepend=close[0]), period)
    gains = np.maximum(windows, 0).sum(axis=1)
    return np.concatenate([np.full(period - 1, np.nan), gains / np.abs(windows).sum(axis=1)])


@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.01])
@pytest.mark.parametrize("seed", range(5))
def test_a_copy_never_displaces_a_manual_feature(noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    manual = {f"m{i}": column for i, column in enumerate(rng.standard_normal((6, 400)))}
    manual["m1"][rng.random(400) < 0.1] = np.nan
    alone = choose(sample(manual), threshold=0.95, max_missing=0.2)
    copies = {
        f"a{name}": np.where(np.isfinite(column), column, 0.0) + noise * rng.standard_normal(400)
        for name, column in manual.items()
    }
    stages = {**dict.fromkeys(manual, MANUAL), **dict.fromkeys(copies, TSFRESH)}
    costs = {**dict.fromkeys(manual, 50.0), **dict.fromkeys(copies, 0.1)}
    both = choose(sample({**copies, **manual}, stages=stages, costs=costs), threshold=0.95, max_missing=0.2)
    assert both.medians == alone.medians
    assert {(entry.name, entry.keeper) for entry in both.dropped} == {(f"a{name}", name) for name in manual}


def test_a_monotone_transform_is_dropped_for_what_it_is_made_of() -> None:
    column = np.random.default_rng(1).standard_normal(500)
    given = sample(
        {"a_exp": np.exp(column), "b_minus": -(column**3), "z": column}, stages={"a_exp": TSFRESH, "b_minus": TSFRESH}
    )
    choice = choose(given, threshold=1.0, max_missing=0.2)
    assert list(choice.medians) == ["z"]
    assert choice.dropped == (Dropped("a_exp", "redundant", "z", 1.0), Dropped("b_minus", "redundant", "z", -1.0))


def test_stage_then_cost_then_missing_then_name() -> None:
    column = np.random.default_rng(2).standard_normal(400)
    gappy = np.where(np.arange(400) == 7, np.nan, column)
    columns = {"a_late": column, "b_dear": column, "c_gappy": gappy, "d": column, "e": column}
    given = sample(columns, stages={"a_late": TSFRESH}, costs={"a_late": 0.1, "b_dear": 2.0})
    expected = ["d", "e", "c_gappy", "b_dear", "a_late"]
    for order in itertools.permutations(range(5)):
        choice = choose(part(given, np.arange(400), np.array(order)), threshold=0.99, max_missing=0.2)
        assert [*choice.medians, *(entry.name for entry in choice.dropped)] == expected


@pytest.mark.parametrize("twin", ["a_twin", "z_twin"])
def test_wilders_rsi_stays_and_its_twin_goes(twin: str) -> None:
    close, manual = walk(11), "rsi_14"
    columns = {twin: share_of_gains(close, 14)[500:], manual: rsi(close, 14)[500:]}
    given = sample(columns, stages={twin: TSFRESH}, costs={manual: 100.0, twin: 0.01})
    found = correlations(given.values)[0, 1]
    assert 0.86 < found < 0.92
    assert list(choose(given, threshold=0.95, max_missing=0.2).medians) == [twin, manual]
    below = choose(given, threshold=found - 0.005, max_missing=0.2)
    assert list(below.medians) == [manual]
    assert below.dropped == (Dropped(twin, "redundant", manual, found),)


def test_pairs_that_lie_far_apart_make_no_twins() -> None:
    rng = np.random.default_rng(12)
    groups = np.repeat(np.arange(6, dtype=np.int64), 200)
    level = np.asarray(10.0**groups, dtype=np.float64)
    columns = {"fast": level * np.exp(rng.standard_normal(1_200)), "slow": level * np.exp(rng.standard_normal(1_200))}
    assert len(choose(sample(columns), threshold=0.9, max_missing=0.2).medians) == 1
    assert len(choose(sample(columns, groups=groups), threshold=0.9, max_missing=0.2).medians) == 2
    columns["which_pair"] = level
    choice = choose(sample(columns, groups=groups), threshold=0.9, max_missing=0.2)
    assert choice.dropped == (Dropped("which_pair", "constant"),)


def test_an_infinite_value_is_a_missing_one() -> None:
    column = np.random.default_rng(14).standard_normal(99)
    gappy, wild = column.copy(), column.copy()
    gappy[[5, 8]], wild[[5, 8]] = np.nan, [np.inf, -np.inf]
    choice = choose(sample({"gappy": gappy, "wild": wild}), threshold=1.0, max_missing=0.2)
    assert choice.medians == {"gappy": np.nanmedian(gappy)}
    assert choice.dropped == (Dropped("wild", "redundant", "gappy", 1.0),)
    mostly = np.where(np.arange(99) < 20, np.inf, column)
    assert choose(sample({"a": mostly}), threshold=1.0, max_missing=0.2).dropped == (Dropped("a", "missing"),)


def test_two_columns_that_start_late_are_seen_to_be_one() -> None:
    column = np.random.default_rng(13).standard_normal(600)
    column[:100] = np.nan
    choice = choose(sample({"a": column, "b": np.exp(column)}), threshold=1.0, max_missing=0.2)
    assert choice.dropped == (Dropped("b", "redundant", "a", 1.0),)


def test_the_sign_of_a_zero_depends_on_no_order() -> None:
    column = np.array([-0.0, 0.0, 0.0, -0.0, -0.0, 1.0, -1.0])
    for first in range(7):
        choice = choose(sample({"a": np.roll(column, first)}), threshold=0.9, max_missing=0.2)
        assert repr(choice.medians) == "{'a': 0.0}"
