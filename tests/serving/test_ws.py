"""The WebSocket: forecasts of what a client subscribes to, predictions from bars as they come in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api
from tests.support.tiny_lake import TinyLake


class Talk:
    """One connection, one JSON object a message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, **content: Any) -> dict[str, Any]:
        """Send an object, and take the next answer."""
        self.socket.send(json.dumps(content))
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        found = json.loads(self.socket.recv(timeout=30))
        assert isinstance(found, dict)
        return found


@contextmanager
def talking(client: Api) -> Iterator[Talk]:
    with connect(f"ws://127.0.0.1:{client.port}/v1/ws", proxy=None) as socket:
        yield Talk(socket)


def rows(client: Api, count: int) -> list[list[float]]:
    bars = client.get("/v1/bars/EURUSD", params={"limit": str(count)}).json()["bars"]
    return [[bar["close"]] for bar in bars]


def test_a_subscription_gives_the_newest_and_then_what_is_published(tiny: TinyLake, client: Api) -> None:
    with talking(client) as talk:
        first = talk.say(type="subscribe", pairs=["USDJPY"])
        assert first["type"] == "forecast"
        assert first["document"] == client.get("/v1/forecasts/USDJPY/latest").json()
        assert talk.hear()["type"] == "subscribed"
        for pair in ("EURUSD", "USDJPY"):
            tiny.forecast("random_walk", pair, issued_at=SECOND_NIGHT + timedelta(hours=1))
        client.refresh()
        news = talk.hear()
        assert (news["type"], news["document"]["pair"]) == ("forecast", "USDJPY")
        # A second subscription takes the place of the first.
        assert talk.say(type="subscribe", pairs=["EURUSD"], model="solo")["document"]["model_id"] == "solo"
        assert talk.hear()["type"] == "subscribed"
        assert client.app.state.hub.listeners == 1


def test_who_comes_back_names_the_last_id_and_misses_nothing(tiny: TinyLake, client: Api) -> None:
    with talking(client) as talk:
        talk.say(type="subscribe", pairs=["EURUSD"])
        mark = talk.hear()["id"]
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    client.refresh()
    with talking(client) as talk:
        missed = talk.say(type="subscribe", pairs=["EURUSD"], after=mark)
        assert missed["document"]["issued_at"].startswith("2026-10-30T22")
        assert talk.hear()["type"] == "subscribed"


def test_bars_become_predictions_once_the_window_is_full(client: Api) -> None:
    closes = rows(client, 33)
    with talking(client) as talk:
        said = talk.say(type="bars", model_id="solo", rows=closes[:29])
        assert said == {"type": "waiting", "model_id": "solo", "pair": "EURUSD", "have": 29, "need": 30}
        first = talk.say(type="bars", model_id="solo", rows=closes[29:30])
        later = talk.say(type="bars", model_id="solo", rows=closes[30:])
    for answer, data in ((first, closes[:30]), (later, closes[3:])):
        asked = client.post("/solo/predict", json={"data": data}).json()
        assert answer["type"] == "prediction"
        assert answer["document"]["horizons"] == asked["horizons"]


def test_a_bar_that_cannot_be_used_is_said_and_its_window_begins_anew(client: Api) -> None:
    closes = rows(client, 30)
    with talking(client) as talk:
        talk.say(type="bars", model_id="solo", rows=closes[:29])
        wrong = talk.say(type="bars", model_id="solo", rows=[["secret"]])
        assert (wrong["type"], wrong["problem"]["code"], wrong["problem"]["status"]) == ("error", "invalid_input", 422)
        assert "secret" not in json.dumps(wrong)
        assert talk.say(type="bars", model_id="solo", rows=closes[:1])["have"] == 1
        assert talk.say(type="bars", model_id="solo", rows=closes)["type"] == "prediction"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("not json secret", 400),
        ("[1]", 422),
        ("{}", 422),
        ('{"type": "secret"}', 422),
        ('{"type": ["subscribe"]}', 422),
        ('{"type": "ping", "secret": 1}', 422),
        ('{"type": "subscribe", "pairs": []}', 422),
        ('{"type": "subscribe", "pairs": [1]}', 422),
        ('{"type": "subscribe", "model": 7}', 422),
        ('{"type": "subscribe", "pairs": ["SECRET"]}', 404),
        ('{"type": "subscribe", "model": "secret"}', 404),
        ('{"type": "bars", "model_id": "secret", "rows": [[1]]}', 404),
        ('{"type": "bars", "model_id": "solo", "rows": []}', 422),
        ('{"type": "bars", "model_id": 1, "rows": [[1]]}', 422),
        ('{"type": "bars", "model_id": "random_walk", "rows": [[1]]}', 422),
        ('{"type": "bars", "model_id": "solo", "pair": "USDJPY", "rows": [[1]]}', 422),
        ("[" * 5_000, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_answered_without_an_echo_and_ends_nothing(
    shared_client: Api, message: str, status: int
) -> None:
    with talking(shared_client) as talk:
        for frame in (message, message.encode()):
            talk.socket.send(frame)
            answer = talk.hear()
            assert (answer["type"], answer["problem"]["status"]) == ("error", status)
            assert "secret" not in json.dumps(answer).lower()
        assert talk.say(type="ping") == {"type": "pong"}


def test_a_connection_keeps_a_bounded_number_of_rows(client: Api) -> None:
    with talking(client) as talk:
        answer = talk.say(type="bars", model_id="solo", rows=[[1.1 + i / 1e6] for i in range(5_000)])
        assert answer["type"] == "prediction"
        with pytest.raises(ConnectionClosedError, match="1009"):  # more than the service takes in one message
            talk.say(type="bars", model_id="solo", rows=[[1.1]], pair="x" * 1_000_000)


def test_who_goes_away_is_forgotten(client: Api) -> None:
    hub = client.app.state.hub
    with talking(client) as talk:
        talk.say(type="subscribe")
        assert hub.listeners == 1
    for _ in range(500):
        if hub.listeners == 0:
            break
        client.get("/livez")
    assert hub.listeners == 0
