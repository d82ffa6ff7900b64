"""States, check outcomes and digests."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.storage.errors import FormatError
from fx_assets.storage.hashing import fingerprint, sha256_bytes
from fx_assets.storage.records import CheckOutcome, State
from fx_assets.storage.table_hashing import table_hash
from tests.storage.helpers import rows, state

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(metadata=st.dictionaries(st.text(), JSON, max_size=3))
def test_a_state_survives_json(metadata: dict[str, Any]) -> None:
    known = state()
    found = State(**{**known.__dict__, "metadata": metadata})
    assert State.from_json(found.to_json()) == found


def test_a_state_keeps_utc_and_its_own_copy_of_metadata() -> None:
    metadata = {"list": [1]}
    tokyo = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=9)))
    found = State("a", "EURUSD", "f", "c", (), 1, "r", tokyo, metadata)
    metadata["list"].append(2)
    assert found.metadata == {"list": [1]}
    assert found.committed_at.isoformat() == "2026-11-21T03:00:00+00:00"
    with pytest.raises(ValueError, match="no time zone"):
        State("a", "EURUSD", "f", "c", (), 1, "r", datetime(2026, 11, 21), {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.int64(3), date(2026, 1, 1), {1: 2}, {1, 2}])
def test_metadata_that_json_cannot_say_is_refused_by_name(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"check 'gap', metadata: value\.worst"):
        CheckOutcome("gap", True, metadata={"worst": value})
    with pytest.raises((TypeError, ValueError), match="state of prices/raw, metadata"):
        State(**{**state().__dict__, "metadata": {"x": value}})


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_another_format_is_refused_by_name(found: Any) -> None:
    body = {**json.loads(state().to_json()), "format": found}
    with pytest.raises(FormatError, match=f"prices/raw has format {found!r}, this version reads 1"):
        State.from_json(json.dumps(body))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ((1, 2), [1, 2], True),
        (1, 1.0, False),
        (1, "1", False),
        (True, 1, False),
        (None, "null", False),
        ([[1], 2], [1, [2]], False),
    ],
)
def test_fingerprints_tell_values_apart(one: Any, other: Any, same: bool) -> None:
    assert (fingerprint(one) == fingerprint(other)) is same


def test_fingerprints_refuse_what_json_cannot_say() -> None:
    assert fingerprint() != fingerprint(None)
    for value in (date(2026, 1, 1), {1: 2}, b"x", {1}, object()):
        with pytest.raises(TypeError):
            fingerprint("a", [value])
    with pytest.raises(ValueError, match=r"value\[0\]\.x"):
        fingerprint({"x": float("nan")})


def test_known_digests() -> None:
    """Digests are kept on disk: they may not change with a release."""
    assert sha256_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert fingerprint({"b": [1, None], "a": "é"}) == sha256_bytes(b'[{"a":"\\u00e9","b":[1,null]}]')


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=4))
def test_the_hash_of_a_table_ignores_chunks_slices_and_widths(cuts: list[int]) -> None:
    table = rows("EURUSD", 1.5)
    edges = [0, *sorted(cuts), 50]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    chunked = pa.concat_tables(parts)
    wide = chunked.set_column(0, "pair", chunked.column("pair").cast(pa.large_string()))
    lists = wide.set_column(3, "levels", wide.column("levels").cast(pa.large_list(pa.float64())))
    assert table_hash(table) == table_hash(chunked) == table_hash(wide) == table_hash(lists)
    assert table_hash(lists.replace_schema_metadata({"a": "b"})) == table_hash(table)


def test_the_hash_of_a_table_ignores_what_lies_under_nulls() -> None:
    mask = np.array([False, True])
    one = pa.array(np.array([1.0, 2.0]), mask=mask)
    other = pa.array(np.array([1.0, 3.0]), mask=mask)
    assert table_hash(pa.table({"x": one})) == table_hash(pa.table({"x": other}))
    nans = [np.array([bits], dtype="<u8").view("<f8") for bits in (0x7FF8000000000000, 0xFFF8000000000001)]
    assert len({table_hash(pa.table({"x": nan})) for nan in nans}) == 1


def distinct() -> dict[str, pa.Table]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "plain": pa.table({"x": [1.0, 2.0]}),
        "order": pa.table({"x": [2.0, 1.0]}),
        "name": pa.table({"y": [1.0, 2.0]}),
        "type": pa.table({"x": [1, 2]}),
        "float32": pa.table({"x": pa.array([1.0, 2.0], pa.float32())}),
        "null": pa.table({"x": [1.0, None]}),
        "zero": pa.table({"x": [1.0, 0.0]}),
        "minus zero": pa.table({"x": [1.0, -0.0]}),
        "short": pa.table({"x": [1.0]}),
        "none": pa.table({"x": pa.array([], pa.float64())}),
        "two columns": pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}),
        "text": pa.table({"x": ["ab", "c"]}),
        "text moved": pa.table({"x": ["a", "bc"]}),
        "text null": pa.table({"x": ["ab", None]}),
        "text empty": pa.table({"x": ["ab", ""]}),
        "lists": pa.table({"x": [[1.0], [2.0]]}),
        "lists moved": pa.table({"x": [[1.0, 2.0], []]}),
        "lists null": pa.table({"x": [[1.0, 2.0], None]}),
        "lists of text": pa.table({"x": [["a"], ["b", None]]}),
        "booleans": pa.table({"x": [True, False]}),
        "dates": pa.table({"x": [date(2026, 1, 1), date(2026, 1, 2)]}),
        "times": pa.table({"x": pa.array([moment, moment], pa.timestamp("us", "UTC"))}),
    }


def test_the_hash_of_a_table_tells_contents_apart() -> None:
    hashes = {name: table_hash(table) for name, table in distinct().items()}
    assert len(set(hashes.values())) == len(hashes)
    assert hashes == {name: table_hash(table) for name, table in distinct().items()}


def test_the_hash_of_a_table_refuses_types_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="struct"):
        table_hash(pa.table({"x": [{"a": 1}]}))
