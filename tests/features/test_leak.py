"""No feature looks ahead, and the probe catches every one that does."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fx_assets.features import blocks
from fx_assets.features.blocks import Inputs
from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import Frame
from fx_assets.features.known import newest_known
from fx_assets.features.leak import LeakReport, probe
from fx_assets.features.pipeline import block_of_set
from fx_assets.features.quality import check_features
from fx_assets.specs.schema import FeatureSetSpec
from tests.features.conftest import UTC, SetMaker, add_stage, closes, corrected, daily, inputs_of

Floats = NDArray[np.float64]


def centred(close: Floats) -> Floats:
    """A mean of five rows around each: two of them lie ahead."""
    padded = np.concatenate([np.repeat(close[:1], 2), close, np.repeat(close[-1:], 2)])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 5).mean(axis=1))


def fitted_on_all_rows(close: Floats) -> Floats:
    """Scaled by mean and deviation of the whole sample."""
    return np.asarray((close - close.mean()) / close.std())


def label(close: Floats) -> Floats:
    """The next return: a label shifted the wrong way."""
    return np.append(np.diff(np.log(close)), 0.0)


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
    return np.where(np.append(close[1:], close[-1]) > close, np.nextafter(close, np.inf), close)


def full_day_mean(frame: Frame) -> Floats:
    """The mean of each bar's trading date, hours to come included."""
    _, day = np.unique(frame.trading_date, return_inverse=True)
    means = np.bincount(day, frame.columns["close"]) / np.bincount(day)
    return np.asarray(means[day])


def hourly(rows: int) -> pa.Table:
    """Hours from a Monday on, closed by no weekend."""
    begin = np.datetime64("2018-03-04T22:00", "us")
    start = begin + np.arange(rows) * np.timedelta64(1, "h")
    end = start + np.timedelta64(1, "h")
    return pa.table(
        {
            "time": pa.array(start).cast(UTC),
            "end": pa.array(end).cast(UTC),
            "known_at": pa.array(end).cast(UTC),
            "trading_date": pa.array((start + np.timedelta64(2, "h")).astype("datetime64[D]")),
            "close": closes(rows),
        }
    )


def probed(inputs: Inputs, spec: FeatureSetSpec, n: int = 5, seed: int = 0) -> LeakReport:
    return probe(lambda _: inputs, inputs.blocks(), spec, n=n, seed=seed)


LEAKS = [centred, fitted_on_all_rows, label, of_maximum, rank, from_the_end, last_bit]


@pytest.mark.parametrize("function", LEAKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("registry")
def test_every_leak_is_caught_and_only_it(function: Any, seed: int, make_set: SetMaker) -> None:
    add_stage("leaky", function, warm_up=5)
    report = probed(inputs_of(daily(closes(120))), make_set(leaky={}), seed=seed)
    assert report.columns == ("leaky",)
    assert report.probes == 5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("registry")
def test_a_mean_of_the_full_day_is_caught(seed: int, make_set: SetMaker) -> None:
    add_stage("leaky", whole=full_day_mean, warm_up=24)
    inputs = inputs_of(hourly(150), frequency="1h")
    assert probed(inputs, make_set("1h", leaky={}), seed=seed).columns == ("leaky",)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("registry")
def test_corrections_seen_before_they_were_known_are_caught(
    seed: int, make_set: SetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_stage("price", lambda close: close, warm_up=2)
    inputs = inputs_of(corrected(daily(closes(60)), (20, 1.4, timedelta(days=9)), (31, None, timedelta(hours=40))))
    assert probed(inputs, make_set(price={}), seed=seed).passed
    views = blocks._views

    def ignoring_known_at(own: Any, time: Any, usable: Any, first: int) -> Any:
        latest = np.full(len(usable), usable.max() + 10**15)
        return views(own, time, latest, first)

    monkeypatch.setattr(blocks, "_views", ignoring_known_at)
    assert "price" in probed(inputs, make_set(price={}), seed=seed).columns


@pytest.mark.parametrize("beside", ["others", "exog"])
@pytest.mark.usefixtures("registry")
def test_other_series_seen_before_they_were_known_are_caught(
    beside: str, make_set: SetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = daily(closes(60))
    add_stage(
        "beside",
        whole=lambda f: f.others["USDJPY"] if beside == "others" else f.exog["mood/CNN"],
        missing=True,
        reads_pairs=("USDJPY",) if beside == "others" else (),
        reads_exog=("mood/CNN",) if beside == "exog" else (),
    )
    known = [end + timedelta(days=2) for end in bars.column("end").to_pylist()]
    late = bars.set_column(2, "known_at", pa.array(known, UTC))
    inputs = inputs_of(bars, others={"USDJPY": late}, exog={"mood/CNN": late.rename_columns({"close": "value"})})
    assert probed(inputs, make_set(beside={})).passed
    monkeypatch.setattr(
        "fx_assets.features.blocks.newest_known", lambda rows, ends, when: newest_known(rows, ends, when + 10**13)
    )
    assert probed(inputs, make_set(beside={})).columns == ("beside",)


@pytest.mark.usefixtures("registry")
def test_how_much_is_left_shows_when_it_is_cut_off(make_set: SetMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    # False corrections cut the frame at the probed bar too; without any of them only the cut is left to find it.
    monkeypatch.setattr("fx_assets.features.leak.FALSE_CORRECTIONS", 0.0)
    add_stage("leaky", from_the_end, warm_up=5)
    report = probed(inputs_of(daily(closes(120))), make_set(leaky={}))
    assert {leak.how for leak in report.leaks} == {"cut off"}


@pytest.mark.usefixtures("registry")
def test_a_leak_blocks_the_commit(make_set: SetMaker) -> None:
    add_stage("leaky", centred, warm_up=5)
    inputs, spec = inputs_of(daily(closes(120))), make_set(leaky={})
    table = block_of_set(spec, inputs, "2010")
    outcome = {item.name: item for item in check_features([table], spec, lambda _: inputs, table, seed=0)}
    assert not outcome["no_look_ahead"].passed
    assert outcome["no_look_ahead"].blocking
    assert "leaky: value of the bar ending" in outcome["no_look_ahead"].description
    assert outcome["no_look_ahead"].metadata["leaking_columns"] == "leaky"


def test_core_features_do_not_look_ahead(core: FeatureSetSpec) -> None:
    bars = corrected(daily(closes(640)), (600, 1.3, timedelta(days=3)), (610, None, timedelta(hours=30)))
    assert probed(inputs_of(bars), core, n=8, seed=1).passed


def test_the_newest_bar_with_a_future_is_always_probed(core: FeatureSetSpec) -> None:
    # One bar beyond the warm-up and one ahead of it: nothing else could be drawn.
    assert probed(inputs_of(daily(closes(502), date(2012, 1, 2))), core).probes == 1
    with pytest.raises(FeatureError, match="nothing to probe"):
        probed(inputs_of(daily(closes(501), date(2012, 1, 2))), core)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("registry")
def test_a_leak_into_the_newest_bar_alone_is_caught_by_one_probe(seed: int, make_set: SetMaker) -> None:
    def newest(close: Floats) -> Floats:
        return np.where(np.arange(len(close)) == 118, np.append(close[1:], close[-1]), close)

    add_stage("leaky", newest)
    assert not probed(inputs_of(daily(closes(120))), make_set(leaky={}), n=1, seed=seed).passed
