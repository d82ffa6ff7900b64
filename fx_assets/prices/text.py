"""Text of price files: whole lines of UTF-8 in chunks, in bounded memory whatever the file."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fx_assets.prices.batch import KEPT_TEXT, no_rejects
from fx_assets.prices.files import FileError

if TYPE_CHECKING:
    import polars as pl

CHUNK_LINES = 1 << 17
CHUNK_BYTES = 8 << 20
LONGEST_LINE = 64 << 10
_BOM = codecs.BOM_UTF8
_NEWLINE = ord("\n")


@dataclass(frozen=True)
class TextChunk:
    """Whole lines of one file. `data` is valid UTF-8, each line ended by a line feed.

    `first_line` is the number of the first, from 1. A line of more than 64 KiB stands in `long_lines` (`line`,
    `reason`, `raw`, as rejects) and is empty in `data`, so that the numbers stay true.
    """

    first_line: int
    data: bytes
    long_lines: pl.DataFrame

    @property
    def head(self) -> str:
        """The first line that is not empty, without its end; nothing where all are."""
        filled = self.data.lstrip(b"\n")
        return filled[: filled.find(b"\n")].decode()

    def without(self, lines: int) -> TextChunk:
        """The same chunk less its first lines, as where they are a header."""
        start = 0
        for _ in range(lines):
            start = self.data.find(b"\n", start) + 1 or len(self.data)
        return TextChunk(self.first_line + lines, self.data[start:], self.long_lines)

    def below_head(self) -> TextChunk:
        """The same chunk less its first line that is not empty, where that is a header."""
        return self.without(len(self.data) - len(self.data.lstrip(b"\n")) + 1)


def text_chunks(name: str, pieces: Iterable[bytes]) -> Iterator[TextChunk]:
    """The lines of a file's content, at most 128k lines or about 8 MiB at a time.

    A byte order mark is removed, CRLF and LF end a line alike, a last line needs no end. Raises `FileError` with the
    byte offset in the (unpacked) content where it is not UTF-8, and with the encoding that it seems to be in.
    """
    line = 1
    for block, offset, whole in _blocks(pieces):
        _check(name, block, offset, whole=whole)
        text = block.removeprefix(_BOM) if offset == 0 else block
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
        if not text.endswith(b"\n"):
            text += b"\n"
        for chunk in _cut(text, line):
            yield chunk
            line = chunk.first_line + chunk.data.count(b"\n")


def _blocks(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, int, bool]]:
    """Blocks of whole lines, with their offset and whether the last line is whole.

    Of a line that does not fit into a block only the beginning is kept: it is too long in any case.
    """
    held, offset, skipping = bytearray(), 0, False
    for given in pieces:
        piece = given
        if skipping:
            end = piece.find(b"\n") + 1
            offset += end or len(piece)
            if not end:
                continue
            piece, skipping = piece[end:], False
        held += piece
        if len(held) < CHUNK_BYTES:
            continue
        end = held.rfind(b"\n") + 1
        skipping = not end
        block = bytes(held[: end or len(held)])
        del held[: len(block)]
        yield block, offset, not skipping
        offset += len(block)
    if held:
        yield bytes(held), offset, True


def _check(name: str, block: bytes, offset: int, *, whole: bool) -> None:
    """Raise `FileError` where a block is no UTF-8 text."""
    zero = block.find(0)
    try:
        if not block.isascii():
            codecs.getincrementaldecoder("utf-8")().decode(block, final=whole)
        if zero < 0:
            return
        at = zero
    except UnicodeDecodeError as error:
        at = error.start if zero < 0 else min(zero, error.start)
    encoding, seems = _guess(block[:4] if offset == 0 else b"", block, at)
    advice = f"; convert it, e.g. iconv -f {encoding} -t UTF-8 OLD > NEW" if encoding else ""
    raise FileError(
        f"{name}: not UTF-8 text at byte {offset + at:,} (0x{block[at]:02X}); it looks like {seems}{advice}",
        encoding=encoding,
    )


def _guess(first: bytes, block: bytes, at: int) -> tuple[str | None, str]:
    """What content that is not UTF-8 seems to be: the name of an encoding, if it is text, and words for a message."""
    if first.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32", "UTF-32"
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16", "UTF-16"
    if first and block[at] == 0 and at < 2 and block[:64].count(0) * 2 >= len(block[:64]) - 1:
        return ("UTF-16LE", "UTF-16 (little endian)") if at else ("UTF-16BE", "UTF-16 (big endian)")
    around = block[max(at - 32, 0) : at + 32]
    if block[at] >= 0x80 and not any(byte < 32 and byte not in b"\t\r\n" for byte in around):
        return "WINDOWS-1252", "Latin-1 or Windows-1252"
    return None, "binary data, or a damaged file"


def _cut(text: bytes, first_line: int) -> Iterator[TextChunk]:
    """Lines of `text`, at most 128k at a time, the overlong ones set aside."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1))
    for low in range(0, len(ends), CHUNK_LINES):
        high = min(low + CHUNK_LINES, len(ends))
        data, rejects = text[starts[low] : ends[high - 1] + 1], no_rejects()
        long = np.flatnonzero(ends[low:high] - starts[low:high] > LONGEST_LINE)
        if len(long):
            data, rejects = _set_aside(data, first_line + low, long.tolist())
        yield TextChunk(first_line + low, data, rejects)


def _set_aside(data: bytes, first_line: int, long: list[int]) -> tuple[bytes, pl.DataFrame]:
    import polars as pl

    lines = data.split(b"\n")
    raw = [lines[index][: 4 * KEPT_TEXT].decode(errors="replace")[:KEPT_TEXT] for index in long]
    for index in long:
        lines[index] = b""
    reason = f"line_too_long: over {LONGEST_LINE:,} bytes"
    rows = [(first_line + index, reason, text) for index, text in zip(long, raw, strict=True)]
    return b"\n".join(lines), pl.DataFrame(rows, schema=no_rejects().schema, orient="row")
