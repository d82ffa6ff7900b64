"""What is a spike and what is a crash: on made prices, and on the real files where they lie."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fx_assets.prices.batch import Form
from fx_assets.prices.ecb_file import read_fixings
from fx_assets.prices.spikes import CONTEXT, SETTLED, find, floor_of, price_of

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
MINUTES, HOURS, DAYS = Form("bar", 60, "bid"), Form("bar", 3_600), Form("bar", 86_400)
TICKS, FIXINGS = Form("tick"), Form("fixing")
FORMS = [TICKS, MINUTES, Form("bar", 300, "bid"), HOURS, DAYS, FIXINGS]
Floats = NDArray[np.float64]


def step(form: Form) -> timedelta:
    return timedelta(seconds=form.seconds or (86_400 if form.kind == "fixing" else 1))


def times(n: int, form: Form) -> pl.Series:
    return pl.Series([START + i * step(form) for i in range(n)], dtype=pl.Datetime("us", "UTC"))


def walk(n: int, scale_bp: float, seed: int = 0) -> Floats:
    """Prices of a random walk whose steps have heavy tails."""
    steps = np.random.default_rng(seed).standard_t(4, n) * scale_bp * 1e-4
    prices: Floats = 1.1 * np.exp(np.cumsum(steps))
    return prices


def moved(prices: Floats, rows: Sequence[int], bp: float) -> Floats:
    made = prices.copy()
    made[list(rows)] *= np.exp(bp * 1e-4)
    return made


def spikes(prices: Floats, form: Form) -> list[int]:
    found = find(times(len(prices), form), pl.Series(prices), form)
    assert (found["departure_bp"] > found["limit_bp"]).all()
    rows: list[int] = found["row"].to_list()
    return rows


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("rows", [[200], [200, 201], [200, 201, 202]], ids=["one", "two", "three"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_spike_of_up_to_three_rows_is_found_in_all_forms(form: Form, rows: list[int], sign: int) -> None:
    prices = moved(walk(400, floor_of(form) / 16), rows, sign * 2 * floor_of(form))
    assert spikes(walk(400, floor_of(form) / 16), form) == []
    assert spikes(prices, form) == rows


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_stays_is_no_spike(form: Form) -> None:
    prices = walk(400, floor_of(form) / 16)
    assert spikes(moved(prices, range(200, 400), 1_800), form) == []
    assert spikes(moved(prices, range(200, 204), 1_800), form) == []


def test_it_is_proven_by_the_third_row_after_and_not_before() -> None:
    prices = moved(walk(400, 1), [200], 100)
    assert SETTLED == 3
    assert spikes(prices[:203], MINUTES) == []
    found = find(times(204, MINUTES), pl.Series(prices[:204]), MINUTES).row(0, named=True)
    assert (found["row"], found["proof"]) == (200, 203)
    assert found["before"] == prices[199]
    assert found["after"] == prices[201]
    assert found["departure_bp"] == pytest.approx(100, abs=15)
    assert found["limit_bp"] == 15


def test_the_verdict_depends_on_nothing_later_and_on_few_rows_before() -> None:
    prices = moved(walk(600, 1), [300], 100)
    later = prices.copy()
    later[304:] = walk(296, 500, seed=1)
    assert 300 in spikes(later, MINUTES)
    shorter = find(times(CONTEXT + 100, MINUTES), pl.Series(prices[300 - CONTEXT :][: CONTEXT + 100]), MINUTES)
    whole = find(times(600, MINUTES), pl.Series(prices), MINUTES)
    assert shorter["row"].to_list() == [CONTEXT]
    assert shorter.drop("row", "proof").equals(whole.drop("row", "proof"))


def test_too_little_before_is_no_evidence() -> None:
    assert spikes(moved(walk(100, 1), [15], 300), MINUTES) == []
    assert spikes(moved(walk(100, 1), [30], 300), MINUTES) == [30]


def test_what_comes_back_late_or_in_part_is_a_crash() -> None:
    calm = walk(400, 1)
    in_part = moved(moved(calm, [200], -400), range(201, 400), -150)
    assert spikes(in_part, MINUTES) == []
    # Seven minutes down, a quarter of an hour back: the shape of 2019-01-03 in Tokyo's morning.
    path = np.concatenate([np.linspace(0, -400, 7), np.linspace(-400, -100, 15), np.full(178, -100.0)])
    crash = calm * np.exp(np.concatenate([np.zeros(200), path]) * 1e-4)
    assert spikes(crash, MINUTES) == []
    wait = times(400, MINUTES).to_list()
    late = pl.Series([at + timedelta(days=5) * (row > 200) for row, at in enumerate(wait)])
    assert find(late, pl.Series(moved(calm, [200], 400)), MINUTES).is_empty()


def test_the_zigzag_of_a_panic_is_left_alone() -> None:
    flagged = 0
    for seed in range(60):
        steps = np.random.default_rng(seed).standard_t(3, 400) * 0.5e-4
        steps[200:] *= 50
        flagged += len(spikes(np.exp(np.cumsum(steps)), MINUTES))
    assert flagged <= 12  # of 12,000 minutes


def test_a_price_that_never_moves_has_the_floor_as_its_limit() -> None:
    pegged = np.full(400, 7.8)
    assert spikes(moved(pegged, [200], 16), MINUTES) == [200]
    assert spikes(moved(pegged, [200], 14), MINUTES) == []
    assert spikes(pegged, MINUTES) == []
    assert spikes(pegged[:0], MINUTES) == []


def test_of_ticks_the_mid_is_judged_of_the_last_that_each_side_said() -> None:
    quotes = pl.DataFrame({"bid": [1.0, None, 1.2, None], "ask": [None, 1.4, None, 1.6]})
    assert quotes.select(price_of(TICKS)).to_series().to_list() == pytest.approx([1.0, 1.2, 1.3, 1.4])
    bids = pl.DataFrame({"bid": [1.0, 1.1], "ask": [None, None]}, schema={"bid": pl.Float64, "ask": pl.Float64})
    assert bids.select(price_of(TICKS)).to_series().to_list() == [1.0, 1.1]


# On the real files: nearly nothing is flagged, what is planted is found, and the crashes survive.


def planted(prices: Floats, form: Form, size: float) -> tuple[Floats, set[int]]:
    """`prices` with up to 100 spikes of one row, each of `size` times the unit of the rule: scale, or floor / 8."""
    x = np.log(prices)
    steps = np.abs(np.diff(x, prepend=np.nan))
    random = np.random.default_rng(1)
    places = random.choice(np.arange(200, len(x) - 200, 200), min(100, (len(x) - 400) // 200), replace=False)
    for at in places:
        unit = max(1.4826 * np.median(steps[at - 100 : at]), floor_of(form) * 1e-4 / 8)
        x[at] += random.choice([-1, 1]) * size * unit
    made: Floats = np.exp(x)
    return made, {int(at) for at in places}


def check_file(at: pl.Series, prices: Floats, form: Form) -> tuple[list[int], int, int]:
    """What is flagged as it is; how many spikes of 20 times the scale were planted, and found."""
    flagged = find(at, pl.Series(prices), form)["row"].to_list()
    made, places = planted(prices, form, 20)
    found = {*find(at, pl.Series(made), form)["row"].to_list()}
    return flagged, len(places), len(places & found)


def unpacked(path: Path) -> bytes:
    with lzma.open(path) as file:
        return file.read()


def oanda(path: Path) -> tuple[pl.Series, Floats]:
    frame = pl.read_csv(unpacked(path))
    return frame["time"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us"), frame["mid_c"].to_numpy()


def metatrader(path: Path) -> tuple[pl.Series, Floats]:
    frame = pl.read_csv(unpacked(path), has_header=False)
    return (frame[:, 0] + frame[:, 1]).str.to_datetime("%Y.%m.%d%H:%M"), frame[:, 5].to_numpy()


def histdata(content: bytes) -> tuple[pl.Series, Floats]:
    frame = pl.read_csv(content, has_header=False, separator=";")
    return frame[:, 0].str.to_datetime("%Y%m%d %H%M%S"), frame[:, 4].to_numpy()


def test_hours_of_four_years_hold_no_spike_and_the_flash_crash_of_2019_survives(sample_data: Path) -> None:
    total = hits = 0
    for path in sorted((sample_data / "oanda_h1").glob("*.xz")):
        at, prices = oanda(path)
        flagged, placed, found = check_file(at, prices, HOURS)
        assert flagged == []
        total, hits = total + placed, hits + found
        if path.name.startswith("USD_JPY"):
            crash = int(at.search_sorted(datetime(2019, 1, 2, 22)))
            assert at[crash] == datetime(2019, 1, 2, 22)
            assert np.log(prices[crash - 1] / prices[crash]) > 0.03
    assert hits >= 0.97 * total


def test_five_minutes_and_minutes_hold_no_spike_and_planted_ones_are_found(sample_data: Path) -> None:
    total = hits = 0
    for path in sorted((sample_data / "mt4_m5").glob("*.xz")):
        flagged, placed, found = check_file(*metatrader(path), Form("bar", 300, "bid"))
        assert flagged == []
        total, hits = total + placed, hits + found
    minutes = [unpacked(path) for path in sorted((sample_data / "histdata").glob("*M1*.xz"))]
    for path in sorted((sample_data / "histdata").glob("*M1*.zip")):
        with zipfile.ZipFile(path) as archive:
            minutes += [archive.read(name) for name in archive.namelist() if name.endswith(".csv")]
    assert len(minutes) == 4
    for content in minutes:
        flagged, placed, found = check_file(*histdata(content), MINUTES)
        assert flagged == []
        total, hits = total + placed, hits + found
    assert hits >= 0.99 * total


def test_the_embedded_fixings_hold_no_spike_and_the_franc_of_2015_survives() -> None:
    data = files("currency_converter").joinpath("eurofxref-hist.zip").read_bytes()
    now = datetime(2100, 1, 1, tzinfo=UTC)
    total = hits = 0
    for pair in ("EURCHF", "USDCHF", "EURUSD", "USDJPY", "EURGBP", "EURNOK", "USDTHB", "USDMXN"):
        closes = dict(sorted(read_fixings(data, pair[:3], pair[3:], name="embedded", now=now).closes.items()))
        at = pl.Series([*closes], dtype=pl.Date).cast(pl.Datetime("us"))
        flagged, placed, found = check_file(at, np.array([*closes.values()]), FIXINGS)
        assert flagged == [], pair
        total, hits = total + placed, hits + found
    assert hits >= 0.95 * total


def test_the_bad_ticks_of_the_benchmark_are_found(sample_data: Path) -> None:
    with gzip.open(sample_data / "exchange_rate" / "exchange_rate.txt.gz") as file:
        table = np.loadtxt(file, delimiter=",")
    found = {(row, column) for column in range(8) for row in spikes(table[:, column].copy(), DAYS)}
    # Levels of one row that are 10 % and more away from both neighbours: rows 3589, 3660, 6620 and 6689.
    known = {(3589, column) for column in range(7)} | {(3660, column) for column in (2, 3, 4, 5, 7)}
    known |= {(6620, 0), (6689, 4)}
    assert known <= found
    # And 6 more of the same kind, smaller or not in the list: 9 % in a pegged currency, 3 to 6 % in four at once, 8 %.
    assert found - known == {(3598, 4), (4135, 1), (4135, 2), (4135, 3), (4135, 7), (4894, 7)}
