"""Bars in memory: the ECB's, and daily ones made of OANDA's hours."""

from __future__ import annotations

import lzma
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.skill.worlds import from_ecb, from_oanda, oanda_folder
from fx_assets.features.errors import FeatureError
from fx_assets.models.volatility import log_returns
from fx_assets.specs.schema import FeatureSetSpec, StageSpec
from tests.evaluation.skill.helpers import world

HEADER = "time,volume,bid_o,bid_h,bid_l,bid_c,ask_o,ask_h,ask_l,ask_c,mid_c\n"


def feature_set(**options: object) -> FeatureSetSpec:
    return FeatureSetSpec(name="made", stages=(StageSpec(stage="indicators", options=options),))


def test_fixings_end_at_seventeen_in_new_york() -> None:
    found = from_ecb(("EURUSD", "USDJPY"), first=date(2020, 1, 1))
    assert (found.calendar, tuple(found.bars)) == ("target", ("EURUSD", "USDJPY"))
    history = found.histories()["USDJPY"]
    assert history.trading_dates[0] == np.datetime64("2020-01-02")
    assert history.ends[0] == np.datetime64("2020-01-02T22:00")
    assert 95 < history.closes[0] < 125
    assert history.columns == ("close",)
    longer = from_ecb(("USDJPY",)).histories()["USDJPY"]
    assert len(longer) > len(history)
    assert np.array_equal(longer.closes[-len(history) :], history.closes)


def test_features_are_those_of_the_features_room() -> None:
    rng = np.random.default_rng(1)
    made = world({pair: rng.normal(0, 0.005, 300) for pair in ("EURUSD", "USDJPY")})
    spec = feature_set(returns=[1, 5], cross={"pairs": ["EURUSD", "USDJPY"], "returns": [1]})
    own, other = made.histories(spec)["EURUSD"], made.histories()["USDJPY"]
    assert own.feature_names[:2] == ("returns_1", "returns_5")
    late = len(made.bars["EURUSD"]) - len(own)
    assert late > 0  # the warm-up has no features
    returns = log_returns(made.histories()["EURUSD"].closes)
    assert own.features[:, 0] == pytest.approx(1e4 * returns[late - 1 :])
    column = own.feature_names.index("cross_usdjpy_return_1")
    assert own.features[:, column] == pytest.approx(1e4 * log_returns(other.closes)[late - 1 :])
    with pytest.raises(FeatureError, match="insufficient_history"):
        world({"EURUSD": rng.normal(0, 0.005, 3)}).histories(feature_set(returns=[20]))


def hourly_file(folder: Path, days: int = 3) -> list[tuple[datetime, float]]:
    """Hours from Sunday 2018-01-07 22:00 UTC on, and their mid closes."""
    rows, first, price = [], datetime(2018, 1, 7, 22, tzinfo=UTC), 1.2
    rng = np.random.default_rng(2)
    for hour in range(24 * days):
        opened, price = price, price * float(np.exp(rng.normal(0, 1e-3)))
        rows.append((first + hour * timedelta(hours=1), opened, price))
    lines = []
    for moment, opened, closed in rows:
        low, high = min(opened, closed), max(opened, closed)
        bid, ask = ([f"{value + side:.6f}" for value in (opened, high, low, closed)] for side in (-1e-4, 1e-4))
        lines.append(f"{moment:%Y-%m-%dT%H:%M:%SZ},100,{','.join(bid)},{','.join(ask)},{closed:.6f}\n")
    folder.mkdir(parents=True)
    (folder / "EUR_USD_H1.csv.xz").write_bytes(lzma.compress((HEADER + "".join(lines)).encode()))
    return [(moment, round(closed, 6)) for moment, _, closed in rows]


def test_days_are_made_of_hours(tmp_path: Path) -> None:
    hours = hourly_file(tmp_path / "oanda_h1")
    assert oanda_folder(tmp_path) == tmp_path / "oanda_h1"
    assert oanda_folder(tmp_path / "oanda_h1") == tmp_path / "oanda_h1"
    assert oanda_folder(tmp_path / "elsewhere") is None
    found, by_hour = from_oanda(tmp_path / "oanda_h1")
    assert by_hour["EURUSD"].closes == pytest.approx([closed for _, closed in hours])
    assert by_hour["EURUSD"].starts[0] == np.datetime64("2018-01-07T22:00")
    days = found.bars["EURUSD"]
    assert [str(day) for day in days.column("trading_date").to_pylist()] == ["2018-01-08", "2018-01-09", "2018-01-10"]
    closes = np.array([closed for _, closed in hours])
    assert days.column("close").to_numpy() == pytest.approx(closes[23::24])
    # Realised by the hours of the second day: from its first open, which is the close before.
    returns = np.diff(np.log(closes))
    assert days.column("realised_variance").to_numpy()[1] == pytest.approx(np.sum(returns[23:47] ** 2), rel=1e-3)
    assert len(found.histories()["EURUSD"]) == 3
    assert not list(tmp_path.glob("**/*.parquet"))


@pytest.mark.slow
def test_the_real_files(sample_data: Path) -> None:
    folder = oanda_folder(sample_data)
    assert folder is not None
    found, hours = from_oanda(folder)
    assert len(found.bars) == 6
    for pair, days in found.bars.items():
        assert days.num_rows == 1_032
        variance, closes = days.column("realised_variance").to_numpy(), days.column("close").to_numpy()
        assert np.mean(variance) == pytest.approx(np.mean(log_returns(closes) ** 2), rel=0.15)
        assert 24_700 < len(hours[pair].closes) < 24_800
