"""A small load tool: requests as bytes over connections that stay open, and what a server's process spent on them."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """One HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, asked: bytes) -> None:
        """Send a request."""
        self.socket.sendall(asked)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        status = int(first.split()[1])
        size = end + 4 + (0 if status == 304 else int(headers["content-length"]))
        while len(data) < size:
            data += self._more()
        return status, headers, data[end + 4 :]

    def ask(self, asked: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and wait for its answer."""
        self.send(asked)
        return self.answer()

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        return data


def drive(connections: Sequence[Connection], asked: bytes, count: int, status: int) -> None:
    """`count` requests, one at a time on each connection. Raises `RuntimeError` for an answer of another status."""
    for _ in range(count // len(connections)):
        for connection in connections:
            connection.send(asked)
        for connection in connections:
            found = connection.answer()[0]
            if found != status:
                raise RuntimeError(f"expected {status}, got {found}")


def latencies(connection: Connection, asked: bytes, count: int) -> list[float]:
    """Seconds that each of so many requests took, one after the other."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        connection.ask(asked)
        taken.append(time.perf_counter() - began)
    return taken


def flood(port: int, asked: bytes, count: int, line: Any) -> None:
    """`count` requests at any time, each on a connection of its own that asks again once it is answered.

    `line` hears when as many were answered as ask, and whatever it says ends it: then it hears how many there were of
    each status.
    """
    os.nice(19)  # what is measured is the server: its time must not go to who floods it
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    connections = [Connection(port) for _ in range(count)]
    waiting = selectors.DefaultSelector()
    for connection in connections:
        connection.send(asked)
        waiting.register(connection.socket, selectors.EVENT_READ, connection)
    statuses: dict[int, int] = {}
    answered = 0
    while not line.poll():
        for key, _events in waiting.select(0.1):
            status = key.data.answer()[0]
            statuses[status] = statuses.get(status, 0) + 1
            answered += 1
            key.data.send(asked)
            if answered == count:
                line.send("steady")
    for connection in connections:  # what is under way would be in the way of the next
        connection.answer()
    line.send(statuses)


class Server:
    """A server in a process of its own; its port is the last number of the first line that it writes."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"{' '.join(command)} ended with exit code {self._process.wait()}")
        self.port = int(said.rsplit(":", 1)[1])

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, to the nanosecond: the kernel's clock of another process."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)
