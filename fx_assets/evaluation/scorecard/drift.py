"""Whether live forecasts are still as good as back-tested: bets on larger losses, that may be read every night."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.metrics.losses import Floats

Key = tuple[str, str, int]  # pair, model, horizon

ENOUGH_WINDOWS = 20
DRIFT, NO_DRIFT, TOO_LITTLE = "drift", "no drift shown", "too little data"
# What may have become worse, each with a test of its own.
DRIFTS = ("location", "volatility too low", "volatility too high")


_BETS = np.array([0.0, 1.0, 2.0])
_JUMP = 0.01
_UTC = pa.timestamp("us", tz="UTC")
LIVE_SKILL_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("horizon", pa.int32()),
        pa.field("drift", pa.string()),
        pa.field("live", pa.float64()),
        pa.field("backtested", pa.float64()),
        pa.field("windows", pa.int64()),
        pa.field("backtested_windows", pa.int64()),
        pa.field("e_value", pa.float64()),
        pa.field("verdict", pa.string()),
        pa.field("alert", pa.bool_()),
        pa.field("alerted_at", _UTC),
    ]
)


def live_skill(rows: pa.Table, backtested: pa.Table, *, alpha: float = 0.01) -> pa.Table:
    """Whether live forecasts are worse than back-tested ones: rows of `LIVE_SKILL_SCHEMA`, one for each of `DRIFTS`.

    `rows` has `SCORECARD_SCHEMA`; `backtested` has the columns `pair, model_id, horizon, origin, target_time, y,
    location, volatility` of the scores table, of which only windows count that ended before the first live origin.
    Pairs, models and horizons that were not back-tested have no row. The market's volatility cancels out of the
    losses, for they are in units of the volatility that was forecast, z = (y - location) / volatility: `location` is
    z^2 - (y / volatility)^2, the loss against the driftless walk; `volatility too low` is |z|, `too high` is -|z|.
    `live` and `backtested` are over all windows: the ratio of squared errors to the walk's, and the root mean square
    of z, which is 1 where the volatility is right.

    The test is one-sided and may be read every night: a conformal test martingale over windows that do not overlap.
    The rank of each live loss among all earlier ones is bet upon by the Simple Jumper, here on larger losses only, and
    `e_value` is its highest wealth so far. Where live and back-tested losses are exchangeable it ever reaches 1 / alpha
    with a probability of alpha at most, for each row. Where a model's volatility does not follow the market's they are
    not, and a stormy year alerts. Under 20 live or back-tested windows the verdict is `too little data`, and without
    an alert `no drift shown`. An alert stays: of a model that was mended pass the rows from then on.
    Source: Vovk et al. (2021), "Retrain or not retrain", arXiv 2102.10439.
    Raises `ValueError` for an `alpha` outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: expected a probability between 0 and 1, got {alpha}")
    tested = dict(_groups(backtested))
    found: list[dict[str, Any]] = []
    for key, live in _groups(rows.filter(rows.column("outcome").is_valid())):
        if key in tested:
            before = tested[key].only(tested[key].target <= live.origin[0])
            found += [_drift(key, name, live, before, alpha) for name in DRIFTS]
    return pa.Table.from_pylist(found, schema=LIVE_SKILL_SCHEMA)


class _Windows(NamedTuple):
    """Windows of one pair, model and horizon by origin: times in microseconds, log returns."""

    origin: NDArray[np.int64]
    target: NDArray[np.int64]
    y: Floats
    location: Floats
    volatility: Floats

    def only(self, rows: NDArray[Any]) -> _Windows:
        """The chosen rows: a mask, or row numbers."""
        return _Windows(*(values[rows] for values in self))

    def apart(self) -> _Windows:
        """From the first on, each next window that begins when the last one kept has ended."""
        kept: list[int] = []
        for row, origin in enumerate(self.origin.tolist()):
            if not kept or origin >= self.target[kept[-1]]:
                kept.append(row)
        return self.only(np.array(kept, dtype=np.int64))

    def losses(self, name: str) -> Floats:
        """In units of the volatility that was forecast; lower is better."""
        z = (self.y - self.location) / self.volatility
        if name == "location":
            return np.asarray(np.square(z) - np.square(self.y / self.volatility))
        return np.abs(z) if name == "volatility too low" else -np.abs(z)

    def said(self, name: str) -> float | None:
        """The figure that stands for all windows; None where there is none, or the price never moved."""
        squares, walk = np.square(self.y - self.location), float(np.sum(np.square(self.y)))
        if name == "location":
            return float(np.sum(squares)) / walk if walk > 0 else None
        return float(np.sqrt(np.mean(squares / np.square(self.volatility)))) if len(squares) else None


def _groups(table: pa.Table) -> Iterator[tuple[Key, _Windows]]:
    if not table.num_rows:
        return
    names = ["pair", "model_id", "horizon"]
    table = table.sort_by([(name, "ascending") for name in (*names, "origin", "target_time")])
    numbers = {name: _floats(table, name) for name in ("y", "location", "volatility")}
    times = {name: np.asarray(table.column(name).cast(pa.int64()).to_numpy()) for name in ("origin", "target_time")}
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(zip(*(table.column(name).to_pylist() for name in names), strict=True)):
        rows.setdefault(key, []).append(row)
    whole = _Windows(times["origin"], times["target_time"], *numbers.values())
    for key, places in rows.items():
        yield key, whole.only(np.array(places))


def _drift(key: Key, name: str, live: _Windows, before: _Windows, alpha: float) -> dict[str, Any]:
    apart, reference = live.apart(), before.apart()
    highest = np.maximum.accumulate(_wealth(reference.losses(name), apart.losses(name)))
    enough = min(len(apart.y), len(reference.y)) >= ENOUGH_WINDOWS
    over = np.flatnonzero(highest[ENOUGH_WINDOWS - 1 :] >= 1 / alpha) + ENOUGH_WINDOWS - 1
    alert = enough and len(over) > 0
    when = datetime.fromtimestamp(int(apart.target[over[0]]) / 1e6, UTC) if alert else None
    pair, model_id, horizon = key
    return {
        "pair": pair,
        "model_id": model_id,
        "horizon": horizon,
        "drift": name,
        "live": live.said(name),
        "backtested": before.said(name),
        "windows": len(apart.y),
        "backtested_windows": len(reference.y),
        "e_value": float(highest[-1]),
        "verdict": (DRIFT if alert else NO_DRIFT) if enough else TOO_LITTLE,
        "alert": alert,
        "alerted_at": when,
    }


def _wealth(reference: Floats, live: Floats) -> Floats:
    """Wealth (n,) after each of the live losses (n,), from 1, betting that they are larger than those before them."""
    seen = sorted(reference.tolist())
    parts = np.full(len(_BETS), 1 / len(_BETS))
    wealth = []
    for loss in live.tolist():
        bisect.insort(seen, loss)
        # Equal losses all count against the bet: without random ties the wealth stays under the martingale's.
        p = (len(seen) - bisect.bisect_left(seen, loss)) / len(seen)
        parts = (1 - _JUMP) * parts + _JUMP * parts.sum() / len(_BETS)
        parts = parts * (1 + _BETS * (0.5 - p))
        wealth.append(float(parts.sum()))
    return np.array(wealth)


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)
