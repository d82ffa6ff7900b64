"""Files in every packing, whole and broken: what can be read is read, in bounded memory; what cannot says so."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from fx_assets.prices.files import PIECE, FileError, InputFile, input_files
from fx_assets.prices.sources.base import SourceError

CONTENT = b"".join(b"20180101 %06d;1.1;1.2;1.0;1.1;0\n" % number for number in range(60_000))


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "gzip in two members": lambda content: gzip.compress(content[:1000]) + gzip.compress(content[1000:]),
    "xz": lzma.compress,
    "xz in two streams": lambda content: lzma.compress(content[:1000]) + b"\0" * 8 + lzma.compress(content[1000:]),
    "zip": lambda content: zipped(("a.csv", content)),
    "gzip in a zip": lambda content: zipped(("a.csv.gz", gzip.compress(content))),
}


def only(path: Path) -> InputFile:
    [file] = input_files(path)
    return file


@pytest.mark.parametrize("packing", PACKINGS)
def test_content_is_told_by_its_first_bytes(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "misleading.txt"
    path.write_bytes(PACKINGS[packing](CONTENT))
    pieces = list(only(path).chunks())
    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= PIECE
    assert only(path).read() == CONTENT


@pytest.mark.parametrize("packing", ["gzip", "gzip in two members", "xz", "xz in two streams"])
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_what_ends_early_is_refused_with_how_far_it_was_good(tmp_path: Path, packing: str, kept: float) -> None:
    path = tmp_path / "prices.csv.gz"
    packed = PACKINGS[packing](CONTENT)
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(
        FileError, match=r"prices.csv.gz: the compressed data ends early, after [\d,]+ bytes of content"
    ):
        only(path).read()


@pytest.mark.parametrize("packing", ["gzip", "xz", "zip"])
def test_one_damaged_byte_is_seen(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "prices"
    packed = bytearray(PACKINGS[packing](CONTENT))
    packed[len(packed) // 2] ^= 0x55
    path.write_bytes(packed)
    with pytest.raises(FileError, match=r"prices.*: the compressed data is damaged after [\d,]+ bytes.*download it"):
        only(path).read()


def test_a_second_xz_stream_that_is_damaged_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "prices.xz"
    path.write_bytes(lzma.compress(CONTENT) + b"rubbish" * 10)
    with pytest.raises(FileError, match=f"damaged after {len(CONTENT):,} bytes"):
        only(path).read()


def test_an_xz_that_wants_gigabytes_of_dictionary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.xz"
    # The dictionary's size stands in the block header; the encoder itself need not be given that much.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    packed = bytearray(lzma.compress(b"x" * 100, filters=filters))
    where = packed.index(bytes([0x21, 0x01])) + 2
    packed[where] = 38  # 2 GiB
    size = (packed[12] + 1) * 4
    packed[12 + size - 4 : 12 + size] = zlib.crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    path.write_bytes(packed)
    with pytest.raises(FileError, match=r"prices.xz: .*damaged.*[Mm]emory"):
        only(path).read()


def test_a_zip_without_its_end_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "prices.zip"
    packed = zipped(("a.csv", CONTENT))
    path.write_bytes(packed[:-30])
    with pytest.raises(FileError, match=r"prices.zip: a zip without its table of contents.*none of it can be read"):
        input_files(path)


def test_every_member_of_a_zip_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.zip"
    path.write_bytes(zipped(("b.csv", b"2"), ("sub/", b""), ("sub/a.csv", b"1"), ("__MACOSX/._b.csv", b"\0\5")))
    assert [(file.name, file.read()) for file in input_files(path)] == [
        ("prices.zip/b.csv", b"2"),
        ("prices.zip/sub/a.csv", b"1"),
    ]


def test_what_no_one_can_read_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "prices"
    path.write_bytes(zipped(("[Content_Types].xml", b""), ("xl/workbook.xml", b"")))
    with pytest.raises(FileError, match="an Excel workbook; save the sheet as CSV"):
        input_files(path)
    path.write_bytes(zipped(("inner.zip", zipped(("a.csv", b"1")))))
    with pytest.raises(FileError, match=r"prices/inner.zip: a zip inside a zip; unpack the outer one"):
        only(path).read()
    packed = bytearray(zipped(("a.csv", b"1")))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(mark) + flags] |= 1
    path.write_bytes(packed)
    with pytest.raises(FileError, match=r"prices/a.csv: encrypted; unpack it"):
        only(path).read()
    packed = bytearray(zipped(("a.csv", b"1")))
    for mark, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        packed[packed.index(mark) + method] = 9  # deflate64
    path.write_bytes(packed)
    with pytest.raises(FileError, match=r"prices/a.csv: .*compression.*; pack it again with deflate"):
        only(path).read()


def test_no_file_a_folder_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone.csv: no such file"):
        input_files(tmp_path / "gone.csv")
    with pytest.raises(FileError, match="is a folder, expected a file"):
        input_files(tmp_path)
    (tmp_path / "empty").touch()
    file = only(tmp_path / "empty")
    assert (file.read(), list(file.text())) == (b"", [])
    (tmp_path / "empty.zip").write_bytes(zipped())
    assert input_files(tmp_path / "empty.zip") == []


def test_a_file_error_is_a_source_error_and_a_value_error() -> None:
    assert issubclass(FileError, SourceError)
    assert issubclass(FileError, ValueError)


def test_reading_whole_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(3 * PIECE)))
    with pytest.raises(FileError, match=r"bomb.gz: more than 1,000 bytes, the most that is read at once"):
        only(path).read(1000)


MEMORY = """
import sys
from pathlib import Path
import polars as pl
from fx_assets.prices.clocks import clock
from fx_assets.prices.delimited import Layout, read_delimited
from fx_assets.prices.files import input_files

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

layout = Layout(";", ("time", "open", "high", "low", "close", None), "%Y%m%d %H%M%S")
[warm, file] = [input_files(Path(name))[0] for name in sys.argv[1:]]
rows = rejects = 0
for chunk in warm.text():
    read_delimited(chunk, layout, clock("histdata"))
before = peak()
for chunk in file.text():
    good, bad = read_delimited(chunk, layout, clock("histdata"))
    rows, rejects = rows + len(good), rejects + len(bad)
print(rows, rejects, round(peak() - before))
"""


def measured(warm: Path, path: Path) -> tuple[int, int, int]:
    """Rows, rejects, and MiB that the peak of a process grew from reading a first file to reading `path`."""
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(warm), str(path)], capture_output=True, text=True, check=True
    )
    rows, rejects, grown = map(int, result.stdout.split())
    return rows, rejects, grown


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["gzip", "xz", "zip"])
def test_memory_stays_bounded_whatever_the_size(tmp_path: Path, packing: str) -> None:
    line = b"20180102 170000;1.200370;1.201000;1.200370;1.201000;0\n"
    block = line * (4 << 20 >> 5)
    warm, path = tmp_path / "warm", tmp_path / "large"
    warm.write_bytes(line * (1 << 19))
    with contextlib.ExitStack() as stack:
        stream: IO[bytes] | gzip.GzipFile
        if packing == "zip":
            archive = stack.enter_context(zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED))
            stream = stack.enter_context(archive.open("a.csv", "w"))
        elif packing == "xz":
            stream = stack.enter_context(lzma.open(path, "wb", preset=0))
        else:
            stream = stack.enter_context(gzip.open(path, "wb", 1))
        for _ in range(22):
            stream.write(block)
    rows, rejects, grown = measured(warm, path)
    assert (rows, rejects) == (22 << 17, 0)  # 150 MiB of text
    assert grown < 64


@pytest.mark.slow
def test_a_line_without_an_end_is_never_held_whole(tmp_path: Path) -> None:
    warm, path = tmp_path / "warm", tmp_path / "large"
    warm.write_bytes(b"20180102 170000;1.200370;1.201000;1.200370;1.201000;0\n" * (1 << 19))
    with gzip.open(path, "wb", 1) as stream:
        for _ in range(300):
            stream.write(b"x" * PIECE)
    rows, rejects, grown = measured(warm, path)
    assert (rows, rejects) == (0, 1)
    assert grown < 64
