"""The ranges of each model version as they stand from night to night: kept in the lake, applied by night and reader."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.models.base import BasePredictor
from fx_assets.models.calibration import Calibration
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.ranges import Ranges, follow
from fx_assets.timegrid.windows import EvaluationWindow

_UTC = pa.timestamp("us", tz="UTC")
# One row a night: how far outcomes known at `origin` (end of the last bar) have moved the version's calibration.
RANGES_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("origin", _UTC),
        pa.field("matured", pa.list_(pa.int32())),
        pa.field("width", pa.list_(pa.float64())),
        pa.field("lean", pa.list_(pa.float64())),
    ]
)


def table_name(model_id: str) -> str:
    """Lake table of a model's ranges."""
    return f"ranges/{model_id}"


def ranges_at(table: pa.Table | None, version: str, calibration: Calibration, origin: datetime) -> Ranges:
    """The ranges of a version as they stood at `origin` (aware); its calibration itself before the first row.

    Raises `ValueError` for a row that does not fit the calibration.
    """
    row = None if table is None else _newest(table, version, origin)
    return Ranges.from_calibration(calibration) if row is None else Ranges.from_state(calibration, row)


def advanced(
    predictor: BasePredictor, history: PairHistory, version: str, trained_until: datetime, table: pa.Table | None
) -> tuple[Ranges, pa.Table]:
    """The ranges at the last row of `history`, and their row of `RANGES_SCHEMA`.

    They go on from the newest row of `table` for the version, following what has matured since: the same to the last
    bit as following everything from the first origin after `trained_until` (aware), as long as no price was corrected.
    """
    spec, calibration = predictor.spec, predictor.calibrations[history.pair]
    end = history.end
    ranges = Ranges.from_calibration(calibration)
    if trained_until < end:
        cuts = EvaluationWindow.after(trained_until, history.ends)
        rows = cuts.origins(history.ends, window=spec.window, horizon=1, part="test")
        row = None if table is None else _newest(table, version, end)
        at = 0
        if row is not None and len(rows):
            # Where the bar of that night was taken back since, all is followed anew.
            before = np.datetime64(row["origin"].astimezone(UTC).replace(tzinfo=None), "us")
            found = int(np.searchsorted(history.ends, before))
            if found < len(history) and history.ends[found] == before and found >= rows[0]:
                at, ranges = found - int(rows[0]), Ranges.from_state(calibration, row)
        first = max(0, at - spec.horizon)
        if at < len(rows):
            rows = rows[first:]
            prediction = predictor.predict(*windows(history, rows, spec))
            y = history.outcomes(rows, range(1, spec.horizon + 1))
            *_, ranges = follow(ranges, prediction.location, prediction.scale, y, at=at - first)
    state = ranges.state
    columns: dict[str, Any] = {
        "pair": [history.pair],
        "model_version": [version],
        "origin": pa.array([end], _UTC),
        "matured": [state["matured"]],
        "width": [state["width"]],
        "lean": [state["lean"]],
    }
    return ranges, pa.table(columns, schema=RANGES_SCHEMA)


def _newest(table: pa.Table, version: str, origin: datetime) -> dict[str, Any] | None:
    mask = pc.and_(
        pc.equal(table.column("model_version"), version),
        pc.less_equal(table.column("origin"), pa.scalar(origin, type=_UTC)),
    )
    rows = table.filter(mask)
    if not rows.num_rows:
        return None
    newest = int(np.argmax(rows.column("origin").to_numpy()))
    found: dict[str, Any] = rows.slice(newest, 1).to_pylist()[0]
    return found
