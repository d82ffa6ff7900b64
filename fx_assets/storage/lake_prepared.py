"""Files of a commit that is not made yet: on disk, synced, and named by no log entry so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fx_assets.storage import lake_log
from fx_assets.storage.durable import make_folders, write_new
from fx_assets.storage.errors import CorruptFileError
from fx_assets.storage.lake_log import NewFile


class Prepared:
    """A context in which files are written; leaving it by an error removes those that the log does not name."""

    def __init__(self, folder: Path) -> None:
        self.files: list[NewFile] = []
        self._folder = folder

    def __enter__(self) -> Prepared:
        return self

    def add(self, path: str, content: bytes, *, rows: int, block: str | None = None) -> NewFile:
        """Write and sync one file, `path` being from the table's folder. Raises WriteFailed."""
        file = NewFile(path, len(content), rows, block)
        make_folders((self._folder / path).parent)
        self.files.append(file)
        write_new(self._folder / path, content)
        return file

    def withdraw(self, files: Sequence[NewFile]) -> None:
        """Remove prepared files unless the log names them: an error may come after the log entry."""
        opened = lake_log.open_table(self._folder)
        named = set() if opened is None else {file.path for file in opened.files}
        for file in files:
            if file.path not in named:
                (self._folder / file.path).unlink(missing_ok=True)
        self.files = [file for file in self.files if file not in files]

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is None or not self.files:
            return
        left = list(self.files)
        try:
            self.withdraw(left)
        except (OSError, CorruptFileError) as second:
            paths = ", ".join(str(self._folder / file.path) for file in left[:3])
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            error.add_note(f"{paths}{more} may be left behind for Lake.clean: {second}")
