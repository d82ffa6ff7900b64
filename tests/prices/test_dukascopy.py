"""The Dukascopy source: ticks by its service, as a local server replays it, well and badly."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.sources.base import SourceError
from fx_assets.settings import Settings
from tests.prices import dukascopy_service
from tests.prices.dukascopy_service import HOUR, MONDAY, NOON, QUICK, Fetch, good_hour, hour_path, kept, live
from tests.support.dukascopy import answer_of_instrument, answer_of_ticks, as_bytes, minute_ticks
from tests.support.replay import DISCONNECT, HTML, RESET, Answer, Replay, cut, failing, hanging, short, too_many

server, fetch = dukascopy_service.server, dukascopy_service.fetch


def test_hour_after_hour_from_the_start_of_the_trading_date_to_the_last_that_has_ended(
    fetch: Fetch, server: Replay, tmp_path: Path
) -> None:
    said: list[str] = []
    given = fetch(log=said.append)
    first = datetime(2026, 7, 12, 21, tzinfo=UTC)  # 17:00 in New York, when trading date 2026-07-13 begins
    hours = [first + HOUR * at for at in range(14)]  # the one that ends at noon has ended just now: not yet
    assert server.paths == [hour_path(hour) for hour in hours]
    assert given.rows.height == 14 * 180
    assert given.rows["time"][0] == first
    assert given.notes == {"live": "reached", "answers": 14, "requests": 14}
    # What ended an hour ago or earlier is final and kept; the last is asked for again.
    assert given.cursor["until"] == "2026-07-13T11:00:00+00:00"
    assert len(kept(tmp_path)) == 14
    assert "EUR-USD/ticks/2026/07/13/10.json.gz" in kept(tmp_path)
    assert server.connections == 1
    assert server.seen[0].headers["user-agent"].startswith("Mozilla/5.0 (compatible; fx-assets")


def test_what_is_not_settled_is_given_and_asked_for_again(fetch: Fetch, server: Replay, tmp_path: Path) -> None:
    first = fetch(now=NOON + timedelta(minutes=5))
    assert server.paths[-1] == hour_path(NOON - HOUR)
    assert first.rows["time"][-1] >= NOON - HOUR
    assert first.cursor["until"] == "2026-07-13T11:00:00+00:00"
    assert "EUR-USD/ticks/2026/07/13/11.json.gz" not in kept(tmp_path)
    server.seen.clear()
    again = fetch(now=NOON + timedelta(minutes=6), last=first.cursor)
    assert server.paths == [hour_path(NOON - HOUR)]
    assert again.cursor == first.cursor  # nothing new, and it says so
    late = answer_of_ticks(NOON - HOUR, minute_ticks(99))
    server.routes[hour_path(NOON - HOUR)] = as_bytes(late)
    assert fetch(now=NOON + timedelta(minutes=7), last=first.cursor).cursor != first.cursor
    settled = fetch(now=NOON + HOUR, last=first.cursor)
    assert settled.cursor["until"] == "2026-07-13T12:00:00+00:00"


def test_runs_in_a_row_lose_nothing_and_repeat_only_what_was_not_settled(fetch: Fetch) -> None:
    at_once = fetch(now=NOON + timedelta(days=1)).rows
    rows, cursor = [], dict[str, Any]()
    now = MONDAY
    while now <= NOON + timedelta(days=1):
        given = fetch(now=now, last=cursor)
        rows.append(given.rows)
        cursor, now = given.cursor, now + timedelta(minutes=157)
    given = fetch(now=NOON + timedelta(days=1), last=cursor)
    together = pl.concat([frame for frame in [*rows, given.rows] if frame.height]).unique().sort("time")
    assert together.equals(at_once.sort("time"))


def test_an_interrupted_fetch_goes_on_where_it_stopped(fetch: Fetch, server: Replay, tmp_path: Path) -> None:
    broken = MONDAY + HOUR * 5
    server.routes[hour_path(broken)] = [failing(503)] * 3 + [good_hour(broken)]
    with pytest.raises(SourceError, match=r"ticks of EUR-USD from 2026-07-13 05:00: HTTP 503.* is kept in .*the next"):
        fetch()
    assert len(kept(tmp_path)) == 8
    asked_before = len(server.paths)
    given = fetch()
    assert server.paths[asked_before:] == [hour_path(broken + HOUR * at) for at in range(6)]
    assert given.rows.height == 14 * 180
    assert given.notes["requests"] == 6
    shutil.rmtree(tmp_path / "cache")
    assert fetch().rows.equals(given.rows)


BROKEN = MONDAY + HOUR * 5
OTHER_HOUR = good_hour(BROKEN + HOUR)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (short(good_hour(BROKEN)), "peer closed connection"),
        (cut(good_hour(BROKEN), 500), "answered something else: no JSON"),
        (too_many("86400"), "HTTP 429"),
        (failing(500), "HTTP 500"),
        (failing(404), "HTTP 404"),
        (RESET, "read error"),
        (DISCONNECT, "Server disconnected"),
        (HTML, "answered a web page instead of data"),
        (b"", "answered something else: no JSON"),
        (b'{"error": "no"}', "answered something else: times: missing"),
        (OTHER_HOUR, "answered something else: element 1 of times is at .* outside of what was asked for"),
        (hanging(30), "read timeout"),
    ],
    ids=["short", "cut", "429", "500", "404", "reset", "disconnect", "html", "empty", "error", "other hour", "silence"],
)
def test_an_hour_that_cannot_be_had_fails_the_fetch_with_the_cause(
    fetch: Fetch, server: Replay, tmp_path: Path, answer: Answer, cause: str
) -> None:
    server.routes[hour_path(BROKEN)] = answer
    policy = replace(QUICK, read=0.1) if cause == "read timeout" else QUICK
    with pytest.raises(SourceError, match=rf"05:00: .*{cause}"):
        fetch(policy=policy)
    assert "EUR-USD/ticks/2026/07/13/05.json.gz" not in kept(tmp_path)


@pytest.mark.parametrize("answer", [short(good_hour(BROKEN)), too_many("0"), failing(502), RESET, DISCONNECT])
def test_what_passes_is_tried_again(fetch: Fetch, server: Replay, answer: Answer) -> None:
    server.routes[hour_path(BROKEN)] = [answer, good_hour(BROKEN)]
    said: list[str] = []
    given = fetch(log=said.append)
    assert given.rows.height == 14 * 180
    assert any("attempt 2 of 3" in line for line in said)


@pytest.mark.parametrize(
    "change", [lambda data: data[:-20], lambda data: data[:0], lambda data: data[:40] + b"x" + data[41:]]
)
def test_a_kept_answer_that_was_damaged_is_asked_for_again(
    fetch: Fetch, server: Replay, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    whole, said = fetch(), list[str]()
    (path,) = (tmp_path / "cache").rglob("05.json.gz")
    path.write_bytes(change(path.read_bytes()))
    asked_before = len(server.paths)
    given = fetch(log=said.append)
    assert server.paths[asked_before] == hour_path(BROKEN)
    assert given.rows.equals(whole.rows)
    assert given.notes["kept_damaged"] == 1
    assert any("cannot be used" in line and "asking again" in line for line in said)
    assert "kept_damaged" not in fetch().notes


def test_a_kept_answer_of_another_hour_is_not_believed(fetch: Fetch, tmp_path: Path) -> None:
    whole = fetch()
    (five,), (six,) = ((tmp_path / "cache").rglob(f"{hour}.json.gz") for hour in ("05", "06"))
    five.write_bytes(six.read_bytes())
    again = fetch()
    assert again.rows.equals(whole.rows)
    assert again.notes["kept_damaged"] == 1


def test_a_cache_that_cannot_be_written_costs_a_copy_only(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    said: list[str] = []
    with pytest.raises(SourceError, match="holds nothing"):
        fetch(settings=Settings(home=tmp_path, live=False))
    assert fetch(log=said.append).rows.height == 14 * 180
    assert any("could not be kept" in line for line in said)


def test_a_weekend_is_not_asked_for_and_is_no_news(fetch: Fetch, server: Replay) -> None:
    spec = live(server, first="2026-07-10")
    friday = fetch(spec, now=datetime(2026, 7, 11, 3, tzinfo=UTC))
    assert server.paths[-1] == hour_path(datetime(2026, 7, 10, 20, tzinfo=UTC))  # ends at 17:00 in New York
    count = len(server.paths)
    sunday = fetch(spec, now=datetime(2026, 7, 12, 20, tzinfo=UTC), last=friday.cursor)
    assert (len(server.paths), sunday.cursor, sunday.batches) == (count, friday.cursor, [])
    fetch(spec, now=datetime(2026, 7, 12, 22, 5, tzinfo=UTC), last=sunday.cursor)
    assert server.paths[count:] == [hour_path(datetime(2026, 7, 12, 21, tzinfo=UTC))]


def test_a_market_that_never_closes_is_asked_at_the_weekend(fetch: Fetch, server: Replay) -> None:
    fetch(live(server, first="2026-07-11"), now=datetime(2026, 7, 11, 12, tzinfo=UTC), fx_week=False)
    assert len(server.paths) == 14


def test_an_hour_without_prices_is_believed_after_two_days(fetch: Fetch, server: Replay, tmp_path: Path) -> None:
    server.routes[hour_path(BROKEN)] = as_bytes(answer_of_ticks(BROKEN, []))
    first = fetch()
    assert first.rows.height == 13 * 180
    assert first.cursor["until"] == "2026-07-13T05:00:00+00:00"
    assert "EUR-USD/ticks/2026/07/13/05.json.gz" not in kept(tmp_path)
    server.seen.clear()
    server.routes[hour_path(BROKEN)] = good_hour(BROKEN)
    assert fetch(last=first.cursor).cursor["until"] == "2026-07-13T11:00:00+00:00"
    server.routes[hour_path(BROKEN)] = as_bytes(answer_of_ticks(BROKEN, []))
    shutil.rmtree(tmp_path / "cache")
    later = fetch(last=first.cursor, now=BROKEN + HOUR + timedelta(days=2))
    assert datetime.fromisoformat(later.cursor["until"]) > BROKEN + timedelta(days=1)


def test_a_long_history_comes_in_pieces(fetch: Fetch, server: Replay) -> None:
    spec = live(server, requests_per_run=5)
    cursor, rows = dict[str, Any](), []
    for left in ("2026-07-13 02:00", "2026-07-13 07:00", None):
        given = fetch(spec, last=cursor)
        assert given.notes.get("left_for_the_next_run") == (f"from {left}" if left else None)
        cursor = given.cursor
        rows.append(given.rows)
    assert sum(frame.height for frame in rows) == 14 * 180
    assert len(server.paths) == len(set(server.paths)) == 14


def test_the_first_fetch_begins_where_the_service_has_prices(fetch: Fetch, server: Replay) -> None:
    server.routes["/v1/instruments/EUR-USD"] = as_bytes(answer_of_instrument(first=NOON - HOUR * 4))
    spec = live(server)
    spec = spec.model_copy(update={"options": {key: value for key, value in spec.options.items() if key != "first"}})
    given = fetch(spec)
    assert server.paths == ["/v1/instruments/EUR-USD", *(hour_path(NOON - HOUR * back) for back in (4, 3, 2))]
    fetch(spec, last=given.cursor, now=NOON + timedelta(minutes=1))
    assert len(server.paths) == 4
    del server.routes["/v1/instruments/EUR-USD"]
    with pytest.raises(SourceError, match="HTTP 404"):
        fetch(spec)


def test_without_the_network_what_was_kept_is_given(fetch: Fetch, server: Replay, tmp_path: Path) -> None:
    offline = Settings(home=tmp_path, live=False)
    with pytest.raises(SourceError, match=r"the network is off \(FX_LIVE=false\) and .* holds nothing of EUR-USD"):
        fetch(settings=offline)
    online = fetch()
    count = len(server.paths)
    given = fetch(settings=offline)
    assert given.rows.equals(online.rows)
    assert given.notes["live"] == "off; what the cache has"
    nothing = fetch(settings=offline, last=online.cursor, now=NOON + HOUR)
    assert (nothing.notes["answers_missing"], nothing.cursor["until"]) == (1, online.cursor["until"])
    (path,) = (tmp_path / "cache").rglob("05.json.gz")
    path.unlink()
    holed = fetch(settings=offline)
    assert (holed.rows.height, holed.notes["answers_missing"]) == (13 * 180, 1)
    assert holed.cursor["until"] == "2026-07-13T05:00:00+00:00"
    mended = fetch(last=holed.cursor)
    assert mended.rows["time"][0] == BROKEN
    assert mended.cursor["until"] == online.cursor["until"]
    assert len(server.paths) == count + 1


def test_the_services_name_of_a_symbol(fetch: Fetch, server: Replay, tmp_path: Path) -> None:
    for symbol in ("EURUSD", "EUR-USD", "eur/usd"):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        fetch(live(server, symbol=symbol))
    assert {path.split("/")[3] for path in server.paths} == {"EUR-USD"}
    with pytest.raises(SourceError, match=r"symbol 'EUR\.\.USD/': expected one such as EURUSD, or options.code"):
        fetch(live(server, symbol="EUR..USD/"))
    server.routes = {}
    with pytest.raises(SourceError, match="HTTP 404"):
        fetch(live(server, code="USA500.IDX-USD"))
    assert server.paths[-1].startswith("/v1/ticks/USA500.IDX-USD/")


def test_pauses_lie_between_requests(fetch: Fetch, server: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("fx_assets.prices.dukascopy_service.time.sleep", slept.append)
    fetch(live(server, pause=0.25))
    assert slept == [0.25] * 13
