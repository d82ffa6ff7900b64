"""The scorecard in figures: a line for each model and horizon, and what has drifted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.windows import EvaluationWindow

CHECKS = {"no_drift": False}


def figures(rows: pa.Table) -> list[dict[str, Any]]:
    """By model and horizon, of one pair's scorecard: how many came due, and their mean errors, coverage and direction.

    `due`: forecasts whose time came; `windows`: those with an outcome, `apart` of them without overlap. Errors are root
    mean squares in basis points and pips, `bias_bp` the mean error. Null where nothing can be said.
    """
    found = []
    keys = rows.group_by(["model_id", "horizon"]).aggregate([]).to_pylist()
    for key in sorted(keys, key=lambda key: (key["model_id"], key["horizon"])):
        mask = pc.and_(
            pc.equal(rows.column("model_id"), key["model_id"]), pc.equal(rows.column("horizon"), key["horizon"])
        )
        due = rows.filter(mask)
        seen = due.filter(due.column("outcome").is_valid())
        found.append(
            {
                **key,
                "due": due.num_rows,
                "windows": seen.num_rows,
                "apart": EvaluationWindow.independent(seen.num_rows, key["horizon"]),
                "error_bp": _root(seen, "error_bp"),
                "error_pips": _root(seen, "error_pips"),
                "bias_bp": _mean(seen, "error_bp"),
                "pinball_bp": _mean(seen, "pinball"),
                **{name: _mean(seen, name) for name in ("covered_80", "covered_90", "direction_right")},
            }
        )
    return found


def drift_check(skill: pa.Table) -> CheckOutcome:
    """Whether any live forecast is shown to be worse than back-tested; `skill` as of `drift.live_skill`."""
    alerts = skill.filter(skill.column("alert")).to_pylist()
    said = "; ".join(
        f"{row['model_id']} {row['horizon']} bars ahead: {row['drift']} since {row['alerted_at']:%Y-%m-%d}"
        for row in alerts
    )
    judged = skill.num_rows - int(pc.sum(pc.equal(skill.column("verdict"), "too little data")).as_py() or 0)
    quiet = f"nothing has drifted in {judged} of {skill.num_rows} comparisons with windows enough"
    return CheckOutcome("no_drift", not alerts, CHECKS["no_drift"], said or quiet, {"alerts": len(alerts)})


def in_markdown(lines: list[dict[str, Any]]) -> str:
    """`figures` as a table."""
    heads = ("model", "bars", "due", "apart", "error, bp", "pips", "bias, bp", "pinball, bp", "80 %", "90 %", "hits")
    text = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for line in lines:
        numbers = [_number(line[name]) for name in ("error_bp", "error_pips", "bias_bp", "pinball_bp")]
        shares = [_share(line[name]) for name in ("covered_80", "covered_90", "direction_right")]
        first = (line["model_id"], str(line["horizon"]), str(line["due"]), str(line["apart"]))
        text.append(f"| {' | '.join([*first, *numbers, *shares])} |")
    return "\n".join(text)


def _values(rows: pa.Table, name: str) -> list[float]:
    return [float(value) for value in rows.column(name).to_pylist() if value is not None]


def _mean(rows: pa.Table, name: str) -> float | None:
    values = _values(rows, name)
    return float(np.mean(values)) if values else None


def _root(rows: pa.Table, name: str) -> float | None:
    values = _values(rows, name)
    return float(np.sqrt(np.mean(np.square(values)))) if values else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
