"""Bars of an exchange through ccxt, which really asks a local server that answers as Binance does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.download import RetryPolicy
from fx_assets.prices.sources.base import SourceError, source
from fx_assets.prices.sources.crypto import CryptoSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from tests.prices.conftest import Given, answer_of, pair, request
from tests.support.replay import DISCONNECT, HTML, Reply, Route, Seen, cut, failing, hanging, replaying, short, too_many

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 18, tzinfo=UTC)
QUICK = RetryPolicy(attempts=3, connect=1, read=1, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
MARKETS, BARS = "/api/v3/exchangeInfo", "/api/v3/klines"


def market(base: str = "ETH", quote: str = "USDT") -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000", "stepSize": "0.0001"},
        ],
        "permissions": ["SPOT"],
    }


INFO = json.dumps({"timezone": "UTC", "serverTime": 1, "rateLimits": [], "symbols": [market(), market("BTC")]}).encode()


def bar(time: datetime, step: timedelta = HOUR, close: float = 3000.5) -> list[Any]:
    """As Binance writes it: prices are strings, the end is inclusive."""
    start = int(time.timestamp() * 1000)
    end = start + int(step.total_seconds() * 1000) - 1
    return [start, "3000.10", "3010.00", "2990.00", f"{close:.2f}", "12.5", end, "37506.25", 42, "6.0", "18003.0", "0"]


def bars(n: int, step: timedelta = HOUR) -> list[list[Any]]:
    return [bar(START + i * step, step, 3000 + i) for i in range(n)]


def exchange(held: list[list[Any]]) -> Callable[[Seen], bytes]:
    """What Binance would answer, were these all the bars that it has."""

    def answered(seen: Seen) -> bytes:
        since = int(seen.query["startTime"])
        return json.dumps([each for each in held if each[0] >= since][: int(seen.query["limit"])]).encode()

    return answered


def spec_of(url: str = "http://127.0.0.1:1", *, name: str = "ETHUSD", **changes: Any) -> PairSpec:
    body = {"kind": "crypto", "symbol": "ETHUSDT", "options": {"base_url": url}, **changes}
    return pair(name, source=SourceSpec(**body), calendar="24x7", history_start=START.date())


def fetch(settings: Settings, spec: PairSpec, **changes: Any) -> Given:
    pytest.importorskip("ccxt")
    changes.setdefault("now", START + timedelta(hours=24, minutes=30))
    return answer_of(CryptoSource(QUICK, page=10), request(settings, spec, **changes))


@pytest.fixture
def online(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, live=True)


def routes(held: Route) -> dict[str, Route]:
    return {MARKETS: INFO, BARS: held}


def test_what_it_is() -> None:
    crypto = source("crypto")
    assert (crypto.calendar, crypto.live) == ("24x7", True)
    assert crypto.form(SourceSpec(kind="crypto")) == Form("bar", 3600, "trade")
    assert crypto.form(SourceSpec(kind="crypto", resolution="5min")) == Form("bar", 300, "trade")
    assert not list(crypto.problems(spec_of(resolution="1d").source))


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"resolution": "tick"}, "resolution", "expected one of 1min"),
        ({"resolution": "1w"}, "resolution", "expected one of 1min"),
        ({"options": {"exchange": "../x"}}, "options.exchange", "pattern"),
        ({"options": {"base_url": "http://user:secret@host"}}, "options.base_url", "pattern"),
        ({"options": {"base_ur": "x"}}, "options.base_ur", "Did you mean 'base_url'"),
        ({"side": "bid"}, "side", "no such key"),
    ],
)
def test_what_is_wrong_with_its_keys(keys: dict[str, Any], where: str, message: str) -> None:
    ((place, said),) = source("crypto").problems(SourceSpec(kind="crypto", **keys))
    assert place == where
    assert message in said


def test_an_exchange_is_asked_page_by_page(online: Settings) -> None:
    with replaying(routes(exchange(bars(25)))) as server:
        found = fetch(online, spec_of(server.url))
        asked = [seen for seen in server.seen if seen.path == BARS]
        assert [seen.path for seen in server.seen].count(MARKETS) == 1
        assert len(server.seen) == 4
        assert asked[0].query["symbol"] == "ETHUSDT"
        assert asked[0].query["interval"] == "1h"
        assert asked[0].query["limit"] == "10"
        begins = [datetime.fromtimestamp(int(seen.query["startTime"]) / 1000, UTC) for seen in asked]
        assert begins == [START - 2 * HOUR, START + 10 * HOUR, START + 20 * HOUR]
        assert found.rows["time"].to_list() == [START + i * HOUR for i in range(24)]
        assert found.rows["line"].to_list() == list(range(1, 25))
        assert found.rows.row(0, named=True) == {
            "line": 1,
            "time": START,
            "open": 3000.1,
            "high": 3010.0,
            "low": 2990.0,
            "close": 3000.0,
            "volume": 12.5,
        }
        assert {(batch.origin, batch.form) for batch in found.batches} == {
            ("binance ETH/USDT", Form("bar", 3600, "trade"))
        }
        assert found.notes == {
            "quote": "USDT taken as USD",
            "live": "reached",
            "exchange": "binance",
            "pages": 3,
            "incomplete": 1,
        }
        assert found.cursor == {"last": (START + 23 * HOUR).isoformat()}

        again = fetch(online, spec_of(server.url), cursor=found.cursor)
        assert again.batches == []
        assert again.cursor == found.cursor
        newer = fetch(online, spec_of(server.url), cursor=found.cursor, now=START + 25 * HOUR)
    assert newer.rows["time"].to_list() == [START + 24 * HOUR]


@pytest.mark.parametrize(
    ("resolution", "interval", "minutes"), [("1min", "1m", 1), ("5min", "5m", 5), ("4h", "4h", 240)]
)
def test_resolutions(online: Settings, resolution: str, interval: str, minutes: int) -> None:
    step = timedelta(minutes=minutes)
    with replaying(routes(exchange(bars(3, step)))) as server:
        found = fetch(online, spec_of(server.url, resolution=resolution), now=START + 2 * step)
        assert server.seen[-1].query["interval"] == interval
    assert found.rows["time"].to_list() == [START, START + step]
    assert found.batches[0].form == Form("bar", 60 * minutes, "trade")


def test_days_are_those_of_utc(online: Settings) -> None:
    day = timedelta(days=1)
    with replaying(routes(exchange(bars(3, day)))) as server:
        found = fetch(online, spec_of(server.url, resolution="1d"), now=START + 2 * day)
    assert found.rows["trading_date"].to_list() == [date(2026, 11, 18), date(2026, 11, 19)]
    assert found.rows["known_at"].to_list() == [START + day, START + 2 * day]


@pytest.mark.parametrize(
    ("name", "symbol", "note"),
    [
        ("BTCUSD", "BTCUSDT", "USDT taken as USD"),
        ("ETHUSD", "ETH/USDT", "USDT taken as USD"),
        ("ETHBTC", "ETHBTC", None),
    ],
)
def test_names_of_markets(online: Settings, name: str, symbol: str, note: str | None) -> None:
    info = json.dumps({"symbols": [market(), market("BTC"), market("ETH", "BTC")]}).encode()
    with replaying({MARKETS: info, BARS: exchange(bars(2))}) as server:
        found = fetch(online, spec_of(server.url, name=name, symbol=symbol))
        assert server.seen[-1].query["symbol"] == symbol.replace("/", "")
    assert found.notes.get("quote") == note


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"symbol": "ETHBTC"}, "'ETHBTC' is quoted in BTC, the pair in USD"),
        ({"symbol": "BTCUSDT"}, "symbol 'BTCUSDT': expected e.g. ETHUSDT or ETH/USDT"),
        ({"symbol": "ETH"}, "symbol 'ETH': expected"),
        ({"symbol": None}, r"binance has no market ETH/USD\. Did you mean 'ETH/USDT'"),
        ({"resolution": "10min"}, "binance has no bars of 10min, only 1s, 1m, 3m, 5m"),
        ({"options": {"exchange": "binnance"}}, r"ccxt knows no exchange 'binnance'\. Did you mean 'binance'"),
    ],
)
def test_what_an_exchange_does_not_have(online: Settings, keys: dict[str, Any], message: str) -> None:
    with replaying(routes(exchange(bars(2)))) as server, pytest.raises(SourceError, match=message):
        fetch(online, spec_of(server.url, **keys))


@pytest.mark.parametrize(
    "bad",
    [too_many("0"), Reply(b"banned", 418), failing(), short(json.dumps(bars(25)).encode(), 40), DISCONNECT, hanging(9)],
    ids=["429", "418", "503", "short", "disconnect", "hanging"],
)
def test_what_passes_is_tried_again(online: Settings, bad: Reply) -> None:
    said: list[str] = []
    with replaying(routes([bad, json.dumps(bars(25)).encode()])) as server:
        found = fetch(online, spec_of(server.url), log=said.append)
    assert found.rows.height == 24
    assert any("attempt 2 of 3" in line for line in said)


def test_retry_after_is_honoured_and_capped(online: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    policy = RetryPolicy(**{**QUICK.__dict__, "longest_retry_after": 20.0})
    for asked in ("7", "3600", "soon"):
        with replaying(routes([too_many(asked), json.dumps(bars(25)).encode()])) as server:
            spec = spec_of(server.url)
            answer_of(CryptoSource(policy), request(online, spec, now=START + 25 * HOUR))
    waits = [f"{seconds:.1f}" for seconds in slept if seconds >= 1 or seconds < 0.003]
    assert waits == ["7.0", "20.0", "0.0"]


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (failing(), "ETHUSD: binance: ExchangeNotAvailable: "),
        (Reply(b"{}", 451), "RestrictedLocation|ExchangeError|ExchangeNotAvailable"),
        (Reply(b'{"code": -1121, "msg": "Invalid symbol."}', 400), "BadSymbol"),
        (HTML, "a web page, or half an answer"),
        (cut(json.dumps(bars(25)).encode(), 40), "a web page, or half an answer"),
        (b"{}", "ETHUSD: binance answered no bars of ETH/USDT from 2026-11-18; set history_start"),
        (b'[["x"]]', "binance answered no bars"),
        (b"[]", "binance answered no bars"),
        (b"[5]", "binance answered no bars"),
        (json.dumps([bar(START + timedelta(minutes=1))]).encode(), "begins at 2026-11-18 00:01:00"),
    ],
)
def test_what_cannot_be_used_fails_the_pair_with_the_cause(online: Settings, route: Route, message: str) -> None:
    with replaying(routes(route)) as server, pytest.raises(SourceError, match=message):
        fetch(online, spec_of(server.url))


@pytest.mark.parametrize("info", [b'{"symbols": [5]}', b'{"symbols": [[]]}', b'{"symbols": 5}', b"[]"])
def test_markets_that_are_none(online: Settings, info: bytes) -> None:
    with replaying({MARKETS: info}) as server, pytest.raises(SourceError, match="ETHUSD: binance"):
        fetch(online, spec_of(server.url))


def test_a_long_history_keeps_what_came_before_a_failure(online: Settings) -> None:
    held, broken = exchange(bars(25)), str(int((START + 10 * HOUR).timestamp() * 1000))
    with replaying(routes(lambda seen: failing(400) if broken in seen.target else held(seen))) as server:
        found = fetch(online, spec_of(server.url))
        assert found.rows.height == 10
        assert str(found.notes["live"]).startswith("stopped at 2026-11-18T09:00:00+00:00: ")
        server.routes[BARS] = held
        rest = fetch(online, spec_of(server.url), cursor=found.cursor)
    assert pl.concat([found.rows, rest.rows])["time"].to_list() == [START + i * HOUR for i in range(24)]


def test_without_the_network(offline: Settings) -> None:
    with pytest.raises(SourceError, match=r"ETHUSD: .* the network is off \(FX_LIVE=false\)"):
        fetch(offline, spec_of())
    known = {"last": START.isoformat()}
    found = fetch(offline, spec_of(), cursor=known)
    assert (found.batches, found.cursor, found.notes["live"]) == ([], known, "off")


def test_without_ccxt_the_extra_is_named(online: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(SourceError, match=r"ccxt, which is not installed: pip install 'fx-assets\[crypto\]'"):
        answer_of(CryptoSource(), request(online, spec_of()))
