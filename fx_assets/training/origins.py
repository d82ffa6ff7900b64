"""Which windows of a pair a training uses."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow, Part


def origins(
    spec: ModelSpec, history: PairHistory, cuts: EvaluationWindow, part: Part, *, since: datetime | None = None
) -> NDArray[np.int64]:
    """Last rows of the windows of `part` (n,), at least one; in training every `stride`-th, counted from the newest.

    With `since` (aware), those whose target ends later, which may be none.
    Raises `InsufficientHistory` naming pair and part where there is none.
    """
    rows = cuts.origins(history.ends, window=spec.window, horizon=spec.horizon, part=part)
    if not len(rows):
        raise InsufficientHistory(
            f"insufficient_history: {history.pair} has no {part} window of {spec.window} rows with {spec.horizon} rows "
            f"after it among its {len(history)} rows; start the history earlier, or shorten window or horizon"
        )
    rows = rows[::-1][:: spec.training.stride][::-1] if part == "train" else rows
    if since is None:
        return rows
    limit = np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "us")
    return rows[history.ends[rows + spec.horizon] > limit]
