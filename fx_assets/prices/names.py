"""Words of prices that even a check of the configuration needs, so nothing is imported here."""

from __future__ import annotations

from typing import Literal

Kind = Literal["tick", "bar", "fixing"]
Side = Literal["bid", "ask", "mid", "trade"]

# The quotes inside a bar where both sides are known; `bid` and `ask` are those at its end.
SIDE_COLUMNS = ("bid_open", "bid_high", "bid_low", "ask_open", "ask_high", "ask_low")
OHLC = ("open", "high", "low", "close")
PRICE_COLUMNS = (*OHLC, "bid", "ask", *SIDE_COLUMNS)
