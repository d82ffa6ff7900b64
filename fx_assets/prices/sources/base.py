"""What a price source is, and the registry of their kinds.

Subclassing `PriceSource` with a `kind` registers it; a module dropped into this folder is found by itself. This module
imports nothing heavy, since checking the configuration needs the kinds.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Literal

from fx_assets.settings import Settings
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import CalendarName

if TYPE_CHECKING:
    import polars as pl

_REGISTRY: dict[str, type[PriceSource]] = {}


class SourceError(RuntimeError):
    """A source that gave nothing usable for a pair; the message says what was wrong and what to do."""


@dataclass(frozen=True)
class Fetched:
    """What a source gave for one pair.

    `rows`: RAW_SCHEMA, by increasing time, each time once, clean. `rejects`: REJECTS_SCHEMA. `notes`: what a reader of
    the run should know (counts, how far the network was of help).
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    notes: Mapping[str, str | int] = field(default_factory=dict)


class PriceSource(ABC):
    """Reads one pair's prices from somewhere. A subclass sets the three class attributes and overrides `_fetch`."""

    kind: ClassVar[str]
    calendar: ClassVar[CalendarName]
    kind_of_price: ClassVar[Literal["fixing", "bar"]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" not in cls.__dict__:
            return  # a base for several sources
        taken = _REGISTRY.get(cls.kind)
        if taken is not None:
            raise TypeError(f"price source {cls.kind!r} is {taken.__module__}.{taken.__qualname__} already")
        _REGISTRY[cls.kind] = cls

    def fetch(
        self, pair: PairSpec, *, settings: Settings, log: Callable[[str], None], now: datetime | None = None
    ) -> Fetched:
        """All prices that the source has for `pair`, checked for form.

        `now` (aware): what counts as the future; the clock's where it is not given. Raises `SourceError` where the
        source has nothing usable, `ValueError` where it breaks the contract of `Fetched`.
        """
        from fx_assets.prices.schema import RAW_SCHEMA, REJECTS_SCHEMA, conform

        started = monotonic()
        fetched = self._fetch(pair, settings=settings, log=log, now=now or datetime.now(UTC))
        try:
            rows, rejects = conform(fetched.rows, RAW_SCHEMA), conform(fetched.rejects, REJECTS_SCHEMA)
        except ValueError as error:
            raise ValueError(f"price source {self.kind!r} for {pair.pair}: {error}") from error
        for name, expected in (("pair", pair.pair), ("kind", self.kind_of_price)):
            if not (rows[name] == expected).all() or rows[name].null_count():
                raise ValueError(
                    f"price source {self.kind!r} for {pair.pair}: expected {name} {expected!r} in each row"
                )
        if rows["time"].null_count() or not (rows["time"].diff().drop_nulls().dt.total_microseconds() > 0).all():
            raise ValueError(f"price source {self.kind!r} for {pair.pair}: expected increasing times, each once")
        seconds = monotonic() - started
        log(f"{pair.pair}: {rows.height} prices from {self.kind}, {rejects.height} rejected, in {seconds:.1f} s")
        return Fetched(rows, rejects, dict(fetched.notes))

    @abstractmethod
    def _fetch(self, pair: PairSpec, *, settings: Settings, log: Callable[[str], None], now: datetime) -> Fetched: ...


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
