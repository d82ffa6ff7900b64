"""The guarded protocol on a small application: deadlines, limits, and how connections end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from serving.heads import HEAD_BYTES, HEAD_LINES, TARGET_BYTES
from serving.middleware import Gate
from serving.protocol import PIPELINED, WIRE_BYTES
from tests.serving.wire import Answer, Running, Wire, guarded, wait_until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = 60.0


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose deadlines no test meets."""
    with guarded(tmp_path_factory.mktemp("home"), idle_seconds=LONG) as running:
        yield running


def is_refusal(answer: Answer, status: int, code: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    return (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, code)


DRIPS = {
    "nothing": (b"", b""),
    "a head that stops": (b"GET / HT", b""),
    "a head that drips": (b"GET / HTTP/1.1\r\nHost: ", b"a"),
    "empty lines for ever": (b"\r\n", b"\r\n"),
    "a body that stops": (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", b""),
    "a body that drips": (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nab", b"a"),
    "a chunk size that drips": (CHUNKED, b"0"),
    "a chunk extension that drips": (CHUNKED + b"1;", b"a"),
    "trailers that drip": (CHUNKED + b"0\r\nX: ", b"a"),
    "the next head stops": (GET + b"GET / HT", b""),
    "a body that nobody reads stops": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", b""),
}


@pytest.mark.parametrize("name", DRIPS)
def test_what_does_not_arrive_in_time_is_closed_while_others_are_served(name: str, tmp_path: Path) -> None:
    begin, drip = DRIPS[name]
    deadlines: dict[str, Any] = (
        {"head_seconds": 0.2, "body_seconds": 0.2} if name != "nothing" else {"head_seconds": 0.2}
    )
    with guarded(tmp_path, idle_seconds=0.2, **deadlines) as running, Wire(running.port) as slow:
        slow.send(begin)
        while not slow.readable():
            with Wire(running.port) as other:
                assert other.get("/").status == 200
            try:
                slow.send(drip)
            except ConnectionError:
                break
        said = slow.rest()
    answered = name in ("the next head stops", "a body that nobody reads stops")
    if name == "nothing":
        assert said == b""
    elif answered:
        assert said.startswith(b"HTTP/1.1 200 ")
    elif said:  # a reset may overtake it where the client goes on sending
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in said
    else:
        assert drip


def test_an_idle_connection_is_closed_after_its_answer(tmp_path: Path) -> None:
    with guarded(tmp_path, idle_seconds=0.2, head_seconds=LONG) as running, Wire(running.port) as idle:
        assert idle.get("/").status == 200
        assert idle.rest() == b""


def test_a_request_that_the_application_takes_long_for_is_not_cut_off(tmp_path: Path) -> None:
    deadlines: dict[str, Any] = {"head_seconds": 0.1, "body_seconds": 0.1, "idle_seconds": 0.1, "write_seconds": 0.1}
    with guarded(tmp_path, **deadlines) as running, Wire(running.port) as wire:
        wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        running.app.release.set()
        assert wire.answer().body == b"waited"


def test_the_time_for_a_body_begins_with_the_body(tmp_path: Path) -> None:
    with guarded(tmp_path, head_seconds=0.3) as running, Wire(running.port) as wire:
        wire.send(b"POST /body HTTP/1.1\r\n").send(b"Host: a\r\nContent-Length: 4\r\n\r\n")
        time.sleep(0.6)
        assert wire.send(b"abcd").answer().json()["size"] == 4


def test_a_body_that_the_application_has_not_taken_is_not_the_fault_of_the_client(tmp_path: Path) -> None:
    with guarded(tmp_path, body_seconds=0.1) as running, Wire(running.port) as wire:
        wire.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * 200_000)
        time.sleep(0.5)
        running.app.release.set()
        assert wire.answer().body == b"waited"


def test_a_client_that_does_not_read_a_stream_is_dropped(tmp_path: Path) -> None:
    with guarded(tmp_path, write_seconds=0.2) as running, Wire(running.port, receive_buffer=4096) as deaf:
        deaf.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        with Wire(running.port) as other:
            wait_until(lambda: other.get("/").status == 200 and running.app.ended_streams, "the stream went on")


def test_a_client_that_does_not_read_the_last_bytes_cannot_hold_the_connection(tmp_path: Path) -> None:
    # Little enough to wait in the transport without pausing the writer, too much for the system's buffers.
    with (
        guarded(tmp_path, send_buffer=4096, write_seconds=0.2, idle_seconds=0.2) as running,
        Wire(running.port, receive_buffer=2048) as deaf,
    ):
        deaf.send(b"GET /big/60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: running.app.served == 1, "the request did not arrive")
        wait_until(lambda: running.connections == 0, "the connection stayed open")


def test_a_client_that_goes_away_ends_its_stream(patient: Running) -> None:
    before = patient.app.ended_streams
    with Wire(patient.port) as wire:
        wire.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.file.read(1000)
    wait_until(lambda: patient.app.ended_streams > before, "the stream went on")


LARGE = {
    "target, unfinished": (b"GET /" + b"a" * TARGET_BYTES, 414, "target_too_long"),
    "target": (b"GET /" + b"a" * TARGET_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long"),
    "header, unfinished": (b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_BYTES, 431, "headers_too_large"),
    "header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431, "headers_too_large"),
    "name": (b"GET / HTTP/1.1\r\n" + b"a" * HEAD_BYTES, 431, "headers_too_large"),
    "lines": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * HEAD_LINES + b"\r\n", 431, "headers_too_large"),
    "empty lines": (b"\r\n" * HEAD_BYTES, 431, "headers_too_large"),
    "chunk extension": (CHUNKED + b"1;" + b"a" * WIRE_BYTES, 413, "body_too_large"),
    "chunk size": (CHUNKED + b"0" * WIRE_BYTES, 413, "body_too_large"),
    "trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * (WIRE_BYTES // 6), 413, "body_too_large"),
    "tiny chunks": (CHUNKED + b"1\r\na\r\n" * (WIRE_BYTES // 6 + 1), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_an_application_reads_it(name: str, patient: Running) -> None:
    content, status, code = LARGE[name]
    with Wire(patient.port) as wire:
        assert is_refusal(wire.send(content).answer(), status, code)
        assert wire.rest() == b""


def test_what_just_fits_is_served(patient: Running) -> None:
    with Wire(patient.port) as wire:
        target = b"/" + b"a" * (TARGET_BYTES - 1)
        lines = b"X: y\r\n" * (HEAD_LINES - 2)
        spare = HEAD_BYTES - len(target) - len(b"Hosta") - 4 - 6 * (HEAD_LINES - 2) - len(b"Z") - 4 - 100
        head = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"Z: " + b"z" * spare + b"\r\n\r\n"
        assert wire.send(head).answer().status == 200
        assert wire.get("/").status == 200


def test_trailers_never_become_headers(patient: Running) -> None:
    with Wire(patient.port) as wire:
        wire.send(CHUNKED + b"3;x=y\r\nabc\r\n0\r\nAuthorization: Bearer fxk_x\r\nX-Late: 1\r\n\r\n")
        assert wire.answer().json() == {"size": 3, "headers": ["host", "transfer-encoding"]}
        assert wire.get("/").status == 200


def test_a_client_that_still_sends_gets_its_answer(patient: Running) -> None:
    with Wire(patient.port) as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        assert wire.answer().body == b"enough"
        assert wire.rest() == b""


def test_a_client_whose_body_was_left_waiting_gets_its_answer(patient: Running) -> None:
    patient.app.release.clear()
    before = patient.app.served
    with Wire(patient.port) as wire:
        wire.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 200_000)
        wait_until(lambda: patient.app.served > before, "the request did not arrive")
        time.sleep(0.1)  # it stops reading
        patient.app.release.set()
        assert wire.send(b"x" * 4_800_000).answer().body == b"enough"


def test_half_closed_clients_get_their_answers(patient: Running) -> None:
    patient.app.release.clear()
    with Wire(patient.port) as one, Wire(patient.port) as two:
        one.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").finish()
        two.send(GET * 3).finish()
        assert [two.answer().status for _ in range(3)] == [200] * 3
        assert two.rest() == b""
        patient.app.release.set()
        assert one.answer().headers["connection"] == "close"
        assert one.rest() == b""


@pytest.mark.parametrize(
    "content", [b"GET / HT", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"], ids=["head", "body"]
)
def test_half_a_request_and_then_the_end_is_a_400(content: bytes, patient: Running) -> None:
    with Wire(patient.port) as wire:
        assert is_refusal(wire.send(content).finish().answer(), 400, "incomplete_request")
        assert wire.rest() == b""


def test_an_application_is_told_that_its_body_will_not_come(patient: Running) -> None:
    before = patient.app.disconnects
    with Wire(patient.port) as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab").finish().rest()
    wait_until(lambda: patient.app.disconnects > before, "the application still waits")


def test_an_application_is_told_at_once_that_its_body_was_refused(
    patient: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.closing.LINGER_SECONDS", LONG)
    before = patient.app.disconnects
    with Wire(patient.port) as wire:
        assert is_refusal(wire.send(CHUNKED + b"no size\r\n").answer(), 400, "malformed_request")
        wait_until(lambda: patient.app.disconnects > before, "the application still waits")


def test_pipelined_requests_are_answered_in_order_and_what_follows_them_never_comes_first(patient: Running) -> None:
    with Wire(patient.port) as wire:
        wire.send(b"GET /big/7 HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"garbage\r\n\r\n")
        assert [wire.answer().body for _ in range(2)] == [b"x" * 7, b"hello"]
        assert wire.rest() == b""


def test_endless_pipelines_are_cut_short(patient: Running) -> None:
    before = patient.app.served
    with Wire(patient.port) as wire:
        wire.send(GET * (PIPELINED * 5))
        answered = wire.rest().count(b"HTTP/1.1 200")
    assert 0 < answered <= PIPELINED + 1
    assert patient.app.served - before == answered


def test_connections_beyond_the_limit_are_told_to_come_back(tmp_path: Path) -> None:
    with guarded(tmp_path, max_connections=2) as running:
        with Wire(running.port) as one, Wire(running.port) as two:
            assert one.get("/").status == two.get("/").status == 200
            with Wire(running.port) as three:
                answer = three.send(GET).answer()
                assert is_refusal(answer, 503, "too_many_connections")
                assert answer.headers["retry-after"] == "1"
            assert one.get("/").status == 200
        wait_until(lambda: running.connections == 0, "connections stayed")
        with Wire(running.port) as again:
            assert again.get("/").status == 200


def test_a_flood_of_connections_is_cut_off_without_a_word(tmp_path: Path) -> None:
    with guarded(tmp_path, max_connections=2) as running:
        first, second = Wire(running.port), Wire(running.port)
        assert first.get("/").status == second.get("/").status == 200
        flood = [Wire(running.port) for _ in range(40)]
        said = [wire.rest() for wire in flood]
        assert said.count(b"") > 20
        assert first.get("/").status == 200
        for wire in (first, second, *flood):
            wire.__exit__()


UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "unknown": b"Connection: Upgrade\r\nUpgrade: secret/1\r\n",
}


@pytest.mark.parametrize("name", UPGRADES)
def test_another_protocol_is_not_spoken_and_ends_the_connection(name: str, patient: Running) -> None:
    with Wire(patient.port) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADES[name] + b"\r\n" + GET)
        assert wire.answer().headers["connection"] == "close"
        assert wire.rest() == b""


def test_a_body_behind_an_upgrade_is_never_read_as_a_request(patient: Running) -> None:
    before = patient.app.served
    with Wire(patient.port) as wire:
        head = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(GET)
        answer = wire.send(head + UPGRADES["unknown"] + b"\r\n").send(GET).answer()
        assert is_refusal(answer, 400, "upgrade_not_alone")
        assert wire.rest() == b""
    assert patient.app.served == before


def test_a_websocket_outlives_the_deadlines_of_requests(tmp_path: Path) -> None:
    short: dict[str, Any] = {"head_seconds": 0.1, "body_seconds": 0.1, "idle_seconds": 0.1, "write_seconds": 0.1}
    with guarded(tmp_path, **short) as running, connect(f"ws://127.0.0.1:{running.port}/") as talk:
        for word in ("one", "two", "three"):
            time.sleep(0.2)
            talk.send(word)
            assert talk.recv(timeout=30) == word


def test_a_websocket_message_that_is_too_large_ends_it(patient: Running) -> None:
    with connect(f"ws://127.0.0.1:{patient.port}/", compression=None) as talk:
        talk.send("x" * 300_000)
        with pytest.raises(ConnectionClosed) as closed:
            talk.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_a_websocket_client_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    handshake = (
        b"GET /flood HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    masked_hi = b"\x81\x82\x00\x00\x00\x00hi"
    with guarded(tmp_path, write_seconds=0.2) as running, Wire(running.port, receive_buffer=4096) as deaf:
        deaf.send(handshake + b"")
        assert deaf.interim() == 101
        deaf.send(masked_hi)
        with Wire(running.port) as other:
            wait_until(lambda: other.get("/").status == 200 and running.app.ended_streams, "the flood went on")


def test_a_failure_is_a_bare_500_with_its_request_id_and_the_connection_goes_on(tmp_path: Path) -> None:
    with guarded(tmp_path, wrap=Gate) as running, Wire(running.port) as wire:
        answer = wire.get("/fail")
        assert answer.status == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
        assert not any(word in answer.body for word in (b"secret", b"passwd", b"1.2345", b"Traceback"))
        assert wire.get("/").status == 200
