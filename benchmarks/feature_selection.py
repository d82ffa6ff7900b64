"""A part of `features.py`: the selection of 600 features from 10,000 rows, against feature-engine's.

`selection_faster_than_feature_engine`: time of SmartCorrelatedSelection as a multiple of ours; both are the `fit` of
the whole stage, by Spearman's correlation, threshold 0.95. Each side runs in a process of its own, on one thread, upon
data in memory; the median of several repetitions counts. With --quick there are 5,000 rows, 400 columns and fewer
repetitions.

A third of the columns are drawn afresh, a third are monotone transforms of these, a third noisy copies from near to
far. None has gaps, so both sides look at the columns in one order by one rule, and `equal` says: both keep the same
columns, and on the kept ones of each side scipy finds no pair at or above the threshold. (DropCorrelatedFeatures calls
the same function of feature-engine.)

feature-engine is no dependency of the project: where it is not on the path, this part says how to put it there.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from feature_part import Part, alone, forget_peak, memory
from measure import median

ROWS, QUICK_ROWS = 10_000, 5_000
COLUMNS, QUICK_COLUMNS = 600, 400
REPETITIONS, QUICK_REPETITIONS = 5, 3
THRESHOLD = 0.95
SIDES = ("fx-assets", "feature-engine")
PACKAGES = ("fx-assets", "feature-engine", "numpy", "pandas", "scipy")
HOW_TO_INSTALL = "absent; pip install --no-deps --target FOLDER feature-engine==1.9.4, then run with PYTHONPATH=FOLDER"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Measured(NamedTuple):
    """One side: seconds of each repetition, bytes of its peak, and the columns that it kept."""

    seconds: list[float]
    memory: int
    kept: list[str]


def made(rows: int, columns: int) -> Any:
    """The data (rows, columns), the same each time."""
    import numpy as np

    draw = np.random.default_rng(20161004)
    fresh = draw.standard_normal((rows, columns - 2 * (columns // 3)))
    origin = draw.integers(0, fresh.shape[1], columns // 3)
    noise = draw.standard_normal((rows, columns // 3)) * np.geomspace(0.01, 2.0, columns // 3)
    values = np.concatenate([fresh, np.exp(fresh[:, origin]), fresh[:, origin] + noise], axis=1)
    return values[:, draw.permutation(columns)]


def names(columns: int) -> list[str]:
    """In the order of the columns, which is that of the alphabet too."""
    return [f"feature_{j:05d}" for j in range(columns)]


def ours(values: Any) -> Callable[[], list[str]]:
    """The stage as a training calls it."""
    import numpy as np

    from fx_assets.features.stages.base import Sample
    from fx_assets.features.stages.selection import Selection

    rows, columns = values.shape
    group, stages = np.zeros(rows, dtype=np.int64), np.full(columns, 10, dtype=np.int64)
    sample = Sample(tuple(names(columns)), values, np.zeros(rows), group, stages, np.ones(columns))
    stage = Selection()
    options = stage.Options(threshold=THRESHOLD)
    return lambda: list(stage.fit(sample, options, scratch=Path(), seed=0).params["keep"])


def theirs(values: Any) -> Callable[[], list[str]]:
    """feature-engine as its manual has it; its default way to choose, by missing values, keeps the first of a group."""
    import pandas as pd

    frame = pd.DataFrame(values, columns=names(values.shape[1]))
    selector = importlib.import_module("feature_engine.selection").SmartCorrelatedSelection

    def fit() -> list[str]:
        fitted = selector(method="spearman", threshold=THRESHOLD, selection_method="missing_values").fit(frame)
        dropped = set(fitted.features_to_drop_)
        return [name for name in frame.columns if name not in dropped]

    return fit


def run_side(side: str, path: Path, repetitions: int) -> Measured:
    """Measure one side in this process, which has not loaded numpy yet."""
    os.environ |= ONE_THREAD
    import numpy as np

    values = np.load(path)
    fit = ours if side == "fx-assets" else theirs
    fit(values[:200, :20])()
    work = fit(values)
    held = memory("VmRSS")
    forget_peak()
    seconds = []
    kept: list[str] = []
    for _ in range(repetitions):
        began = perf_counter()
        kept = work()
        seconds.append(perf_counter() - began)
    return Measured(seconds, memory("VmHWM") - held, kept)


def bounded(values: Any, kept: list[str]) -> bool:
    """Whether scipy finds every pair of kept columns below the threshold."""
    import numpy as np
    from scipy.stats import spearmanr

    places = [int(name.removeprefix("feature_")) for name in kept]
    found = np.abs(spearmanr(values[:, places]).statistic)
    return bool((found[np.triu_indices(len(places), 1)] < THRESHOLD).all())


def measure(quick: bool) -> Part:
    """Both sides on the same data; our own alone where the other is not there."""
    import numpy as np

    rows, columns, repetitions = (
        (QUICK_ROWS, QUICK_COLUMNS, QUICK_REPETITIONS) if quick else (ROWS, COLUMNS, REPETITIONS)
    )
    peer = importlib.util.find_spec("feature_engine") is not None
    values = made(rows, columns)
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        path = Path(folder) / "values.npy"
        np.save(path, values)
        found = {side: alone(run_side, side, path, repetitions) for side in (SIDES if peer else SIDES[:1])}
    table = [("selection of", f"{columns:,} columns by {rows:,} rows")]
    for side, result in found.items():
        table += [(f"selection by {side}, s", f"{median(result.seconds):.3f}")]
        table += [(f"selection by {side}, peak, MB", f"{result.memory / 1e6:.0f}")]
        table += [(f"selection by {side}, kept", f"{len(result.kept):,}")]
    same = bounded(values, found["fx-assets"].kept)
    if not peer:
        return Part({}, same, [*table, ("feature-engine", HOW_TO_INSTALL)], PACKAGES[:1])
    first, second = (found[side].kept for side in SIDES)
    ratio = median(found["feature-engine"].seconds) / median(found["fx-assets"].seconds)
    return Part(
        {"selection_faster_than_feature_engine": ratio},
        same and first == second and bounded(values, second),
        table,
        PACKAGES,
    )
