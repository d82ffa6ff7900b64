"""What a price source is, and the registry of their kinds.

Subclassing `PriceSource` with a `kind` registers it; a module dropped into this folder is found by itself. This module
imports nothing heavy, since checking the configuration needs the kinds.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import ValidationError

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.clocks import clock_problem
from fx_assets.settings import Settings
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import PairSpec, SourceSpec, Strict
from fx_assets.timegrid.calendars import CalendarName

_REGISTRY: dict[str, type[PriceSource]] = {}


class NoOptions(Strict):
    """A source without options of its own."""


class SourceError(RuntimeError):
    """A source that gave nothing usable for a pair; the message says what was wrong and what to do."""


@dataclass(frozen=True)
class Request:
    """What is asked of a source.

    `cursor` is what the last successful fetch left for the next (JSON; empty the first time, and whenever everything
    is to be read again). `now` (aware) tells the future. `fx_week`: whether the pair trades Sunday 17:00 to Friday
    17:00 New York, so that a clock can be checked against it; not so for 24x7. `only_files`: read what `source.files`
    names and nothing else, no network, no history of one's own. `log` takes a line for the operator.
    """

    pair: str
    source: SourceSpec
    settings: Settings
    log: Callable[[str], None]
    now: datetime
    history_start: date
    fx_week: bool = True
    only_files: bool = False
    cursor: Mapping[str, Any] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """The source's own name of the pair."""
        return self.source.symbol or self.pair


@dataclass
class Feed:
    """An answer in progress: iterate over `batches`, then read `cursor` and `notes`, which are whole only then.

    `cursor`: JSON, for the next `Request`; equal cursors mean that nothing new was there. `notes`: what a reader of the
    run should know (counts, how far the network was of help).
    """

    batches: Iterator[Batch] = field(default_factory=lambda: iter(()))
    cursor: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str | int] = field(default_factory=dict)


class PriceSource(ABC):
    """Reads one pair's prices from somewhere. A subclass sets the class attributes and overrides `_batches`.

    `calendar`: which dates have prices, where the pair does not say. `uses`: the keys of `SourceSpec` that it knows
    besides `kind`. `Options`: schema of what stands under `options`. `live`: whether it asks the network.
    """

    kind: ClassVar[str]
    calendar: ClassVar[CalendarName] = "fx"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol"})
    live: ClassVar[bool] = False
    Options: ClassVar[type[Strict]] = NoOptions

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" not in cls.__dict__:
            return  # a base for several sources
        taken = _REGISTRY.get(cls.kind)
        if taken is not None:
            raise TypeError(f"price source {cls.kind!r} is {taken.__module__}.{taken.__qualname__} already")
        _REGISTRY[cls.kind] = cls

    @abstractmethod
    def form(self, source: SourceSpec) -> Form:
        """What this source delivers as configured, without looking at any data."""

    def open(self, request: Request) -> Feed:
        """All that is new since `request.cursor`, batch by batch.

        The batches raise `SourceError` where the source has nothing usable; what was read before is then worth nothing.
        """
        feed = Feed()
        feed.batches = self._batches(request, feed)
        return feed

    def problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        """What is wrong with a source's keys, as (dotted path below `source`, message)."""
        given = source.model_fields_set - {"kind", "options"} - self.uses
        for key in sorted(given):
            known = ", ".join(sorted(self.uses)) or "none"
            yield key, f"the source {self.kind!r} has no such key; it knows {known}"
        try:
            self.Options.model_validate(source.options)
        except ValidationError as error:
            for item in error.errors():
                where = ".".join(str(part) for part in ("options", *item["loc"]))
                message = str(item["msg"]).removeprefix("Value error, ")
                if item["type"] == "extra_forbidden":
                    message = f"unknown option.{nearest(str(item['loc'][-1]), self.Options.model_fields)}"
                yield where, message
        if "clock" in self.uses and source.clock is not None and (problem := clock_problem(source.clock)):
            yield "clock", problem
        yield from self._problems(source)

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - for subclasses
        yield from ()

    @abstractmethod
    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        """Yield the new rows, in the source's order; fill `feed.cursor` and `feed.notes` on the way."""


@cache
def _discover() -> None:
    """Import every module beside this one, so that its sources register."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def kinds() -> list[str]:
    """The kinds of source that exist, sorted."""
    _discover()
    return sorted(_REGISTRY)


def source(kind: str) -> PriceSource:
    """The source of that kind. Raises `ValueError` with the nearest kind for an unknown one."""
    _discover()
    if kind not in _REGISTRY:
        raise ValueError(f"price source {kind!r} is unknown.{nearest(kind, _REGISTRY)}")
    return _REGISTRY[kind]()


def price_kind(pair: PairSpec) -> Literal["fixing", "bar"]:
    """What the pair's bars are: fixings have a close only, bars made of ticks or finer bars have all."""
    return "fixing" if source(pair.source.kind).form(pair.source).kind == "fixing" else "bar"
