"""Runs the forecast API: one worker in this process, or several that share its socket."""

from __future__ import annotations

import argparse
import errno
import socket
import sys
import tempfile
from collections.abc import Sequence

from fx_assets.settings import Settings, child_environment, get_settings
from serving.access.door import DoorError, check_door

BACKLOG = 2_048


class AddressError(OSError):
    """The API cannot listen where it was told to; the message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on `host:port`; port 0 takes a free one. Raises `AddressError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # Without this a restart within a minute of the last one would find its own port still cooling down.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        # Listening now, not at start-up, so that a taken port is found before anything is loaded.
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        advice = (
            "another program holds it: choose another with --port or FX_API_PORT"
            if error.errno == errno.EADDRINUSE
            else "is FX_HOST an address of this machine, and is the port yours to take?"
        )
        raise AddressError(f"port {port} on {host} cannot be used ({error.strerror}); {advice}") from error
    return bound


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(settings: Settings, port: int, workers: int | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code: 0 ended as asked, 1 could not start.

    `workers` processes, those of the settings where not given. Standard output gets one line,
    `forecast API on http://127.0.0.1:PORT`, once the first of them answers; the log goes to standard error.
    """
    try:
        check_door(settings)
        listener = bind(settings.host, port)
    except (AddressError, DoorError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    url = address(listener)

    def ready() -> None:
        print(f"forecast API on {url}", flush=True)

    count = settings.workers if workers is None else workers
    # Imported where they are used: the parent of several workers needs nothing of what one serves.
    if count > 1:
        from serving.workers import SHARED_COUNTS, Supervisor

        with tempfile.TemporaryDirectory(prefix="fx-assets-counts-") as counts:
            environment = {**child_environment(settings), SHARED_COUNTS: counts}
            return Supervisor(count, listener, environment, ready, settings.drain_seconds).run()
    from serving.server import serve

    return serve(settings, listener, ready)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m serving.main [--port N] [--workers N]`: those of the settings where not given."""
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="serving.main", description="The forecast API.")
    parser.add_argument("--port", type=int, default=settings.api_port, help="0 takes a free one")
    parser.add_argument("--workers", type=int, choices=range(1, 65), metavar="N", help="processes, 1 to 64")
    given = parser.parse_args(arguments)
    return run(settings, given.port, given.workers)


if __name__ == "__main__":
    sys.exit(main())
