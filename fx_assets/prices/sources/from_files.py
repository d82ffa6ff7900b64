"""The base of sources that read files: which files are new, in which order, and whether their clock can be right."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fx_assets.prices.batch import Batch
from fx_assets.prices.clocks import Clock, clock, contradiction, thin
from fx_assets.prices.files import FileError, InputFile, input_files
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError
from fx_assets.settings import project_root

if TYPE_CHECKING:
    import polars as pl

WALL = "wall"
_COMPACT = 1 << 18


class FileSource(PriceSource):
    """Reads files: those of `source.files` (paths, folders or globs, from the project's root), else the pair's inbox.

    A subclass overrides `_read`. Files are read in the order of their paths; one that the last fetch saw as it is now
    is skipped. In folders before the last one, what is skipped or read again is the whole folder. `default_clock`: what
    the times are read by where the configuration names no clock. `empty_is_closed`: whether a file without content
    means that the market was closed, so that nothing but such files is no error.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"files", "clock"})
    default_clock: ClassVar[str] = "UTC"
    empty_is_closed: ClassVar[bool] = False

    @abstractmethod
    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        """The rows of one file, in its order; count in `notes` what a reader of the run should know.

        Rows may carry a column `wall` (Datetime[us] without a zone), the times as they stand in the file: the clock is
        checked against the week by them, and they are removed. Leave it out where the file says its own offset.
        Raises `FileError` where the file is none of this source's.
        """

    def clock(self, request: Request) -> Clock:
        """The clock that the configuration names, else the source's own."""
        return clock(request.source.clock or self.default_clock)

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        seen: dict[str, dict[str, Any]] = dict(request.cursor.get("files", {}))
        fresh: dict[str, dict[str, Any]] = {}
        read = skipped = 0
        week = _Week(self.clock(request).name if request.fx_week and "clock" in self.uses else None)
        found = {_short(path, request): path for path in find_files(request)}
        folders = _earlier_folders(found)
        done = {folder for folder, digest in folders.items() if request.cursor.get("folders", {}).get(folder) == digest}
        for name, path in found.items():
            if _folder(name) in done:
                skipped += 1
                continue
            fresh[name], known = _entry(path, name, seen.get(name))
            if known:
                skipped += 1
                continue
            read += 1
            request.log(f"{request.pair}: reading {name}")
            yield from self._file(path, name, request, feed.notes, week)
            if not _entry(path, name, fresh[name])[1]:
                raise FileError(f"{name}: changed while it was read; run again once it is copied whole")
        week.whole(f"the {read} files of {request.pair} together")
        if read == feed.notes.get("files_empty") and not (skipped or self.empty_is_closed):
            raise SourceError(f"{request.pair}: nothing but empty files: {', '.join(fresh)}")
        feed.notes |= {"files": read, "files_skipped": skipped}
        # What was read of earlier folders is said in one word each: hours of ticks are 6,000 files a year.
        kept = {name: entry for name, entry in fresh.items() if _folder(name) not in folders}
        feed.cursor = {"files": kept, **({"folders": folders} if folders else {})}

    def _file(
        self, path: Path, name: str, request: Request, notes: dict[str, str | int], week: _Week
    ) -> Iterator[Batch]:
        """The rows of one path, each member of a zip after the other."""
        members = input_files(path, name)
        if not any(next(member.chunks(), b"") for member in members):
            notes["files_empty"] = int(notes.get("files_empty", 0)) + 1
            return
        for member in members:
            for batch in self._read(member, request, notes):
                if WALL in batch.rows.columns:
                    week.add(batch.rows[WALL], batch.form.seconds)
                yield replace(batch, rows=batch.rows.drop(WALL, strict=False))
            week.close(member.name)


class _Week:
    """Looks at the times on the wall of each file, and of all of them together, for a week that no market keeps."""

    def __init__(self, clock: str | None) -> None:
        self._clock = clock
        self._file, self._all = _Times(), _Times()
        self._files = self._seconds = 0

    def add(self, wall: pl.Series, seconds: int) -> None:
        """Times of the file at hand."""
        if self._clock is not None:
            self._file.add(wall)
            self._seconds = seconds

    def close(self, name: str) -> None:
        """Check the file at hand and keep its times for `whole`. Raises `FileError`."""
        self._check(self._file, name)
        for part in self._file.parts:
            self._all.add(part)
        self._files += bool(self._file.parts)
        self._file = _Times()

    def whole(self, name: str) -> None:
        """Check all files together: each may have been too short to say anything. Raises `FileError`."""
        if self._files > 1:
            self._check(self._all, name)

    def _check(self, times: _Times, name: str) -> None:
        if self._clock is None or not times.parts:
            return
        fault = contradiction(times.joined(), clock=self._clock, seconds=self._seconds)
        if fault:
            raise FileError(f"{name}: {fault}")


class _Times:
    """Times thinned to what `contradiction` looks at; thinned again whenever they have doubled."""

    def __init__(self) -> None:
        self.parts: list[pl.Series] = []
        self._compact = _COMPACT

    def add(self, wall: pl.Series) -> None:
        self.parts.append(thin(wall))
        if sum(map(len, self.parts)) > 2 * self._compact:
            self.parts = [thin(self.joined())]
            self._compact = max(_COMPACT, len(self.parts[0]))

    def joined(self) -> pl.Series:
        import polars as pl

        return pl.concat(self.parts)


def find_files(request: Request) -> list[Path]:
    """The files that a source is asked to read, by path, each once.

    Raises `SourceError` naming the place where there is none, and for a path without wildcards that does not exist.
    Hidden files are left out.
    """
    given = request.source.files or str(request.settings.inbox_path / request.pair / "*")
    found: set[Path] = set()
    for pattern in [given] if isinstance(given, str) else given:
        place = project_root() / Path(pattern).expanduser()
        if place.is_dir():
            matches: Iterator[Path] = place.iterdir()
        elif place.exists():
            matches = iter([place])
        else:
            matches = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        files = {path for path in matches if path.is_file() and not path.name.startswith(".")}
        if not files and not has_magic(str(place)):
            raise SourceError(f"{request.pair}: {place} {'holds no file' if place.is_dir() else 'does not exist'}")
        if not files:
            request.log(f"{request.pair}: no file matches {place}")
        found |= files
    if not found:
        hint = "" if request.source.files else "; put the pair's files there, or name them under source.files"
        raise SourceError(f"{request.pair}: no file matches {given if isinstance(given, str) else list(given)}{hint}")
    return sorted(found, key=str)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _earlier_folders(found: Mapping[str, Path]) -> dict[str, str]:
    """Each folder but the last, with a digest of the names, sizes and times of its files."""
    by_folder: dict[str, list[str]] = {}
    for name, path in found.items():
        try:
            stat = path.stat()
        except OSError as error:
            raise FileError(f"{name}: cannot be read ({error})") from error
        by_folder.setdefault(_folder(name), []).append(f"{name}\n{stat.st_size} {stat.st_mtime_ns}\n")
    earlier = sorted(by_folder)[:-1]
    return {folder: hashlib.sha256("".join(by_folder[folder]).encode()).hexdigest()[:16] for folder in earlier}


def _short(path: Path, request: Request) -> str:
    """A path as messages and the cursor call it: from the home or the project it lies in, so that both may move."""
    for place in (request.settings.home, project_root()):
        if path.is_relative_to(place):
            return str(path.relative_to(place))
    return str(path)


def _entry(path: Path, name: str, before: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """What the cursor keeps of a file, and whether it is as it was `before`. The content is read only in doubt."""
    try:
        found = path.stat()
        entry: dict[str, Any] = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
        if before is not None and all(before.get(key) == value for key, value in entry.items()):
            return {**entry, "sha256": before["sha256"]}, True
        with path.open("rb") as stream:
            entry["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error})") from error
    return entry, before is not None and before.get("sha256") == entry["sha256"]
