"""Reading the ECB's file: its real form, and every way in which a row or the whole of it can be wrong."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fx_assets.prices.ecb_file import (
    EcbFileError,
    Fixings,
    check_is_ecb_file,
    publication_time,
    read_fixings,
)
from fx_assets.timegrid.trading_dates import fixing_time

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HEADER = "Date,USD,JPY,BGN,\n"
GOOD = HEADER + "2026-10-30,1.1172,175.68,N/A,\n2026-10-29,1.1100,175.00,1.9558,\n"


def read(text: str | bytes, base: str = "EUR", quote: str = "USD") -> Fixings:
    data = text.encode() if isinstance(text, str) else text
    return read_fixings(data, base, quote, name="test.csv", now=NOW)


def zipped(text: str, *names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("eurofxref-hist.csv",):
            archive.writestr(name, text)
    return target.getvalue()


def test_rates_by_date() -> None:
    found = read(GOOD)
    assert found.closes == {date(2026, 10, 30): 1.1172, date(2026, 10, 29): 1.11}
    assert found.lines == {date(2026, 10, 30): 2, date(2026, 10, 29): 3}
    assert found.rejects == []


def test_a_cross_is_the_ratio_of_its_legs() -> None:
    assert read(GOOD, "USD", "JPY").closes[date(2026, 10, 30)] == 175.68 / 1.1172
    assert read(GOOD, "JPY", "USD").closes[date(2026, 10, 30)] == 1.1172 / 175.68
    assert read(GOOD, "USD", "EUR").closes[date(2026, 10, 30)] == 1 / 1.1172


def test_not_quoted_is_absent_and_no_reject() -> None:
    found = read(GOOD, "EUR", "BGN")
    assert found.closes == {date(2026, 10, 29): 1.9558}
    assert found.rejects == []
    assert read(GOOD, "BGN", "USD").closes.keys() == {date(2026, 10, 29)}


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace(",", ", "),
        GOOD.replace("2026-10-30", "30 October 2026"),
        GOOD + "\n",
        "JPY,Date,USD\n175.68,2026-10-30,1.1172\n175.00,2026-10-29,1.1100",
    ],
    ids=["crlf", "bom", "spaces", "named month", "empty line", "moved columns, no trailing comma"],
)
def test_forms_that_say_the_same(text: str) -> None:
    assert read(text).closes == read(GOOD).closes
    assert read(zipped(text)).closes == read(GOOD).closes


def test_the_real_file_of_one_day(sample_data: Path) -> None:
    data = (sample_data / "ecb" / "eurofxref.csv").read_bytes()
    assert read(data).closes == {date(2026, 10, 30): 1.1172}
    assert read(data, "GBP", "USD").closes == {date(2026, 10, 30): 1.1172 / 0.83380}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "empty_price: USD"),
        ("abc", "not_a_number: USD"),
        ("1.11.1", "not_a_number: USD"),
        ("1_1", "not_a_number: USD"),
        ("nan", "not_a_number: USD"),
        ("inf", "not_a_rate: USD"),
        ("1e308", "not_a_rate: USD"),
        ("1e-300", "not_a_rate: USD"),
        ("0", "not_positive: USD"),
        ("-1.1", "not_positive: USD"),
        ("-inf", "not_positive: USD"),
    ],
)
def test_a_bad_cell_rejects_its_row(cell: str, reason: str) -> None:
    text = HEADER + f"2026-10-30,{cell},175.68,N/A,\n2026-10-29,1.1100,175.00,1.9558,\n"
    found = read(text)
    assert found.closes == {date(2026, 10, 29): 1.11}
    (reject,) = found.rejects
    assert reject.line == 2
    assert reject.reason.startswith(reason)
    assert reject.raw == f"2026-10-30,{cell},175.68,N/A,"
    assert read(text, "USD", "JPY").rejects[0].line == 2


def test_other_pairs_do_not_mind_a_bad_cell() -> None:
    text = HEADER + "2026-10-30,abc,175.68,N/A,\n"
    assert read(text, "EUR", "JPY").closes == {date(2026, 10, 30): 175.68}
    assert read(text, "EUR", "JPY").rejects == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-10-29,1.1,175.0", "column_count: expected 5, got 3"),
        ("2026-10-29,1.1,175.0,1.9,2,3", "column_count: expected 5, got 6"),
        ("2026-13-29,1.1,175.0,1.9,", "bad_date"),
        ("29 Oktober 2026,1.1,175.0,1.9,", "bad_date"),
        ("31 February 2026,1.1,175.0,1.9,", "bad_date"),
        ("29.10.2026,1.1,175.0,1.9,", "bad_date"),
        ("2026-11-23,1.1,175.0,1.9,", "in_the_future: 2026-11-23"),
    ],
)
def test_a_bad_row_is_rejected(row: str, reason: str) -> None:
    found = read(GOOD + row + "\n")
    assert found.closes == read(GOOD).closes
    assert [reject.line for reject in found.rejects] == [4]
    assert found.rejects[0].reason.startswith(reason)


def test_a_row_cut_in_its_last_cell_is_not_taken() -> None:
    """`1.9558,` cut to `1.9` would be a rate; the missing comma betrays it."""
    cut = GOOD[: GOOD.rindex("558,")]
    assert [reject.reason for reject in read(cut, "EUR", "BGN").rejects] == ["column_count: expected 5, got 4"]


def test_todays_fixing_is_from_the_future_until_it_is_fixed() -> None:
    text = HEADER + "2026-11-20,1.1,175.0,1.9,\n"
    before = read_fixings(text.encode(), "EUR", "USD", name="x", now=datetime(2026, 11, 20, 13, 4, tzinfo=UTC))
    after = read_fixings(text.encode(), "EUR", "USD", name="x", now=datetime(2026, 11, 20, 13, 5, tzinfo=UTC))
    assert [len(before.closes), len(before.rejects)] == [0, 1]
    assert [len(after.closes), len(after.rejects)] == [1, 0]


def test_repeats_are_counted_and_the_last_one_wins() -> None:
    found = read(GOOD + "2026-10-30,1.1172,175.68,N/A,\n2026-10-29,1.2,175.00,1.9558,\n")
    assert found.closes == {date(2026, 10, 30): 1.1172, date(2026, 10, 29): 1.2}
    assert (found.dropped, found.replaced) == (1, 1)
    assert found.lines == {date(2026, 10, 30): 4, date(2026, 10, 29): 5}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a header with Date and currencies, got ''"),
        (b"\n\n", "expected a header with Date"),
        (b"<html><body>Sign in</body></html>", "expected a header with Date"),
        (b"Date,\n2026-10-30,\n", "expected a header with Date and currencies"),
        (b"Date,USDX,JPY\n", "has no currency 'USD'"),
        (b"Date,USD,USD\n", r"columns \['USD'\] stand twice"),
        (b"Date,Date,USD\n", r"columns \['Date'\] stand twice"),
        (GOOD.encode()[:30] + b"\xff" + GOOD.encode()[30:], "not UTF-8 at byte 30"),
        (GOOD.encode() + b"9" * 1_000_000, "line 4 cannot be read: field larger than field limit"),
        (zipped(GOOD)[:-30], "the zip is damaged"),
        (zipped(GOOD, "a.csv", "b.csv"), r"expected one .csv in the zip, got \['a.csv', 'b.csv'\]"),
        (zipped(GOOD, "a.txt"), r"expected one .csv in the zip"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(EcbFileError, match=f"test.csv: .*{message}"):
        read(data)


def test_a_flipped_bit_in_the_zip_is_found() -> None:
    whole = bytearray(zipped(GOOD))
    start = whole.index(b"eurofxref-hist.csv") + len("eurofxref-hist.csv")
    for position in range(start, start + 40, 5):
        broken = bytes(whole[:position]) + bytes([whole[position] ^ 4]) + bytes(whole[position + 1 :])
        with pytest.raises(EcbFileError, match="the zip is damaged"):
            read(broken)


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fx_assets.prices.ecb_file.MAX_BYTES", 1000)
    with pytest.raises(EcbFileError, match="unpacks to more than 1,000 bytes"):
        read(zipped(GOOD + " " * 2000))


def test_one_currency_is_no_pair() -> None:
    with pytest.raises(EcbFileError, match="EUREUR: a pair needs two different currencies"):
        read(GOOD, "EUR", "EUR")


def test_the_nearest_currency_is_named() -> None:
    with pytest.raises(EcbFileError, match=r"has no currency 'USX'\. Did you mean 'USD'"):
        read(GOOD, "EUR", "USX")


def test_the_check_of_a_download() -> None:
    check_is_ecb_file(GOOD.encode(), name="x")
    check_is_ecb_file(zipped(GOOD), name="x")
    with pytest.raises(EcbFileError):
        check_is_ecb_file(b"oops", name="x")


def test_times_follow_berlin_summer_time() -> None:
    """Europe 2026: summer time from 29 March to 25 October."""
    assert fixing_time(date(2026, 3, 27)) == datetime(2026, 3, 27, 13, 10, tzinfo=UTC)
    assert fixing_time(date(2026, 3, 30)) == datetime(2026, 3, 30, 12, 10, tzinfo=UTC)
    assert publication_time(date(2026, 10, 23)) == datetime(2026, 10, 23, 14, tzinfo=UTC)
    assert publication_time(date(2026, 10, 26)) == datetime(2026, 10, 26, 15, tzinfo=UTC)
