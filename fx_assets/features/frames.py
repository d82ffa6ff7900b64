"""What a stage computes from: the bars of one pair as they were known at one moment, and what stood beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName

FloatArray = NDArray[np.float64]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Frame:
    """Bars of one pair, oldest first; every array is (n,).

    `time`, `end`: naive datetime64[us] meaning UTC, increasing; `trading_date`: datetime64[D]. `columns`: those of a
    bar by name, float64, NaN where the source has none. `others`: by pair, the close of that pair's newest bar that had
    ended by `end` and was known then; NaN before its first. `exog`: by `group/SERIES`, the newest value known then.
    """

    pair: str
    frequency: Frequency
    calendar: CalendarName
    time: Times
    end: Times
    trading_date: Times
    columns: Mapping[str, FloatArray]
    others: Mapping[str, FloatArray] = field(default_factory=dict)
    exog: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: slice) -> Frame:
        """A stretch of it."""
        return Frame(
            pair=self.pair,
            frequency=self.frequency,
            calendar=self.calendar,
            time=self.time[rows],
            end=self.end[rows],
            trading_date=self.trading_date[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            others={name: values[rows] for name, values in self.others.items()},
            exog={name: values[rows] for name, values in self.exog.items()},
        )
