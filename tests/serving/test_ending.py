"""How a guarded server ends, and what of uvicorn its guards are built on."""

from __future__ import annotations

import errno
import inspect
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server as UvicornServer

from serving.closing import take_no_more
from tests.serving.wire import Wire, guarded, wait_until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LONG = 60.0


def test_when_the_server_ends_what_is_under_way_is_answered_and_clients_are_told(tmp_path: Path) -> None:
    with guarded(tmp_path) as running:
        half_head, half_body, idle, waiting = (Wire(running.port) for _ in range(4))
        assert idle.get("/").status == 200
        half_head.send(b"GET / HTTP/1.1\r\n")
        half_body.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        waiting.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: running.app.served == 3, "the requests did not arrive")
        running.server.should_exit = True
        wait_until(lambda: not _listening(running.port), "it still accepts")
        answers = [idle.get("/"), half_head.send(b"Host: a\r\n\r\n").answer(), half_body.send(b"cd").answer()]
        running.app.release.set()
        answers.append(waiting.answer())
        assert [answer.status for answer in answers] == [200] * 4
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert answers[2].json()["size"] == 4
        for wire in (half_head, half_body, idle, waiting):
            assert wire.rest() == b""
            wire.__exit__()


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no filter of packets for one socket")
def test_a_connection_that_comes_while_a_listener_is_closed_is_refused_and_never_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as late:
        early = socket.create_connection(listener.getsockname())
        take_no_more(listener)
        late.setblocking(False)
        assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        listener.setblocking(False)
        taken, _ = listener.accept()
        with pytest.raises(BlockingIOError):  # the other one is not in the queue, so closing cannot reset it
            listener.accept()
        listener.close()
        taken.sendall(b"answer")
        assert early.recv(6) == b"answer"
        early.close()
        taken.close()
        late.setblocking(True)
        late.settimeout(30)
        wait_until(lambda: late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "not refused")


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_connections_that_wait_when_the_server_ends_are_answered(tmp_path: Path) -> None:
    early: list[Wire] = []
    # Called in the event loop, which accepts nobody meanwhile: the system completes the connections by itself.
    with guarded(tmp_path, ending=lambda: early.extend(Wire(running.port).send(GET) for _ in range(50))) as running:
        running.server.should_exit = True
        wait_until(lambda: len(early) == 50, "it did not begin to end")
        assert [wire.answer().status for wire in early] == [200] * 50
        for wire in early:
            wire.__exit__()


def test_idle_connections_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with guarded(tmp_path, idle_seconds=LONG, drain_seconds=LONG) as running, Wire(running.port) as idle:
        assert idle.get("/").status == 200
        running.server.should_exit = True
        assert idle.rest() == b""


OVERRIDDEN = {
    HttpToolsProtocol: {
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "data_received": ["data"],
        "eof_received": [],
        "pause_writing": [],
        "resume_writing": [],
        "on_headers_complete": [],
        "on_message_complete": [],
        "handle_websocket_upgrade": [],
        "send_400_response": ["msg"],
        "shutdown": [],
        "_should_upgrade": [],
    },
    WebSocketsSansIOProtocol: {
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "pause_writing": [],
        "resume_writing": [],
    },
    UvicornServer: {"startup": ["sockets"], "shutdown": ["sockets"]},
}
# Attributes that the guards read or set, each beside the code of uvicorn that must go on doing the same with it.
USED: dict[type[Any] | Callable[..., Any], tuple[str, ...]] = {
    HttpToolsProtocol: ("self.pipeline", "self.flow", "self.cycle", "self.url", "self.headers", "self.connections"),
    HttpToolsProtocol.data_received: ("send_400_response", "HttpParserError", "handle_websocket_upgrade"),
    HttpToolsProtocol.on_response_complete: ("transport.is_closing()", "pipeline.pop()"),
    RequestResponseCycle.send: ("self.disconnected", "self.keep_alive", "self.transport.close()", "response_complete"),
    RequestResponseCycle.receive: ("self.disconnected", "self.message_event.wait()"),
    UvicornServer.shutdown: ("server.close()", "connection.shutdown()", "timeout_graceful_shutdown"),
}


def test_uvicorn_calls_what_the_guards_override() -> None:
    for owner, methods in OVERRIDDEN.items():
        for name, parameters in methods.items():
            assert [*inspect.signature(getattr(owner, name)).parameters][1:] == parameters, f"{owner}.{name}"


def test_uvicorn_uses_what_the_guards_set() -> None:
    for code, names in USED.items():
        text = inspect.getsource(code)
        assert [name for name in names if name not in text] == [], code
