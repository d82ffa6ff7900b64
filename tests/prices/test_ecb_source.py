"""The ECB source on the embedded history, and against a real server that behaves and misbehaves."""

from __future__ import annotations

import io
import re
import socket
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from email.utils import format_datetime

import polars as pl
import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.download import RetryPolicy
from fx_assets.prices.sources.base import SourceError, source
from fx_assets.prices.sources.ecb import EcbSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from tests.prices.conftest import Answer, Given, Server, answer_of, pair, request

QUICK = RetryPolicy(attempts=3, connect=1, read=1, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
NEWER = (
    "Date,USD,JPY,GBP,\n2026-11-20,1.2000,180.00,0.9000,\n2026-11-19,1.1900,179.00,0.8900,\n"
    "2026-10-30,1.1172,175.68,0.83380,\n"
)
SettingsFor = Callable[[str], Settings]


def zipped(text: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return target.getvalue()


def fetch(
    settings: Settings,
    spec: PairSpec | None = None,
    *,
    policy: RetryPolicy = QUICK,
    memo_seconds: float = 0.0,
    log: Callable[[str], None] = lambda _: None,
) -> Given:
    return answer_of(EcbSource(policy, memo_seconds), request(settings, spec, log=log))


def last_dates(fetched: Given, n: int) -> list[date]:
    return fetched.rows["trading_date"].tail(n).to_list()


def test_what_it_is() -> None:
    ecb = source("ecb")
    assert (ecb.kind, ecb.calendar, ecb.live, ecb.uses) == ("ecb", "target", True, frozenset({"symbol", "files"}))
    assert ecb.form(SourceSpec(kind="ecb")) == Form("fixing", 0, "mid")
    assert list(ecb.problems(SourceSpec(kind="ecb", clock="UTC", options={"embeded": False}))) == [
        ("clock", "the source 'ecb' has no such key; it knows files, symbol"),
        ("options.embeded", "unknown option. Did you mean 'embedded'?"),
    ]


def test_the_embedded_history(offline: Settings) -> None:
    fetched = fetch(offline, pair("USDJPY"))
    rows = fetched.rows
    utc = pl.Datetime("us", "UTC")
    assert rows.schema == {
        "line": pl.Int64,
        "time": utc,
        "known_at": utc,
        "trading_date": pl.Date,
        "close": pl.Float64,
    }
    assert rows.height >= 7126
    assert rows["time"].is_sorted()
    assert rows["time"].is_unique().all()
    assert fetched.rejects.is_empty()
    assert [(batch.origin, batch.form) for batch in fetched.batches] == [("ecb", Form("fixing"))]
    assert fetched.notes["live"] == f"off; the embedded history to {rows['trading_date'][-1]}"
    row = rows.filter(pl.col("trading_date") == date(2026, 10, 30)).row(0, named=True)
    assert row == {
        "line": 2,
        "time": datetime(2026, 10, 30, 13, 10, tzinfo=UTC),
        "known_at": datetime(2026, 10, 30, 15, 0, tzinfo=UTC),
        "trading_date": date(2026, 10, 30),
        "close": 175.68 / 1.1172,
    }


@pytest.mark.parametrize(
    ("name", "close"),
    [("EURUSD", 1.1789), ("EURJPY", 133.73), ("GBPUSD", 1.1789 / 0.7111), ("USDCHF", 1.6168 / 1.1789)],
)
def test_the_first_rates_of_the_euro(offline: Settings, name: str, close: float) -> None:
    first = fetch(offline, pair(name)).rows.row(0, named=True)
    assert (first["trading_date"], first["close"]) == (date(1999, 1, 4), close)


def test_nothing_is_given_from_before_the_start_of_the_pair(offline: Settings) -> None:
    rows = fetch(offline, pair(history_start=date(2020, 5, 1))).rows
    assert rows["trading_date"][0] == date(2020, 5, 4)


def test_a_pair_may_have_another_name_at_the_source(offline: Settings) -> None:
    spec = pair("EURXXX", source=SourceSpec(kind="ecb", symbol="EURUSD"))
    assert fetch(offline, spec).rows["close"][0] == 1.1789


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (pair("EURXYZ"), "EURXYZ: the embedded history: has no currency 'XYZ'"),
        (pair(source=SourceSpec(kind="ecb", symbol="EUR/USD")), "symbol 'EUR/USD': expected two currencies"),
    ],
)
def test_a_pair_that_the_ecb_does_not_have(offline: Settings, spec: PairSpec, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        fetch(offline, spec)


@pytest.mark.parametrize("body", [zipped(NEWER), NEWER.encode()], ids=["zip", "csv"])
def test_newer_rates_from_the_network(server: Server, settings_for: SettingsFor, body: bytes) -> None:
    server.answers = [Answer(body=body)]
    fetched = fetch(settings_for(server.url), pair("USDJPY"))
    assert last_dates(fetched, 3) == [date(2026, 10, 30), date(2026, 11, 19), date(2026, 11, 20)]
    assert fetched.rows["close"].tail(2).to_list() == [179.0 / 1.19, 180.0 / 1.2]
    assert fetched.notes == {
        "embedded_to": "2026-10-30",
        "live": "reached",
        "newer": 2,
        "revised": 0,
        "repeats_dropped": 0,
        "repeats_replaced": 0,
    }


def test_a_rate_that_the_network_revised_wins_and_is_counted(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=NEWER.replace("1.1172", "1.1173").encode())]
    fetched = fetch(settings_for(server.url))
    closes = fetched.rows.filter(pl.col("trading_date") == date(2026, 10, 30))["close"].to_list()
    assert closes == [1.1173]
    assert (fetched.notes["newer"], fetched.notes["revised"]) == (2, 1)


def test_a_bad_cell_from_the_network_is_a_reject(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=NEWER.replace("1.1900", "oops").encode())]
    fetched = fetch(settings_for(server.url))
    assert last_dates(fetched, 2) == [date(2026, 10, 30), date(2026, 11, 20)]
    assert fetched.rejects.rows(named=True) == [
        {
            "line": 3,
            "reason": "not_a_number: USD",
            "raw": "2026-11-19,oops,179.00,0.8900,",
            "origin": "ecb live",
        }
    ]


SHORT = Answer(body=zipped(NEWER)[:-50], length=len(zipped(NEWER)))
HTML = Answer(body=b"\n <!doctype html><title>Sign in</title>", headers={"Content-Type": "text/csv"})


@pytest.mark.parametrize(
    ("answer", "cause", "requests"),
    [
        (HTML, "answered a web page instead of data", 1),
        (SHORT, "peer closed connection without sending complete message body", 3),
        (Answer(body=NEWER.encode()[:90], length=9999), "peer closed connection", 3),
        (Answer(body=zipped(NEWER)[:-50]), "answered something else: .* the zip is damaged", 1),
        (Answer(body=b"price\n1.2\n"), "answered something else: .* expected a header with Date", 1),
        (Answer(body=b""), "answered something else", 1),
        (Answer(body=b"x" * 2001), "more than 2,000 bytes", 1),
        (Answer(status=503), "HTTP 503", 3),
        (Answer(status=429, headers={"Retry-After": "86400"}), "HTTP 429", 3),
        (Answer(status=404), "HTTP 404", 1),
        (Answer(status=302, headers={"Location": "/again"}), "redirects without end", 21),
        (Answer(close=True), "Server disconnected", 3),
    ],
)
def test_what_cannot_be_used_leaves_the_embedded_history(
    server: Server, settings_for: SettingsFor, answer: Answer, cause: str, requests: int
) -> None:
    server.answers, said = [answer], list[str]()
    policy = RetryPolicy(**{**QUICK.__dict__, "largest": 2000})
    fetched = fetch(settings_for(server.url), policy=policy, log=said.append)
    assert fetched.rows["trading_date"][-1] == date(2026, 10, 30)
    note = str(fetched.notes["live"])
    assert note.startswith("unreachable: ")
    assert note.endswith("; continuing with the embedded history to 2026-10-30")
    assert re.search(cause, note)
    assert any(note in line for line in said)
    assert server.requests == requests


@pytest.mark.parametrize("first", [Answer(status=429, headers={"Retry-After": "0"}), Answer(status=503), SHORT])
def test_what_passes_is_tried_again(server: Server, settings_for: SettingsFor, first: Answer) -> None:
    server.answers, said = [first, Answer(body=zipped(NEWER))], list[str]()
    fetched = fetch(settings_for(server.url), log=said.append)
    assert (fetched.notes["live"], fetched.notes["newer"]) == ("reached", 2)
    assert server.requests == 2
    assert any("attempt 2 of 3" in line for line in said)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("7", "7.0"), ("3600", "20.0"), ("soon", "0.0"), (format_datetime(datetime(2099, 1, 1, tzinfo=UTC)), "20.0")],
)
def test_retry_after_is_honoured_and_capped(
    server: Server, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, asked: str, waited: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    server.answers = [Answer(status=429, headers={"Retry-After": asked}), Answer(body=zipped(NEWER))]
    policy = RetryPolicy(**{**QUICK.__dict__, "longest_retry_after": 20.0})
    fetched = fetch(settings_for(server.url), policy=policy)
    assert fetched.notes["newer"] == 2
    assert [f"{seconds:.1f}" for seconds in slept] == [waited]


@pytest.mark.parametrize(
    ("pause", "steps", "cause"),
    [(0.02, {"whole": 0.2}, r"only [\d,]+ bytes in 0\.2 s"), (9.0, {"read": 0.2}, "read timeout")],
    ids=["a slow body", "a stalled body"],
)
def test_a_server_that_takes_its_time_is_left(
    server: Server, settings_for: SettingsFor, pause: float, steps: dict[str, float], cause: str
) -> None:
    server.answers = [Answer(body=zipped(NEWER), pause=pause)]
    policy = RetryPolicy(**{**QUICK.__dict__, "attempts": 2, **steps})
    fetched = fetch(settings_for(server.url), policy=policy)
    assert re.search(f"unreachable: {cause}.*; continuing with the embedded", str(fetched.notes["live"]))
    assert server.requests == 2


def test_a_refused_connection_leaves_the_embedded_history(settings_for: SettingsFor) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}/hist.zip?key=secret"
        said: list[str] = []
        fetched = fetch(settings_for(url), log=said.append)
    assert str(fetched.notes["live"]).startswith("unreachable: connect error")
    assert fetched.rows.height >= 7126
    assert "secret" not in " ".join([*said, str(fetched.notes)])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "hist.zip", "http://[::1"])
def test_an_address_that_is_none_is_named(settings_for: SettingsFor, url: str) -> None:
    assert "is not a web address" in str(fetch(settings_for(url)).notes["live"])


def test_the_network_is_asked_once_for_all_pairs(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=zipped(NEWER))]
    settings = settings_for(server.url)
    for name in ("EURUSD", "USDJPY", "EURUSD"):
        assert fetch(settings, pair(name), memo_seconds=600).notes["newer"] == 2
    assert server.requests == 1
    fetch(settings, memo_seconds=0)
    assert server.requests == 2


def test_a_failure_is_remembered_too(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(status=404), Answer(body=zipped(NEWER))]
    settings = settings_for(server.url)
    assert "HTTP 404" in str(fetch(settings, memo_seconds=600).notes["live"])
    assert "HTTP 404" in str(fetch(settings, memo_seconds=600).notes["live"])
    assert fetch(settings, memo_seconds=0).notes["live"] == "reached"


def test_the_last_download_bridges_an_outage(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=zipped(NEWER)), Answer(status=404)]
    settings = settings_for(server.url)
    first, second = fetch(settings), fetch(settings)
    assert second.rows.equals(first.rows)
    assert "HTTP 404; continuing with the last download, of 20" in str(second.notes["live"])


def test_a_damaged_copy_is_said_and_not_used(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=zipped(NEWER)), Answer(status=404)]
    settings = settings_for(server.url)
    fetch(settings)
    (copy,) = settings.cache_path.iterdir()
    copy.write_bytes(copy.read_bytes()[:-40])
    fetched = fetch(settings)
    assert fetched.rows["trading_date"][-1] == date(2026, 10, 30)
    note = str(fetched.notes["live"])
    assert "HTTP 404" in note
    assert "the zip is damaged" in note
    assert note.endswith("continuing with the embedded history to 2026-10-30")


def test_a_file_in_the_way_of_the_copy_stops_nothing(server: Server, settings_for: SettingsFor) -> None:
    server.answers, said = [Answer(body=zipped(NEWER))], list[str]()
    settings = settings_for(server.url)
    settings.cache_path.write_text("in the way")
    assert fetch(settings, log=said.append).notes["newer"] == 2
    assert any("could not be kept" in line for line in said)


def test_a_live_file_without_the_currency_adds_nothing(server: Server, settings_for: SettingsFor) -> None:
    server.answers = [Answer(body=NEWER.encode())]
    fetched = fetch(settings_for(server.url), pair("EURSEK"))
    assert "has no currency 'SEK'" in str(fetched.notes["live"])
    assert fetched.rows["trading_date"][-1] == date(2026, 10, 30)
