"""The live scorecard: forecasts that came due, joined with what happened.

Only forecasts that were issued before their outcome count, each once: what a reader could have acted on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.features.known import observed
from fx_assets.forecasting.table import ISSUE_KEY
from fx_assets.metrics.losses import covered, interval_score, pinball

Floats = NDArray[np.float64]
Version = Literal["first", "current"]

_BASIS_POINTS = 1e4
_CENTRAL = {80: (0.1, 0.9), 90: (0.05, 0.95)}
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


def scorecard(documents: pa.Table, outcomes: pa.Table, *, now: datetime, version: Version = "first") -> pa.Table:
    """Rows of `SCORECARD_SCHEMA`: the forecasts of `documents` that came due by `now`, with what happened.

    Of each pair, model, frequency, horizon and origin only the first live revision counts that was issued before any of
    its targets was set, the first bar's too: one that came later knew how its path began. Replays never do. Rows come
    in that order. `documents` has `FORECAST_SCHEMA`; `outcomes` are rows of bars of their frequency (`pair`, `end`,
    `close`, `known_at`, and of fixings `kind` and `trading_date`) in any order, every version of each. Of what was
    known at `now` (aware), `version` takes the first price of a bar, or the current one. A forecast without such a
    price has a row all the same, with nulls. Raises `ValueError` for a `now` without a zone and an unknown version.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; give it in UTC")
    if version not in ("first", "current"):
        raise ValueError(f"version {version!r}: expected 'first' or 'current'")
    moment = pa.scalar(now.astimezone(UTC), _UTC)
    due = _counted(documents)
    due = due.filter(pc.less_equal(due.column("target_time"), moment))
    found = _outcomes(outcomes.filter(pc.less_equal(outcomes.column("known_at"), moment)), version)
    targets = zip(due.column("pair").to_pylist(), due.column("target_time").to_pylist(), strict=True)
    happened = [found.get(target, _NOTHING) for target in targets]
    columns: dict[str, Any] = {field.name: due.column(field.name) for field in _SAID}
    columns["outcome"] = pa.array([one.close for one in happened], pa.float64())
    columns["outcome_known_at"] = pa.array([one.known_at for one in happened], _UTC)
    columns |= _measured(due, columns["outcome"])
    return pa.table({name: columns[name] for name in SCORECARD_SCHEMA.names}, schema=SCORECARD_SCHEMA)


def _counted(documents: pa.Table) -> pa.Table:
    """The first live revision of each forecast that was issued in time, by `key` below."""
    key = ["pair", "model_id", "frequency", "horizon", "origin"]
    # The flag is what readers were told, the times are what is true of it. No horizon may have been over: rows of a
    # document stand together by what names its issue, of which the horizon is no part.
    late = pc.or_(
        documents.column("retrospective"),
        pc.greater_equal(documents.column("issued_at"), documents.column("target_time")),
    )
    issues = documents.select(list(ISSUE_KEY)).append_column("late", late).group_by(list(ISSUE_KEY))
    in_time = issues.aggregate([("late", "any")]).filter(~pc.field("late_any")).select(list(ISSUE_KEY))
    kept = documents.filter(pc.equal(documents.column("revision"), "live"))
    lists = ["levels", "quantiles", "notes"]  # which a join cannot carry
    numbered = kept.drop_columns(lists).append_column("row", pa.array(np.arange(len(kept))))
    rows = numbered.join(in_time, keys=list(ISSUE_KEY), join_type="left semi").column("row")
    kept = kept.take(rows.sort() if len(rows) else rows).rename_columns({"h": "horizon"})
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


def _outcomes(bars: pa.Table, version: Version) -> dict[tuple[str, datetime], _Outcome]:
    """What is held of each pair and instant at which a price is set; of two versions known at once the later wins."""
    ends = np.asarray(bars.column("end").cast(_UTC).cast(pa.int64()).to_numpy(), dtype=np.int64)
    set_at = pa.array(observed(bars, ends), pa.int64()).cast(_UTC)
    chosen: dict[tuple[str, datetime], _Outcome] = {}
    columns = (bars.column("pair"), set_at, bars.column("close"), bars.column("known_at"))
    for pair, when, close, known_at in zip(*(column.to_pylist() for column in columns), strict=True):
        if version == "first" and close is None:
            continue  # takes a price back: the first one stays what was first known
        held = chosen.get((pair, when), _NOTHING).known_at
        better = held is None or (known_at <= held if version == "first" else known_at >= held)
        if better:
            chosen[pair, when] = _Outcome(close, known_at)
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


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)
