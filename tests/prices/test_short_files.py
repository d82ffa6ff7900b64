"""Short files of a fetch are cleaned together, and give what each alone would have given."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fx_assets.prices import ingest
from fx_assets.prices.batch import Batch, no_rejects
from tests.prices.test_ingest import MINUTES, TICKS, batch, everything, fetch, minutes, walk


def hours_of_ticks(fault: str) -> list[Batch]:
    """Short files, one after the other: ticks with two spikes, and one fault among them."""
    times, prices = minutes(12 * 60, gap=20), walk(12 * 60)
    prices[100] *= 1.01
    prices[400] *= 1.01
    files = []
    for number in range(12):
        part = slice(60 * number, 60 * number + 60)
        rows = batch(times[part], prices[part], TICKS).rows.with_columns(volume=1.0)
        files.append(Batch(f"{number}.bi5", TICKS, rows, no_rejects()))
    odd = files[5].rows
    overlap = pl.concat([files[4].rows.tail(3).with_columns(pl.col("bid") * 0.9999), odd])
    bad = pl.DataFrame({"line": [9], "reason": ["bad_time"], "raw": ["x"]})
    changed = {
        "none": odd,
        "order": odd.sample(fraction=1.0, shuffle=True, seed=1),
        "overlap": overlap,
        "price": odd.with_columns(bid=pl.when(pl.col("line") == 7).then(-1.0).otherwise("bid")),
        "null": odd.with_columns(volume=pl.lit(None, dtype=pl.Float64)),
        "column": odd.drop("volume"),
        "reject": overlap,
        "again": odd,
        "first": odd,
    }[fault]
    rejects = bad if fault in ("reject", "first") else no_rejects()
    files[5] = Batch("4.bi5" if fault == "again" else "5.bi5", TICKS, changed, rejects)
    return [files[5], *files[:5], *files[6:]] if fault == "first" else files


@pytest.mark.parametrize("fault", ["none", "order", "overlap", "price", "null", "column", "reject", "again", "first"])
def test_short_files_cleaned_together_are_as_if_each_were_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    together = fetch(hours_of_ticks(fault), tmp_path)
    monkeypatch.setattr(ingest, "_TOGETHER", 200)
    in_parts = fetch(hours_of_ticks(fault), tmp_path)
    monkeypatch.setattr(ingest, "_SHORT", 0)
    alone = fetch(hours_of_ticks(fault), tmp_path)
    counted = [
        [one.rows, one.duplicates, one.replaced, one.out_of_order, one.first, one.last, one.reject_counts, one.origins]
        for one in (alone, together, in_parts)
    ]
    assert counted[0] == counted[1] == counted[2]
    for one in (together, in_parts):
        assert everything(one).equals(everything(alone))
        assert one.rejects.equals(alone.rejects)
    assert alone.rejects.filter(reason="spike").select("source", "line").rows() == [("1.bi5", 41), ("6.bi5", 41)]


def test_a_short_file_may_lack_what_the_others_have(tmp_path: Path) -> None:
    first, second = (batch(minutes(2, start), [1.1, 1.1], origin=start) for start in ("2026-03-31", "2026-04-01"))
    opened = Batch("a.csv", MINUTES, first.rows.with_columns(open=1.1), no_rejects())
    blank = Batch("b.csv", MINUTES, second.rows.with_columns(open=pl.lit(None, dtype=pl.Float64)), no_rejects())
    collected = fetch([opened, blank], tmp_path)
    assert (collected.rows, collected.reject_counts) == (4, {})
