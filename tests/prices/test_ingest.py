"""From batches to clean rows by block: in memory and on disk, in one fetch and in many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.history import current_view, last_said, merge
from fx_assets.prices.ingest import KEPT_REJECTS, Collected, collect
from fx_assets.prices.schema import RAW_SCHEMA, TICK_SCHEMA, polars_schema
from fx_assets.prices.sources.base import SourceError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTES, HOURS, DAYS, WEEKS = (
    Form("bar", 60, "bid"),
    Form("bar", 3_600, "bid"),
    Form("bar", 86_400),
    Form("bar", 604_800),
)
TICKS, FIXINGS = Form("tick"), Form("fixing")
UTC_TYPE = pl.Datetime("us", "UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def batch(times: Sequence[datetime], prices: Iterable[float], form: Form = MINUTES, origin: str = "a.csv") -> Batch:
    """Closes, or of ticks bids and asks, line by line from 1."""
    names = ("bid", "ask") if form.kind == "tick" else ("close",)
    values = pl.Series("price", [*prices], dtype=pl.Float64)
    rows = pl.DataFrame({"line": range(1, len(times) + 1), "time": pl.Series([*times], dtype=UTC_TYPE)})
    return Batch(origin, form, rows.with_columns(values.alias(name) for name in names), no_rejects())


def fetch(batches: Iterable[Batch], scratch: Path, **options: Any) -> Collected:
    return collect(batches, **{"pair": "EURUSD", "source": "csv", "scratch": scratch, "now": NOW, **options})


def everything(collected: Collected) -> pl.DataFrame:
    return pl.concat([collected.block(name) for name in collected.blocks])


def minutes(n: int, start: str = "2026-03-31T20:00:00", gap: int = 60) -> list[datetime]:
    return [at(start) + timedelta(seconds=gap * i) for i in range(n)]


def walk(n: int, seed: int = 0) -> list[float]:
    steps = np.random.default_rng(seed).standard_normal(n) * 1e-4
    return [round(float(price), 6) for price in 1.1 * np.exp(np.cumsum(steps))]


def test_bars_get_what_the_schema_asks_for(tmp_path: Path) -> None:
    given = batch(minutes(2), [1.1, 1.2])
    rows = given.rows.with_columns(open=1.1, high=1.3, low=1.0, ticks=pl.lit(7))
    collected = fetch([Batch("a.csv", MINUTES, rows, no_rejects())], tmp_path)
    assert collected.blocks == ["2026q1"]
    row = collected.block("2026q1").row(0, named=True)
    assert collected.block("2026q1").schema == polars_schema(RAW_SCHEMA)
    assert row == {
        **dict.fromkeys(RAW_SCHEMA.names),
        **{"pair": "EURUSD", "block": "2026q1", "kind": "bar", "seconds": 60, "side": "bid", "source": "csv"},
        **{"time": at("2026-03-31T20:00"), "known_at": at("2026-03-31T20:01"), "trading_date": date(2026, 3, 31)},
        **{"open": 1.1, "high": 1.3, "low": 1.0, "close": 1.1, "ticks": 7},
    }
    assert (collected.rows, collected.first, collected.last) == (2, at("2026-03-31T20:00"), at("2026-03-31T20:01"))
    assert collected.form == MINUTES
    assert not any(tmp_path.iterdir())


def test_ticks_lie_in_months_of_trading_dates(tmp_path: Path) -> None:
    times = [at("2026-03-31T20:59:59"), at("2026-03-31T21:00:00"), at("2026-04-01T00:00:00")]
    collected = fetch([batch(times, [1.1, 1.2, 1.3], TICKS)], tmp_path)
    assert collected.blocks == ["2026-03", "2026-04"]
    assert collected.block("2026-04").schema == polars_schema(TICK_SCHEMA)
    assert collected.block("2026-04")["bid"].to_list() == [1.2, 1.3]
    assert everything(collected)["known_at"].to_list() == times
    with pytest.raises(KeyError, match="2026-05"):
        collected.block("2026-05")


@pytest.mark.parametrize(
    ("form", "time", "known_at"),
    [
        (HOURS, "2026-03-31T20:00", "2026-03-31T21:00"),
        # A day from 17:00 New York to 17:00 New York: 24 hours, and 23 and 25 over the changes of its clock.
        (DAYS, "2026-03-30T21:00", "2026-03-31T21:00"),
        (DAYS, "2026-03-07T22:00", "2026-03-08T21:00"),
        (DAYS, "2025-11-01T21:00", "2025-11-02T22:00"),
        # Any other day is over after 24 hours, not before.
        (DAYS, "2026-03-31T00:00", "2026-04-01T00:00"),
        (DAYS, "2026-03-08T00:00", "2026-03-09T00:00"),
        # Weeks end on Friday, wherever they begin.
        (WEEKS, "2026-03-29T21:00", "2026-04-03T21:00"),
        (WEEKS, "2026-03-29T00:00", "2026-04-03T21:00"),
        (WEEKS, "2026-03-30T00:00", "2026-04-03T21:00"),
        (WEEKS, "2026-03-27T22:00", "2026-04-03T21:00"),
        (WEEKS, "2026-03-25T00:00", "2026-04-01T00:00"),
        (FIXINGS, "2026-03-31T12:10", "2026-03-31T21:00"),
    ],
)
def test_the_natural_time_of_knowing(tmp_path: Path, form: Form, time: str, known_at: str) -> None:
    collected = fetch([batch([at(time)], [1.1], form)], tmp_path)
    assert everything(collected)["known_at"].to_list() == [at(known_at)]


def test_a_week_that_never_closes_ends_after_seven_days(tmp_path: Path) -> None:
    times = [at("2026-03-01T22:00"), at("2026-03-09T00:00")]
    collected = fetch([batch(times, [1.1, 1.1], WEEKS)], tmp_path, fx_week=False)
    assert everything(collected)["known_at"].to_list() == [at("2026-03-08T21:00"), at("2026-03-16T00:00")]


def test_what_a_source_says_of_its_own_times_is_kept(tmp_path: Path) -> None:
    given = batch([at("2026-03-31T12:10")] * 2, [1.1, 1.2], FIXINGS)
    known = pl.Series([None, at("2026-03-31T14:00")], dtype=UTC_TYPE)
    rows = given.rows.with_columns(known_at=known, trading_date=date(2026, 3, 31))
    row = everything(fetch([Batch("x", FIXINGS, rows, no_rejects())], tmp_path)).row(0, named=True)
    assert (row["known_at"], row["trading_date"], row["block"]) == (at("2026-03-31T14:00"), date(2026, 3, 31), "all")


def messy(form: Form, n: int = 600) -> list[Batch]:
    """Three files over the end of a quarter, out of order, with repeats, bad rows and a spike."""
    random = np.random.default_rng(3)
    times = minutes(n, "2026-03-31T20:10:00", 10)
    prices = walk(n)
    prices[n // 2] *= 1.05
    shuffled = [*random.permutation(n // 3)]
    second = [*range(n // 3 - 10, 2 * n // 3), *range(n // 3, n // 3 + 5)]
    third = [*range(2 * n // 3, n)]
    result = []
    for name, places in (("a.csv", shuffled), ("b.csv", second), ("c.csv", third)):
        values = [prices[place] * (1.0001 if name == "b.csv" and place % 50 == 45 else 1) for place in places]
        if name == "c.csv":
            values[7] = -1.0
        for start in range(0, len(places), 64):
            part = places[start : start + 64]
            one = batch([times[place] for place in part], values[start : start + 64], form, name)
            result.append(one)
    return result


@pytest.mark.parametrize("form", [MINUTES, TICKS], ids=str)
@pytest.mark.parametrize("in_memory", [1, 50, 200])
def test_disk_and_memory_give_the_same(tmp_path: Path, form: Form, in_memory: int) -> None:
    here, there = fetch(messy(form), tmp_path / "a"), fetch(messy(form), tmp_path / "b", in_memory=in_memory)
    assert not (tmp_path / "a").exists()
    assert any((tmp_path / "b").rglob("*.arrow"))
    assert here.blocks == there.blocks
    assert len(here.blocks) == 2
    assert everything(here).equals(everything(there))
    assert here.rejects.equals(there.rejects)
    counted = [
        [one.rows, one.duplicates, one.replaced, one.out_of_order, one.spikes, one.first, one.last, one.reject_counts]
        for one in (here, there)
    ]
    assert counted[0] == counted[1]
    assert here.rows == 599
    assert (here.duplicates, here.spikes, here.reject_counts) == (14, 1, {"not_positive": 1, "spike": 1})
    assert here.replaced == 1
    assert here.origins == ["a.csv", "b.csv", "c.csv"]


def test_rows_out_of_order_are_counted_within_a_file(tmp_path: Path) -> None:
    times = minutes(4)
    backwards = [batch(times[2:][::-1], [1.1, 1.1]), batch(times[:2][::-1], [1.1, 1.1])]
    assert fetch(backwards, tmp_path).out_of_order == 3
    apart = [batch(times[2:], [1.1, 1.1], origin="a"), batch(times[:2], [1.1, 1.1], origin="b")]
    assert fetch(apart, tmp_path).out_of_order == 0


def test_rejects_are_kept_to_a_limit_and_all_counted(tmp_path: Path) -> None:
    bad = pl.DataFrame({"line": [3, 4], "reason": ["column_count: expected 6, got 5", "bad_time"], "raw": ["x", "y"]})
    first = Batch("a.csv", MINUTES, batch(minutes(1), [1.1]).rows, bad)
    n = KEPT_REJECTS + 50
    collected = fetch([first, batch(minutes(n), [-1.0] * n, origin="b.csv")], tmp_path)
    assert collected.reject_counts == {"bad_time": 1, "column_count": 1, "not_positive": n}
    assert collected.rejects.height == KEPT_REJECTS
    assert collected.rejects.columns == ["source", "line", "reason", "raw"]
    assert collected.rejects.rows()[:2] == [
        ("a.csv", 3, "column_count: expected 6, got 5", "x"),
        ("a.csv", 4, "bad_time", "y"),
    ]
    assert collected.rejects.row(2) == ("b.csv", 1, "not_positive", "time=2026-03-31T20:00:00+00:00, close=-1.0")


def test_nothing_at_all_is_no_block(tmp_path: Path) -> None:
    collected = fetch([], tmp_path)
    assert (collected.blocks, collected.rows, collected.reject_counts) == ([], 0, {})
    with pytest.raises(LookupError, match="EURUSD: csv gave no batch"):
        _ = collected.form
    with pytest.raises(ValueError, match="no time zone"):
        fetch([], tmp_path, now=NOW.replace(tzinfo=None))


def test_two_forms_are_refused_and_both_files_named(tmp_path: Path) -> None:
    batches = [batch(minutes(2), [1.1, 1.2]), batch(minutes(2), [1.1, 1.2], TICKS, origin="b.csv")]
    with pytest.raises(SourceError, match=r"a\.csv holds bars of 1min \(bid\), b\.csv holds ticks"):
        fetch(batches, tmp_path)
    other_side = Batch("c.csv", Form("bar", 60, "ask"), batches[0].rows, no_rejects())
    with pytest.raises(SourceError, match=r"c\.csv holds bars of 1min \(ask\)"):
        fetch([batches[0], other_side], tmp_path)


def test_what_is_outside_is_left_out_or_only_counted(tmp_path: Path) -> None:
    days = ["2026-11-18T12:00", "2026-11-20T21:59", "2026-11-20T22:00", "2026-11-21T11:00", "2026-11-21T11:30"]
    given = batch([at(day) for day in days], [1.1, 120.0, 1.2, 1.3, 1.4], HOURS)
    collected = fetch([given], tmp_path, history_start=date(2026, 11, 19), plausible=(0.5, 2.0))
    # 11:30 is an hour that has not ended at noon; 22:00 UTC on a Friday in November is 17:00 in New York.
    assert (collected.rows, collected.before_history, collected.unfinished) == (3, 1, 1)
    assert (collected.outside_week, collected.implausible) == (2, 1)
    assert collected.reject_counts == {}
    assert fetch([given], tmp_path, fx_week=False).outside_week == 0


# Spikes: at the border of two blocks, and of two fetches.

BORDER = 60  # the row that begins a new quarter at 21:00 UTC, 17:00 New York


@pytest.mark.parametrize("place", [BORDER - 3, BORDER - 1, BORDER, BORDER + 1])
@pytest.mark.parametrize("form", [MINUTES, TICKS], ids=str)
def test_a_spike_at_the_border_of_a_block_is_taken_back_in_its_own(tmp_path: Path, place: int, form: Form) -> None:
    times = [at("2026-03-31T20:00") + timedelta(seconds=60 * i) for i in range(120)]
    if form.kind == "tick":
        times = [times[BORDER] + timedelta(seconds=i - BORDER) for i in range(120)]
    prices = walk(120)
    prices[place] *= 1.03
    collected = fetch([batch(times, prices, form)], tmp_path, in_memory=1)
    assert len(collected.blocks) == 2
    rows = everything(collected)
    twice = rows.filter(pl.col("time") == times[place])
    price = "bid" if form.kind == "tick" else "close"
    assert twice[price].to_list() == [prices[place], None]
    assert twice["known_at"][1] == times[place + 3] + timedelta(seconds=form.seconds)
    assert rows.height == 121
    reject = collected.rejects.row(0, named=True)
    assert (reject["source"], reject["line"], reject["reason"]) == ("a.csv", place + 1, "spike")
    assert "bp away from" in reject["raw"]


def history(fetches: Iterable[Sequence[Batch]], scratch: Path, **options: Any) -> pl.DataFrame:
    """All rows after these fetches, each merged block by block, as `prices.update` does it."""
    held: dict[str, pl.DataFrame] = {}
    for batches in fetches:
        stored = pl.concat([held[name] for name in sorted(held)]) if held else None
        tail = None if stored is None else last_said(stored).tail(200)
        collected = fetch(batches, scratch, tail=lambda tail=tail: tail, **options)
        witnessed = None if stored is None else last_said(stored)["known_at"].to_list()[-1]
        for name in collected.blocks:
            held[name] = merge(held.get(name), collected.block(name), now=NOW, witnessed=witnessed).rows
    return pl.concat([held[name] for name in sorted(held)])


def test_a_spike_at_the_end_is_taken_back_by_the_fetch_that_proves_it(tmp_path: Path) -> None:
    times, prices = minutes(120), walk(120)
    prices[59] *= 1.03  # the last minute of its quarter
    whole = history([[batch(times, prices)]], tmp_path)
    first = fetch([batch(times[:61], prices[:61])], tmp_path)
    assert first.spikes == 0
    second = fetch([batch(times[61:], prices[61:], origin="b.csv")], tmp_path, tail=last_said(everything(first)))
    assert second.spikes == 1
    assert second.blocks == ["2026q1", "2026q2"]
    assert second.block("2026q1")["close"].to_list() == [None]
    assert second.rejects.row(0, named=True)["source"] == "csv"
    assert second.rejects["line"].to_list() == [None]
    parts = [[batch(times[:61], prices[:61])], [batch(times[61:], prices[61:], origin="b.csv")]]
    assert history(parts, tmp_path).equals(whole)
    assert times[59] not in current_view(whole)["time"].to_list()
    # The same files read again change nothing.
    assert history([*parts, *parts], tmp_path).equals(whole)


def test_a_late_file_is_judged_by_the_stored_rows_after_it(tmp_path: Path) -> None:
    times, prices = minutes(120), walk(120)
    prices[59] *= 1.03
    stored = last_said(everything(fetch([batch(times[60:], prices[60:])], tmp_path)))
    late = fetch([batch(times[:60], prices[:60])], tmp_path, tail=stored)
    assert (late.spikes, late.blocks) == (1, ["2026q1"])
    assert late.block("2026q1")["close"].to_list()[-2:] == [prices[59], None]


def test_a_stored_price_counts_no_more_where_the_fetch_says_another(tmp_path: Path) -> None:
    times, prices = minutes(120), walk(120)
    for place in (58, 59):
        wrong = [*prices[:place], prices[place] * 1.03]
        stored = last_said(everything(fetch([batch(times[: place + 1], wrong)], tmp_path)))
        assert fetch([batch(times[place + 1 :], prices[place + 1 :])], tmp_path, tail=stored).spikes == 1
        assert fetch([batch(times[place:], prices[place:])], tmp_path, tail=stored).spikes == 0


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.sets(st.integers(1, 299), max_size=6),
    places=st.sets(st.integers(25, 299), max_size=4),
    form=st.sampled_from([MINUTES, TICKS]),
    seed=st.integers(0, 3),
)
def test_any_split_into_fetches_gives_the_same_view(
    tmp_path: Path, cuts: set[int], places: set[int], form: Form, seed: int
) -> None:
    gap = 60 if form.kind == "bar" else 1
    times, prices = minutes(300, "2026-03-31T20:58:00", gap), walk(300, seed)
    for place in places:
        prices[place] *= 1.02
    edges = sorted({0, 300, *cuts})
    parts = [[batch(times[a:b], prices[a:b], form)] for a, b in pairwise(edges)]
    whole = history([[batch(times, prices, form)]], tmp_path)
    pieces = history(parts, tmp_path)
    assert pieces.sort("time", "known_at").equals(whole.sort("time", "known_at"))
    assert current_view(pieces).equals(current_view(whole))


CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import numpy as np, polars as pl
from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.ingest import collect

rows, size = int(sys.argv[1]), 131_072

def batches():
    random = np.random.default_rng(0)
    start = np.datetime64("2025-01-06T00:00:00", "us")
    for first in range(0, rows, size):
        n = min(size, rows - first)
        # 0.7 s apart, each batch a little out of order.
        at = start + (np.arange(first, first + n) * 700_000 + random.integers(0, 3_000_000, n)).astype("m8[us]")
        bid = 1.1 + random.normal(0, 1e-5, n)
        frame = pl.DataFrame({"line": np.arange(first, first + n), "time": at, "bid": bid, "ask": bid + 1e-4})
        frame = frame.with_columns(pl.col("time").dt.replace_time_zone("UTC"))
        yield Batch("made", Form("tick"), frame, no_rejects())

collected = collect(
    batches(), pair="EURUSD", source="made", scratch=Path(sys.argv[2]), now=datetime(2030, 1, 1, tzinfo=UTC)
)
kept = sum(collected.block(name).height for name in collected.blocks)
assert kept == collected.rows, (kept, collected.rows)
print(collected.rows + collected.duplicates + collected.replaced)
# Not getrusage: its peak outlives an exec, so it would be that of the process which started this one.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_twenty_million_ticks_fit_into_bounded_memory(tmp_path: Path) -> None:
    rows = 20_000_000
    command = [sys.executable, "-c", CHILD, str(rows), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2_000:]
    total, peak_mib = (int(line) for line in done.stdout.split())
    assert total == rows
    assert peak_mib < 1_500
