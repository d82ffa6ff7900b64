"""No feature looks ahead, and the probe catches every one that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fx_assets.features.errors import FeatureError
from fx_assets.features.leak import probe
from fx_assets.features.pipeline import build, feature_schema, lookback
from fx_assets.features.quality import check_features
from fx_assets.specs.schema import FeatureSetSpec
from tests.features.conftest import BarMaker, SetMaker, add_stage, closes

Floats = NDArray[np.float64]


def centred(close: Floats) -> Floats:
    """A mean of five rows around each: two of them lie ahead."""
    padded = np.concatenate([np.repeat(close[:1], 2), close, np.repeat(close[-1:], 2)])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 5).mean(axis=1))


def demeaned(close: Floats) -> Floats:
    """Less the mean of the whole sample."""
    return np.asarray(close - close.mean())


def next_close(close: Floats) -> Floats:
    """The answer itself."""
    return np.append(close[1:], close[-1])


def of_maximum(close: Floats) -> Floats:
    """Scaled by the highest price there will be."""
    return np.asarray(close / close.max())


def rank(close: Floats) -> Floats:
    """Rank within the whole sample."""
    return np.argsort(np.argsort(close)).astype(np.float64)


def from_the_end(close: Floats) -> Floats:
    """Rows left: knows no price of the future, but how much of it there is."""
    return np.arange(len(close), 0, -1).astype(np.float64)


def last_bit(close: Floats) -> Floats:
    """The close, moved by one unit in the last place where the next price is higher."""
    return np.where(next_close(close) > close, np.nextafter(close, np.inf), close)


LEAKS = [centred, demeaned, next_close, of_maximum, rank, from_the_end, last_bit]


@pytest.mark.parametrize("function", LEAKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("registry")
def test_every_leak_is_caught_and_only_it(function: Any, seed: int, make_bars: BarMaker, make_set: SetMaker) -> None:
    add_stage("leaky", function, warm_up=5)
    report = probe(make_bars(closes(120)), make_set(leaky={}), n=5, seed=seed)
    assert not report.passed
    assert report.columns == ("leaky",)
    assert report.probes == 5


@pytest.mark.usefixtures("registry")
def test_a_leak_blocks_the_commit(make_bars: BarMaker, make_set: SetMaker) -> None:
    add_stage("leaky", centred, warm_up=5)
    bars, spec = make_bars(closes(120)), make_set(leaky={})
    outcome = {item.name: item for item in check_features(build(bars, spec), spec, bars)}["no_look_ahead"]
    assert not outcome.passed
    assert outcome.blocking
    assert "leaky: value of the bar ending" in outcome.description
    assert outcome.metadata["leaking_columns"] == "leaky"


def test_core_features_do_not_look_ahead(make_bars: BarMaker, core: FeatureSetSpec) -> None:
    assert probe(make_bars(closes(640)), core, n=12, seed=1).passed


def test_the_last_bar_with_a_future_is_always_probed(make_bars: BarMaker, core: FeatureSetSpec) -> None:
    # One bar beyond the warm-up and one ahead of it: nothing else could be drawn.
    assert probe(make_bars(closes(502)), core, n=5, seed=0).probes == 1
    with pytest.raises(FeatureError, match="nothing to probe"):
        probe(make_bars(closes(501)), core, n=5, seed=0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("registry")
def test_a_leak_into_the_newest_bar_alone_is_caught_by_one_probe(
    seed: int, make_bars: BarMaker, make_set: SetMaker
) -> None:
    def newest(close: Floats) -> Floats:
        return np.where(np.arange(len(close)) == 118, next_close(close), close)

    add_stage("leaky", newest)
    assert not probe(make_bars(closes(120)), make_set(leaky={}), n=1, seed=seed).passed


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(501, 620), seed=st.integers(0, 2**16))
def test_features_of_a_prefix_are_a_prefix_of_the_features(
    cut: int, seed: int, make_bars: BarMaker, core: FeatureSetSpec
) -> None:
    bars = make_bars(closes(621, seed))
    whole, part = build(bars, core), build(bars.slice(0, cut), core)
    assert part.num_rows == cut - lookback(core)
    for name in feature_schema(core):
        kept = whole.column(name).to_numpy()[: part.num_rows]
        assert kept.tobytes() == part.column(name).to_numpy().tobytes(), name


def test_polars_and_arrow_bars_give_the_same_bits(make_bars: BarMaker, core: FeatureSetSpec) -> None:
    import polars as pl

    bars = make_bars(closes(530))
    frame = pl.DataFrame(bars)
    assert build(frame, core).equals(build(bars, core))
    assert isinstance(build(frame, core), pa.Table)
