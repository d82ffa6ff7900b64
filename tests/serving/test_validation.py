"""What a request may say, and that no refusal repeats it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.problems import ProblemError
from serving.validation import decode, parse_instant, predict_request

PAIRS = ("EURUSD", "USDJPY")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (b"{", "not JSON"),
        (b'{"data": [[1,]]}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"pair": "\xff"}', "not UTF-8 at byte 10"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'{"data":' * 50_000, "nested"),
    ],
)
def test_what_is_not_json_is_refused_with_400(body: bytes, word: str) -> None:
    with pytest.raises(ProblemError, match=word) as caught:
        decode(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "1" * 5000])
def test_numbers_that_are_not_finite_come_through_to_be_refused_by_index(number: str) -> None:
    (row,) = decode(f'{{"data": [[1.5, {number}]]}}'.encode())["data"]
    assert row[0] == 1.5
    assert not math.isfinite(float(row[1]))


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=50)
def test_both_parsers_read_a_float_to_the_same_bits(value: float) -> None:
    fast = decode(f"[{value!r}]".encode())[0]
    slow = decode(f"[{value!r}, NaN]".encode())[0]
    assert float(fast).hex() == float(slow).hex() == value.hex()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-30T16:00:00Z", datetime(2026, 10, 30, 16, tzinfo=UTC)),
        ("2026-10-30T16:00:00+02:00", datetime(2026, 10, 30, 14, tzinfo=UTC)),
        ("2026-10-30T16:00:00 02:00", datetime(2026, 10, 30, 14, tzinfo=UTC)),
        ("2026-10-30 16:00:00-05:00", datetime(2026, 10, 30, 21, tzinfo=UTC)),
    ],
)
def test_instants_are_read_as_utc(text: str, expected: datetime) -> None:
    assert parse_instant(text, "as_of") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "2026-10-30",
        "2026-10-30T16:00:00",
        "1793376000",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-13-01T00:00:00Z",
        "2026-10-30T16:00:00Z" + " " * 50,
        "\x00" * 20,
    ],
)
def test_what_is_no_instant_is_refused_naming_the_parameter_only(text: str) -> None:
    with pytest.raises(ProblemError, match="as_of") as caught:
        parse_instant(text, "as_of")
    assert caught.value.status == 422
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "an array"),
        ("secret", "text"),
        (None, "null"),
        (1.5, "a number"),
        ({}, "neither"),
        ({"data": None}, "got null"),
        ({"data": [[1.0]], "pear": "secret"}, "1 unknown"),
        ({"data": [[1.0]], "pair": "EURUSD", "as_of": "2026-10-30T16:00:00Z"}, "exclude"),
        ({"data": [[1.0]]}, "EURUSD, USDJPY"),
        ({"data": [[1.0]], "pair": "secret"}, "EURUSD, USDJPY"),
        ({"pair": ["secret"]}, "an array"),
        ({"pair": True}, "true or false"),
        ({"pair": "EURUSD", "as_of": 1793376000}, "a number"),
        ({"pair": "EURUSD", "as_of": "secret"}, "as_of"),
        ({"as_of": "2026-10-30T16:00:00Z"}, "neither"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_without_repeating_it(body: Any, word: str) -> None:
    with pytest.raises(ProblemError, match=word) as caught:
        predict_request(body, PAIRS)
    assert caught.value.status == 422
    assert "secret" not in caught.value.detail
    assert "secret" not in repr(caught.value.extra)


def test_the_pair_may_be_left_out_where_there_is_only_one() -> None:
    assert predict_request({"data": [[1.0]]}, ("USDJPY",)).pair == "USDJPY"


def test_pair_and_moment_are_read() -> None:
    asked = predict_request({"pair": "USDJPY", "as_of": "2026-10-30T16:00:00Z"}, PAIRS)
    assert (asked.pair, asked.rows, asked.as_of) == ("USDJPY", None, datetime(2026, 10, 30, 16, tzinfo=UTC))
