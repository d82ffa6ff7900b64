"""Whether a call is tried again, and after how long. Every call of the client may be: none changes anything."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from serving.client.exchange import Answer, Failure

_AGAIN: Final = frozenset({429, 502, 503, 504})
_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True)
class Retrying:
    """`retries` after the first try, within `deadline` seconds for all of them; waits in seconds.

    Waits are drawn between 0 and a bound that doubles from `first_wait` to `longest_wait` (full jitter), so that
    clients that failed together do not come back together. A `Retry-After` comes before that.
    """

    retries: int = 3
    deadline: float = 60.0
    first_wait: float = 0.25
    longest_wait: float = 8.0
    longest_asked: float = 30.0
    """What the service asks to wait beyond this is not waited for: the caller gets the error, and `retry_after`."""

    def wait(self, tries: int, reply: Answer | Failure, spent: float) -> float | None:
        """Seconds until the next try, after `tries` of them in `spent` seconds; None where there is none."""
        if tries > self.retries or not may_pass(reply):
            return None
        asked = retry_after(reply.headers) if isinstance(reply, Answer) else None
        if asked is not None and asked > self.longest_asked:
            return None
        wait = self.drawn(tries) + (asked or 0.0)
        return wait if spent + wait < self.deadline else None

    def comeback(self, tries: int, reply: Answer | Failure | None) -> float:
        """Seconds until a stream is opened again, which goes on for ever; `tries` failed one after the other."""
        asked = retry_after(reply.headers) if isinstance(reply, Answer) else None
        return self.drawn(tries) + min(asked or 0.0, self.longest_asked)

    def drawn(self, tries: int) -> float:
        """A wait by chance."""
        bound = min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, _MOST_DOUBLINGS))
        return random.uniform(0.0, bound)


def may_pass(reply: Answer | Failure) -> bool:
    """Whether the same request may succeed later.

    An answer that takes too long is not asked for again: that would only add to what the service has to do.
    """
    if isinstance(reply, Answer):
        return reply.status in _AGAIN
    return not (reply.timed_out and reply.connected)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for (RFC 9110 10.2.3: a number or a date); None where it says nothing usable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:18])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
