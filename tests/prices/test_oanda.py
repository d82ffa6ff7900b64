"""OANDA's candles: saved answers as files, and the service, replayed by a real local server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from fx_assets.prices.batch import Form
from fx_assets.prices.download import RetryPolicy
from fx_assets.prices.oanda_json import GRANULARITIES
from fx_assets.prices.sources.base import SourceError, source
from fx_assets.prices.sources.oanda import OandaSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from tests.prices.conftest import Given, answer_of, pair, request
from tests.prices.test_oanda_json import HOUR, START, answer, candle
from tests.support.replay import DISCONNECT, HTML, Reply, Route, Seen, cut, failing, replaying, short, too_many

QUICK = RetryPolicy(attempts=3, connect=1, read=1, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
TOKEN = "7f3c-very-secret-9a1b"
PATH = "/v3/instruments/EUR_USD/candles"


# Files


def fetch(settings: Settings, spec: PairSpec, **changes: Any) -> Given:
    return answer_of(OandaSource(QUICK, page=10, pause=0.0), request(settings, spec, **changes))


def spec_of(**changes: Any) -> PairSpec:
    body = {"kind": "oanda", **changes}
    return pair(source=SourceSpec(**body), calendar="fx", history_start=START.date())


def test_what_it_is() -> None:
    oanda = source("oanda")
    assert (oanda.live, oanda.calendar) == (True, "fx")
    assert oanda.form(SourceSpec(kind="oanda")) == Form("bar", 3600, "mid")
    assert oanda.form(SourceSpec(kind="oanda", resolution="5min", side="bid")) == Form("bar", 300, "bid")
    assert not list(oanda.problems(SourceSpec(kind="oanda", symbol="DE30_EUR", resolution="1d", side="mid")))


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"resolution": "tick"}, "resolution", "bars; expected one of 1min"),
        ({"side": "trade"}, "side", "bid, ask and mid"),
        ({"symbol": "EUR USD"}, "symbol", "such as EUR_USD"),
        ({"symbol": "../secrets"}, "symbol", "such as EUR_USD"),
        ({"clock": "UTC"}, "clock", "no such key"),
    ],
)
def test_what_is_wrong_with_its_keys(keys: dict[str, Any], where: str, message: str) -> None:
    ((place, said),) = source("oanda").problems(SourceSpec(kind="oanda", **keys))
    assert place == where
    assert message in said


def test_saved_answers_are_read_once(offline: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(answer(candle(), candle(START + HOUR, complete=False)))
    (tmp_path / "b.json").write_bytes(
        json.dumps({"url": "x", "response": json.loads(answer(candle(START + HOUR)))}).encode()
    )
    spec = spec_of(files=str(tmp_path / "*.json"))
    first = fetch(offline, spec)
    assert first.rows["time"].to_list() == [START, START + HOUR]
    assert {batch.form for batch in first.batches} == {Form("bar", 3600, "mid")}
    assert first.notes == {"files": 2, "files_skipped": 0, "incomplete": 1, "live": "off"}
    assert first.cursor["last"] == "2026-11-17T23:00:00+00:00"
    again = fetch(offline, spec, cursor=first.cursor)
    assert again.batches == []
    assert again.cursor == first.cursor


@pytest.mark.parametrize(
    ("body", "keys", "message"),
    [
        (answer(candle(), instrument="USD_JPY"), {}, "a.json: holds USD_JPY, expected EUR_USD; move it, or set"),
        (answer(candle()), {"resolution": "5min"}, "a.json: holds bars of 1h, expected 5min"),
        (answer(candle())[:50], {}, "a.json: not JSON, or not whole"),
        (answer(candle(mid=None, ask=None)), {}, "a.json: holds bid prices, asked for mid"),
    ],
)
def test_files_of_something_else(
    offline: Settings, tmp_path: Path, body: bytes, keys: dict[str, str], message: str
) -> None:
    (tmp_path / "a.json").write_bytes(body)
    with pytest.raises(SourceError, match=message):
        fetch(offline, spec_of(files=str(tmp_path / "a.json"), **keys))


def test_the_real_file(offline: Settings, sample_data: Path) -> None:
    spec = spec_of(symbol="DE30_EUR", files=str(sample_data / "oanda_v20" / "*.json"))
    found = fetch(offline, spec)
    assert found.rows["close"].to_list() == [10506.0, 10504.9, 10505.0, 10509.0, 10507.8]
    assert found.batches[0].form == Form("bar", 300, "mid")


# The service


def hours(n: int, *, complete: bool = False) -> list[dict[str, Any]]:
    """`n` hours from `START`; the last has ended only if `complete`."""
    return [candle(START + i * HOUR, complete=complete or i < n - 1, price=1.1 + i / 1000) for i in range(n)]


def service(held: list[dict[str, Any]]) -> Callable[[Seen], bytes]:
    """What OANDA would answer, were these all the candles that it has."""

    def answered(seen: Seen) -> bytes:
        query = seen.query
        since = datetime.fromisoformat(query["from"])
        first = query["includeFirst"] == "true"
        times = [datetime.fromisoformat(each["time"]) for each in held]
        after = [each for each, time in zip(held, times, strict=True) if time > since or (first and time == since)]
        return answer(*after[: int(query["count"])], granularity=query["granularity"])

    return answered


def online(tmp_path: Path, url: str, token: str | None = TOKEN) -> Settings:
    secret = None if token is None else SecretStr(token)
    return Settings(home=tmp_path, live=True, oanda_url=url, oanda_token=secret)


def test_the_service_is_asked_page_by_page(tmp_path: Path) -> None:
    said: list[str] = []
    with replaying({PATH: service(hours(26))}) as server:
        found = fetch(online(tmp_path, server.url), spec_of(), log=said.append)
        assert found.rows["time"].to_list() == [START + i * HOUR for i in range(25)]
        assert found.rows["close"][24] == pytest.approx(1.125)
        assert found.notes == {"live": "reached", "pages": 3, "incomplete": 1}
        assert found.cursor == {"last": (START + 24 * HOUR).isoformat()}
        assert [seen.headers["authorization"] for seen in server.seen] == [f"Bearer {TOKEN}"] * 3
        assert server.connections == 1
        assert server.seen[0].query == {
            "price": "MBA",
            "granularity": "H1",
            "count": "10",
            "from": "2026-11-16T22:00:00Z",
            "includeFirst": "true",
            "dailyAlignment": "17",
            "alignmentTimezone": "America/New_York",
            "weeklyAlignment": "Sunday",
        }
        assert [seen.query["from"] for seen in server.seen[1:]] == ["2026-11-18T07:00:00Z", "2026-11-18T17:00:00Z"]

        nothing_new = fetch(online(tmp_path, server.url), spec_of(), cursor=found.cursor)
        assert nothing_new.rows.is_empty()
        assert nothing_new.cursor == found.cursor
        server.routes[PATH] = service(hours(27))
        newer = fetch(online(tmp_path, server.url), spec_of(), cursor=found.cursor)
    assert newer.rows["time"].to_list() == [START + 25 * HOUR]
    assert newer.cursor == {"last": (START + 25 * HOUR).isoformat()}
    text = " ".join([*said, str(found.notes), *(batch.origin for batch in found.batches)])
    assert TOKEN not in text


def test_a_page_that_ends_with_the_last_hour(tmp_path: Path) -> None:
    """A whole page may be followed by nothing."""
    with replaying({PATH: service(hours(10, complete=True))}) as server:
        found = fetch(online(tmp_path, server.url), spec_of())
        assert (found.rows.height, found.notes["pages"]) == (10, 2)
        server.routes[PATH] = answer(*hours(10, complete=True))  # as if includeFirst and from were not understood
        with pytest.raises(SourceError, match="10 candles, none of them usable"):
            fetch(online(tmp_path, server.url), spec_of(), cursor=found.cursor)


def test_what_ended_while_it_was_asked_is_left_to_the_next_run(tmp_path: Path) -> None:
    """The rows would be refused as unfinished, and must not be skipped for ever."""
    with replaying({PATH: service(hours(26))}) as server:
        early = fetch(online(tmp_path, server.url), spec_of(), now=START + timedelta(hours=15, minutes=59))
        assert early.rows["time"].to_list() == [START + i * HOUR for i in range(15)]
        assert early.cursor == {"last": (START + 14 * HOUR).isoformat()}
        assert len(server.seen) == 2
        later = fetch(online(tmp_path, server.url), spec_of(), cursor=early.cursor)
    assert later.rows["time"].to_list() == [START + i * HOUR for i in range(15, 25)]


def test_a_file_from_the_future_does_not_move_what_is_asked(offline: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(answer(candle(), candle("2036-01-01T00:00:00Z")))
    found = fetch(offline, spec_of(files=str(tmp_path / "a.json")))
    assert found.rows.height == 2
    assert found.cursor["last"] == START.isoformat()


@pytest.mark.parametrize(
    ("resolution", "granularity"),
    [("1min", "M1"), ("10min", "M10"), ("1h", "H1"), ("12h", "H12"), ("1d", "D"), ("1w", "W")],
)
def test_the_names_of_bar_lengths(tmp_path: Path, resolution: str, granularity: str) -> None:
    with replaying({PATH: service([])}) as server:
        assert fetch(online(tmp_path, server.url), spec_of(resolution=resolution, side="ask")).batches == []
        assert server.seen[0].query["granularity"] == granularity
        assert server.seen[0].query["price"] == "A"
    assert GRANULARITIES[granularity] == source("oanda").form(spec_of(resolution=resolution).source).seconds


def test_the_service_goes_on_where_the_files_end(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(answer(*hours(4)))
    with replaying({PATH: service(hours(6))}) as server:
        found = fetch(online(tmp_path, server.url), spec_of(files=str(tmp_path / "a.json")))
        assert server.seen[0].query["from"] == "2026-11-18T00:00:00Z"
    assert found.rows["time"].to_list() == [START + i * HOUR for i in range(5)]
    assert found.cursor["last"] == (START + 4 * HOUR).isoformat()
    assert list(found.cursor["files"]) == ["a.json"]


@pytest.mark.parametrize("bad", [too_many("0"), failing(), short(answer(*hours(3))), DISCONNECT])
def test_what_passes_is_tried_again(tmp_path: Path, bad: Reply) -> None:
    with replaying({PATH: [bad, answer(*hours(3))]}) as server:
        found = fetch(online(tmp_path, server.url), spec_of())
        assert len(server.seen) == 2
    assert found.rows.height == 2


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (Reply(b"{}", 401), r"does not accept the token of FX_OANDA_TOKEN \(HTTP 401\); practice and live"),
        (Reply(b"{}", 400), r"does not know what was asked \(HTTP 400\); is EUR_USD an instrument there"),
        (failing(), "HTTP 503"),
        (too_many("86400"), "HTTP 429"),
        (HTML, "a web page instead of data"),
        (cut(answer(*hours(3)), 30), "answered something else: the service: not JSON, or not whole"),
        (answer(*hours(3), instrument="USD_JPY"), "candles of USD_JPY of 1h, asked for EUR_USD of 1h"),
        (answer(*hours(3), granularity="M5"), "candles of EUR_USD of 5min, asked for EUR_USD of 1h"),
    ],
)
def test_what_cannot_be_used_fails_the_pair_with_the_cause(tmp_path: Path, route: Route, message: str) -> None:
    said: list[str] = []
    with replaying({PATH: route}) as server, pytest.raises(SourceError, match=f"EURUSD: .*{message}") as caught:
        fetch(online(tmp_path, server.url), spec_of(), log=said.append)
    assert TOKEN not in " ".join([*said, str(caught.value), repr(caught.value.__cause__)])


def test_a_long_history_keeps_what_came_before_a_failure(tmp_path: Path) -> None:
    said: list[str] = []
    held = service(hours(26))
    with replaying({PATH: lambda seen: failing(404) if "2026-11-18T07" in seen.target else held(seen)}) as server:
        found = fetch(online(tmp_path, server.url), spec_of(), log=said.append)
        assert found.rows.height == 10
        assert str(found.notes["live"]).startswith("stopped at 2026-11-18 07:00:00+00:00: ")
        assert any("the next run goes on from there" in line for line in said)
        server.routes[PATH] = held
        rest = fetch(online(tmp_path, server.url), spec_of(), cursor=found.cursor)
    assert pl.concat([found.rows, rest.rows])["time"].to_list() == [START + i * HOUR for i in range(25)]


def test_without_a_token_or_a_network(tmp_path: Path, offline: Settings) -> None:
    with pytest.raises(SourceError, match=r"EURUSD: OANDA's service needs a token: set FX_OANDA_TOKEN"):
        fetch(online(tmp_path, "https://127.0.0.1:1", token=None), spec_of())
    with pytest.raises(SourceError, match=r"EURUSD: no files, and the network is off \(FX_LIVE=false\)"):
        fetch(offline, spec_of())
    known = {"last": START.isoformat()}
    assert fetch(offline, spec_of(), cursor=known).cursor == known
    (tmp_path / "a.json").write_bytes(answer(*hours(3)))
    found = fetch(online(tmp_path, "https://127.0.0.1:1", token=None), spec_of(files=str(tmp_path / "a.json")))
    assert (found.rows.height, found.notes["live"]) == (2, "no token; files only")


@pytest.mark.parametrize("token", ["", "two words", f"{TOKEN}\nX-Evil: 1", f"{TOKEN}\x7f", f"{TOKEN}é"])
def test_a_token_that_is_none_is_never_repeated(tmp_path: Path, token: str) -> None:
    with replaying({PATH: service(hours(3))}) as server:
        with pytest.raises(SourceError, match="FX_OANDA_TOKEN is empty, or holds blanks") as caught:
            fetch(online(tmp_path, server.url, token), spec_of())
        assert server.seen == []
    assert TOKEN not in str(caught.value)


def test_the_token_is_sent_encrypted_only(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"FX_OANDA_URL http://example\.org: expected https"):
        fetch(online(tmp_path, "http://example.org"), spec_of())


def test_the_token_does_not_follow_a_redirect_elsewhere(tmp_path: Path) -> None:
    with replaying({"/gone": service(hours(3))}) as other:
        moved = Reply(b"", 302, {"Location": f"{other.url}/gone?from=2026-11-16T22:00:00Z&includeFirst=true&count=10"})
        with replaying({PATH: moved}) as server, pytest.raises(SourceError):
            fetch(online(tmp_path, server.url), spec_of())
        assert other.seen
        assert "authorization" not in other.seen[0].headers
