"""What the parameters of a read may say, and what they choose; each refusal names the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request

from fx_assets.specs.schema import Frequency, PairSpec
from serving.problems import ProblemError
from serving.registry import Registry
from serving.rendering import Served
from serving.snapshot import model_of
from serving.validation import parse_instant


@dataclass(frozen=True)
class Bounds:
    """Of a parameter that is a whole number from 1 on."""

    default: int
    most: int
    told: str = "At most so many"


DOCUMENTS: Final = Bounds(50, 500)
ROWS: Final = Bounds(250, 5_000)
HORIZON: Final = Bounds(1, 1_000, "Bars ahead")


def parameters(request: Request, *names: str) -> dict[str, str]:
    """The query parameters, each of `names` at most once. Raises `ProblemError` 422 for any other.

    A misspelled as_of that was ignored would answer with the present where the past was asked for.
    """
    found = request.query_params.multi_items()
    given = [name for name, _ in found]
    if not set(names).issuperset(given) or len(set(given)) != len(given):
        expected = ", ".join(sorted(names)) or "none"
        raise ProblemError(422, "invalid_request", f"Query parameters: expected any of {expected}, each at most once.")
    return dict(found)


def pair_of(registry: Registry, pair: str) -> PairSpec:
    """The pair's spec. Raises `ProblemError`: 404 for an unknown pair, 503 for one whose file is broken."""
    spec = registry.catalog.pairs.get(pair)
    if spec is not None:
        return spec
    if f"pairs/{pair}" in registry.catalog.broken:
        detail = "The configuration file of this pair has problems; /v1/pairs lists them."
        raise ProblemError(503, "pair_failed", detail)
    raise ProblemError(404, "unknown_pair", "There is no such pair; /v1/pairs lists them.")


def frequency_of(spec: PairSpec, asked: Mapping[str, str]) -> Frequency:
    """The frequency asked for, by default the pair's first. Raises `ProblemError` 404."""
    wanted = asked.get("frequency", spec.frequencies[0])
    for frequency in spec.frequencies:
        if frequency == wanted:
            return frequency
    offered = list(spec.frequencies)
    raise ProblemError(404, "unknown_frequency", "The pair has no such frequency.", frequencies=offered)


def chosen(registry: Registry, served: Mapping[str, Served], model: str | None) -> Served:
    """The document of the model asked for, by default the champion's. Raises `ProblemError` 404."""
    wanted = model_of(served, model)
    if wanted is not None and wanted in served:
        return served[wanted]
    known_model(registry, model)
    raise no_forecast(served)


def no_forecast(served: Mapping[str, Served]) -> ProblemError:
    """404 that names the models which have a forecast."""
    detail = "There is no such forecast of this pair (yet); models lists those that have one."
    return ProblemError(404, "no_forecast", detail, models=sorted(served))


def known_model(registry: Registry, model: str | None) -> None:
    """Raise `ProblemError` 404 for a model that no file of the configs is of."""
    if model is not None and model not in registry.catalog.models and f"models/{model}" not in registry.catalog.broken:
        raise ProblemError(404, "unknown_model", "There is no such model; /v1/models lists them.")


def whole_number(asked: Mapping[str, str], name: str, bounds: Bounds) -> int:
    """A parameter from 1 to the most it may be. Raises `ProblemError` 422."""
    text = asked.get(name)
    if text is None:
        return bounds.default
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= bounds.most):
        raise ProblemError(422, "invalid_request", f"{name}: expected a whole number from 1 to {bounds.most:,}.")
    return int(text)


def instant(asked: Mapping[str, str], name: str) -> datetime | None:
    """A parameter that is an instant with its offset, as UTC; None where it is not there. `ProblemError` 422."""
    return parse_instant(asked[name], name) if name in asked else None
