"""Downloads a small file whole, or says why not. Retries what may pass, with capped back-off and jitter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx
    import tenacity

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(RuntimeError):
    """The file could not be had; the message gives the cause. `status` is that of HTTP, where one came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _Passing(DownloadError):
    """A failure that another attempt may not meet; `wait` is what the server asked for, in seconds."""

    def __init__(self, message: str, wait: float = 0.0, *, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.wait = wait


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try, in seconds: `connect` and `read` for each step of an attempt, `whole` for its body.

    The back-off between attempts doubles from `first_wait` up to `longest_wait`, with jitter. A `Retry-After` is
    honoured up to `longest_retry_after`.
    """

    attempts: int = 3
    connect: float = 3.0
    read: float = 10.0
    whole: float = 60.0
    first_wait: float = 0.5
    longest_wait: float = 4.0
    longest_retry_after: float = 20.0
    largest: int = 64 * 1024 * 1024


@contextmanager
def connection(policy: RetryPolicy) -> Iterator[httpx.Client]:
    """A client for several downloads, which then share one connection where the server keeps it open."""
    import httpx

    limits = httpx.Limits(max_connections=1)
    timeout = httpx.Timeout(policy.read, connect=policy.connect)
    with httpx.Client(timeout=timeout, limits=limits, follow_redirects=True) as client:
        yield client


def download(
    url: str,
    *,
    policy: RetryPolicy,
    verify: Callable[[bytes], None],
    log: Callable[[str], None],
    headers: Mapping[str, str] | None = None,
    client: httpx.Client | None = None,
) -> bytes:
    """The content of `url`, complete and accepted by `verify` (which raises `ValueError` for what is not the file).

    `headers` are sent beside the usual ones or in their place. `client`: that of `connection`, else a new one for each
    attempt. Raises `DownloadError` with the cause when the attempts are used up, and at once for what no retry mends.
    """
    import tenacity

    backoff = tenacity.wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _Passing) else 0.0
        return max(backoff(state), min(asked, policy.longest_retry_after))

    def said(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        log(f"{shown(url)}: {error}; attempt {state.attempt_number + 1} of {policy.attempts} in {pause:.1f} s")

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=wait,
        retry=tenacity.retry_if_exception_type(_Passing),
        before_sleep=said,
        reraise=True,
    )
    data = retrying(_get, url, policy, headers or {}, client)
    if data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise DownloadError("answered a web page instead of data (a login or proxy page?)")
    try:
        verify(data)
    except ValueError as error:
        raise DownloadError(f"answered something else: {error}") from error
    return data


def shown(url: str) -> str:
    """`url` as it may be logged: without user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the configured address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _get(url: str, policy: RetryPolicy, headers: Mapping[str, str], client: httpx.Client | None) -> bytes:
    """One attempt. A body shorter than its Content-Length is a `RemoteProtocolError` of httpx: passing."""
    import httpx

    try:
        with (
            nullcontext(client) if client is not None else connection(policy) as used,
            used.stream("GET", url, headers={"Accept-Encoding": "identity", **headers}) as response,
        ):
            _check_status(response)
            return _body(response, policy)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise DownloadError(f"{shown(url)} is not a web address: {error}") from error
    except httpx.TooManyRedirects as error:
        raise DownloadError("redirects without end") from error
    except httpx.DecodingError as error:
        raise _Passing(f"the body cannot be decoded: {error}") from error
    except httpx.TransportError as error:
        raise _Passing(f"{_cause(error)}") from error


def _check_status(response: httpx.Response) -> None:
    if response.status_code == 200:
        return
    message = f"HTTP {response.status_code}"
    if response.status_code in _RETRIED_STATUS:
        asked = _retry_after(response.headers.get("Retry-After", ""))
        raise _Passing(message, asked, status=response.status_code)
    raise DownloadError(message, status=response.status_code)


def _body(response: httpx.Response, policy: RetryPolicy) -> bytes:
    data, started = bytearray(), monotonic()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > policy.largest:
            raise DownloadError(f"more than {policy.largest:,} bytes")
        if monotonic() - started > policy.whole:
            raise _Passing(f"only {len(data):,} bytes in {policy.whole:g} s")
    return bytes(data)


def _retry_after(value: str) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 for none or nonsense."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _cause(error: httpx.TransportError) -> str:
    """In words: the kind of failure, and the library's message where it has one."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    return f"{kind}: {error}" if str(error) else kind
