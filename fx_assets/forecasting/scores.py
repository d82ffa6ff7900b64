"""The scores table as it is stored and read: one row per pair, model version, horizon and origin.

The reader summarises it beside each forecast; `evaluation` fills it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.timegrid.windows import EvaluationWindow

_UTC = pa.timestamp("us", tz="UTC")
# Losses in basis points of the cumulative log return (`loss_se` in their square), lower is better; see
# `evaluation.judge`. `fold` is "live" for the version that forecasts, "walk-2021" for an earlier self of its
# configuration. `loss_crps_still`: the same ranges around the freshest known price, which is a random walk with
# this model's volatility. Null where there is no such reference.
SCORES_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("fold", pa.string()),
        pa.field("horizon", pa.int32()),
        pa.field("origin", _UTC),
        pa.field("target_time", _UTC),
        pa.field("y", pa.float64()),
        pa.field("location", pa.float64()),
        pa.field("volatility", pa.float64()),
        pa.field("pit", pa.float64()),
        pa.field("loss_se", pa.float64()),
        pa.field("loss_ae", pa.float64()),
        pa.field("loss_crps", pa.float64()),
        pa.field("loss_crps_still", pa.float64()),
        pa.field("loss_qlike", pa.float64()),
        pa.field("score_80", pa.float64()),
        pa.field("score_90", pa.float64()),
        pa.field("covered_80", pa.bool_()),
        pa.field("covered_90", pa.bool_()),
        pa.field("loss_se_walk", pa.float64()),
        pa.field("loss_crps_walk", pa.float64()),
        pa.field("loss_qlike_garch", pa.float64()),
        pa.field("loss_qlike_har", pa.float64()),
        pa.field("observed_until", _UTC),
    ]
)
LIVE = "live"
ScoreKey = tuple[str, str, str]


def summary(table: pa.Table) -> dict[int, dict[str, Any]]:
    """Means of one model version's scores on one pair, per horizon; losses in basis points.

    Each value has the keys of `forecasting.document.Evaluation`. Raises `ValueError` for a table that
    mixes pairs, models or versions: use `summaries`.
    """
    keys = _keys(table)
    if len(keys) > 1:
        raise ValueError(f"scores of {len(keys)} model versions in one table, first {keys[:2]}; use summaries()")
    result: dict[int, dict[str, Any]] = {}
    for horizon in sorted(set(table.column("horizon").to_pylist())):
        rows = table.filter(pc.equal(table.column("horizon"), horizon)).sort_by("origin")
        crps, walk = _mean(rows, "loss_crps"), _mean(rows, "loss_crps_walk")
        result[horizon] = {
            "horizon": horizon,
            "crps": crps,
            "crps_random_walk": walk,
            "ratio": crps / walk,
            "coverage_80": _mean(rows, "covered_80"),
            "windows": rows.num_rows,
            "independent_windows": EvaluationWindow.independent(rows.num_rows, horizon),
            "first": rows.column("origin")[0].as_py(),
            "last": pc.max(rows.column("target_time")).as_py(),
        }
    return result


def summaries(table: pa.Table) -> dict[ScoreKey, dict[int, dict[str, Any]]]:
    """`summary` of every (pair, model_id, model_version) in `table`."""
    return {key: summary(_only(table, key)) for key in _keys(table)}


def _only(table: pa.Table, key: ScoreKey) -> pa.Table:
    mask = pc.equal(table.column("pair"), key[0])
    mask = pc.and_(mask, pc.equal(table.column("model_id"), key[1]))
    return table.filter(pc.and_(mask, pc.equal(table.column("model_version"), key[2])))


def _keys(table: pa.Table) -> list[ScoreKey]:
    names = ["pair", "model_id", "model_version"]
    rows = table.group_by(names).aggregate([]).to_pylist()
    return sorted((row["pair"], row["model_id"], row["model_version"]) for row in rows)


def _mean(table: pa.Table, column: str) -> float:
    # numpy's pairwise sum in origin order: the same bits whatever chunks the table came in.
    values = table.column(column).combine_chunks().to_numpy(zero_copy_only=False)
    return float(np.mean(np.asarray(values, dtype=np.float64)))
