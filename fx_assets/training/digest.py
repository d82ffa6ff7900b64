"""A digest of what a training sees, to know whether two trainings would come out the same."""

from __future__ import annotations

import hashlib

import numpy as np

from fx_assets.models.inputs import PairHistory


def history_digest(history: PairHistory) -> str:
    """SHA-256 over columns, calendar, bar ends, trading dates, closes and features."""
    digest = hashlib.sha256("\n".join((history.calendar, *history.columns)).encode())
    dates = history.trading_dates.astype(np.int64)
    for array in (history.ends.astype(np.int64), dates, history.closes, history.features):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
