"""Rows in two times: which of them was the newest known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features.errors import FeatureError
from fx_assets.features.known import newest_known, versions_of

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
ZONED = pa.timestamp("us", tz="UTC")
Said = tuple[int, int, float | None]


def table(said: list[Said], *, length: int = 1) -> pa.Table:
    """Versions: (start, minutes from its end until it was known, value)."""

    def at(minutes: int) -> datetime:
        return BEGIN + timedelta(minutes=minutes)

    return pa.table(
        {
            "time": pa.array([at(start) for start, _, _ in said], ZONED),
            "end": pa.array([at(start + length) for start, _, _ in said], ZONED),
            "known_at": pa.array([at(start + length + late) for start, late, _ in said], ZONED),
            "close": pa.array([value for _, _, value in said], pa.float64()),
        }
    )


def micros(minutes: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([int((BEGIN + timedelta(minutes=m)).timestamp() * 1e6) for m in minutes], dtype=np.int64)


SAID = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 6), st.one_of(st.none(), st.integers(1, 9).map(float))), max_size=14
)


@settings(deadline=None)
@given(said=SAID, asked=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), max_size=8))
def test_the_newest_known_row_is_that_of_the_slow_definition(said: list[Said], asked: list[tuple[int, int]]) -> None:
    rows = versions_of(table(said), ("close",))
    ends, whens = micros([end for end, _ in asked]), micros([end + late for end, late in asked])
    found = newest_known(rows, ends, whens)
    for (end, late), row in zip(asked, found.tolist(), strict=True):
        # Of each start the last version known by then counts; the newest start that still has a value is wanted.
        latest: dict[int, tuple[int, float | None]] = {}
        for start, after, value in said:
            known = start + 1 + after
            if known <= end + late and start + 1 <= end and (start not in latest or known >= latest[start][0]):
                latest[start] = (known, value)
        standing = [start for start, (_, value) in latest.items() if value is not None]
        assert (row == -1) == (not standing)
        if standing:
            assert rows.columns["close"][row] == latest[max(standing)][1]
            assert rows.time[row] == micros([max(standing)])[0]


def test_versions_are_put_in_order_and_of_twins_the_last_counts() -> None:
    rows = versions_of(table([(3, 0, 3.0), (1, 2, 1.5), (1, 0, 1.0), (3, 0, 3.5)]), ("close", "spread"))
    assert rows.columns["close"].tolist() == [1.0, 1.5, 3.5]
    assert np.isnan(rows.columns["spread"]).all()
    assert rows.first.tolist() == [True, False, True]


def test_a_bar_known_before_its_end_is_refused() -> None:
    with pytest.raises(FeatureError, match=r"the bar of 2020-01-01T00:01:00\.000000 UTC is said to be known before"):
        versions_of(table([(0, 0, 1.0), (1, -1, 2.0)]), ("close",))
    with pytest.raises(FeatureError, match="rows have no column known_at"):
        versions_of(table([]).drop_columns(["known_at"]), ("close",))
