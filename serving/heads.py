"""The head of a request as it was sent: what is refused although a parser can read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from serving import refusals
from serving.refusals import Refusal

HEAD_BYTES: Final = 16_384
HEAD_LINES: Final = 100
TARGET_BYTES: Final = 8_192


class Refused(Exception):
    """The request is not taken; `refusal` is the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def check_head(target: bytes, headers: Sequence[tuple[bytes, bytes]], version: str, received: int) -> bool:
    """Whether the body comes in chunks. Raises `Refused`.

    Names are in lower case; `received` is at least the bytes of the head.
    """
    # Every request pays for this: what it costs was measured, and most of it runs outside the interpreter's loop.
    names = [name for name, _ in headers]
    chunked = b"transfer-encoding" in names
    if chunked and any(_is_unknown_coding(name, value) for name, value in headers):
        raise Refused(refusals.UNKNOWN_CODING)
    if version != "1.1" and version != "1.0":
        raise Refused(refusals.UNKNOWN_VERSION)
    if len(target) > TARGET_BYTES:
        raise Refused(refusals.TARGET_TOO_LONG)
    if len(names) > HEAD_LINES or (received > HEAD_BYTES and _size(target, headers) > HEAD_BYTES):
        raise Refused(refusals.HEAD_TOO_LARGE)
    hosts = names.count(b"host")
    if hosts != 1 and (hosts or version == "1.1"):
        raise Refused(refusals.BAD_HOST)
    return chunked


def check_upgrade(headers: Sequence[tuple[bytes, bytes]], busy: bool) -> None:
    """Check a head that asks for another protocol; `busy` says that the request before it is unanswered.

    A parser reads no further after such a head, so a body would be taken for the next request. Raises `Refused`.
    """
    body = any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in headers
    )
    if body or busy:
        raise Refused(refusals.UPGRADE_NOT_ALONE)


def _is_unknown_coding(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" and value.strip().lower() != b"chunked"


def _size(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
