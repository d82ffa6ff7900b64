"""The same aggregates by plain pandas: a groupby over finished periods, each found by the wall clock of its zone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.timegrid.sessions import SESSIONS

ZONES = {"day": ("America/New_York", 0, 17)} | SESSIONS


def table(frame: Frame) -> pd.DataFrame:
    """Its bars with the values that are aggregated."""
    close, spread = pd.Series(frame.columns["close"]), pd.Series(frame.columns["spread"])
    level = pd.Series(1e4 * np.log(frame.columns["close"]))
    return pd.DataFrame(
        {
            "start": pd.DatetimeIndex(frame.time).tz_localize("UTC"),
            "end": pd.DatetimeIndex(frame.end).tz_localize("UTC"),
            "date": pd.DatetimeIndex(frame.trading_date.astype("datetime64[ns]")),
            "close": level,
            "returns": level.diff(),
            "range": 1e4 * np.log(frame.columns["high"] / frame.columns["low"]),
            "spread": 1e4 * spread / close,
            "ticks": frame.columns["ticks"],
            "volume": frame.columns["volume"],
        }
    )


def expected(frame: Frame, values: list[str], primitives: list[str], kind: str, window: int) -> pd.DataFrame:
    """A column (value, primitive) for each, a row for each bar. `kind`: `day` or a session."""
    bars = table(frame)
    zone, opening, closing = ZONES[kind]
    inside = bars
    if kind != "day":
        start, end = hours(bars["start"], zone), hours(bars["end"], zone)
        inside = bars[(start >= opening) & (end <= closing) & (end > opening)]
    # The first date of a frame may have begun before it.
    dates = sorted(set(bars["date"]) - {bars["date"].iloc[0]})
    periods = range(window - 1, len(dates))
    long = pd.concat(
        [inside[inside["date"].isin(dates[last - window + 1 : last + 1])].assign(period=last) for last in periods]
    )
    grouped = long.groupby("period")
    made = grouped[values].agg([primitive for primitive in primitives if primitive != "trend"])
    if "trend" in primitives:
        for value in values:
            made[value, "trend"] = grouped[["end", value]].apply(slope)
    finished = [(date.tz_localize(zone) + pd.DateOffset(hours=closing)).tz_convert("UTC") for date in dates]
    newest = pd.DatetimeIndex(finished[window - 1 :]).searchsorted(bars["end"], "right") - 1
    result = made.reindex(periods).iloc[np.maximum(newest, 0)].set_index(bars.index)
    result[newest < 0] = np.nan
    for primitive in {"mean", "min", "max", "median", "first", "last"}.intersection(primitives):
        if "close" in values:
            result["close", primitive] = bars["close"] - result["close", primitive]
    return result


def hours(times: pd.Series[pd.Timestamp], zone: str) -> pd.Series[float]:
    """What the clock of that zone shows."""
    wall = times.dt.tz_convert(zone)
    shown: pd.Series[float] = wall.dt.hour + wall.dt.minute / 60
    return shown


def slope(rows: pd.DataFrame) -> float:
    """Least squares, a day of 24 hours."""
    value = rows.iloc[:, 1]
    days = (rows["end"] - rows["end"].iloc[0]).dt.total_seconds() / 86_400
    if len(value) < 3:
        return float("nan")
    return float(((days - days.mean()) * (value - value.mean())).sum() / ((days - days.mean()) ** 2).sum())


def assert_equal(found: FloatArray, wanted: pd.Series[float], primitive: str) -> None:
    """To 1e-12, absolute and relative; a trend to 1e-9 of its size: featuretools solves it by singular values."""
    tolerance = 1e-9 if primitive == "trend" else 1e-12
    np.testing.assert_allclose(found, wanted.to_numpy(), rtol=tolerance, atol=tolerance, equal_nan=True)
