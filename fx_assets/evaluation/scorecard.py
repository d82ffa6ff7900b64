"""The live scorecard: forecasts that came due, joined with what happened, and whether they are still as good as tested.

Only forecasts that were issued before their outcome count, each once: what a reader could have acted on.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.metrics.losses import covered, interval_score, pinball

Floats = NDArray[np.float64]
Version = Literal["first", "current"]
Key = tuple[str, str, int]  # pair, model, horizon

ENOUGH_WINDOWS = 20
DRIFT, NO_DRIFT, TOO_LITTLE = "drift", "no drift shown", "too little data"
# What may have become worse, each with a test of its own.
DRIFTS = ("location", "volatility too low", "volatility too high")

_BASIS_POINTS = 1e4
_CENTRAL = {80: (0.1, 0.9), 90: (0.05, 0.95)}
_BETS = np.array([0.0, 1.0, 2.0])
_JUMP = 0.01
_UTC = pa.timestamp("us", tz="UTC")
_SAID = (
    pa.field("pair", pa.string()),
    pa.field("model_id", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("frequency", pa.string()),
    pa.field("horizon", pa.int32()),
    pa.field("origin", _UTC),
    pa.field("target_date", pa.date32()),
    pa.field("target_time", _UTC),
    pa.field("issued_at", _UTC),
    pa.field("last_price", pa.float64()),
    pa.field("pip", pa.float64()),
    pa.field("median", pa.float64()),
    pa.field("volatility", pa.float64()),
)
# error: outcome less median. y and location: log return from last_price to the outcome and to the median. pinball: mean
# over the forecast's quantiles, bp. score: interval score, bp; null, as covered, where the forecast has no such range.
# direction_right: null where no direction was forecast (median = last_price) and where the price did not move.
# Without an outcome all of these are null.
_MEASURED = (
    pa.field("outcome", pa.float64()),
    pa.field("outcome_known_at", _UTC),
    pa.field("y", pa.float64()),
    pa.field("location", pa.float64()),
    pa.field("error_bp", pa.float64()),
    pa.field("error_price", pa.float64()),
    pa.field("error_pips", pa.float64()),
    pa.field("pinball", pa.float64()),
    pa.field("score_80", pa.float64()),
    pa.field("score_90", pa.float64()),
    pa.field("covered_80", pa.bool_()),
    pa.field("covered_90", pa.bool_()),
    pa.field("direction_right", pa.bool_()),
)
SCORECARD_SCHEMA = pa.schema([*_SAID, *_MEASURED])
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


def scorecard(documents: pa.Table, outcomes: pa.Table, *, now: datetime, version: Version = "first") -> pa.Table:
    """Rows of `SCORECARD_SCHEMA`: the forecasts of `documents` that came due by `now`, with what happened.

    Of each pair, model, frequency, horizon and origin only the first live revision that was issued before its target
    was set counts; replays and retrospective revisions never do. Rows come in that order. `documents` has
    `FORECAST_SCHEMA`; `outcomes` are rows of daily bars (`pair`, `trading_date`, `end`, `close`, `known_at`) in any
    order, every version of each. Of what was known at `now` (aware), `version` takes the first price of a trading
    date, or the current one. A forecast without such a price has a row all the same, with nulls.
    Raises `ValueError` for a `now` without a zone, an unknown version, and two bars on one trading date.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; give it in UTC")
    if version not in ("first", "current"):
        raise ValueError(f"version {version!r}: expected 'first' or 'current'")
    moment = pa.scalar(now.astimezone(UTC), _UTC)
    due = _counted(documents.filter(pc.less_equal(documents.column("target_time"), moment)))
    found = _outcomes(outcomes.filter(pc.less_equal(outcomes.column("known_at"), moment)), version)
    targets = zip(due.column("pair").to_pylist(), due.column("target_date").to_pylist(), strict=True)
    happened = [found.get(target, _NOTHING) for target in targets]
    columns: dict[str, Any] = {field.name: due.column(field.name) for field in _SAID}
    columns["outcome"] = pa.array([one.close for one in happened], pa.float64())
    columns["outcome_known_at"] = pa.array([one.known_at for one in happened], _UTC)
    columns |= _measured(due, columns["outcome"])
    return pa.table({name: columns[name] for name in SCORECARD_SCHEMA.names}, schema=SCORECARD_SCHEMA)


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


def _counted(documents: pa.Table) -> pa.Table:
    """The first live revision of each forecast that was issued in time, by `key` below."""
    key = ["pair", "model_id", "frequency", "horizon", "origin"]
    # Both: the flag is what readers were told, the times are what is true of it.
    early = pc.less(documents.column("issued_at"), documents.column("target_time"))
    live = pc.and_(pc.equal(documents.column("revision"), "live"), pc.invert(documents.column("retrospective")))
    kept = documents.rename_columns({"h": "horizon"}).filter(pc.and_(early, live))
    order = [(name, "ascending") for name in (*key, "issued_at", "model_version", "run_id")]
    kept = kept.take(pc.sort_indices(kept, sort_keys=order))
    same = np.ones(max(len(kept) - 1, 0), dtype=np.bool_)
    for name in key:
        values = np.asarray(kept.column(name).to_numpy())
        same &= values[1:] == values[:-1]
    return kept.filter(pa.array(np.concatenate([[True], ~same])[: len(kept)]))


class _Outcome(NamedTuple):
    close: float | None
    known_at: datetime | None


_NOTHING = _Outcome(None, None)


def _outcomes(bars: pa.Table, version: Version) -> dict[tuple[str, date], _Outcome]:
    """What is held of each pair and trading date; of two versions known at once the later row wins."""
    names = ["pair", "trading_date", "end", "close", "known_at"]
    chosen: dict[tuple[str, date], _Outcome] = {}
    ends: dict[tuple[str, date], datetime] = {}
    for pair, day, end, close, known_at in zip(*(bars.column(name).to_pylist() for name in names), strict=True):
        key = (pair, day)
        if ends.setdefault(key, end) != end:
            raise ValueError(f"{pair}: two bars on {day}, to {ends[key]} and to {end}; pass bars of one day each")
        if version == "first" and close is None:
            continue  # takes a price back: the first one stays what was first known
        held = chosen.get(key, _NOTHING).known_at
        better = held is None or (known_at <= held if version == "first" else known_at >= held)
        if better:
            chosen[key] = _Outcome(close, known_at)
    return chosen


def _measured(due: pa.Table, outcome: pa.Array) -> dict[str, Any]:
    """The measured columns but for the outcome's own, null where there is none."""
    there = np.asarray(outcome.is_valid().to_numpy(zero_copy_only=False))
    known = due.filter(pa.array(there))
    price = np.asarray(outcome.drop_null().to_numpy(), dtype=np.float64)
    last, median, pip = (_floats(known, name) for name in ("last_price", "median", "pip"))
    moved, said = np.sign(price - last), np.sign(median - last)
    values: dict[str, NDArray[Any]] = {
        "y": np.log(price / last),
        "location": np.log(median / last),
        "error_bp": np.log(price / median) * _BASIS_POINTS,
        "error_price": price - median,
        "error_pips": (price - median) / pip,
        "direction_right": moved == said,
        **_ranges(known, price),
    }
    missing: dict[str, NDArray[np.bool_]] = {name: np.isnan(one) for name, one in values.items() if one.dtype != bool}
    missing["direction_right"] = (moved == 0) | (said == 0)
    for mass in _CENTRAL:
        missing[f"covered_{mass}"] = missing[f"score_{mass}"]
    return {name: _spread(there, one, missing[name]) for name, one in values.items()}


def _ranges(known: pa.Table, price: Floats) -> dict[str, NDArray[Any]]:
    """Pinball losses and interval scores in basis points of log price; NaN (false) where there is no such range."""
    n = len(known)
    pinballs, scores = np.full(n, np.nan), {mass: np.full(n, np.nan) for mass in _CENTRAL}
    inside = {mass: np.zeros(n, dtype=np.bool_) for mass in _CENTRAL}
    grids: dict[tuple[float, ...], list[int]] = {}
    for row, levels in enumerate(known.column("levels").to_pylist()):
        grids.setdefault(tuple(levels), []).append(row)
    quantiles = known.column("quantiles").to_pylist()
    for grid, places in grids.items():
        y = np.log(price[places])
        logs = np.log(np.array([quantiles[place] for place in places], dtype=np.float64))
        pinballs[places] = pinball(y=y, quantiles=logs, levels=np.array(grid)).mean(axis=1) * _BASIS_POINTS
        for mass, bounds in _CENTRAL.items():
            if set(bounds) <= set(grid):
                lower, upper = (logs[:, grid.index(level)] for level in bounds)
                score = interval_score(y=y, lower=lower, upper=upper, coverage=mass / 100)
                scores[mass][places] = score * _BASIS_POINTS
                inside[mass][places] = covered(y=y, lower=lower, upper=upper)
    return (
        {"pinball": pinballs}
        | {f"score_{mass}": scores[mass] for mass in _CENTRAL}
        | {f"covered_{mass}": inside[mass] for mass in _CENTRAL}
    )


def _spread(there: NDArray[np.bool_], values: NDArray[Any], missing: NDArray[np.bool_]) -> pa.Array:
    """`values` at the rows that are `there`, null elsewhere and where `missing`."""
    whole, mask = np.zeros(len(there), dtype=values.dtype), np.ones(len(there), dtype=np.bool_)
    whole[there], mask[there] = values, missing
    return pa.array(whole, mask=mask)


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
