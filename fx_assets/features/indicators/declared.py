"""What an indicator says of itself: its option, its columns, what it reads, how far it looks back, and its function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.stages.base import Column

BASIS_POINTS = 1e4
# A recursive average never forgets where its history starts. An exponential one of span s keeps exp(-24) of it over 12
# spans, and 500 rows are enough for the short ones to reach the last bit.
WARM_UP_ROWS, WARM_UP_SPANS = 500, 12
# Bars by which another pair's close may be older than the row it stands beside. A close from before the frame begins
# does not count, so what reads other pairs asks for so many rows more: over holidays of one calendar only, or a gap.
STALE_ROWS = 10
CLOSE = ("close",)
HIGH_LOW_CLOSE = ("high", "low", "close")


@dataclass(frozen=True)
class Declared(ABC):
    """One option of the stage. `value` is always what that option says where it switches something on.

    `needs`: the columns of bars that it reads; no column of another name is read. `intraday`: whether bars of a day or
    longer refuse it; `dated`: whether those longer than a day do.
    """

    name: str
    needs: tuple[str, ...] = field(default=CLOSE, kw_only=True)
    cost: float = field(default=1.0, kw_only=True)
    intraday: bool = field(default=False, kw_only=True)
    dated: bool = field(default=False, kw_only=True)

    @abstractmethod
    def columns(self, value: Any) -> list[Column]:
        """Its columns, in order."""

    @abstractmethod
    def lookback(self, value: Any) -> int:
        """Rows before the first row whose values are complete and warmed up."""

    @abstractmethod
    def compute(self, frame: Frame, value: Any) -> list[FloatArray]:
        """Its columns (n,) in the order of `columns`, NaN in the rows of its look-back."""

    def others(self, value: Any, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """Which of the `known` other pairs it reads for `pair`."""
        del value, pair, known
        return ()

    def exog(self, value: Any) -> tuple[str, ...]:
        """Which exogenous series it reads, as `group/SERIES`."""
        del value
        return ()


@dataclass(frozen=True)
class Periodic(Declared):
    """A column for each period p of a list, `<name>_<p>`. `about`: one line, with {} for the period.

    `rows`: of a window function the rows before its first value; of a recursive one the span of the exponential
    average that forgets as slowly, from which its warm-up follows.
    """

    about: str
    function: Callable[[Frame, int], FloatArray]
    rows: Callable[[int], int]
    recursive: bool = False

    def columns(self, value: list[int]) -> list[Column]:
        """One for each period."""
        return [Column(f"{self.name}_{p}", self.needs, self.about.format(p), self.cost) for p in value]

    def lookback(self, value: list[int]) -> int:
        """That of the longest period."""
        rows = self.rows(max(value))
        return warm_up(rows) if self.recursive else rows

    def compute(self, frame: Frame, value: list[int]) -> list[FloatArray]:
        """One column for each period."""
        return [self.function(frame, period) for period in value]


@dataclass(frozen=True)
class Switch(Declared):
    """Columns that have no period, on or off. `parts`: one line about each column. `span`: of a recursive one."""

    parts: Mapping[str, str]
    function: Callable[[Frame], list[FloatArray]]
    span: int = 0

    def columns(self, value: bool) -> list[Column]:
        """Its parts."""
        del value
        return [Column(name, self.needs, about, self.cost) for name, about in self.parts.items()]

    def lookback(self, value: bool) -> int:
        """None, or the warm-up."""
        del value
        return warm_up(self.span) if self.span else 0

    def compute(self, frame: Frame, value: bool) -> list[FloatArray]:
        """Its parts."""
        del value
        return self.function(frame)


def warm_up(span: int) -> int:
    """Rows after which a recursive average of that span has forgotten where it started."""
    return max(WARM_UP_ROWS, WARM_UP_SPANS * span)


def of_values(period: int) -> int:
    """Rows before the first value of a window of `period` bars."""
    return period - 1


def of_changes(period: int) -> int:
    """Rows before the first value of a window of `period` changes from bar to bar."""
    return period


def of_span(period: int) -> int:
    """Span of an exponential average of `period`."""
    return period


def of_wilder(period: int) -> int:
    """Span of the exponential average that is Wilder's of `period`: both weigh the newest value by 1 / period."""
    return 2 * period - 1


def column(frame: Frame, name: str) -> FloatArray:
    """(n,): a column of the bars, in one piece as TA-Lib and exact prefixes want it."""
    return np.ascontiguousarray(frame.columns[name])


def columns(frame: Frame, *names: str) -> tuple[FloatArray, ...]:
    """Several of them."""
    return tuple(column(frame, name) for name in names)
