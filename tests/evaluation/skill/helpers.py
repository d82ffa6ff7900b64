"""Small worlds with known answers, and tracks made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from fx_assets.evaluation.skill.tables import Plan
from fx_assets.evaluation.skill.tracks import Track
from fx_assets.evaluation.skill.worlds import World, daily_bars
from fx_assets.models.inputs import FloatArray
from fx_assets.timegrid.calendars import calendar

FIRST = date(2016, 1, 4)
PLAN = Plan(date(2019, 1, 1), "year", 1.0, (1, 5))


def world(returns: Mapping[str, FloatArray], first: date = FIRST) -> World:
    """Daily bars of open trading dates with these log returns (n,), one bar more than returns."""
    bars = {}
    for pair, moves in returns.items():
        days = calendar("fx").next_days(first, len(moves) + 1)
        closes = 1.25 * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
        bars[pair] = daily_bars(days, {"close": closes}, kind="bar")
    return World("made", "fx", bars)


def track(n: int = 1_200, *, model: str = "made", pair: str = "EURUSD", seed: int = 0, **changes: Any) -> Track:
    """Losses of about 10, ranges that hold as they should; anything may be given instead."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {
        "model": model,
        "pair": pair,
        "dates": np.datetime64("2015-01-01") + np.arange(n),
        "crps": 10 + rng.normal(0, 1, n),
        "qlike": rng.normal(0, 1, n),
        "score": {mass: 30 + rng.normal(0, 1, n) for mass in (80, 90)},
        "hits": {
            (mass, step): (rng.permutation(n) < n * mass / 100).astype(np.float64)
            for step in (1, 5)
            for mass in (80, 90)
        },
        "lower": np.arange(n) % 100 == 0,
        "upper": np.arange(n) % 100 == 50,
        "finite": True,
    }
    return Track(**{**values, **changes})
