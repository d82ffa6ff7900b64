"""What trading costs and how busy it is: the quoted spread, and the number of quotes in a bar."""

from __future__ import annotations

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import BASIS_POINTS, Periodic, Switch, column, columns, of_values
from fx_assets.features.indicators.windows import aligned, mean, ratio

_NEEDS = ("close", "spread")
_AT_ONCE = 2_000_000  # values of a chunk of windows that are sorted together: 16 MB


def spread(frame: Frame) -> list[FloatArray]:
    """Mean spread of the bar, basis points of the close."""
    return [_in_basis_points(frame)]


def spread_ratio(frame: Frame, period: int) -> FloatArray:
    """Spread over the mean size of `period` spreads, both in basis points; 1 where they are all 0."""
    own = _in_basis_points(frame)
    return ratio(own, mean(np.abs(own), period), otherwise=1.0)


def spread_excess(frame: Frame, period: int) -> FloatArray:
    """Spread less the median of `period` spreads, basis points.

    A difference, since the median is 0 where most quotes have no spread.
    """
    own = _in_basis_points(frame)
    return own - _median(own, period)


def tick_intensity(frame: Frame, period: int) -> FloatArray:
    """Ticks of the bar over their mean in `period` bars; 1 where there are none."""
    ticks = column(frame, "ticks")
    return ratio(ticks, mean(ticks, period), otherwise=1.0)


def _in_basis_points(frame: Frame) -> FloatArray:
    close, quoted = columns(frame, *_NEEDS)
    return quoted / close * BASIS_POINTS


def _median(values: FloatArray, period: int) -> FloatArray:
    """(n,): median of each window."""
    if len(values) < period:
        return np.full(len(values), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, period)
    step = max(_AT_ONCE // period, 1)
    parts = [np.median(windows[start : start + step], axis=1) for start in range(0, len(windows), step)]
    return aligned(np.concatenate(parts), len(values))


DECLARED = (
    Switch("spread", {"spread_bp": "spread, bp"}, spread, needs=_NEEDS),
    Periodic("spread_ratio", "spread over the mean of {}", spread_ratio, of_values, needs=_NEEDS),
    Periodic("spread_excess", "spread less the median of {}, bp", spread_excess, of_values, needs=_NEEDS, cost=3.0),
    Periodic("tick_intensity", "ticks over the mean of {} bars", tick_intensity, of_values, needs=("ticks",)),
)
