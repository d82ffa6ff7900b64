"""What the tests of the Dukascopy source share: requests, and its service as a local server replays it.

A file of tests takes the fixtures over by their names:

    server, fetch = dukascopy_service.server, dukascopy_service.fetch
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fx_assets.prices.download import RetryPolicy
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.dukascopy import DukascopySource
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import Given, answer_of
from tests.support.dukascopy import answer_of_ticks, as_bytes, minute_ticks
from tests.support.replay import Answer, Replay, Route, Seen, replaying

QUICK = RetryPolicy(attempts=3, connect=2, read=2, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
MONDAY = datetime(2026, 7, 13, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
HOUR = timedelta(hours=1)
OPTIONS = {"pause": 0, "first": "2026-07-13"}


def asked(home: Path, spec: SourceSpec, **changes: Any) -> Request:
    body: dict[str, Any] = {
        "pair": "EURUSD",
        "source": spec,
        "settings": Settings(home=home, live=True),
        "log": lambda _: None,
        "now": NOON,
        "history_start": date(2003, 5, 5),
    }
    return Request(**{**body, **changes})


def hour_path(hour: datetime) -> str:
    return f"/v1/ticks/EUR-USD/{hour.year}/{hour.month}/{hour.day}/{hour.hour}"


@cache
def good_hour(hour: datetime) -> bytes:
    return as_bytes(answer_of_ticks(hour, minute_ticks(int(hour.timestamp()) // 3_600)))


def ticks_of_any_hour(seen: Seen) -> Answer:
    """Ticks for every hour that is asked for."""
    year, month, day, hour = map(int, seen.path.split("/")[-4:])
    return good_hour(datetime(year, month, day, hour, tzinfo=UTC))


class Ticks(dict[str, Route]):
    """Routes that answer every hour; single ones may be set."""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or str(key).startswith("/v1/ticks/EUR-USD/")

    def get(self, key: str, default: Any = None) -> Any:
        if super().__contains__(key):
            return self[key]
        return ticks_of_any_hour if key in self else default


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """The service, good at every hour. It speaks plain HTTP, so clients need not load certificates: 50 ms each."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with replaying() as running:
        running.routes = Ticks()
        yield running


def live(server: Replay, **changes: Any) -> SourceSpec:
    keys = {key: changes.pop(key) for key in ("resolution", "side", "symbol") if key in changes}
    options = {"base_url": f"{server.url}/v1", **OPTIONS, **changes}
    return SourceSpec(kind="dukascopy", options=options, **keys)


Fetch = Callable[..., Given]


@pytest.fixture
def fetch(tmp_path: Path, server: Replay) -> Fetch:
    """Ask the source, at `now`, with what the last fetch left."""

    def run(spec: SourceSpec | None = None, *, now: datetime = NOON, last: Mapping[str, Any] | None = None,
            policy: RetryPolicy = QUICK, **changes: Any) -> Given:  # fmt: skip
        request = asked(tmp_path, spec or live(server), now=now, cursor=last or {}, **changes)
        return answer_of(DukascopySource(policy), request)

    return run


def kept(home: Path) -> list[str]:
    """The names in the cache, below the folder of the address."""
    return sorted("/".join(path.parts[-6:]) for path in (home / "cache").rglob("*") if path.is_file())
