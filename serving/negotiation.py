"""Which form of an answer a client asks for by `Accept` (RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from serving.problems import ProblemError

JSON: Final = "application/json"
CSV: Final = "text/csv"
EVENTS: Final = "text/event-stream"
_PAGES: Final = frozenset({"/", "/metrics", "/favicon.ico"})
_SAID: Final = re.compile(r"/v1/forecasts/[^/]+(/latest|/versions/[^/]+)?$")
# Where a request's headers are kept by name: several are asked for, and each would look through all.
_KNOWN: Final = "fx_assets.headers"
# A header longer than this is nobody's; it is judged like any other, only not remembered.
_REMEMBERED: Final = 256


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a header, of several lines joined by commas; None where it is not there."""
    known: dict[bytes, bytes] | None = scope.get(_KNOWN)
    if known is None:
        known = scope[_KNOWN] = _by_name(scope["headers"])
    value = known.get(name)
    return None if value is None else value.decode("latin-1")


def _by_name(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    found = dict(lines)
    if len(found) != len(lines):
        for name in found:
            found[name] = b", ".join(value for key, value in lines if key == name)
    return found


def offers(path: str) -> tuple[str, ...] | None:
    """What may be had at a path, the first by default; None where the route itself looks at `Accept`, or never."""
    if path.startswith("/v1/forecasts/"):
        if path == "/v1/forecasts/stream":
            return (EVENTS,)
        return (JSON, CSV) if _SAID.match(path) else (JSON,)
    return None if path in _PAGES or path.startswith("/static/") else (JSON,)


def chosen(accept: str, offers: tuple[str, ...]) -> str:
    """The media type of `offers` (the first is preferred) that the header `Accept` likes best.

    Raises `ProblemError` 406 where it takes none of them.
    """
    best = _best(accept, offers) if len(accept) <= _REMEMBERED else best_of(accept, offers)
    if best is None:
        raise ProblemError(406, "not_acceptable", f"This address answers in {' or '.join(offers)} only.")
    return best


def wants_csv(scope: Scope) -> bool:
    """Whether CSV was chosen: where the request says nothing of it, nothing was."""
    return bool(scope["state"].get("media_type") == CSV)


def best_of(accept: str, offers: Sequence[str]) -> str | None:
    """The offer of the highest weight, of equal ones the first; None where all have weight 0 or are not named."""
    weights = _weights(accept)
    found = [(_weight(weights, offer), -place, offer) for place, offer in enumerate(offers)]
    weight, _, offer = max(found)
    return offer if weight > 0 else None


@lru_cache(maxsize=256)
def _best(accept: str, offers: tuple[str, ...]) -> str | None:
    return best_of(accept, offers)


def _weight(weights: dict[str, float], offer: str) -> float:
    # The most specific range decides, even where a wider one weighs more.
    for media in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        if media in weights:
            return weights[media]
    return 0.0


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for media, weight in weighted(accept):
        weights[media] = max(weight, weights.get(media, 0.0))
    return weights


def weighted(said: str) -> Iterator[tuple[str, float]]:
    """Items of a header such as `Accept`, in lower case, and the weight of each (RFC 9110 12.4.2); a bad one is 0."""
    for item in said.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        yield name, weight
