"""Closing a connection so that the client gets its last answer, and a listener so that none is lost in its queue."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

# Time for the last answer to reach a client that is still sending; nothing is asserted about it.
LINGER_SECONDS: Final = 2.0
# Of Linux (asm-generic/socket.h); the module `socket` has no name for it.
_ATTACH_FILTER: Final = 26
# A packet filter of one instruction (linux/filter.h): return 0, which drops whatever comes.
_DROP: Final = struct.pack("HBBI", 0x06, 0, 0, 0)


def take_no_more(listener: socket.socket) -> None:
    """Before a listener is closed: let no connection be made any more, in whichever process it is open.

    The system resets what waits in the queue of a listener that is closed, and one may come between the last look into
    the queue and the close. A handshake that is not answered is tried again a second later, and refused in order. The
    connections that are made already are left alone. Elsewhere than on Linux this does nothing.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_DROP, len(_DROP))
    with contextlib.suppress(OSError):  # a sandbox may forbid it: then it is as it is elsewhere
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


class CatchUp(asyncio.Protocol):
    """Of a protocol over `Closing`: a client that does not read what it is sent is dropped after `write_seconds`."""

    loop: asyncio.AbstractEventLoop
    transport: Any  # a `Closing`; uvicorn says `asyncio.Transport`
    write_seconds: float
    _unsent: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The client does not keep up: it has this long to catch up."""
        super().pause_writing()
        self._unsent = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client caught up."""
        super().resume_writing()
        self._forget_unsent()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of every timer."""
        self._forget_unsent()
        self.transport.lost()
        super().connection_lost(exc)

    def _forget_unsent(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None


class Closing:
    """Stands in for a transport; only closing differs.

    A socket that is closed with bytes unread is reset, and the reset may overtake the last answer: while
    `unread` says that the client may still be sending, only our direction is closed at first, and the
    protocol throws away what comes until the client closes too. A transport with bytes unsent closes once
    they are sent: a client that reads nothing would hold it for ever, so it is dropped after
    `write_seconds`.
    """

    __slots__ = (
        *("_loop", "_timer", "_unread", "_write_seconds", "raw"),
        *("abort", "get_extra_info", "pause_reading", "resume_reading", "write"),
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        write_seconds: float,
        unread: Callable[[], bool],
    ) -> None:
        self.raw = transport
        self._loop = loop
        self._write_seconds = write_seconds
        self._unread = unread
        self._timer: asyncio.TimerHandle | None = None
        # Taken over as they are: a request must not pay for a second call.
        self.write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def is_closing(self) -> bool:
        """Whether `close` was called, or the connection is gone."""
        return self._timer is not None or self.raw.is_closing()

    def close(self) -> None:
        """Send what is unsent, then close."""
        if self.is_closing():
            return
        if self._unread():
            self.raw.write_eof()
            self.raw.resume_reading()  # or the client would wait for room, and never come to read
            self._timer = self._loop.call_later(LINGER_SECONDS, self._linger)
        else:
            self.raw.close()
            self._timer = self._loop.call_later(self._write_seconds, self.raw.abort)

    def _linger(self) -> None:
        if self.raw.get_write_buffer_size():
            self._timer = self._loop.call_later(self._write_seconds, self.raw.abort)
        else:
            self.raw.abort()

    def lost(self) -> None:
        """To be called when the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
