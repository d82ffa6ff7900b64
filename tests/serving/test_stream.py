"""New forecasts as server-sent events: nothing is lost, nothing comes twice, nobody holds up the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from fx_assets.forecasting.table import latest
from serving import hub as hubs
from serving.hub import Hub, Wanted, event_id, place_of
from serving.routers import stream
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake

PATH = "/v1/forecasts/stream"
Event = dict[str, Any]


class Stream:
    """Events of one connection, one after the other."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def next(self) -> Event:
        """The next event or id; comments are passed over."""
        found: Event = {}
        for line in self._lines:
            if not line:
                if found:
                    return found
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                found[name] = json.loads(value) if name == "data" else value
        raise EOFError("the stream ended")

    def comment(self) -> str:
        """The next comment."""
        return next(line for line in self._lines if line.startswith(":"))


@contextmanager
def opened(client: Api, last: str | None = None, **parameters: str) -> Iterator[Stream]:
    headers = {"accept": "text/event-stream"} | ({} if last is None else {"last-event-id": last})
    with client.stream("GET", PATH, params=parameters, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)


def night(tiny: TinyLake, client: Api, hours: int, *models: tuple[str, str]) -> None:
    for model, pair in models or (("random_walk", "EURUSD"), ("random_walk", "USDJPY"), ("solo", "EURUSD")):
        tiny.forecast(model, pair, issued_at=SECOND_NIGHT + timedelta(hours=hours))
    client.refresh()


def told(event: Event) -> tuple[str, str, str]:
    return event["data"]["pair"], event["data"]["model_id"], event["data"]["issued_at"][11:13]


def test_it_begins_with_the_newest_and_goes_on_with_what_is_published(tiny: TinyLake, client: Api) -> None:
    with opened(client) as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        first = [events.next(), events.next()]
        assert [item["data"] for item in first] == [
            client.get(f"/v1/forecasts/{pair}/latest").json() for pair in ("EURUSD", "USDJPY")
        ]
        assert set(events.next()) == {"id"}
        night(tiny, client, 1)
        later = [events.next(), events.next()]
    assert [told(item) for item in later] == [("EURUSD", "random_walk", "22"), ("USDJPY", "random_walk", "22")]
    assert {item["event"] for item in [*first, *later]} == {"forecast"}


def test_pairs_model_and_frequency_choose(tiny: TinyLake, client: Api) -> None:
    with opened(client, pairs="USDJPY") as one, opened(client, model="solo", frequency="1d") as other:
        assert one.next()["data"]["pair"] == "USDJPY"
        assert other.next()["data"]["model_id"] == "solo"
        night(tiny, client, 1)
        assert [set(one.next()), set(other.next())] == [{"id"}, {"id"}]
        assert told(one.next()) == ("USDJPY", "random_walk", "22")
        assert told(other.next()) == ("EURUSD", "solo", "22")


def test_who_comes_back_gets_what_was_missed_once_and_in_order(tiny: TinyLake, client: Api) -> None:
    with opened(client) as events:
        events.next(), events.next()
        mark = events.next()["id"]
    night(tiny, client, 1)
    night(tiny, client, 2)
    with opened(client, mark) as events:
        missed = [events.next() for _ in range(4)]
        night(tiny, client, 3)
        live = events.next()
    hours = [told(item)[2] for item in [*missed, live]]
    assert hours == ["22", "22", "23", "23", "00"]
    with opened(client, missed[1]["id"]) as events:
        assert [told(events.next())[2] for _ in range(3)] == ["23", "23", "00"]


def test_what_is_not_seen_by_this_worker_yet_comes_from_another_and_is_not_repeated(
    tiny: TinyLake, client: Api
) -> None:
    with running(tiny) as other, opened(other, pairs="EURUSD") as events:
        events.next(), events.next()
        night(tiny, other, 1)  # this worker has not looked yet
        ahead = events.next()["id"]
    with opened(client, ahead, pairs="EURUSD") as events:
        client.refresh()
        night(tiny, client, 2)
        assert told(events.next())[2] == "23"


@pytest.mark.parametrize("mark", ["nonsense", "12", "1.2.3", "-1.0", "9" * 40 + ".0"])
def test_an_id_that_is_none_begins_anew(client: Api, mark: str) -> None:
    with opened(client, mark) as events:
        assert events.next()["event"] == "forecast"


def test_what_is_wrong_is_said_before_anything_is_streamed(shared_client: Api) -> None:
    for parameters, code in (
        ({"pairs": "EURUSD,XXXYYY"}, "unknown_pair"),
        ({"model": "secret"}, "unknown_model"),
        ({"pear": "EURUSD"}, "invalid_request"),
    ):
        answer = shared_client.get(PATH, params=parameters)
        assert answer.json()["code"] == code
        assert "secret" not in answer.text
    assert shared_client.get(PATH, headers={"accept": "application/json"}).status_code == 406


def test_a_quiet_stream_has_a_heartbeat(client: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    with opened(client) as events:
        assert events.comment() == ": still here"


def test_who_goes_away_is_forgotten(client: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    hub = client.app.state.hub
    for _ in range(5):
        with opened(client) as events:
            events.next()
            assert hub.listeners == 1
        waiting = threading.Event()
        for _ in range(200):
            if hub.listeners == 0:
                break
            waiting.wait(0.02)
        assert hub.listeners == 0


def test_who_does_not_keep_up_is_ended_and_can_go_on_from_its_last_event(
    tiny: TinyLake, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_QUEUE", 1)
    hub: Hub = client.app.state.hub
    with opened(client) as events:
        events.next(), events.next()
        mark = events.next()["id"]
        # Both pairs are published at once, before the connection can take the first.
        night(tiny, client, 1)
        seen = events.next()
        with pytest.raises(EOFError):
            events.next()
    assert hub.listeners == 0
    with opened(client, seen["id"]) as events:
        assert told(events.next())[:2] == ("USDJPY", "random_walk")
    with opened(client, mark) as events:
        assert [told(events.next())[0] for _ in range(2)] == ["EURUSD", "USDJPY"]


def test_streams_end_when_the_service_does(tiny: TinyLake) -> None:
    with running(tiny) as client, opened(client) as events:
        events.next(), events.next(), events.next()
        hub: Hub = client.app.state.hub
        assert hub._loop is not None
        hub._loop.call_soon_threadsafe(hub.close)
        with pytest.raises(EOFError):
            events.next()
        assert hub.closed


def test_ids_are_places() -> None:
    assert place_of(event_id((12, 3))) == (12, 3)
    assert [place_of(text) for text in (None, "", ".", "1.", ".1", "1.x")] == [None] * 6


def test_wanted_without_a_model_is_what_serves(built: TinyLake) -> None:
    found = {item.model_id: item for item in latest(built.lake.read("forecasts", "EURUSD"))}
    assert Wanted().takes(found["random_walk"])
    assert not Wanted().takes(found["solo"])
    assert not Wanted(frequency="1h").takes(found["random_walk"])
