"""One of several workers, started by `serving.workers`: `python -m serving.worker LISTENER CHANNEL`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from fx_assets.settings import get_settings
from serving.server import serve
from serving.workers import READY


def main(arguments: Sequence[str]) -> int:
    """Serve on the socket whose descriptor is given; the other one leads to the parent. Returns the exit code."""
    listener, channel = (socket.socket(fileno=int(number)) for number in arguments)
    for given in (listener, channel):
        given.set_inheritable(False)
    return serve(get_settings(), listener, lambda: channel.sendall(READY), channel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
