"""The ECB's file from the network: asked for once for all pairs, and kept on disk to bridge an outage."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from fx_assets.prices.download import DownloadError, RetryPolicy, download, shown
from fx_assets.prices.ecb_file import check_is_ecb_file
from fx_assets.settings import Settings

Log = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """What asking the network gave: the file or the reason why not, and when by the monotonic clock."""

    data: bytes | None
    cause: str
    at: float


_memo: dict[str, Answer] = {}
_memo_lock = threading.Lock()


def ask(settings: Settings, *, policy: RetryPolicy, memo_seconds: float, log: Log) -> Answer:
    """Download `settings.ecb_url`, unless that was tried within `memo_seconds`; pairs side by side ask once."""
    url = settings.ecb_url
    with _memo_lock:
        known = _memo.get(url)
        if known is not None and monotonic() - known.at < memo_seconds:
            return known
        try:
            data = download(url, policy=policy, verify=lambda data: check_is_ecb_file(data, name=shown(url)), log=log)
        except DownloadError as error:
            answer = Answer(None, str(error), monotonic())
        else:
            answer = Answer(data, "", monotonic())
            _keep(kept_file(settings), data, log)
        _memo[url] = answer
        return answer


def kept_file(settings: Settings) -> Path:
    """Where the last download from this address lies, if there was one."""
    digest = hashlib.sha256(settings.ecb_url.encode()).hexdigest()[:16]
    return settings.cache_path / f"ecb-{digest}.bin"


def written(path: Path) -> str:
    """When `path` was written, as text."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _keep(path: Path, data: bytes, log: Log) -> None:
    """Put `data` at `path` in one step. The copy only bridges outages: a disk that refuses it stops no run."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        if draft.exists():
            draft.unlink()
        log(f"the download could not be kept as {path}: {error}; going on without a copy")
