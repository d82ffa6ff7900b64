"""Runs the forecast API: one uvicorn worker on a loopback address."""

from __future__ import annotations

import argparse
import ipaddress
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType

import uvicorn

from fx_assets.settings import Settings, get_settings
from fx_assets.specs.problems import SpecError
from serving.factory import create_app

_LOCAL_NAMES = frozenset({"localhost"})


class AddressError(OSError):
    """The API cannot listen where it was told to; the message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host:port`; port 0 takes a free one. Raises `AddressError`."""
    if host not in _LOCAL_NAMES and not _is_loopback(host):
        raise AddressError(f"the forecast API has no keys yet and listens on loopback only; FX_HOST is {host!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # Without this a restart within a minute of the last one would find its own port still cooling down.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        # Listening now, not at start-up, so that a taken port is found before anything is loaded.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise AddressError(
            f"port {port} on {host} cannot be used ({error.strerror}); "
            "another program may hold it: choose another with --port or FX_API_PORT"
        ) from error
    return bound


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """Prints its address once it answers requests, not before."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            print(f"forecast API on http://{name}:{port}", flush=True)


def run(settings: Settings, port: int) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code: 0 ended as asked, 1 could not start.

    Standard output gets one line, `forecast API on http://127.0.0.1:PORT`; the log goes to standard error.
    """
    try:
        bound = bind(settings.host, port)
        app = create_app(settings)
    except (AddressError, SpecError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    # uvicorn ends in order on the first signal, then raises it again; ending as asked is exit code 0.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    with bound:
        config = uvicorn.Config(
            app,
            workers=1,
            access_log=False,
            log_level="warning",
            timeout_keep_alive=15,
            timeout_graceful_shutdown=10,
            server_header=False,
        )
        server = _Server(config)
        server.run(sockets=[bound])
    return 0 if server.started else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m serving.main [--port N]`: the port of the settings, or this one."""
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="serving.main", description="The forecast API on loopback.")
    parser.add_argument("--port", type=int, default=settings.api_port, help="0 takes a free one")
    return run(settings, parser.parse_args(arguments).port)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
