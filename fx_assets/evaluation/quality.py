"""What a model's scores must hold before they are shown beside its forecasts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fx_assets.forecasting.scores import summary
from fx_assets.storage.records import CheckOutcome

# Every check by name, and whether failing it blocks the commit.
CHECKS = {"losses_finite": True, "one_score_per_origin": True, "enough_windows": False, "coverage_near_80": False}
ENOUGH_WINDOWS = 200
# A perfect 80 % range covers within this of .8 in all but a few of a thousand years of 250 days.
COVERAGE_MARGIN = 0.08


def check_scores(table: pa.Table) -> list[CheckOutcome]:
    """Outcomes of `CHECKS`, in order, for the scores of one model version on one pair."""
    means = summary(table)
    if not means:
        raise ValueError("no scores to check; score at least one origin")
    first = means[min(means)]
    windows, coverage = int(first["windows"]), float(first["coverage_80"])
    return [
        _finite(table),
        _unique(table),
        CheckOutcome(
            name="enough_windows",
            passed=windows >= ENOUGH_WINDOWS,
            blocking=CHECKS["enough_windows"],
            description=f"{windows} origins at horizon {first['horizon']}; a year has over {ENOUGH_WINDOWS}",
            metadata={"windows": windows},
        ),
        CheckOutcome(
            name="coverage_near_80",
            passed=abs(coverage - 0.8) <= COVERAGE_MARGIN,
            blocking=CHECKS["coverage_near_80"],
            description=f"The 80 % range held {100 * coverage:.1f} % of outcomes at horizon {first['horizon']}",
            metadata={"coverage_80": coverage},
        ),
    ]


def _finite(table: pa.Table) -> CheckOutcome:
    columns = [table.column(name).to_numpy() for name in ("loss_crps", "loss_crps_walk", "y")]
    bad = int(sum((~np.isfinite(values)).sum() for values in columns))
    bad += int(sum((values < 0).sum() for values in columns[:2]))
    return CheckOutcome(
        name="losses_finite",
        passed=bad == 0,
        blocking=CHECKS["losses_finite"],
        description=f"{bad} losses are not finite or negative" if bad else "Every loss is finite and not negative",
        metadata={"bad": bad},
    )


def _unique(table: pa.Table) -> CheckOutcome:
    keys = table.group_by(["horizon", "origin"]).aggregate([]).num_rows
    return CheckOutcome(
        name="one_score_per_origin",
        passed=keys == table.num_rows,
        blocking=CHECKS["one_score_per_origin"],
        description=f"{table.num_rows} scores of {keys} horizons and origins",
        metadata={"scores": table.num_rows},
    )
