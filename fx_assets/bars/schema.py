"""The columns of bars."""

from __future__ import annotations

import pyarrow as pa

from fx_assets.prices.schema import PRICE_COLUMNS

_UTC = pa.timestamp("us", tz="UTC")

# time: the start, which labels the bar. A bar is known at its end or later, never before; a correction is one more row
# of the same time, known later, and a row with a null close takes the bar back. side: what open to close quote (mid
# where both sides are known). spread: mean of ask less bid over the ticks, or at the ends of the finer bars. ticks: how
# many quotes made the bar, null where the source does not count. realised_variance: sum of squared log returns inside.
BAR_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("block", pa.string()),
        pa.field("time", _UTC),
        pa.field("end", _UTC),
        pa.field("known_at", _UTC),
        pa.field("trading_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("side", pa.string()),
        *(pa.field(name, pa.float64()) for name in PRICE_COLUMNS),
        pa.field("spread", pa.float64()),
        pa.field("ticks", pa.int64()),
        pa.field("realised_variance", pa.float64()),
        pa.field("volume", pa.float64()),
    ]
)
