"""Variances of GARCH-t and HAR as they are kept: what volatility forecasts of every model are measured against."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.judge import HORIZONS
from fx_assets.evaluation.references import references
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.models.inputs import PairHistory
from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.storage.hashing import fingerprint
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.digest import history_digest

_UTC = pa.timestamp("us", tz="UTC")
# `garch`, `har`: variances of the cumulative log return; `notes`: where the EWMA variance stands in, and why.
REFERENCES_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("fold", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("origin", _UTC),
        pa.field("horizon", pa.int32()),
        pa.field("garch", pa.float64()),
        pa.field("har", pa.float64()),
        pa.field("notes", pa.string()),
    ]
)
VALIDATION_YEARS = 2.0


def reference_folds(history: PairHistory, years: float) -> list[EvaluationWindow]:
    """A fold for each of the last `years` and one more, and for this year; none where the history is too short."""
    last: date = history.trading_dates[-1].astype("datetime64[D]").item()
    try:
        return EvaluationWindow.walk_forward(
            history.ends,
            first=last - timedelta(days=round((years + 1) * 365.25)),
            refit_every="year",
            validation_years=VALIDATION_YEARS,
        )
    except ValueError as error:
        if not str(error).startswith("insufficient_history"):
            raise
        return []


def reference_table(history: PairHistory, years: float, known: pa.Table | None) -> pa.Table:
    """Rows of `REFERENCES_SCHEMA` for each origin of the folds; a fold that `known` has whole is taken from it.

    Raises `FitFailed` for a pair whose price never moves.
    """
    parts = [REFERENCES_SCHEMA.empty_table()]
    for fold in reference_folds(history, years):
        made = fingerprint(history_digest(history.bare().until(fold.validate_until)), CODE_VERSION, MODELS_VERSION)
        wanted = history.ends[fold.origins(history.ends, window=1, horizon=1, part="test")]
        stored = None if known is None else known.filter(pc.equal(known.column("fingerprint"), made))
        if stored is not None and _has(stored, wanted):
            parts.append(stored)
        else:
            parts.append(_computed(history, fold, made))
    return pa.concat_tables(parts)


def _has(stored: pa.Table, wanted: np.ndarray[Any, np.dtype[np.datetime64]]) -> bool:
    return not len(np.setdiff1d(wanted, stored.column("origin").to_numpy().astype("datetime64[us]")))


def _computed(history: PairHistory, fold: EvaluationWindow, made: str) -> pa.Table:
    found = references(history, [fold], HORIZONS, ("garch_t", "har_t"))
    garch, har = found["garch_t"], found["har_t"]
    count, steps = len(garch.origins), len(HORIZONS)
    first: date = history.trading_dates[garch.origins[0] + 1].astype("datetime64[D]").item()
    columns = {
        "pair": [history.pair] * (count * steps),
        "fold": [f"reference-{first:%Y}"] * (count * steps),
        "fingerprint": [made] * (count * steps),
        "origin": pa.array(np.repeat(history.ends[garch.origins], steps)).cast(_UTC),
        "horizon": pa.array(list(HORIZONS) * count, pa.int32()),
        "garch": garch.variance.ravel(),
        "har": har.variance.ravel(),
        "notes": ["; ".join((*garch.notes, *har.notes))] * (count * steps),
    }
    return pa.table(columns, schema=REFERENCES_SCHEMA)
