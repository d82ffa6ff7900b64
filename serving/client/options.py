"""What a client is made with, checked; both flavours are made with the same."""

from __future__ import annotations

import ssl
import time
from functools import cache
from typing import Final

import httpx

from serving.client.exchange import Open, Request, Send
from serving.client.retrying import Retrying

SERVER: Final = "http://127.0.0.1:8000"
TIMEOUT: Final = 10.0
RETRIES: Final = 3
DEADLINE: Final = 60.0
SILENCE: Final = 45.0
"""Seconds without a byte after which a stream counts as broken; the service sends a heartbeat every 15."""


class Options:
    """Address, headers and times. The key is in the headers alone, which no message shows."""

    def __init__(
        self,
        server: str,
        api_key: str | None,
        timeout: float | httpx.Timeout,
        retries: int,
        deadline: float,
        silence: float,
    ) -> None:
        url = httpx.URL(server)
        if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
            raise ValueError("server: expected an address such as http://127.0.0.1:8000, without a key or a query")
        if retries < 0 or deadline <= 0 or silence <= 0:
            raise ValueError("retries: expected 0 or more; deadline and silence: expected seconds greater than 0")
        self.server = str(url)
        self.headers = {"accept": "application/json", "user-agent": "fx-assets-client"}
        if api_key is not None:
            # httpx quotes a header that it cannot send, and so would show the key.
            if not (api_key.isascii() and api_key.isprintable()) or " " in api_key or not api_key:
                raise ValueError("api_key: expected a key such as fxk_..., without spaces or line ends")
            self.headers["authorization"] = f"Bearer {api_key}"
        self.timeout = httpx.Timeout(timeout)
        self.retrying = Retrying(retries=retries, deadline=deadline)
        self.silence = silence

    def built(self, http: httpx.Client | httpx.AsyncClient, effect: Send | Open) -> httpx.Request:
        """The request of an effect, with its times."""
        asked: Request = effect.request
        return http.build_request(
            asked.method,
            asked.path,
            params=asked.parameters or None,
            headers=asked.headers or None,
            content=asked.body,
            timeout=self._times(effect),
        )

    def _times(self, effect: Send | Open) -> httpx.Timeout:
        usual = self.timeout
        if isinstance(effect, Open):
            most, read = effect.silence, effect.silence
        else:
            most = max(0.001, effect.until - time.monotonic())
            read = _least(usual.read, most)
        return httpx.Timeout(
            connect=_least(usual.connect, most),
            read=read,
            write=_least(usual.write, most),
            pool=_least(usual.pool, most),
        )


@cache
def tls() -> ssl.SSLContext:
    """Whom to trust, as the system and `SSL_CERT_FILE` say: read once, since it takes longer than a hundred calls."""
    return httpx.create_ssl_context()


def _least(usual: float | None, most: float) -> float:
    return most if usual is None else min(usual, most)
