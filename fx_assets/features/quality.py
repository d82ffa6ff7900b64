"""What a feature set must hold before it is committed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fx_assets.features.blocks import segments
from fx_assets.features.errors import FeatureError
from fx_assets.features.leak import Source, probe
from fx_assets.features.pipeline import values_of
from fx_assets.features.sets import feature_schema, lookback, origins_of
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.records import CheckOutcome

# Every check by name, and whether failing it blocks the commit.
CHECKS = {"no_missing_features": True, "one_row_per_bar": True, "no_look_ahead": True, "no_constant_features": False}
PROBES = 3


def check_features(
    tables: Sequence[pa.Table], spec: FeatureSetSpec, source: Source, sample: pa.Table, *, seed: int
) -> list[CheckOutcome]:
    """Outcomes of `CHECKS`, in order.

    `tables`: the newest blocks that were made anew; `source` gives the inputs of a block, to count its bars and to
    probe it for leaks with `seed`; `sample`: rows from all of the history.
    """
    return [
        _complete(tables, spec),
        _aligned(tables, spec, source),
        _causal(tables, spec, source, seed),
        _alive(sample, feature_schema(spec)),
    ]


def _complete(tables: Sequence[pa.Table], spec: FeatureSetSpec) -> CheckOutcome:
    missing: dict[str, int] = {}
    for name, (_, column) in origins_of(spec).items():
        values = np.concatenate([values_of(table, name) for table in tables] or [np.empty(0)])
        bad = np.isinf(values) if column.missing else ~np.isfinite(values)
        if bad.any():
            missing[name] = int(bad.sum())
    return CheckOutcome(
        name="no_missing_features",
        passed=not missing,
        description="Every feature is there" if not missing else f"Not finite: {_listed(missing)}",
        metadata={"missing": sum(missing.values()), "columns": len(feature_schema(spec))},
    )


def _aligned(tables: Sequence[pa.Table], spec: FeatureSetSpec, source: Source) -> CheckOutcome:
    rows, bars = 0, 0
    for table in tables:
        block = table.column("block")[0].as_py()
        parts = segments(source(block), block, lookback(spec))
        bars += sum(len(part.rows) for part in parts)
        expected = np.sort(np.concatenate([part.frame.time[part.rows] for part in parts] or [np.empty(0, "M8[us]")]))
        rows += len(np.intersect1d(expected, table.column("time").to_numpy().astype("datetime64[us]")))
    found = sum(map(len, tables))
    return CheckOutcome(
        name="one_row_per_bar",
        passed=rows == bars == found,
        description=f"{found} feature rows for {bars} bars of the newest blocks, after the warm-up of {lookback(spec)}",
        metadata={"rows": found, "bars": bars, "warm_up": lookback(spec)},
    )


def _causal(tables: Sequence[pa.Table], spec: FeatureSetSpec, source: Source, seed: int) -> CheckOutcome:
    blocks = [table.column("block")[0].as_py() for table in tables]
    try:
        report = probe(source, blocks, spec, n=PROBES, seed=seed)
    except FeatureError as error:
        # A block of one bar has no future to destroy; the night that adds the next bar probes it.
        return CheckOutcome("no_look_ahead", passed=True, description=str(error), metadata={"probes": 0})
    said = f"{report.probes} bars probed, {report.compared} columns compared bit by bit: no feature looks ahead"
    return CheckOutcome(
        name="no_look_ahead",
        passed=report.passed,
        description=said if report.passed else "; ".join(str(leak) for leak in report.leaks[:3]),
        metadata={"probes": report.probes, "leaking_columns": ", ".join(report.columns)},
    )


def _alive(sample: pa.Table, columns: tuple[str, ...]) -> CheckOutcome:
    dead = [name for name in columns if len(sample) > 1 and _constant(values_of(sample, name))]
    return CheckOutcome(
        name="no_constant_features",
        passed=not dead,
        blocking=CHECKS["no_constant_features"],
        description="Every feature varies" if not dead else f"One value in all of the history: {_few(dead)}",
        metadata={"constant": len(dead)},
    )


def _constant(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    there = values[~np.isnan(values)]
    return len(there) == 0 or float(np.ptp(there)) == 0


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _listed(counts: dict[str, int]) -> str:
    return _few([f"{name} ({count} rows)" for name, count in counts.items()])
