"""Bars as featuretools' child table of the periods that hold them.

Every period has a clock of its own, which shows the same moment, `CUTOFF`, when the period is finished; a bar stands
on it at its closing time. So one cutoff time is that of all periods: featuretools leaves out each bar that closes after
its period is finished, and still computes all periods in one go. With cutoffs on the common clock it starts anew for
each of them: the same bits, ten times as slowly and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.aggregates.remarks import library
from fx_assets.features.frames import FloatArray

PERIODS, PERIOD = "periods", "period"
BARS, BAR, CLOSED = "bars", "bar", "closed"

# Half a minute past a full one: featuretools takes the unit of a trend from what the clock shows at the first bar, days
# at midnight, hours or minutes at a full one. Here it never shows any of these, and the unit is always the second.
# Near 1970, because featuretools counts nanoseconds in float64, which holds them exactly for a hundred days only.
CUTOFF = np.datetime64("1970-01-01T00:00:30", "ns")


def entity_set(
    periods: int, period: NDArray[np.int64], before_end: NDArray[np.timedelta64], values: Mapping[str, FloatArray]
) -> Any:
    """The two tables, `PERIODS` numbered from 0 and their `BARS`.

    Of each of n bars, those of one period in order of time: `period` (n,), the number of the one it belongs to;
    `before_end` (n,): its closing time less the end of that period; `values` (n,) by name.
    """
    import pandas as pd

    entities = library().EntitySet("prices")
    entities.add_dataframe(
        dataframe_name=PERIODS,
        dataframe=pd.DataFrame({PERIOD: np.arange(periods)}),
        index=PERIOD,
        logical_types={PERIOD: "Integer"},
    )
    entities.add_dataframe(
        dataframe_name=BARS,
        dataframe=pd.DataFrame(
            {BAR: np.arange(len(period)), PERIOD: period, CLOSED: CUTOFF + before_end.astype("timedelta64[ns]")}
            | {name: np.asarray(column) for name, column in values.items()}
        ),
        index=BAR,
        time_index=CLOSED,
        already_sorted=True,
        # Said, not guessed from the numbers.
        logical_types={BAR: "Integer", PERIOD: "Integer", CLOSED: "Datetime"} | dict.fromkeys(values, "Double"),
    )
    return entities.add_relationship(PERIODS, PERIOD, BARS, PERIOD)
