"""Which kinds of model there are.

Subclassing `BasePredictor` with a `kind` registers it. Modules dropped into
`fx_assets/models/predictors/` are found by themselves; other packages name a module (or class) under
the entry point group `fx_assets.predictors`.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from fx_assets.models import predictors
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import ModelSpec

if TYPE_CHECKING:
    from fx_assets.models.base import BasePredictor

ENTRY_POINTS = "fx_assets.predictors"

_log = logging.getLogger(__name__)
_classes: dict[str, type[BasePredictor]] = {}


class UnknownKind(ValueError):
    """No predictor of that kind; the message names the nearest one and modules that failed to import."""


def register(cls: type[BasePredictor]) -> None:
    """Add a class under its `kind`. Raises `ValueError` where another class has it."""
    known = _classes.get(cls.kind)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(
            f"kind {cls.kind!r} of {cls.__module__}.{cls.__qualname__} is already taken by "
            f"{known.__module__}.{known.__qualname__}; choose another kind"
        )
    _classes[cls.kind] = cls


@functools.cache
def _discover() -> dict[str, str]:
    """Import every predictor module once; the ones that failed, with the reason."""
    failed: dict[str, str] = {}
    sources: list[tuple[str, Callable[[], Any]]] = [
        (name, functools.partial(importlib.import_module, name))
        for name in sorted(f"{predictors.__name__}.{info.name}" for info in pkgutil.iter_modules(predictors.__path__))
    ]
    sources += [
        (f"entry point {entry.name} = {entry.value}", entry.load)
        for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value))
    ]
    for name, load in sources:
        # One broken plug-in must not take the other kinds down; it is reported where a kind is missed.
        try:
            load()
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            _log.warning("predictor module %s cannot be imported: %s", name, failed[name])
    return failed


def broken_modules() -> dict[str, str]:
    """Predictor modules and entry points that could not be imported, with the reason."""
    return dict(_discover())


def kinds() -> tuple[str, ...]:
    """All kinds, sorted."""
    _discover()
    return tuple(sorted(_classes))


def predictor_class(kind: str) -> type[BasePredictor]:
    """The class of a kind. Raises `UnknownKind` with the nearest one."""
    failed = _discover()
    if kind in _classes:
        return _classes[kind]
    message = f"unknown kind {kind!r}.{nearest(kind, _classes)}"
    if failed:
        message += " Not imported: " + "; ".join(f"{name} ({reason})" for name, reason in failed.items()) + "."
    raise UnknownKind(message)


def check_model(spec: ModelSpec) -> list[tuple[str, str]]:
    """What is wrong with a model's spec beyond its schema: (field path, message) pairs, none if sound."""
    try:
        cls = predictor_class(spec.kind)
    except UnknownKind as error:
        return [("kind", str(error))]
    return list(problems_of(cls, spec))


def problems_of(cls: type[BasePredictor], spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """As `check_model`, for a class at hand."""
    hyperparameter_problems = list(_hyperparameter_problems(cls.Hyperparameters, spec.hyperparameters))
    yield from hyperparameter_problems
    for field, value, allowed in (("target", spec.target, cls.targets), ("scope", spec.scope, cls.scopes)):
        if value not in allowed:
            yield field, f"kind {cls.kind!r} has no {field} {value!r}; choose {' or '.join(sorted(allowed))}"
    if spec.features is not None and not cls.uses_features:
        able = _able("uses_features")
        yield (
            "features",
            f"kind {cls.kind!r} looks at closes only; remove this key, or choose a kind that reads features: {able}",
        )
    if spec.known_ahead and not cls.uses_ahead:
        able = _able("uses_ahead")
        yield "known_ahead", f"kind {cls.kind!r} takes no inputs of the bars to come; remove this key, or choose {able}"
    if spec.training.update == "warm" and not cls.warm:
        yield (
            "training.update",
            f"kind {cls.kind!r} is fitted anew in a moment and cannot go on from a version; write none, or choose "
            f"{_able('warm')}",
        )
    if (spec.ensemble is not None) != (cls.trainer == "ensemble"):
        yield (
            "ensemble",
            (
                f"kind {cls.kind!r} has no members; remove this key, or write kind: ensemble"
                if spec.ensemble is not None
                else "this key is missing: kind 'ensemble' needs its members"
            ),
        )
    for key in spec.search.space if spec.search is not None and cls.trainer != "ensemble" else ():
        head, _, name = key.partition(".")
        if head == "hyperparameters" and name not in cls.Hyperparameters.model_fields:
            yield (
                f"search.space.{key}",
                f"kind {cls.kind!r} has no such key.{nearest(name, cls.Hyperparameters.model_fields)}",
            )
    if not hyperparameter_problems:  # what follows reads them
        yield from cls.check_spec(spec)


def _able(capability: str) -> str:
    """Kinds with a capability, as a message names them."""
    return ", ".join(kind for kind, cls in sorted(_classes.items()) if getattr(cls, capability)) or "none has it yet"


def _hyperparameter_problems(schema: type[BaseModel], values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        schema.model_validate(values)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            path = ".".join(["hyperparameters", *map(str, item["loc"])])
            if item["type"] == "extra_forbidden":
                message = "unknown key." + nearest(str(item["loc"][-1]), schema.model_fields)
            elif item["type"] == "missing":
                message = "this key is missing"
            else:
                message = str(item["msg"]).removeprefix("Value error, ")
                if isinstance(item.get("input"), str | int | float | bool):
                    message += f", found {item['input']!r}"
            yield path, message
