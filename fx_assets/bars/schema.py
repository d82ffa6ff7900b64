"""The columns of bars."""

from __future__ import annotations

import pyarrow as pa

_UTC = pa.timestamp("us", tz="UTC")

# time: the start, which labels the bar. A bar is known at its end or later, never before.
BAR_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("time", _UTC),
        pa.field("end", _UTC),
        pa.field("known_at", _UTC),
        pa.field("trading_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("open", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("close", pa.float64()),
        pa.field("bid", pa.float64()),
        pa.field("ask", pa.float64()),
    ]
)
