"""FAULTS 38 to 40: what a window from outside may hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.models import validation
from fx_assets.models.errors import InvalidInput
from fx_assets.models.validation import LARGEST, check_batch, parse_window

COLUMNS = ("close", "rsi", "macd")


def rows() -> list[list[Any]]:
    return [[1.1, 50, -0.5], [1.2, 51, 0.5], [1.3, 52, 0.25], [1.25, 53, 0]]


def test_numbers_whole_or_not_become_the_window() -> None:
    window = parse_window({"data": rows()}, 4, COLUMNS)
    assert window.dtype == np.float64
    assert window.tolist() == rows()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "a finite number"),
        ("Infinity", "a finite number"),
        ("-Infinity", "a finite number"),
        ("1e999", "a finite number"),
        ("1" + "0" * 400, "a finite number"),
        ("1e308", "at most 1e"),
        ('"nan"', "got text"),
        ('"1.5"', "got text"),
        ('"secret7"', "got text"),
        ("true", "got true or false"),
        ("null", "got null"),
        ("[987654]", "got a list"),
        ('{"a": 987654}', "got an object"),
    ],
)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 1), (3, 2)])
def test_a_cell_that_is_no_number_is_named_and_not_echoed(text: str, message: str, row: int, column: int) -> None:
    data = rows()
    data[row][column] = json.loads(text)
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_window({"data": data}, 4, COLUMNS)
    said = str(caught.value)
    assert caught.value.index == (row, column)
    assert caught.value.field == f"data[{row}][{column}]"
    assert said.startswith(f"data[{row}][{column}]: ")
    for secret in ("nan", "NaN", "inf", "1.5", "secret", "987654", "1e308", "1e+308", "True"):
        assert secret not in said


@pytest.mark.parametrize("close", [0, 0.0, -0.0, -1.2, -5])
def test_a_close_that_is_not_positive_is_refused(close: float) -> None:
    data = rows()
    data[1][0] = close
    with pytest.raises(InvalidInput, match="greater than 0") as caught:
        parse_window({"data": data}, 4, COLUMNS)
    assert caught.value.index == (1, 0)
    assert "1.2" not in str(caught.value)


def test_a_feature_may_be_zero_or_negative() -> None:
    parse_window({"data": [[1.0, 0, -1e9]] * 4}, 4, COLUMNS)


def test_a_close_in_points_is_refused_where_it_jumps() -> None:
    data = rows()
    data[2][0] = 13_000.0
    with pytest.raises(InvalidInput, match="hundred times") as caught:
        parse_window({"data": data}, 4, COLUMNS)
    assert caught.value.index == (2, 0)


def test_a_close_too_small_for_a_price_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 1e-09"):
        parse_window({"data": [[5e-324, 1, 1]] * 4}, 4, COLUMNS)


@pytest.mark.parametrize(
    ("data", "index", "message"),
    [
        (rows()[:3], (), r"expected 4 rows \(oldest first\), got 3"),
        (rows() * 2, (), "expected 4 rows .*, got 8"),
        ([], (), "got 0"),
        ([*rows()[:3], [1.2, 3]], (3,), r"expected 3 columns \(close, rsi, macd\), got 2"),
        ([[1.2, 3, 4, 5], *rows()[:3]], (0,), "expected 3 columns .*, got 4"),
        ([*rows()[:3], []], (3,), "got 0"),
        ([*rows()[:3], "1.5"], (3,), "expected a row of 3 numbers, got text"),
        ([*rows()[:3], 1.5], (3,), "got a number"),
        ([*rows()[:3], None], (3,), "got null"),
        ("abcd", (), "expected a list of 4 rows, got text"),
        ({"a": 1}, (), "got an object"),
        (None, (), "got null"),
        (1.5, (), "got a number"),
        (True, (), "got true or false"),
    ],
)
def test_a_wrong_shape_says_expected_and_got(data: Any, index: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_window({"data": data}, 4, COLUMNS)
    assert caught.value.index == index


def test_unknown_or_missing_fields_are_refused_without_their_name() -> None:
    with pytest.raises(InvalidInput, match="unknown field") as caught:
        parse_window({"data": rows(), "hunter2": 1}, 4, COLUMNS)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidInput, match="send 4 rows of 3 numbers"):
        parse_window({"dta": rows()}, 4, COLUMNS)
    not_a_mapping: Any = rows()
    with pytest.raises(InvalidInput, match="missing"):
        parse_window(not_a_mapping, 4, COLUMNS)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON | st.lists(st.lists(st.floats() | st.booleans(), min_size=1, max_size=2), min_size=2, max_size=2))
def test_whatever_json_comes_is_a_window_or_an_invalid_input(data: Any) -> None:
    try:
        window = parse_window({"data": data}, 2, ("close",))
    except InvalidInput:
        return
    assert window.shape == (2, 1)
    assert np.isfinite(window).all()
    assert (window > 0).all()
    assert all(type(cell) is float or type(cell) is int for row in data for cell in row)


def test_a_batch_is_held_to_the_same_rules_and_names_the_window() -> None:
    batch = np.tile(np.array(rows()), (3, 1, 1))
    assert check_batch(batch, 4, COLUMNS).tobytes() == batch.tobytes()
    batch[2, 1, 0] = np.nan
    with pytest.raises(InvalidInput, match="finite") as caught:
        check_batch(batch, 4, COLUMNS)
    assert caught.value.index == (2, 1, 0)
    with pytest.raises(InvalidInput, match=r"expected \(windows, 4, 3\).*got \(3, 4, 2\)"):
        check_batch(batch[:, :, :2], 4, COLUMNS)
    words: Any = np.full((1, 4, 3), "1.5")
    with pytest.raises(InvalidInput, match="got an array"):
        check_batch(words, 4, COLUMNS)


def test_three_looks_at_the_whole_never_let_pass_what_cell_by_cell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values at and beside every bound, and closes that jump by any factor, with and without the short cut."""
    rng = np.random.default_rng(3)
    edges = [
        np.nan,
        np.inf,
        -np.inf,
        LARGEST,
        -LARGEST,
        LARGEST * 1.0001,
        0.0,
        -1.0,
        1 / LARGEST,
        0.9 / LARGEST,
        5e-324,
    ]
    refused = 0
    for number in range(3000):
        values = np.column_stack([np.exp(rng.normal(0, rng.choice([0.01, 1.0, 2.0]), 6)), rng.normal(0, 1, (6, 2))])
        if number % 3:
            values[rng.integers(6), rng.integers(3)] = rng.choice(edges)
        gaps = bool(number % 2)
        short = _said(values, gaps)
        with monkeypatch.context() as patched:
            patched.setattr(validation, "_clearly_usable", lambda _: False)
            assert _said(values, gaps) == short
        refused += short is not None
    assert 500 < refused < 2500


def _said(values: np.ndarray[Any, np.dtype[np.float64]], gaps: bool) -> tuple[str, tuple[int, ...]] | None:
    try:
        validation.check_values(values, gaps=gaps)
    except InvalidInput as error:
        return str(error), error.index
    return None
