"""Price files as they lie on a disk: plain, gzip, xz or zip, read in bounded memory whatever their size.

What a file is packed with is told by its first bytes, never by its name. Nothing is unpacked to disk and no path is
made of a name inside an archive. Content is streamed in pieces of 1 MiB, so that an archive that unpacks to terabytes
costs time but no memory.
"""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from fx_assets.prices.sources.base import SourceError

if TYPE_CHECKING:
    from fx_assets.prices.text import TextChunk

PIECE = 1 << 20
READ_LIMIT = 256 << 20
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB; a file may ask for 4 GiB
_GZIP, _XZ, _ZIP = b"\x1f\x8b", b"\xfd7zXZ\x00", (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED = 0x1
_AGAIN = "copy or download it again"


class FileError(SourceError, ValueError):
    """A file that cannot be read; the message names it, says where it went wrong and what to do.

    `encoding` is the text encoding that it seems to be in, where that is what is wrong.
    """

    def __init__(self, message: str, *, encoding: str | None = None) -> None:
        super().__init__(message)
        self.encoding = encoding


class _Peekable(Protocol):
    """A binary stream that shows its first bytes without using them up."""

    def peek(self, size: int = ..., /) -> bytes: ...
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True)
class InputFile:
    """One file, or one member of a zip. `name` is how messages call it: `prices.csv`, or `prices.zip/prices.csv`."""

    name: str
    path: Path
    _archive: zipfile.ZipFile | None = field(default=None, repr=False, compare=False)
    _member: zipfile.ZipInfo | None = field(default=None, repr=False, compare=False)

    def chunks(self) -> Iterator[bytes]:
        """The unpacked content in pieces of at most 1 MiB.

        Raises `FileError` where it is damaged or ends early, saying how far it was good: what came before is part of a
        whole that does not exist, so do not keep it.
        """
        done = 0
        try:
            with self._open() as stream:
                for piece in _unpacked(stream, self.name):
                    done += len(piece)
                    yield piece
        except EOFError:
            raise FileError(
                f"{self.name}: the compressed data ends early, after {done:,} bytes of content; {_AGAIN}"
            ) from None
        except (gzip.BadGzipFile, zipfile.BadZipFile, lzma.LZMAError, zlib.error) as error:
            raise FileError(
                f"{self.name}: the compressed data is damaged after {done:,} bytes of content ({error}); {_AGAIN}"
            ) from error
        except NotImplementedError as error:  # zipfile's word for a method of compression that it lacks
            raise FileError(f"{self.name}: {error}; pack it again with deflate") from error
        except OSError as error:
            raise FileError(f"{self.name}: cannot be read after {done:,} bytes ({error})") from error

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """The whole unpacked content. Raises `FileError` where that is more than `limit` bytes."""
        content = bytearray()
        for piece in self.chunks():
            content += piece
            if len(content) > limit:
                raise FileError(f"{self.name}: more than {limit:,} bytes, the most that is read at once; split it")
        return bytes(content)

    def text(self) -> Iterator[TextChunk]:
        """The content as whole lines of UTF-8, see `fx_assets.prices.text.TextChunk`; nothing for an empty file."""
        from fx_assets.prices.text import text_chunks

        return text_chunks(self.name, self.chunks())

    def _open(self) -> AbstractContextManager[_Peekable]:
        if self._archive is None or self._member is None:
            return self.path.open("rb")
        if self._member.flag_bits & _ENCRYPTED:
            raise FileError(f"{self.name}: encrypted; unpack it with its password first")
        return self._archive.open(self._member)  # type: ignore[return-value]  # a ZipExtFile, which can peek


def input_files(path: Path, name: str | None = None) -> list[InputFile]:
    """What is to be read at `path`: the file itself, or each member of a zip, by name.

    `name` is how messages call it, else its own. Folders inside a zip and the Finder's `__MACOSX` are left out, so that
    an empty zip gives none; an empty file gives one without content. Raises `FileError` where `path` is no file, cannot
    be opened, or is a zip without its table of contents.
    """
    name = name or path.name
    if not path.is_file():
        raise FileError(f"{name}: {'is a folder, expected a file' if path.is_dir() else 'no such file'}")
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
        if first not in _ZIP:
            return [InputFile(name, path)]
        archive = zipfile.ZipFile(path)  # stays open as long as one of its members is in use
    except zipfile.BadZipFile as error:
        raise FileError(
            f"{name}: a zip without its table of contents, which stands at the end ({error}): none of it can be read; "
            f"{_AGAIN}"
        ) from error
    except OSError as error:
        raise FileError(f"{name}: cannot be opened ({error})") from error
    members = [member for member in archive.infolist() if not member.is_dir()]
    if any(member.filename == "[Content_Types].xml" for member in members):
        raise FileError(f"{name}: an Excel workbook; save the sheet as CSV (UTF-8)")
    members = [member for member in members if not member.filename.startswith("__MACOSX/")]
    members.sort(key=lambda member: member.filename)
    return [InputFile(f"{name}/{member.filename}", path, archive, member) for member in members]


def _unpacked(stream: _Peekable, name: str) -> Iterator[bytes]:
    """The content of a stream, unpacked where it is gzip or xz."""
    first = stream.peek(len(_XZ))
    if first.startswith(_XZ):
        yield from _xz(stream)
        return
    if first.startswith(_ZIP):
        raise FileError(f"{name}: a zip inside a zip; unpack the outer one")
    source: _Peekable | IO[bytes] = stream
    if first.startswith(_GZIP):
        source = gzip.GzipFile(fileobj=stream)  # type: ignore[call-overload]
    while piece := source.read(PIECE):
        yield piece


def _xz(stream: _Peekable) -> Iterator[bytes]:
    """The content of one or more xz streams. `lzma.open` takes a damaged second stream for the end; this does not."""
    data = stream.read(PIECE)
    while data:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        while not decoder.eof:
            if not data and decoder.needs_input and not (data := stream.read(PIECE)):
                raise EOFError
            if piece := decoder.decompress(data, PIECE):
                yield piece
            data = b""
        data = decoder.unused_data.lstrip(b"\0")  # streams may be padded with zeros
        while not data and (more := stream.read(PIECE)):
            data = more.lstrip(b"\0")
