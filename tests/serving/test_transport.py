"""What no HTTP client would send, on the API as it runs: an answer of the 400s, no echo, no hang, no trace."""

from __future__ import annotations

import contextlib
import gzip
import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from serving.server import raise_descriptor_limit
from tests.serving.test_process import address, started
from tests.serving.wire import Wire
from tests.support.tiny_lake import TinyLake

MARK = b"sEcReT"
HOST = b"Host: a\r\n"
PREDICT = b"POST /v1/models/random_walk/predict HTTP/1.1\r\n" + HOST
JSON = b"Content-Type: application/json\r\n"
CHUNKED = PREDICT + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = b'{"pair": "EURUSD"}'


@dataclass
class Running:
    """The API as a process of its own."""

    port: int

    def healthy(self) -> bool:
        with Wire(self.port) as wire:
            return wire.get("/livez").status == 200


@pytest.fixture(scope="module")
def api(built: TinyLake) -> Iterator[Running]:
    """One process for the module; in the end, its log must hold no trace and nothing that was sent."""
    with started(built, "--port", "0") as process:
        yield Running(int(address(process).rpartition(":")[2]))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert MARK.decode() not in err


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def with_header(line: bytes) -> bytes:
    return b"GET /livez HTTP/1.1\r\n" + HOST + line + b"\r\n\r\n"


def posted(content: bytes, *headers: bytes) -> bytes:
    lines = headers or (JSON,)
    return PREDICT + b"".join(lines) + b"Content-Length: %d\r\n\r\n" % len(content) + content


MALFORMED = {
    "no request at all": MARK + b"\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in lower case": b"get /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": MARK + b" /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown version": b"GET /livez HTTP/1.2\r\n" + HOST + b"\r\n",
    "another protocol": b"GET /livez " + MARK + b"/1.1\r\n" + HOST + b"\r\n",
    "no target": b"GET  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": get(b"/livez " + MARK),
    "a NUL in the target": get(b"/v1/models/\0" + MARK),
    "bytes over 127 in the target": get(b"/v1/models/\xff\xfe" + MARK),
    "a target that begins with a backslash": get(b"\\..\\" + MARK),
    "a target without a path": get(b"http://" + MARK),
    "an authority as target": b"CONNECT " + MARK + b":443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": with_header(b"Host: " + MARK),
    "a header without a name": with_header(b": " + MARK),
    "a header without a colon": with_header(MARK),
    "a space before the colon": with_header(b"X-A : " + MARK),
    "a folded header": with_header(b"X-A: b\r\n " + MARK),
    "a NUL in a header": with_header(b"X-A: " + MARK + b"\0"),
    "a CR in a header": with_header(b"X-A: " + MARK + b"\rX-B: c"),
    "a control character in a header": with_header(b"X-A: \x01" + MARK),
    "lines that end in LF alone": b"GET /livez HTTP/1.1\nHost: a\n\n",
    "length and coding": PREDICT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": PREDICT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": PREDICT + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "one length twice": PREDICT + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": PREDICT + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a negative length": PREDICT + b"Content-Length: -5\r\n\r\n",
    "a length with a sign": PREDICT + b"Content-Length: +5\r\n\r\nabcde",
    "a length in hex": PREDICT + b"Content-Length: 0x5\r\n\r\nabcde",
    "no length in the header": PREDICT + b"Content-Length: \r\n\r\n",
    "a length of a hundred digits": PREDICT + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n",
    "the coding twice": PREDICT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, and then another coding": PREDICT + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": CHUNKED + MARK + b"\r\n",
    "a negative chunk size": CHUNKED + b"-5\r\nabcde\r\n",
    "a chunk size of a hundred digits": CHUNKED + b"f" * 100 + b"\r\n",
    "a chunk that is longer than it says": CHUNKED + b"2\r\nabcde\r\n0\r\n\r\n",
}

REFUSED = {
    "a request of HTTP/0.9": (b"GET /livez\r\n\r\n", {505}),
    "a request of HTTP/2.0": (b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n", {505}),
    "an unknown coding": (PREDICT + b"Transfer-Encoding: " + MARK + b"\r\n\r\n", {501}),
    "the coding identity": (PREDICT + b"Transfer-Encoding: identity\r\n\r\n", {501}),
    "a coding before chunked": (PREDICT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {501}),
}

ODD = {
    "dots": (get(b"/v1/models/../../../../etc/passwd"), {404}),
    "dots before the base": (get(b"/../v1/" + MARK), {404}),
    "encoded dots": (get(b"/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), {404}),
    "dots encoded twice": (get(b"/v1/models/%252e%252e%252f" + MARK), {404}),
    "backslashes": (get(b"/v1/models/..\\..\\" + MARK), {404}),
    "encoded backslashes": (get(b"/v1/models/..%5c..%5c" + MARK), {404}),
    "an encoded NUL": (get(b"/v1/models/random_walk%00" + MARK), {404}),
    "encoded bad UTF-8": (get(b"/v1/models/%ff%fe%80"), {404}),
    "half an escape": (get(b"/v1/models/%e" + MARK), {404}),
    "an encoded line end": (get(b"/v1/models/x%0d%0aSet-Cookie:%20" + MARK), {404}),
    "an encoded line end in the query": (get(b"/v1/forecasts/EURUSD/latest?model=x%0d%0aX-A:" + MARK), {404, 422}),
    "an id of 5,000 characters": (get(b"/v1/models/" + b"a" * 5_000), {404}),
    "a pair of 5,000 characters": (get(b"/v1/forecasts/" + b"E" * 5_000 + b"/latest"), {404}),
    "two slashes": (get(b"//v1/models"), {404}),
    "the server as target": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {404, 405}),
    "a method of no route": (b"TRACE /v1/models HTTP/1.1\r\n" + HOST + b"X: " + MARK + b"\r\n\r\n", {405}),
    "a method of another protocol": (b"PROPFIND /v1/models HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "a request id of the client": (
        get(b"/v1/models/none").replace(HOST, HOST + b"X-Request-Id: " + MARK + b"\r\n"),
        {404},
    ),
    "a forwarded address": (get(b"/v1/none").replace(HOST, HOST + b"X-Forwarded-For: " + MARK + b"\r\n"), {404}),
    "Accept of bad bytes": (with_header(b"Accept: \xff\xfe" + MARK), {406}),
    "Accept of something else": (get(b"/v1/models").replace(HOST, HOST + b"Accept: image/png\r\n"), {406}),
    "no JSON": (posted(MARK), {400, 422}),
    "half of it": (posted(b'{"pair": "' + MARK), {400, 422}),
    "bad UTF-8": (posted(b'{"pair": "\xff\xfe"}'), {400, 422}),
    "half of a surrogate pair": (posted(b'{"pair": "\\ud800"}'), {400, 404, 422}),
    "a NUL": (posted(b'{"pair": "EUR\\u0000USD"}'), {400, 404, 422}),
    "a byte order mark": (posted(b"\xef\xbb\xbf" + SMALL), {400, 422}),
    "another encoding": (posted(SMALL.decode().encode("utf-16")), {400, 422}),
    "no body": (posted(b""), {400, 422}),
    "a body of no length": (PREDICT + JSON + b"\r\n", {400, 422}),
    "100,000 levels": (posted(b"[" * 100_000), {400, 422}),
    "100,000 levels that end": (posted(b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), {400, 422}),
    "no Content-Type": (PREDICT + b"Content-Length: 18\r\n\r\n" + SMALL, {200, 415}),
    "another Content-Type": (posted(SMALL, b"Content-Type: text/plain; x=" + MARK + b"\r\n"), {415}),
    "a Content-Type of bad bytes": (posted(SMALL, b"Content-Type: \xff" + MARK + b"\r\n"), {415}),
    "a length over the limit": (PREDICT + JSON + b"Content-Length: 1000001\r\n\r\n", {413}),
    "a body over the limit": (posted(b" " * 1_500_000), {413}),
    "chunks over the limit": (CHUNKED + b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n0\r\n\r\n", {413}),
    "a bomb": (
        posted(gzip.compress(b" " * 50_000_000, 9), JSON, b"Content-Encoding: gzip\r\n"),
        {400, 413, 415, 422},
    ),
    "another expectation": (with_header(b"Expect: " + MARK), {200, 417}),
}


def exchange(api: Running, content: bytes) -> tuple[int, dict[str, str], bytes]:
    with Wire(api.port) as wire:
        with contextlib.suppress(ConnectionError):  # it may have been refused before all of it was sent
            wire.send(content)
        answer = wire.answer()
    head = "\r\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode("latin-1")
    assert MARK.lower() not in (head + answer.body).lower()
    assert b"Traceback" not in answer.body
    assert "set-cookie" not in answer.headers
    assert api.healthy()
    return answer.status, answer.headers, answer.body


def is_problem(headers: dict[str, str], body: bytes, status: int) -> bool:
    return headers["content-type"] == "application/problem+json" and json.loads(body)["status"] == status


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_and_the_connection_is_closed(name: str, api: Running) -> None:
    status, headers, body = exchange(api, MALFORMED[name])
    assert status == 400
    assert is_problem(headers, body, 400)
    assert headers["connection"] == "close"


@pytest.mark.parametrize("name", REFUSED)
def test_what_this_server_does_not_speak_is_refused(name: str, api: Running) -> None:
    content, expected = REFUSED[name]
    status, headers, body = exchange(api, content)
    assert status in expected
    assert is_problem(headers, body, status)
    assert headers["connection"] == "close"


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_are_answered(name: str, api: Running) -> None:
    content, expected = ODD[name]
    status, headers, body = exchange(api, content)
    assert status in expected
    assert status == 200 or is_problem(headers, body, status)


def test_an_absolute_target_is_a_target(api: Running) -> None:
    with Wire(api.port) as wire:
        assert wire.send(get(b"http://other.example:1/livez?x")).answer().status == 200
        assert wire.get("/livez").status == 200


def test_an_empty_line_before_a_request_is_passed_over(api: Running) -> None:
    with Wire(api.port) as wire:
        assert wire.send(b"\r\n" + get(b"/livez")).answer().status == 200


def test_pipelined_requests_are_answered_in_order(api: Running) -> None:
    with Wire(api.port) as wire:
        wire.send(get(b"/livez") + get(b"/v1/none") + posted(SMALL) + get(b"/v1/pairs"))
        assert [wire.answer().status for _ in range(4)] == [200, 404, 200, 200]


def test_a_body_in_chunks_of_one_byte(api: Running) -> None:
    chunks = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in SMALL)
    with Wire(api.port) as wire:
        assert wire.send(CHUNKED + chunks + b"0\r\nX-Late: 1\r\n\r\n").answer().status == 200
        assert wire.get("/livez").status == 200


def test_who_expects_to_be_told_to_go_on_is_told(api: Running) -> None:
    with Wire(api.port) as wire:
        wire.send(PREDICT + JSON + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMALL))
        assert wire.interim() == 100
        assert wire.send(SMALL).answer().status == 200


def test_who_would_send_too_much_is_told_before_it_does(api: Running) -> None:
    with Wire(api.port) as wire:
        wire.send(PREDICT + JSON + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
        assert wire.answer().status == 413


def test_http_1_0_gets_one_answer_and_the_end(api: Running) -> None:
    with Wire(api.port) as wire:
        answer = wire.send(b"GET /v1/pairs HTTP/1.0\r\n\r\n").answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.rest() == b""


def test_a_client_that_asks_to_close_is_closed(api: Running) -> None:
    with Wire(api.port) as wire:
        answer = wire.send(with_header(b"Connection: close") + get(b"/livez")).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.rest() == b""


def test_head_has_no_body_and_the_connection_goes_on(api: Running) -> None:
    target = b"/v1/forecasts/EURUSD/latest HTTP/1.1\r\n" + HOST + b"\r\n"
    with Wire(api.port) as wire:
        head = wire.send(b"HEAD " + target).answer(to_head=True)
        full = wire.send(b"GET " + target).answer()
        assert (head.status, full.status) == (200, 200)
        assert head.headers["content-length"] == str(len(full.body))
        assert head.headers["etag"] == full.headers["etag"]


def test_a_body_on_get_is_read_and_the_connection_goes_on(api: Running) -> None:
    with Wire(api.port) as wire:
        hidden = get(b"/v1/none")
        wire.send(with_header(b"Content-Length: %d" % len(hidden)) + hidden)
        assert wire.answer().status == 200
        assert wire.get("/v1/pairs").status == 200


def test_half_closed_sockets_get_their_answers(api: Running) -> None:
    with Wire(api.port) as wire:
        wire.send(posted(SMALL)).finish()
        assert wire.answer().status == 200
        assert wire.rest() == b""


def test_bytes_one_by_one(api: Running) -> None:
    with Wire(api.port) as wire:
        for byte in posted(SMALL):
            wire.send(bytes([byte]))
        assert wire.answer().status == 200


@pytest.mark.parametrize("cut", [1, 20, 60, 90, 120])
def test_clients_that_leave_in_the_middle_do_no_harm(cut: int, api: Running) -> None:
    for _ in range(5):
        with Wire(api.port) as wire:
            wire.send(posted(SMALL)[:cut])
    assert api.healthy()


@pytest.mark.slow
def test_500_slow_heads_500_idle_and_500_slow_bodies_leave_others_unaffected(built: TinyLake) -> None:
    assert raise_descriptor_limit() > 2_000, "this test needs 1,500 sockets"
    deadlines = dict.fromkeys(("FX_HEAD_SECONDS", "FX_BODY_SECONDS", "FX_IDLE_SECONDS"), "4")
    begins = {b"GET /livez HTT": b"", b"": b"", PREDICT + JSON + b"Content-Length: 900000\r\n\r\n{": b" "}
    with started(built, "--port", "0", **deadlines) as process:
        port = int(address(process).rpartition(":")[2])
        slow = [(Wire(port).send(begin), drip) for begin, drip in begins.items() for _ in range(500)]
        statuses: list[int] = []
        closed = threading.Event()

        def others() -> None:
            while not closed.is_set():
                with Wire(port) as wire:
                    statuses.extend(wire.get("/v1/forecasts/EURUSD/latest").status for _ in range(5))

        readers = [threading.Thread(target=others) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            left = slow
            while left:
                left = [(wire, drip) for wire, drip in left if not wire.readable()]
                for wire, drip in left[::10]:
                    with contextlib.suppress(ConnectionError):
                        wire.send(drip)
        finally:
            closed.set()
            for reader in readers:
                reader.join()
        assert len(statuses) > 15
        assert set(statuses) == {200}
        for wire, _ in slow:
            wire.__exit__()
