"""What a feature stage is. Subclassing registers; a file dropped into this folder is found by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fx_assets.features.errors import DuplicateStageError, FeatureError, UnknownStageError
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.prices.names import PRICE_COLUMNS
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import Frequency

Columns = dict[str, FloatArray]
Json = dict[str, Any]

# What a fixing has; a stage that needs more stands only on bars.
FIXING_COLUMNS = frozenset({"close"})
BAR_COLUMNS = frozenset({*PRICE_COLUMNS, "spread", "ticks", "realised_variance", "volume"})
# Those that may be 0 or less.
_ANY_SIGN = frozenset({"spread", "ticks", "realised_variance", "volume"})

REGISTRY: dict[str, type[Stage]] = {}


class StageOptions(BaseModel):
    """Base of every stage's options: unknown keys refused, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Stage(ABC):
    """A plug-in of the pipeline: its name in YAML, its options, and its place where two stages tell the same thing."""

    name: ClassVar[str]
    stateless: ClassVar[bool]
    # Lower is kept before higher where features of two stages are redundant.
    priority: ClassVar[int] = 100
    Options: ClassVar[type[BaseModel]] = StageOptions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register every concrete subclass under its `name`."""
        super().__init_subclass__(**kwargs)
        if inspect.isabstract(cls):
            return
        name = cls.__dict__.get("name")
        if not isinstance(name, str) or not name:
            raise TypeError(f"{_where(cls)}: a stage needs a class attribute name")
        known = REGISTRY.get(name)
        if known is not None:
            raise DuplicateStageError(f"stage {name!r} is both {_where(known)} and {_where(cls)}; rename one")
        REGISTRY[name] = cls


@dataclass(frozen=True)
class Column:
    """One feature. `sources`: columns of bars (`close`), other pairs' closes (`others`) or `exog/group/SERIES`.

    `cost`: relative to a moving average's; of two redundant features of one stage the cheaper is kept. `missing`:
    whether it may be NaN in some rows; all others are finite in each.
    """

    name: str
    sources: tuple[str, ...]
    about: str
    cost: float = 1.0
    missing: bool = False


class StatelessStage(Stage):
    """A causal map from bars to feature columns, one row in, one row out; an asset of its own.

    A value at row t may depend on rows up to t only (the leak probe holds every stage to it), and on no more than
    `lookback` rows before it beyond rounding. Every method is a function of the options alone, unless it says more.
    """

    stateless = True

    @abstractmethod
    def lookback(self, options: Any, frequency: Frequency) -> int:
        """Rows before the first row whose features are complete and warmed up."""

    @abstractmethod
    def columns(self, options: Any) -> list[Column]:
        """The feature columns, in order."""

    @abstractmethod
    def _compute(self, frame: Frame, options: Any, first: int) -> Columns:
        """Hook: feature columns (n,) float64 of `frame`; rows before `first` are not used and may be NaN."""

    def needs(self, options: Any) -> frozenset[str]:
        """Columns of bars that must be there, without gaps."""
        del options
        return FIXING_COLUMNS

    def others(self, options: Any, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """Which of the `known` other pairs it reads for `pair`."""
        del options, pair, known
        return ()

    def named_pairs(self, options: Any) -> tuple[str, ...]:
        """Pairs that its options name: each must have bars of the set's frequency."""
        del options
        return ()

    def exog(self, options: Any) -> tuple[str, ...]:
        """Which exogenous series it reads, as `group/SERIES`."""
        del options
        return ()

    def online(self, options: Any) -> bool:
        """Whether the HTTP server may compute it: no heavy library, and quick for the rows of one window."""
        del options
        return True

    def problems(self, options: Any, frequency: Frequency) -> list[tuple[str, str]]:
        """(option, message) of what the options alone cannot say: a frequency that does not fit, for example."""
        del options, frequency
        return []

    def compute(self, frame: Frame, options: Any, first: int = 0) -> Columns:
        """Feature columns of `frame`, each (n,) float64, in the order of `columns`; NaN before row `first`.

        Raises `FeatureError` for a missing or gappy input column and for an output whose names, shape or type are not
        what `columns` promises.
        """
        for name in sorted(self.needs(options)):
            self._check_input(frame, name)
        result = self._compute(frame, options, first)
        expected = [column.name for column in self.columns(options)]
        if list(result) != expected:
            raise FeatureError(f"stage {self.name!r} promised columns {expected} and made {list(result)}")
        for name, values in result.items():
            if not isinstance(values, np.ndarray) or values.shape != (len(frame),) or values.dtype != np.float64:
                found = f"{type(values).__name__} {getattr(values, 'shape', '')} {getattr(values, 'dtype', '')}"
                raise FeatureError(
                    f"stage {self.name!r}, column {name!r}: expected float64 ({len(frame)},), found {found}"
                )
        return result

    def _check_input(self, frame: Frame, name: str) -> None:
        if name not in frame.columns:
            raise FeatureError(f"stage {self.name!r} needs column {name!r}; the bars have {sorted(frame.columns)}")
        values = frame.columns[name]
        # One missing value inside spoils the rest of a recursive indicator: refuse it here.
        bad = np.flatnonzero(~(np.isfinite(values) & ((values > 0) | (name in _ANY_SIGN))))
        if len(bad):
            raise FeatureError(
                f"stage {self.name!r} needs column {name!r} without gaps; {len(bad)} of {len(values)} bars are "
                f"missing or not positive, first the one from {frame.time[bad[0]]} UTC. Repair or drop these bars, or "
                f"use a stage that does not need {name!r}"
            )


@dataclass(frozen=True, eq=False)
class Sample:
    """What a fitted stage may see: rows of the training part whose targets lie in it too (purged by the horizon).

    `names` (k,) of the columns of `values` (n, k), which may hold NaN; `target` (n,): what follows each row, in the
    model's own units; `groups` (n,): number of the pair a row belongs to, rows of one pair in the order of time.
    `stages`, `costs` (k,): priority of the stage that made a column, and its cost.
    """

    names: tuple[str, ...]
    values: FloatArray
    target: FloatArray
    groups: NDArray[np.int64]
    stages: NDArray[np.int64]
    costs: FloatArray


@dataclass(frozen=True)
class Fit:
    """A fitted stage as JSON: `params` for `transform`, and a `report` for people, neither of it code."""

    params: Json
    report: Json


class FittedStage(Stage):
    """Learns from training rows, as scikit-learn's `fit` and `transform`; what it learned travels with the checkpoint.

    `transform` works row by row and needs no more than numpy.
    """

    stateless = False

    @abstractmethod
    def fit(self, sample: Sample, options: Any, *, scratch: Path, seed: int) -> Fit:
        """Learn from the sample; equal samples, options and seeds give equal bits. Files only under `scratch`."""

    @abstractmethod
    def names(self, given: tuple[str, ...], params: Json) -> tuple[str, ...]:
        """Names of the columns that `transform` gives."""

    @abstractmethod
    def transform(self, given: tuple[str, ...], values: FloatArray, params: Json) -> FloatArray:
        """Columns (n, m) from columns (n, k) named `given`. Raises `FeatureError` where one it needs is not there."""

    def costs(self, given: Mapping[str, float], params: Json) -> dict[str, float]:
        """Cost of each column that `transform` gives, from the costs of those it is given."""
        return {name: given.get(name, 1.0) for name in self.names(tuple(given), params)}


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def stage(name: str) -> Stage:
    """The stage called `name`. Raises `UnknownStageError` with the nearest name."""
    package = importlib.import_module("fx_assets.features.stages")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found = REGISTRY.get(name)
    if found is None:
        raise UnknownStageError(f"unknown stage {name!r}.{nearest(name, REGISTRY)}")
    return found()
