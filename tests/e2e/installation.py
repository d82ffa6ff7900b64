"""A whole installation in a folder of its own: real webserver, daemon and API, as `make up` starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from fx_assets.settings import project_root

Found = TypeVar("Found")
PATIENCE_SECONDS = 240.0


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Installation:
    """Its home, ports and processes; every process is found by its FX_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ui_port, self.api_port = free_port(), free_port()
        self.ui = f"http://127.0.0.1:{self.ui_port}"
        self.api = f"http://127.0.0.1:{self.api_port}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))},
            "FX_HOME": str(home),
            "FX_LIVE": "false",
            "FX_UI_PORT": str(self.ui_port),
            "FX_API_PORT": str(self.api_port),
            "FX_POLL_SECONDS": "0.5",
        }

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `fx-assets WORDS` to its end."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("fx-assets")), *words],
            env=self.environ,
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Every living process of this installation."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("FX_HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[str]]:
        """`fx-assets up`, ready; on leaving SIGTERM, and the process is waited for."""
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("fx-assets")), "up"],
            env=self.environ,
            cwd=project_root(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            wait_for(lambda: answers(self.ui + "/server_info") and answers(self.api + "/livez"), self.logs)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def logs(self) -> str:
        """The end of each service's log."""
        folder = self.home / "logs"
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(folder.glob("*.log")))

    def graphql(self, query: str, variables: dict[str, Any]) -> Any:
        """One GraphQL request, as the UI makes it."""
        answer = httpx.post(self.ui + "/graphql", json={"query": query, "variables": variables}, timeout=60)
        document = answer.json()
        assert "errors" not in document, document
        return document["data"]


def answers(url: str) -> bool:
    """Whether `url` answers 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], Found | None], explain: Callable[[], str] = lambda: "") -> Found:
    """The first true value of `condition`; fails after a generous time-out with what `explain` says."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {PATIENCE_SECONDS:.0f} s\n{explain()}")
