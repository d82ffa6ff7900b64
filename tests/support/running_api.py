"""The API on a real socket inside the test's process, and a client for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from serving.factory import create_app
from serving.main import bind
from serving.server import configuration
from serving.snapshot import LiveSnapshot
from tests.support.tiny_lake import TinyLake


class Api(httpx.Client):
    """An HTTP client of a running application."""

    def __init__(self, app: FastAPI, port: int) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.app = app
        self.port = port

    def refresh(self) -> LiveSnapshot:
        """Do now what the poll would do."""
        live = self.app.state.lake
        assert isinstance(live, LiveSnapshot)
        live.refresh()
        self.app.state.registry.refresh()
        return live


@contextmanager
def running(tiny: TinyLake) -> Iterator[Api]:
    """Start the API on an installation, and stop it in the end."""
    app = create_app(tiny.settings)
    with bind("127.0.0.1", 0) as bound:
        server = uvicorn.Server(configuration(app, tiny.settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started, "the API did not start; its log says why"
        try:
            with Api(app, bound.getsockname()[1]) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
