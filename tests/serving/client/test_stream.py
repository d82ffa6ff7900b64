"""Streams of the client: each forecast once, whatever breaks in between; and waiting for the next one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from serving.access.answers import UNAUTHORIZED
from serving.client import streaming
from serving.client.errors import InvalidAnswer, TimedOut, TransportError, Unauthorized, Unavailable
from serving.client.results import forecast
from serving.client.retrying import Retrying
from serving.client.streaming import is_newer
from tests.serving.client.conftest import Make, connected
from tests.serving.client.hostile import Script, event, hostile, http, problem, refused, stream
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api
from tests.support.tiny_lake import TinyLake

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retrying, "drawn", lambda *_: 0.0)


@pytest.fixture(scope="module")
def document(shared_client: Api) -> dict[str, Any]:
    found: dict[str, Any] = shared_client.get("/v1/forecasts/EURUSD/latest").json()
    return found


def issued(document: dict[str, Any], hours: int) -> dict[str, Any]:
    """The same forecast, issued so many hours later."""
    return {**document, "issued_at": (SECOND_NIGHT + hours * HOUR).isoformat(), "forecast_id": f"f{hours}"}


def ids(found: Iterator[Any], count: int) -> list[tuple[str | None, str | None]]:
    return [(item.forecast_id, item.event_id) for item in itertools.islice(found, count)]


@contextmanager
def meanwhile(what: Callable[[], None]) -> Iterator[None]:
    """Do something in another thread, while the test waits."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            what()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert (failed, thread.is_alive()) == ([], False)


def listened(api: Api, tiny: TinyLake, *hours: int) -> Callable[[], None]:
    """Publishes forecasts of EURUSD once somebody listens."""

    def publish() -> None:
        pause = threading.Event()
        for _ in range(3_000):
            if api.app.state.hub.listeners:
                break
            pause.wait(0.01)
        for each in hours:
            tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + each * HOUR)
            api.refresh()

    return publish


def test_it_begins_with_the_newest_and_goes_on_with_what_is_published(make: Make, tiny: TinyLake, client: Api) -> None:
    with connected(make, client) as asking, closing(asking.stream()) as events:
        first = [next(events), next(events)]
        assert [item.raw for item in first] == [
            client.get(f"/v1/forecasts/{pair}/latest").json() for pair in ("EURUSD", "USDJPY")
        ]
        for hours in (1, 2):
            tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + hours * HOUR)
            client.refresh()
        later = [next(events), next(events)]
    assert [item.issued_at for item in later] == [SECOND_NIGHT + HOUR, SECOND_NIGHT + 2 * HOUR]
    assert [item.event_id is None for item in [*first, *later]] == [True, False, False, False]


def test_pairs_and_model_choose(make: Make, client: Api) -> None:
    with connected(make, client) as asking:
        with closing(asking.stream(["USDJPY"])) as events:
            assert next(events).pair == "USDJPY"
        with closing(asking.stream(model="solo", frequency="1d")) as events:
            assert next(events).model_id == "solo"
        hub, pause = client.app.state.hub, threading.Event()
        while hub.listeners:  # a stream that is left is closed
            tick = client.get("/livez")
            assert tick.status_code == 200
            pause.wait(0.01)
            hub.close()


def test_a_program_that_starts_again_goes_on_after_what_it_has_seen(make: Make, tiny: TinyLake, client: Api) -> None:
    with connected(make, client) as asking:
        with closing(asking.stream(["EURUSD"])) as events:
            mark = next(events).event_id
        for hours in (1, 2):
            tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + hours * HOUR)
            client.refresh()
        with closing(asking.stream(["EURUSD"], last_event_id=mark)) as events:
            missed = [next(events), next(events)]
    assert [item.issued_at for item in missed] == [SECOND_NIGHT + HOUR, SECOND_NIGHT + 2 * HOUR]


def test_a_service_that_ends_the_stream_loses_nothing(make: Make, tiny: TinyLake, client: Api) -> None:
    hub = client.app.state.hub
    with connected(make, client) as asking, closing(asking.stream(["EURUSD"])) as events:
        next(events)
        for hours in (1, 2, 3):
            hub._loop.call_soon_threadsafe(lambda: [hub._end(each) for each in list(hub._listeners)])
            tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + hours * HOUR)
            client.refresh()
            assert next(events).issued_at == SECOND_NIGHT + hours * HOUR


@pytest.mark.parametrize("cut", [1, 20, 500, -20, -1])
def test_a_break_in_the_middle_of_an_event_loses_and_repeats_nothing(
    make: Make, document: dict[str, Any], cut: int
) -> None:
    first, second, third = (event(issued(document, hours), f"7.{hours}") for hours in (1, 2, 3))
    scripts: list[Script] = [
        stream(event(document), b"id: 7.0\n\n", first, second[:cut], end=False),
        stream(b": still here\n\n", second[:cut]),
        problem(503, "too_busy"),
        [b""],
        stream(second, third, None),
    ]
    with hostile(*scripts) as server, make(server.url) as client, closing(client.stream(["EURUSD"])) as events:
        assert ids(events, 4) == [(document["forecast_id"], "7.0"), ("f1", "7.1"), ("f2", "7.2"), ("f3", "7.3")]
        assert server.last_event_ids == [None, "7.1", "7.1", "7.1", "7.1"]


def test_what_a_stream_begins_with_comes_once_though_it_breaks_before_its_mark(
    make: Make, document: dict[str, Any]
) -> None:
    begun = [event(issued(document, 0)), event(issued(document, 1))]
    scripts = [stream(*begun, end=False), stream(*begun), stream(*begun, b"id: 9.0\n\n", None)]
    with hostile(*scripts) as server, make(server.url) as client, closing(client.stream()) as events:
        assert ids(events, 2) == [("f0", None), ("f1", "9.0")]
        assert server.last_event_ids == [None, None, None]


def test_events_may_come_byte_by_byte_and_in_other_line_ends(make: Make, document: dict[str, Any]) -> None:
    whole = b": hello\r\n" + event(document, "1.1").replace(b"\n", b"\r\n") + b"event: other\ndata: x\nid: 1.2\n\n"
    parts = [bytes([byte]) for byte in whole[:120]] + [whole[120:], event(issued(document, 2), "1.3"), None]
    with hostile(stream(*parts)) as server, make(server.url) as client, closing(client.stream()) as events:
        assert ids(events, 2) == [(document["forecast_id"], "1.1"), ("f2", "1.3")]


def test_silence_is_a_break(make: Make, document: dict[str, Any]) -> None:
    scripts = [stream(event(document, "1.1"), None), stream(event(issued(document, 1), "1.2"), None)]
    with hostile(*scripts) as server, make(server.url, silence=0.2) as client, closing(client.stream()) as events:
        assert ids(events, 2) == [(document["forecast_id"], "1.1"), ("f1", "1.2")]
        assert server.last_event_ids == [None, "1.1"]


def test_a_key_that_was_revoked_ends_the_stream(make: Make, document: dict[str, Any]) -> None:
    scripts = [stream(event(document, "1.1")), refused(UNAUTHORIZED)]
    with hostile(*scripts) as server, make(server.url) as client, closing(client.stream()) as events:
        next(events)
        with pytest.raises(Unauthorized):
            next(events)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (stream(b"data: x", end=False), TransportError),
        (stream(b"id: 1\ndata: x"), TransportError),
        (stream(b"id: 1\ndata: x\n"), TransportError),
        (problem(503, "too_busy"), Unavailable),
    ],
    ids=["broken", "within a line", "between lines", "503"],
)
def test_without_reconnect_a_break_is_an_error(make: Make, script: list[Any], kind: type[Exception]) -> None:
    with hostile(script) as server, make(server.url) as client:
        with pytest.raises(kind):
            next(client.stream(reconnect=False))
        assert len(server.requests) == 1


def test_without_reconnect_an_end_is_the_end(make: Make, document: dict[str, Any]) -> None:
    with hostile(stream(event(document, "1.1"))) as server, make(server.url) as client:
        assert len(list(client.stream(reconnect=False))) == 1
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "script",
    [
        http(200, b"{}"),
        http(302, location="/"),
        stream(b"event: forecast\nid: 1\ndata: secret\n\n"),
        stream(b'event: forecast\nid: 1\ndata: {"pair": "secret"}\n\n'),
        stream(b"event: forecast\nid: 1\ndata: [1]\n\n"),
    ],
    ids=["json", "redirect", "no json", "no forecast", "list"],
)
def test_what_is_no_stream_of_forecasts_is_said(make: Make, script: list[Any]) -> None:
    with hostile(script) as server, make(server.url) as client:
        with pytest.raises(InvalidAnswer) as raised:
            next(client.stream())
        assert len(server.requests) == 1
    assert "secret" not in str(raised.value)


def test_wait_is_for_the_next_forecast(make: Make, tiny: TinyLake, client: Api) -> None:
    with connected(make, client) as asking, meanwhile(listened(client, tiny, 1)):
        assert asking.wait("EURUSD", timeout=60).issued_at == SECOND_NIGHT + HOUR
    assert client.app.state.hub.listeners <= 1


def test_wait_is_for_what_is_newer_than_what_is_known(make: Make, tiny: TinyLake, client: Api) -> None:
    with connected(make, client) as asking:
        known = asking.latest("EURUSD")
        # What has come already is not waited for.
        assert asking.wait("EURUSD", after=SECOND_NIGHT - HOUR, timeout=60) == known
        assert asking.wait("EURUSD", after=next(asking.history("EURUSD", end=known.origin)), timeout=60) == known
        with meanwhile(listened(client, tiny, 1)):
            assert asking.wait("EURUSD", after=known, timeout=60).issued_at == SECOND_NIGHT + HOUR


def test_wait_has_a_timeout_of_its_own(make: Make, client: Api) -> None:
    with connected(make, client) as asking, pytest.raises(TimedOut):
        asking.wait("EURUSD", timeout=0.3)


def test_wait_goes_on_through_breaks_and_heartbeats_until_its_timeout(
    make: Make, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_SLACK_SECONDS", 0.1)
    # Each heartbeat renews what a read may wait: near the end the stream is opened again, with less of it.
    beats = stream(event(document), b"id: 1.0\n\n", *[part for _ in range(400) for part in (0.03, b": still here\n\n")])
    with hostile([b""], stream(event(document), end=False), beats) as server, make(server.url) as client:
        with pytest.raises(TimedOut):
            client.wait("EURUSD", timeout=0.6)
        assert server.last_event_ids[:4] == [None, None, None, "1.0"]


def test_wait_where_there_is_no_forecast_yet_is_for_the_first(make: Make, document: dict[str, Any]) -> None:
    with hostile(stream(b"id: 0.0\n\n", event(document, "1.0"), None)) as server, make(server.url) as client:
        assert client.wait("EURUSD", timeout=60).raw == document


def test_what_is_newer(document: dict[str, Any]) -> None:
    first, second = (forecast(issued(document, hours)) for hours in (0, 1))
    earlier = forecast({**issued(document, 9), "origin": (first.origin - HOUR).isoformat()})
    assert is_newer(second, first)
    assert not is_newer(first, first)
    assert not is_newer(earlier, first), "an older night that is issued again is no news"
    assert is_newer(earlier, SECOND_NIGHT)
    assert not is_newer(first, datetime.fromisoformat(first.raw["issued_at"]))
    assert is_newer(first, None)
