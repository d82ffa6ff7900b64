"""What a feature table must hold before it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fx_assets.features.leak import probe
from fx_assets.features.pipeline import feature_schema, lookback
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.records import CheckOutcome

if TYPE_CHECKING:
    import polars as pl

# Every check by name, and whether failing it blocks the commit.
CHECKS = {"no_missing_features": True, "one_row_per_bar": True, "no_look_ahead": True, "no_constant_features": False}


def check_features(
    table: pa.Table, spec: FeatureSetSpec, bars: pa.Table | pl.DataFrame, *, probes: int = 3, seed: int = 0
) -> list[CheckOutcome]:
    """Outcomes of `CHECKS`, in order, for the features of one pair's `bars`; `probes` bars are probed for leaks."""
    given = bars if isinstance(bars, pa.Table) else bars.to_arrow()
    columns = feature_schema(spec)
    return [
        _complete(table, columns),
        _aligned(table, spec, given),
        _causal(spec, given, probes, seed),
        _alive(table, columns),
    ]


def _complete(table: pa.Table, columns: tuple[str, ...]) -> CheckOutcome:
    missing = {name: int((~np.isfinite(_values(table, name))).sum()) for name in columns}
    bad = {name: count for name, count in missing.items() if count}
    return CheckOutcome(
        name="no_missing_features",
        passed=not bad,
        description="Every feature is finite" if not bad else f"Not finite: {_listed(bad)}",
        metadata={"missing": sum(bad.values()), "columns": len(columns)},
    )


def _aligned(table: pa.Table, spec: FeatureSetSpec, bars: pa.Table) -> CheckOutcome:
    expected = bars.column("time").to_pylist()[lookback(spec) :]
    found = table.column("time").to_pylist()
    return CheckOutcome(
        name="one_row_per_bar",
        passed=found == expected,
        description=f"{len(found)} feature rows for {len(expected)} bars after the warm-up of {lookback(spec)}",
        metadata={"rows": len(found), "bars": len(expected), "warm_up": lookback(spec)},
    )


def _causal(spec: FeatureSetSpec, bars: pa.Table, probes: int, seed: int) -> CheckOutcome:
    report = probe(bars, spec, n=probes, seed=seed)
    said = f"{report.probes} bars probed, no feature looks ahead"
    return CheckOutcome(
        name="no_look_ahead",
        passed=report.passed,
        description=said if report.passed else "; ".join(str(leak) for leak in report.leaks[:3]),
        metadata={"probes": report.probes, "leaking_columns": ", ".join(report.columns)},
    )


def _alive(table: pa.Table, columns: tuple[str, ...]) -> CheckOutcome:
    dead = [name for name in columns if table.num_rows and np.ptp(_values(table, name)) == 0]
    return CheckOutcome(
        name="no_constant_features",
        passed=not dead,
        blocking=CHECKS["no_constant_features"],
        description="Every feature varies" if not dead else f"Constant over the whole history: {', '.join(dead)}",
        metadata={"constant": len(dead)},
    )


def _values(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count} rows)" for name, count in counts.items())
