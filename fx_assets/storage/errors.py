"""What storage refuses, each as one exception that names the place and the remedy."""

from __future__ import annotations


class StorageError(RuntimeError):
    """Base of every refusal by the lake, the artifact store and the control database."""


class NoData(StorageError, LookupError):
    """The table holds nothing of that pair."""

    def __init__(self, table: str, pair: str | None = None) -> None:
        self.table = table
        self.pair = pair
        what = f"table {table!r} has no rows of {pair}" if pair else f"table {table!r} does not exist"
        super().__init__(f"{what}: materialize the asset that writes it first")


class CorruptFileError(StorageError):
    """A file of a table, or its log, is not what was committed; nothing of it was decoded."""


class CorruptArtifact(StorageError):
    """A checkpoint's files are not those of its manifest, or are of a kind that may run code."""


class FormatError(StorageError):
    """Written by another version of this project, in a format this one does not read."""


class WriteFailed(StorageError, OSError):
    """The disk refused a write (full, read-only, ...); the last committed version stays readable."""


class CommitConflict(StorageError):
    """Other writers committed to the table again and again while this one tried."""


class LeaseLost(StorageError):
    """The run may not publish: it was cancelled, or a newer run holds the lease."""


class ControlUnavailable(StorageError):
    """The control database is locked, gone, or of another version."""
