"""What a feature stage is. Subclassing registers; a file dropped into this folder is found by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fx_assets.features.errors import DuplicateStageError, FeatureError, UnknownStageError
from fx_assets.specs.problems import nearest

Arrays = Mapping[str, NDArray[np.float64]]

# What a fixing has; a stage that needs more stands only on bars.
FIXING_COLUMNS = frozenset({"close"})
BAR_COLUMNS = frozenset({"open", "high", "low", "close", "bid", "ask"})

REGISTRY: dict[str, type[Stage]] = {}


class StageOptions(BaseModel):
    """Base of every stage's options: unknown keys refused, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Stage(ABC):
    """A causal map from price columns to feature columns, one row in, one row out.

    A value at row t may depend on rows up to t only (the leak probe holds every stage to it), and on
    no more than `lookback` rows before it beyond rounding. Columns are `(n,)` float64.
    """

    name: ClassVar[str]
    stateless: ClassVar[bool] = True
    # Lower runs first where two stages tell the same thing: the order redundant columns are kept in.
    priority: ClassVar[int] = 100
    needs: ClassVar[frozenset[str]] = FIXING_COLUMNS
    Options: ClassVar[type[BaseModel]] = StageOptions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register every concrete subclass under its `name`."""
        super().__init_subclass__(**kwargs)
        if inspect.isabstract(cls):
            return
        name = cls.__dict__.get("name")
        if not isinstance(name, str) or not name:
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}: a stage needs a class attribute name")
        known = REGISTRY.get(name)
        if known is not None:
            raise DuplicateStageError(f"stage {name!r} is both {_where(known)} and {_where(cls)}; rename one")
        unknown = cls.needs - BAR_COLUMNS
        if unknown:
            raise TypeError(f"{_where(cls)}: needs {sorted(unknown)}; bars have {sorted(BAR_COLUMNS)}")
        REGISTRY[name] = cls

    @abstractmethod
    def lookback(self, options: Any) -> int:
        """Rows before the first row whose features are complete and warmed up."""

    @abstractmethod
    def columns(self, options: Any) -> list[str]:
        """Names of the feature columns, in order."""

    @abstractmethod
    def _compute(self, bars: Arrays, options: Any) -> dict[str, NDArray[np.float64]]:
        """Feature columns from price columns; rows before the look-back may be NaN."""

    def compute(self, bars: Arrays, options: Any) -> dict[str, NDArray[np.float64]]:
        """Feature columns of `bars`, each `(n,)` float64, in the order of `columns`.

        Raises `FeatureError` for a missing or gappy input column and for an output whose names, shape
        or type are not what `columns` promises.
        """
        given = {name: self._input(bars, name) for name in sorted(self.needs)}
        result = self._compute(given, options)
        expected = self.columns(options)
        if list(result) != expected:
            raise FeatureError(f"stage {self.name!r} promised columns {expected} and made {list(result)}")
        rows = len(next(iter(given.values())))
        for name, values in result.items():
            if not isinstance(values, np.ndarray) or values.shape != (rows,) or values.dtype != np.float64:
                found = f"{type(values).__name__} {getattr(values, 'shape', '')} {getattr(values, 'dtype', '')}"
                raise FeatureError(f"stage {self.name!r}, column {name!r}: expected float64 ({rows},), found {found}")
        return result

    def _input(self, bars: Arrays, name: str) -> NDArray[np.float64]:
        if name not in bars:
            raise FeatureError(f"stage {self.name!r} needs column {name!r}; the bars have {sorted(bars)}")
        values = bars[name]
        # One missing value inside spoils the rest of a recursive indicator: refuse it here.
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            raise FeatureError(
                f"stage {self.name!r} needs column {name!r} without gaps; {len(bad)} of {len(values)} rows are "
                f"missing or not positive, first row {bad[0]}. Repair or drop these bars, or use a stage that does "
                f"not need {name!r}"
            )
        return values


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def stage(name: str) -> Stage:
    """The stage called `name`. Raises `UnknownStageError` with the nearest name."""
    _discover()
    found = REGISTRY.get(name)
    if found is None:
        raise UnknownStageError(f"unknown stage {name!r}.{nearest(name, REGISTRY)}")
    return found()


def _discover() -> None:
    package = importlib.import_module("fx_assets.features.stages")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
