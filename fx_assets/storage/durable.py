"""Writes that survive a power cut: every file and folder synced, every name checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fx_assets.storage.errors import WriteFailed


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """Turn an operating-system refusal inside the block into `WriteFailed` with the path."""
    try:
        yield
    except WriteFailed:
        raise
    except OSError as error:
        raise WriteFailed(
            f"cannot {what} {path}: {error.strerror or error}. Nothing was published and the last version "
            f"stays readable; free the disk or the permissions there and run again"
        ) from error


def sync_folder(path: Path) -> None:
    """fsync a folder, so that names created in it are on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """fsync a file that someone else wrote."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(path: Path) -> None:
    """Create `path` and its missing parents, each synced into its parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with naming(folder, "create the folder"):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, and sync it and its folder; on failure it is removed."""
    with naming(path, "write"):
        try:
            with path.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            sync_folder(path.parent)
        except FileExistsError:
            raise
        except BaseException:
            path.unlink(missing_ok=True)
            raise
