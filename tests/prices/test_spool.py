"""Rows by block: few stay in memory, many go to disk, and both read the same."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fx_assets.prices.spool import Spool
from fx_assets.storage.errors import WriteFailed


def rows(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"value": values}, schema={"value": pl.Int64})


def filled(spool: Spool) -> Spool:
    for block, values in [
        ("2018-02", (1, 2)),
        ("2018-01", (3,)),
        ("2018-02", (4,)),
        ("2018-01", ()),
        ("2018-02", (5, 6)),
    ]:
        spool.add(block, rows(*values))
    return spool


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 6, 100])
def test_rows_come_back_in_the_order_in_which_they_came(tmp_path: Path, limit: int) -> None:
    spool = filled(Spool(tmp_path, limit))
    assert spool.blocks() == ["2018-01", "2018-02"]
    assert spool.load("2018-02")["value"].to_list() == [1, 2, 4, 5, 6]
    assert spool.load("2018-01")["value"].to_list() == [3]
    assert spool.on_disk == (limit < 6)
    assert any(tmp_path.iterdir()) == spool.on_disk


@pytest.mark.parametrize("limit", [2, 100])
def test_a_settled_block_is_what_was_put_in_its_place(tmp_path: Path, limit: int) -> None:
    spool = filled(Spool(tmp_path, limit))
    spool.settle("2018-02", rows(7))
    assert spool.load("2018-02")["value"].to_list() == [7]
    assert spool.load("2018-01")["value"].to_list() == [3]
    assert len([path for path in tmp_path.rglob("*.arrow") if path.name.startswith("2018-02")]) == (limit < 6)


def test_a_column_that_a_part_lacks_is_null_there(tmp_path: Path) -> None:
    for limit in (0, 100):
        spool = Spool(tmp_path, limit)
        spool.add("all", rows(1))
        spool.add("all", rows(2).with_columns(volume=pl.lit(3.0)))
        assert spool.load("all")["volume"].to_list() == [None, 3.0]


def test_two_spools_share_a_folder_without_meeting(tmp_path: Path) -> None:
    first, second = filled(Spool(tmp_path, 0)), Spool(tmp_path, 0)
    second.add("2018-01", rows(9))
    assert first.load("2018-01")["value"].to_list() == [3]
    assert second.load("2018-01")["value"].to_list() == [9]


def test_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file where a folder should be")
    with pytest.raises(WriteFailed, match="taken"):
        Spool(taken / "rows", 0).add("all", rows(1))
