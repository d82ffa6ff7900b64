"""`make up`: the Dagster UI, its daemon and the forecast API, started together and ended together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from fx_assets.orchestration.home import prepare_home
from fx_assets.settings import Settings, environment, project_root

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 20.0


class PortTaken(RuntimeError):
    """Another process listens where we want to."""


@dataclass(frozen=True)
class Service:
    """One process of the installation and the address that answers when it is up."""

    name: str
    command: Sequence[str]
    url: str | None = None


def services(settings: Settings) -> list[Service]:
    """The three processes, bound to the host of the settings."""
    binaries = Path(sys.executable).parent
    workspace = str(project_root() / "workspace.yaml")
    host = settings.host
    ui, api = f"http://{host}:{settings.ui_port}", f"http://{host}:{settings.api_port}"
    webserver = [str(binaries / "dagster-webserver"), "-h", host, "-p", str(settings.ui_port), "-w", workspace]
    server = [sys.executable, "-m", "serving.main"]
    return [
        Service("Dagster UI", webserver, ui + "/server_info"),
        Service("Dagster daemon", [str(binaries / "dagster-daemon"), "run", "-w", workspace]),
        Service("forecast API", [*server, "--port", str(settings.api_port)], api + "/livez"),
    ]


def check_port(host: str, port: int, name: str, variable: str) -> None:
    """Raise `PortTaken`, with the setting that moves the service, when the port is not free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"{name}: port {port} on {host} is taken ({error.strerror}). "
                f"End what listens there, or choose another: {variable}={port + 1} make up"
            ) from error


def up(settings: Settings, console: Console, *, ready: Callable[[], None] = lambda: None) -> int:
    """Start all services, wait for SIGINT, SIGTERM or the end of one of them, then end all.

    Returns 0 after a signal, 1 when a service ended by itself. No process stays behind: each
    service has its own process group, which gets SIGTERM and, after a grace, SIGKILL; and each
    is killed by the kernel should this process be killed first.
    """
    check_port(settings.host, settings.ui_port, "Dagster UI", "FX_UI_PORT")
    check_port(settings.host, settings.api_port, "forecast API", "FX_API_PORT")
    home = prepare_home(settings)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    running: list[tuple[Service, subprocess.Popen[bytes]]] = []
    try:
        for service in services(settings):
            process = _start(service, home, logs)
            running.append((service, process))
        if _wait_until_ready(running, stop, console):
            _announce(settings, console, logs)
            ready()
        ended = _watch(running, stop)
        if ended is not None:
            console.print(f"[red]{ended} ended by itself; its log is in {logs}[/red]")
        return 0 if ended is None else 1
    finally:
        _end_all([process for _, process in running])


def _log_name(service: Service) -> str:
    return service.name.lower().replace(" ", "-") + ".log"


def _start(service: Service, home: Path, logs: Path) -> subprocess.Popen[bytes]:
    inherited = {**environment(), "DAGSTER_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with (logs / _log_name(service)).open("ab") as log:
        return subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=inherited,
            start_new_session=True,
            # Only this thread exists at start-up, so running code between fork and exec is safe here.
            preexec_fn=_die_with_parent,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # A parent that was told to ignore SIGINT (a job in a script's background) must not pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_until_ready(
    running: Sequence[tuple[Service, subprocess.Popen[bytes]]], stop: threading.Event, console: Console
) -> bool:
    waiting = [service for service, _ in running if service.url]
    with console.status("starting the Dagster UI, its daemon and the forecast API"):
        while waiting and not stop.is_set():
            if any(process.poll() is not None for _, process in running):
                return False
            waiting = [service for service in waiting if not _answers(service.url)]
            stop.wait(0.25)
    return not stop.is_set()


def _answers(url: str | None) -> bool:
    if url is None:
        return True
    try:
        return httpx.get(url, timeout=2.0).status_code == 200
    except httpx.TransportError:
        return False


def _announce(settings: Settings, console: Console, logs: Path) -> None:
    console.print(f"Dagster UI    http://{settings.host}:{settings.ui_port}")
    console.print(f"forecast API  http://{settings.host}:{settings.api_port}/v1/pairs")
    console.print(f"its reference http://{settings.host}:{settings.api_port}/openapi.json")
    console.print(f"logs          {logs}")
    console.print("Ctrl-C ends all of them.")


def _watch(running: Sequence[tuple[Service, subprocess.Popen[bytes]]], stop: threading.Event) -> str | None:
    while not stop.wait(0.5):
        for service, process in running:
            if process.poll() is not None:
                return service.name
    return None


def _end_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
    # The leader may be gone while a code server of its group still closes: the whole group goes.
    for process in processes:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
