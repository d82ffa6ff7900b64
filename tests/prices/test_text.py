"""Lines of text files: marks and ends of lines, encodings, lines that are too long, any cutting into pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices import text as text_module
from fx_assets.prices.files import FileError
from fx_assets.prices.text import CHUNK_LINES, LONGEST_LINE, TextChunk, text_chunks


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def lines(content: bytes, size: int = 1 << 20) -> list[tuple[int, bytes]]:
    found = []
    for chunk in text_chunks("a.csv", pieces(content, size)):
        assert chunk.data.endswith(b"\n")
        found += [(chunk.first_line + place, line) for place, line in enumerate(chunk.data.split(b"\n")[:-1])]
    return found


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_and_ends_of_lines(end: bytes, last: bool, mark: bytes) -> None:
    content = mark + end.join([b"a;1", b"", "é;2".encode()]) + (end if last else b"")
    assert lines(content) == [(1, b"a;1"), (2, b""), (3, "é;2".encode())]


def test_a_carriage_return_cut_off_at_the_end() -> None:
    assert lines(b"a\r\nb\r") == [(1, b"a"), (2, b"b")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b"x", "é".encode(), b"1;2", b"y" * 30, b"\xe2\x82\xac"]), min_size=1, max_size=30),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(1, 40),
    st.integers(33, 99),
)
def test_any_cutting_gives_the_same_lines(content: list[bytes], end: bytes, size: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "CHUNK_BYTES", block)
        patch.setattr(text_module, "LONGEST_LINE", 29)
        patch.setattr(text_module, "CHUNK_LINES", 3)
        chunks = list(text_chunks("a.csv", pieces(end.join(content) + end, size)))
    found = [
        (chunk.first_line + place, line) for chunk in chunks for place, line in enumerate(chunk.data.split(b"\n")[:-1])
    ]
    assert found == [(number, line if len(line) < 30 else b"") for number, line in enumerate(content, 1)]
    long = [number for chunk in chunks for number in chunk.long_lines["line"]]
    assert long == [number for number, line in enumerate(content, 1) if len(line) >= 30]
    assert all(chunk.data.count(b"\n") <= 3 for chunk in chunks)


def test_a_line_of_a_million_characters_is_set_aside() -> None:
    chunks = list(text_chunks("a.csv", [b"a\n" + b"x" * 1_000_000 + b"\nb\n"]))
    assert [chunk.data for chunk in chunks] == [b"a\n\nb\n"]
    [(line, reason, raw)] = chunks[0].long_lines.rows()
    assert (line, reason, raw) == (2, "line_too_long: over 65,536 bytes", "x" * 200)


def test_the_longest_line_that_is_read() -> None:
    fits = b"x" * LONGEST_LINE
    assert lines(fits + b"\n" + fits + b"x") == [(1, fits), (2, b"")]


def test_a_line_beyond_any_block_at_any_place() -> None:
    long = b"y" * (20 << 20)
    for content in (long + b"\nb\n", b"a\n" + long + b"\nb\n", b"a\n" + long):
        chunks = list(text_chunks("a.csv", pieces(content, 1 << 20)))
        numbers = [number for chunk in chunks for number in chunk.long_lines["line"]]
        assert numbers == [1 + content.startswith(b"a")]
        shown = [line for line in lines(content) if line[1]]
        assert shown == [
            (number, line) for number, line in ((1, b"a"), (3, b"b"), (2, b"b")) if (number, line) in shown
        ]
        assert sum(chunk.data.count(b"\n") for chunk in chunks) == content.count(b"\n") + (not content.endswith(b"\n"))


def test_chunks_hold_no_more_than_128k_lines() -> None:
    chunks = list(text_chunks("a.csv", [b"\n" * (CHUNK_LINES + 5)]))
    assert [(chunk.first_line, len(chunk.data)) for chunk in chunks] == [(1, CHUNK_LINES), (CHUNK_LINES + 1, 5)]


@pytest.mark.parametrize(
    ("content", "offset", "seems", "encoding"),
    [
        ("a;1\n".encode("utf-16"), 0, r"UTF-16; convert it, e.g. iconv -f UTF-16 -t UTF-8", "UTF-16"),
        ("a;1\n".encode("utf-16-le"), 1, r"UTF-16 \(little endian\); convert it, e.g. iconv -f UTF-16LE", "UTF-16LE"),
        ("a;1\n".encode("utf-16-be"), 0, r"UTF-16 \(big endian\)", "UTF-16BE"),
        ("a;1\n".encode("utf-32"), 0, "UTF-32", "UTF-32"),
        ("a;1\nMünchen;2\n".encode("latin-1"), 5, "Latin-1 or Windows-1252; convert it", "WINDOWS-1252"),
        (b"a;1\n\0\0\0\0", 4, "binary data, or a damaged file", None),
        (b"a;1\n\x01\xff\xfe", 5, "binary data, or a damaged file", None),
        (b"\x80\x02\x95", 0, "binary data, or a damaged file", None),
        (b"a;\xc3", 2, "Latin-1", "WINDOWS-1252"),
    ],
)
def test_another_encoding_is_refused_with_its_offset(
    content: bytes, offset: int, seems: str, encoding: str | None
) -> None:
    with pytest.raises(
        FileError, match=rf"a.csv: not UTF-8 text at byte {offset} \(0x..\); it looks like {seems}"
    ) as got:
        lines(content)
    assert got.value.encoding == encoding


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_offset_counts_from_the_beginning_of_the_file(mark: bytes) -> None:
    content = mark + b"x;1\r\n" * 2_000_000 + b"\xe9\r\n"
    with pytest.raises(FileError, match=f"at byte {10_000_000 + len(mark):,} "):
        list(text_chunks("a.csv", pieces(content, 1 << 20)))


def test_the_offset_counts_on_through_a_line_beyond_any_block() -> None:
    content = b"y" * (20 << 20) + b"\na\n\xe9\n"
    with pytest.raises(FileError, match=f"at byte {(20 << 20) + 3:,} "):
        list(text_chunks("a.csv", pieces(content, 1 << 20)))


def test_heads_and_headers() -> None:
    [chunk] = text_chunks("a.csv", [b"\n\nhead\n1\n2\n"])
    assert (chunk.head, chunk.below_head().first_line, chunk.below_head().data) == ("head", 4, b"1\n2\n")
    assert (chunk.without(4).data, chunk.without(4).first_line) == (b"2\n", 5)
    assert chunk.without(9).data == b""
    only_head = TextChunk(1, b"head\n", chunk.long_lines)
    assert (only_head.below_head().data, TextChunk(1, b"\n", chunk.long_lines).head) == (b"", "")
