"""The view of a table with two times, against a slow one that is plainly right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.storage.two_times import current_rows

START = datetime(2026, 1, 5, tzinfo=UTC)
UTC_TIME = pa.timestamp("us", "UTC")
Version = tuple[int, int, float | None]


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def bars(*versions: Version) -> pa.Table:
    """Rows of (time, known_at, close), times in minutes; `note` is the place in the table."""
    return pa.table(
        {
            "time": pa.array([at(v[0]) for v in versions], UTC_TIME),
            "known_at": pa.array([at(v[1]) for v in versions], UTC_TIME),
            "close": pa.array([v[2] for v in versions], pa.float64()),
            "note": pa.array([str(i) for i in range(len(versions))], pa.string()),
        }
    )


def notes(table: pa.Table) -> list[Any]:
    found: list[Any] = table.column("note").to_pylist()
    return found


def slow(table: pa.Table, when: datetime | None) -> list[dict[str, Any]]:
    best: dict[datetime, dict[str, Any]] = {}
    for row in table.to_pylist():
        if when is not None and row["known_at"] > when:
            continue
        known = best.get(row["time"])
        if known is None or row["known_at"] >= known["known_at"]:
            best[row["time"]] = row
    return [best[time] for time in sorted(best) if best[time]["close"] is not None]


version = st.tuples(st.integers(0, 6), st.integers(0, 6), st.one_of(st.none(), st.floats(1, 2)))


@settings(max_examples=300, deadline=None)
@given(
    versions=st.lists(version, max_size=25),
    when=st.one_of(st.none(), st.integers(-1, 7)),
    order=st.sampled_from(["any", "versions", "unique"]),
    cut=st.integers(0, 25),
)
def test_the_view_is_that_of_the_slow_one(versions: list[Version], when: int | None, order: str, cut: int) -> None:
    if order == "versions":
        versions = sorted(versions, key=lambda v: v[:2])
    elif order == "unique":
        versions = list({v[0]: v for v in versions}.values())
    table = bars(*versions)
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(min(cut, len(table)))])
    moment = None if when is None else at(when)
    found = current_rows(chunked, when=moment)
    assert found.to_pylist() == slow(table, moment)
    assert found.schema == table.schema


def test_of_versions_known_at_once_the_later_row_wins() -> None:
    assert notes(current_rows(bars((1, 5, 1.0), (0, 5, 2.0), (1, 5, 3.0)))) == ["1", "2"]


def test_a_row_taken_back_is_gone_until_it_is_said_again() -> None:
    table = bars((0, 1, 1.0), (1, 2, 1.5), (0, 3, None), (0, 6, 1.25))
    assert notes(current_rows(table, when=at(2))) == ["0", "1"]
    assert notes(current_rows(table, when=at(3))) == ["1"], "known at that instant is known"
    assert notes(current_rows(table)) == ["3", "1"]


def test_a_table_that_is_its_own_view_is_not_copied() -> None:
    table = bars((0, 1, 1.0), (1, 2, 1.5))
    assert current_rows(table) is table
    assert current_rows(table, when=at(2)) is table
    assert current_rows(table.slice(0, 0)).equals(table.slice(0, 0))


def test_ticks_are_taken_back_by_two_nulls() -> None:
    ticks = pa.table(
        {
            "time": pa.array([at(i) for i in (0, 1, 2)], UTC_TIME),
            "known_at": pa.array([at(i) for i in (0, 1, 2)], UTC_TIME),
            "bid": pa.array([1.0, None, None], pa.float64()),
            "ask": pa.array([None, None, 1.1], pa.float64()),
            "note": pa.array(["0", "1", "2"]),
        }
    )
    assert notes(current_rows(ticks)) == ["0", "2"]


def test_a_polars_frame_comes_as_it_is() -> None:
    frame = pl.DataFrame(bars((1, 2, 1.0), (0, 1, 1.5)))
    assert notes(current_rows(frame.to_arrow())) == ["1", "0"]


def test_what_cannot_be_known_is_refused() -> None:
    table = bars((0, 1, 1.0))
    with pytest.raises(ValueError, match="no column 'known_at'"):
        current_rows(table.drop_columns(["known_at"]))
    with pytest.raises(ValueError, match="neither 'close' nor 'bid' and 'ask'"):
        current_rows(table.drop_columns(["close"]))
    with pytest.raises(ValueError, match="has no time zone"):
        current_rows(table, when=datetime(2026, 1, 5))
    unknown = table.set_column(1, "known_at", pa.array([None], UTC_TIME))
    with pytest.raises(ValueError, match="1 of 1 rows have no 'known_at'"):
        current_rows(unknown)
