"""The leak probe: proves that no feature looks ahead, by destroying what lies ahead.

For a bar t, everything after t is replaced by noise, and then cut off altogether. Every feature up to
t must stay the same to the last bit. Noise finds values that flow back; the cut finds what depends on
how long the history is, which noise of the same length cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fx_assets.features.errors import FeatureError
from fx_assets.features.pipeline import build, feature_schema, lookback
from fx_assets.features.stages.base import BAR_COLUMNS
from fx_assets.specs.schema import FeatureSetSpec

if TYPE_CHECKING:
    import polars as pl

# Prices move by up to a factor of about ten: far outside any history, so that even a maximum, a rank
# or a clipped mean over the future changes.
NOISE = 1.0


@dataclass(frozen=True)
class Leak:
    """One column that changed at or before a bar whose future was destroyed."""

    column: str
    probed: datetime
    first_changed: datetime
    how: str

    def __str__(self) -> str:
        return (
            f"{self.column}: value of the bar ending {self.first_changed:%Y-%m-%d %H:%M} UTC changed when bars after "
            f"{self.probed:%Y-%m-%d %H:%M} UTC were {self.how}"
        )


@dataclass(frozen=True)
class LeakReport:
    """Outcome of a probe: how many bars were probed, and every leak found."""

    probes: int
    leaks: tuple[Leak, ...]

    @property
    def passed(self) -> bool:
        """Whether no feature looked ahead."""
        return not self.leaks

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that looked ahead, each once."""
        return tuple(dict.fromkeys(leak.column for leak in self.leaks))


def probe(bars: pa.Table | pl.DataFrame, spec: FeatureSetSpec, *, n: int, seed: int) -> LeakReport:
    """Probe `n` bars of one pair: the last that has a future, and others drawn with `seed`.

    Raises `FeatureError` where there is no bar to probe: at least two rows beyond the warm-up.
    """
    table = bars if isinstance(bars, pa.Table) else bars.to_arrow()
    first = lookback(spec)
    candidates = np.arange(first, table.num_rows - 1)
    if n < 1 or not len(candidates):
        raise FeatureError(
            f"nothing to probe: feature set {spec.name!r} needs at least {first + 2} bars and one probe, "
            f"there are {table.num_rows} bars and {n} probes"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.choice(candidates, size=min(n, len(candidates)), replace=False)
    # A leak of one bar shows only at t itself, and the newest bars are those that are traded on.
    drawn[0] = candidates[-1]
    reference = build(table, spec)
    leaks: list[Leak] = []
    for t in sorted(set(map(int, drawn))):
        destroyed = {"replaced by noise": _corrupted(table, t, rng), "cut off": table.slice(0, t + 1)}
        for how, future in destroyed.items():
            leaks += _changes(reference, build(future, spec), spec, t, how)
    return LeakReport(probes=len(set(map(int, drawn))), leaks=tuple(leaks))


def _corrupted(table: pa.Table, t: int, rng: np.random.Generator) -> pa.Table:
    result = table
    factors = np.ones(table.num_rows)
    factors[t + 1 :] = np.exp(NOISE * rng.standard_normal(table.num_rows - t - 1))
    for name in sorted(BAR_COLUMNS & set(table.column_names)):
        column = table.column(name)
        noisy = pa.array(column.to_numpy(zero_copy_only=False) * factors, mask=column.is_null().to_numpy())
        result = result.set_column(result.column_names.index(name), table.schema.field(name), noisy)
    return result


def _changes(reference: pa.Table, probed: pa.Table, spec: FeatureSetSpec, t: int, how: str) -> list[Leak]:
    rows = t + 1 - lookback(spec)
    ends = reference.column("end")
    leaks = []
    for column in feature_schema(spec):
        # Compared as bits: a difference in the last one is a leak too.
        before = np.ascontiguousarray(reference.column(column).to_numpy()[:rows]).view(np.uint64)
        after = np.ascontiguousarray(probed.column(column).to_numpy()[:rows]).view(np.uint64)
        changed = np.flatnonzero(before != after)
        if len(changed):
            leaks.append(Leak(column, ends[rows - 1].as_py(), ends[int(changed[0])].as_py(), how))
    return leaks
