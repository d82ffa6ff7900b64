"""What is decided without any network: how long to wait, how often, and where an event ends."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from serving.client import events
from serving.client.calls import Calls
from serving.client.errors import RateLimited, TransportError, Unavailable
from serving.client.events import Events, EventTooLarge
from serving.client.exchange import Answer, Failure, Pause, Send, failure_of
from serving.client.options import Options
from serving.client.retrying import Retrying, retry_after

BUSY = Answer(503, httpx.Headers())


def test_waits_double_up_to_a_bound_and_are_drawn_from_all_below() -> None:
    retrying = Retrying(first_wait=0.25, longest_wait=8.0)
    for tries, bound in ((1, 0.25), (2, 0.5), (5, 4.0), (6, 8.0), (7, 8.0), (10_000, 8.0)):
        random.seed(1)
        drawn = [retrying.drawn(tries) for _ in range(500)]
        assert 0 <= min(drawn) < 0.05 * bound
        assert 0.95 * bound < max(drawn) <= bound


def test_retries_and_the_deadline_have_an_end() -> None:
    retrying = Retrying(retries=2, deadline=10.0)
    assert [retrying.wait(tries, BUSY, 0.0) is not None for tries in (1, 2, 3)] == [True, True, False]
    assert retrying.wait(1, BUSY, 10.0) is None
    assert Retrying(retries=0).wait(1, BUSY, 0.0) is None


@pytest.mark.parametrize(("asked", "waited"), [(0, True), (7, True), (30, True), (31, False)])
def test_what_the_service_asks_is_waited_for_up_to_a_bound(asked: int, waited: bool) -> None:
    wait = Retrying(deadline=1e9).wait(1, Answer(429, {"retry-after": str(asked)}), 0.0)
    assert (wait is not None) is waited
    if wait is not None:
        assert asked <= wait <= asked + 0.25
    # A stream comes back in any case, but never before the bound.
    comeback = Retrying().comeback(1, Answer(429, {"retry-after": str(asked)}))
    assert min(asked, 30) <= comeback <= min(asked, 30) + 0.25


def test_what_would_end_after_the_deadline_is_not_waited_for() -> None:
    assert Retrying(deadline=5.0).wait(1, Answer(503, {"retry-after": "6"}), 0.0) is None


def test_retry_after_is_a_number_or_a_date() -> None:
    soon = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)})
    assert soon is not None
    assert 90 < soon <= 100
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    for text in ("", "soon", "-1", "1.5", "\u0661", "Wed, 99 Oct 2015 07:28:00 GMT"):
        assert retry_after({"retry-after": text}) is None
    assert retry_after({}) is None


def test_which_failures_may_pass() -> None:
    found = {
        kind.__name__: Retrying().wait(1, failure_of(kind("x")), 0.0) is not None
        for kind in (
            *(httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.RemoteProtocolError),
            *(httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout),
        )
    }
    assert found == {
        **dict.fromkeys(("ConnectError", "ConnectTimeout", "ReadError", "RemoteProtocolError"), True),
        **dict.fromkeys(("ReadTimeout", "WriteTimeout", "PoolTimeout"), False),
    }


def test_a_call_waits_as_long_as_it_was_asked_and_then_gives_up() -> None:
    options = Options("http://x", None, 1.0, 2, 1000.0, 1.0)
    flow = Calls(options).pairs()
    effect = next(flow)
    for asked in (3, 5):
        assert isinstance(effect, Send)
        pause = flow.send(Answer(429, httpx.Headers({"retry-after": str(asked)})))
        assert isinstance(pause, Pause)
        assert asked <= pause.seconds <= asked + 0.5
        effect = flow.send(None)
    with pytest.raises(RateLimited) as raised:
        flow.send(Answer(429, httpx.Headers({"retry-after": "9"})))
    assert raised.value.retry_after == 9.0


@pytest.mark.parametrize("last", [BUSY, Failure("no connection", connected=False)], ids=["answer", "failure"])
def test_the_last_reply_is_the_one_that_is_told(last: Answer | Failure) -> None:
    flow = Calls(Options("http://x", None, 1.0, 1, 1000.0, 1.0)).pairs()
    next(flow)
    assert isinstance(flow.send(Answer(502, httpx.Headers())), Pause)
    next(flow)
    with pytest.raises(Unavailable if isinstance(last, Answer) else TransportError):
        flow.send(last)


STREAM = (
    b": hello\nid: 1.0\nevent: forecast\ndata: a\ndata:b\n\n\nid: 1.1\n\n"
    b"data\n\nretry: 5\nfoo: x\r\ndata: c\r\n\r\nid: 9"
)


def test_events_may_be_cut_anywhere() -> None:
    whole = Events().feed(STREAM)
    assert [(item.kind, item.id, item.data) for item in whole] == [
        ("forecast", "1.0", b"a\nb"),
        ("message", "1.1", None),
        ("message", None, b""),
        ("message", None, b"c"),
    ]
    for first, second in itertools.combinations(range(len(STREAM)), 2):
        reader = Events()
        parts = (STREAM[:first], STREAM[first:second], STREAM[second:])
        assert [event for part in parts for event in reader.feed(part)] == whole
        assert reader.inside


def test_a_comment_is_no_event() -> None:
    reader = Events()
    assert reader.feed(b": still here\n\n") == []
    assert not reader.inside


@pytest.mark.parametrize("name", [b"\xff", b"a\x00", "\u0661".encode()])
def test_an_id_that_no_header_can_hold_is_none(name: bytes) -> None:
    (event,) = Events().feed(b"id: " + name + b"\ndata: x\n\n")
    assert event.id is None


@pytest.mark.parametrize("part", [b"data: x", b": x", b"x", b"data: x\n"], ids=["line", "comment", "bare", "lines"])
def test_an_event_without_end_is_left(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST_EVENT", 10_000)
    reader = Events()

    def feed() -> None:
        for _ in range(20_000):
            reader.feed(part)

    with pytest.raises(EventTooLarge):
        feed()
