"""The pictures that go with who serves: whether the champion's ranges hold, and what its best challenger gains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.pictures.calibration import reliability, tail_exceptions
from fx_assets.evaluation.pictures.skill import loss_difference
from fx_assets.evaluation.pictures.windows import against

LEAST_WINDOWS = 60


def pictures_beside(champion: pa.Table, challengers: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """PNGs under 100 kB from scores of the champion and, by model, of its challengers, each origin once.

    The best challenger has the lowest CRPS one bar ahead over that of a random walk with the champion's volatility, on
    the windows both have. Without 60 windows one bar ahead there is no picture.
    """
    if _windows(champion) < LEAST_WINDOWS:
        return {}
    found = {"reliability": reliability(champion), "tail_exceptions": tail_exceptions(champion)}
    ratios = {name: ratio for name, rows in challengers.items() if (ratio := _ratio(rows, champion)) is not None}
    if ratios:
        best = min(ratios, key=lambda name: (ratios[name], name))
        found[f"what {best} gains"] = loss_difference(challengers[best], champion=champion)
    return found


def _ratio(rows: pa.Table, champion: pa.Table) -> float | None:
    """Mean CRPS over the walk's on shared windows; None where there are too few."""
    first = rows.filter(pc.equal(rows.column("horizon"), 1))
    beside = against(first, champion)
    shared = beside.filter(beside.column("loss_crps_still").is_valid())
    if shared.num_rows < LEAST_WINDOWS:
        return None
    own, walk = (float(np.mean(shared.column(name).to_numpy())) for name in ("loss_crps", "loss_crps_still"))
    return own / walk


def _windows(rows: pa.Table) -> int:
    return int(pc.sum(pc.equal(rows.column("horizon"), 1)).as_py() or 0)
