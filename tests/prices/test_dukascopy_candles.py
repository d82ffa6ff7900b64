"""The Dukascopy source: candles by its service, and the service's own answers."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.sources.base import SourceError
from tests.prices import dukascopy_service
from tests.prices.dukascopy_service import HOUR, MONDAY, NOON, Fetch, hour_path, kept, live
from tests.support.dukascopy import answer_of_candles, as_bytes
from tests.support.replay import Replay, cut, short

server, fetch = dukascopy_service.server, dukascopy_service.fetch


def candle_day(day: datetime, minutes: int) -> bytes:
    candles = [(60 * at, 114_000 + at, 114_005 + at, 113_995 + at, 114_001 + at, 2.0) for at in range(minutes)]
    return as_bytes(answer_of_candles(day, candles))


def test_minutes_by_the_day_and_of_the_unfinished_day_those_that_have_ended(
    fetch: Fetch, server: Replay, tmp_path: Path
) -> None:
    saturday, sunday = MONDAY - timedelta(days=2), MONDAY - timedelta(days=1)
    base = "/v1/candles/minute/EUR-USD/ASK"
    opened = f"{base}?from={int(MONDAY.timestamp()) * 1_000}"
    server.routes = {
        f"{base}/2026/7/9": candle_day(MONDAY - timedelta(days=4), 1_440),
        f"{base}/2026/7/10": candle_day(MONDAY - timedelta(days=3), 1_260),
        f"{base}/2026/7/12": as_bytes(
            answer_of_candles(sunday, [(75_600, 5, 5, 5, 5, 1.0), (75_660, 5, 5, 5, 5, 0.0)])
        ),
        opened: candle_day(MONDAY, 721),
    }
    spec = live(server, resolution="1min", side="ask", first="2026-07-10")
    now = NOON + timedelta(seconds=30)
    given = fetch(spec, now=now)
    assert server.paths == [f"{base}/2026/7/9", f"{base}/2026/7/10", f"{base}/2026/7/12", opened]
    assert saturday.date() not in set(given.rows["time"].dt.date())
    assert {batch.form for batch in given.batches} == {Form("bar", 60, "ask")}
    assert given.rows.height == 1_440 + 1_260 + 1 + 720
    assert given.rows["time"][-1] == NOON - timedelta(minutes=1)  # that of 12:00 has not ended
    assert given.notes["closed_dropped"] == 1
    assert given.cursor["until"] == "2026-07-13T00:00:00+00:00"
    assert kept(tmp_path)[-1].endswith("EUR-USD/minute-ask/2026/07/12.json.gz")
    # The same minutes again are no news, one more is.
    assert fetch(spec, now=now, last=given.cursor).cursor == given.cursor
    more = fetch(spec, now=now + timedelta(minutes=1), last=given.cursor)
    assert more.cursor != given.cursor
    assert more.rows.height == 721


@pytest.mark.parametrize(
    ("resolution", "path", "opened", "seconds", "start"),
    [
        ("1h", "hour/EUR-USD/BID/2026/6", "hour/EUR-USD/BID", 3_600, datetime(2026, 6, 1, tzinfo=UTC)),
        ("1d", "day/EUR-USD/BID/2025", "day/EUR-USD/BID", 86_400, datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_hours_by_the_month_and_days_by_the_year(
    fetch: Fetch, server: Replay, resolution: str, path: str, opened: str, seconds: int, start: datetime
) -> None:
    after = datetime(2026, 7, 1, tzinfo=UTC) if resolution == "1h" else datetime(2026, 1, 1, tzinfo=UTC)
    candles = [(seconds * at, 5, 9, 4, 6, 1.0) for at in range(13)]
    server.routes = {
        f"/v1/candles/{path}": as_bytes(answer_of_candles(start, candles, seconds=seconds)),
        f"/v1/candles/{opened}": as_bytes(answer_of_candles(after, candles, seconds=seconds)),
    }
    given = fetch(live(server, resolution=resolution, first=f"{start + timedelta(days=3):%Y-%m-%d}"))
    assert server.paths == [f"/v1/candles/{path}", f"/v1/candles/{opened}?from={int(after.timestamp()) * 1_000}"]
    assert given.rows.height == 26
    assert given.cursor["until"] == after.isoformat()


def test_the_services_own_answers_are_replayed(sample_data: Path, tmp_path: Path, server: Replay, fetch: Fetch) -> None:
    folder = sample_data / "dukascopy" / "json_api_v1"
    said = {path.stem: path.read_bytes() for path in folder.iterdir()}
    minutes, ticks_of_noon = said["candles-minute-EUR-USD-BID-2026-7-10"], said["ticks-EUR-USD-2026-7-13-12"]
    server.routes = {
        "/v1/instruments/EUR-USD": said["instrument-EUR-USD"],
        hour_path(NOON): [short(ticks_of_noon), ticks_of_noon],
        "/v1/candles/minute/EUR-USD/BID/2026/7/9": as_bytes(answer_of_candles(MONDAY - timedelta(days=4), [])),
        "/v1/candles/minute/EUR-USD/BID/2026/7/10": minutes,
        "/v1/candles/minute/EUR-USD/BID": as_bytes(answer_of_candles(MONDAY - timedelta(days=1), [])),
        "/v1/candles/minute/EUR-USD/BID/2026/7/11": said["candles-minute-EUR-USD-BID-2026-7-11-empty"],
    }  # fmt: skip
    last = {"until": NOON.isoformat(), "rest": ""}
    ticks = fetch(last=last, now=NOON + HOUR * 2)
    assert (ticks.rows.height, ticks.rows["ask"][0]) == (3_551, 1.14277)
    spec = live(server, resolution="1min", first="2026-07-10")
    bars = fetch(spec, now=datetime(2026, 7, 12, 0, 5, tzinfo=UTC), fx_week=False)
    assert (bars.rows.height, bars.rows["open"][0]) == (1_258, 1.14331)
    assert bars.notes["answers"] == 4
    halves = {path: cut(body, len(body) // 2) for path, body in server.routes.items() if isinstance(body, bytes)}
    shutil.rmtree(tmp_path / "cache")
    server.routes = {**server.routes, **halves}
    with pytest.raises(SourceError, match="answered something else: no JSON"):
        fetch(spec, now=datetime(2026, 7, 12, 0, 5, tzinfo=UTC))
    folders = re.compile("2026/07/1[01]")
    assert not [name for name in kept(tmp_path) if folders.search(name)]
