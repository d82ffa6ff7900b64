"""Sources against each other: what two vendors quote at the same time must be the same market.

One hour's error of a clock moves the weekly median of the differences from under 0.3 bp to several, so these tests see
a clock that is wrong in a single week, such as those in which New York keeps summer time and London does not yet.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import polars as pl
import pytest

from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import answer_of, request

HISTDATA = {2018: "DAT_ASCII_EURUSD_M1_2018.zip", 201703: "DAT_ASCII_EURUSD_M1_201703.csv.xz"}
FEWEST_HOURS = 10  # of the week at the edge of a file; whole weeks have 120


def closes(kind: str, path: Path, every: str, clock: str | None = None) -> pl.DataFrame:
    """Last close of each stretch of time, with the stretch's start as `time`; the clock is not checked."""
    spec = SourceSpec(kind=kind, files=str(path), clock=clock)
    given = answer_of(source(kind), request(Settings(live=False), source=spec, fx_week=False))
    assert given.rejects.is_empty()
    return given.rows.group_by_dynamic("time", every=every).agg(pl.col("close").last())


def weekly(folder: Path, name: str, against: str, clock: str | None = None) -> pl.DataFrame:
    """By trading week, from Sunday 17:00 New York: hours compared, median difference to OANDA in basis points."""
    with lzma.open(folder / "oanda_h1" / "EUR_USD_H1.csv.xz") as stream:
        oanda = pl.read_csv(stream.read(), columns=["time", against])
    oanda = oanda.with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"))
    local = pl.col("time").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    return (
        closes("histdata", folder / "histdata" / name, "1h", clock)
        .join(oanda, on="time")
        .with_columns(
            week=(local + pl.duration(days=1, hours=7)).dt.truncate("1w").dt.date(),
            off=(pl.col("close") / pl.col(against)).log().abs() * 1e4,
        )
        .group_by("week")
        .agg(hours=pl.len(), off=pl.col("off").median())
        .filter(pl.col("hours") >= FEWEST_HOURS)
        .sort("week")
    )


@pytest.mark.parametrize(("name", "weeks"), [(HISTDATA[2018], 53), (HISTDATA[201703], 5)])
def test_histdata_is_oandas_mid_every_single_week(sample_data: Path, name: str, weeks: int) -> None:
    found = weekly(sample_data, name, "mid_c")
    assert len(found) == weeks
    assert found.filter(pl.col("off") >= 0.3).is_empty(), found.sort("off").tail(5)


@pytest.mark.parametrize("name", HISTDATA.values())
def test_histdata_is_not_oandas_bid(sample_data: Path, name: str) -> None:
    """Though the vendor calls its prices bid: they lie where OANDA's mid is, and its bid is half a spread below."""
    assert weekly(sample_data, name, "bid_c")["off"].median() == pytest.approx(0.42, abs=0.1)


@pytest.mark.parametrize("clock", ["-05:00", "UTC", "Europe/London"])
def test_a_wrong_clock_is_seen(sample_data: Path, clock: str) -> None:
    found = weekly(sample_data, HISTDATA[201703], "mid_c", clock)
    assert len(found.filter(pl.col("off") >= 0.3)) >= 3


def test_the_triangle_of_metatrader(sample_data: Path) -> None:
    legs = [
        closes("metatrader", sample_data / "mt4_m5" / f"{pair}5.csv.xz", "5m").rename({"close": pair})
        for pair in ("EURUSD", "USDJPY", "EURJPY")
    ]
    joined = legs[0].join(legs[1], on="time").join(legs[2], on="time")
    off = joined.select((pl.col("EURUSD") * pl.col("USDJPY") / pl.col("EURJPY")).log().abs() * 1e4).to_series()
    assert len(off) > 48_000
    assert float(off.median()) < 0.2  # type: ignore[arg-type]
    assert float(off.quantile(0.99)) < 4.0  # type: ignore[arg-type]
