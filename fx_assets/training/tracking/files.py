"""A checkpoint's files in a folder, for libraries that take paths and not bytes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fx_assets.storage.artifacts import MANIFEST


@contextmanager
def written(manifest: Mapping[str, Any], files: Mapping[str, bytes], within: Path) -> Iterator[Path]:
    """A folder under `within` with `files` and the manifest, byte for byte as the artifact store has them.

    These are the safe formats only: the store has refused every pickle before. Gone afterwards. Raises OSError where
    the disk refuses.
    """
    within.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=within, prefix="tracked-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        text = json.dumps(dict(manifest), indent=2, sort_keys=True, allow_nan=False) + "\n"
        (Path(folder) / MANIFEST).write_text(text)
        yield Path(folder)
