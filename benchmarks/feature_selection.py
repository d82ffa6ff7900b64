"""Selection of 600 features from 10,000 rows, against feature-engine's SmartCorrelatedSelection.

`faster_than_feature_engine`: its time as a multiple of ours; both are the `fit` of the whole stage, by Spearman's
correlation, threshold 0.95. Each side runs in a process of its own, on one thread, upon data in memory; the median of
several repetitions counts. The table also has the peak memory above what the process held before. With --quick there
are 5,000 rows, 400 columns and fewer repetitions.

A third of the columns are drawn afresh, a third are monotone transforms of these, a third noisy copies from near to
far. None has gaps, so both sides look at the columns in one order by one rule, and `equal` says: both keep the same
columns, and on the kept ones of each side scipy finds no pair at or above the threshold. (DropCorrelatedFeatures calls
the same function of feature-engine.)

feature-engine is no dependency of the project: install it beside, and put it on the path (see what a run says).
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from measure import arguments, median, report

ROWS, QUICK_ROWS = 10_000, 5_000
COLUMNS, QUICK_COLUMNS = 600, 400
REPETITIONS, QUICK_REPETITIONS = 5, 3
THRESHOLD = 0.95
SIDES = ("fx-assets", "feature-engine")
PACKAGES = ("fx-assets", "feature-engine", "numpy", "pandas", "scipy")
HOW_TO_INSTALL = (
    "feature-engine is not installed. It is no dependency; it runs beside the locked packages:\n"
    "  .venv/bin/python -m pip install --no-deps --target /tmp/feature-engine feature-engine==1.9.4\n"
    "  PYTHONPATH=/tmp/feature-engine .venv/bin/python benchmarks/feature_selection.py\n"
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Measured(NamedTuple):
    """One side: seconds of each repetition, bytes of its peak, and the columns that it kept."""

    seconds: list[float]
    memory: int
    kept: list[str]


class Comparison(NamedTuple):
    """Both sides: the ratio, whether they did the same, and lines for the table."""

    faster_than_feature_engine: float
    equal: bool
    rows: list[tuple[str, str]]


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


def run_side(side: str, path: Path, repetitions: int, answer: Any) -> None:
    """Measure one side in this process, which has not loaded numpy yet."""
    os.environ |= ONE_THREAD
    import numpy as np

    values = np.load(path)
    fit = ours if side == "fx-assets" else theirs
    fit(values[:200, :20])()
    work = fit(values)
    held = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    seconds = []
    kept: list[str] = []
    for _ in range(repetitions):
        began = perf_counter()
        kept = work()
        seconds.append(perf_counter() - began)
    answer.send(Measured(seconds, _memory("VmHWM") - held, kept))


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def measured(side: str, path: Path, repetitions: int) -> Measured:
    """`run_side` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe(duplex=False)
    process = context.Process(target=run_side, args=(side, path, repetitions, far))
    process.start()
    far.close()
    try:
        found: Measured = near.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{side} ended with exit code {process.exitcode}") from None
    process.join()
    return found


def bounded(values: Any, kept: list[str]) -> bool:
    """Whether scipy finds every pair of kept columns below the threshold."""
    import numpy as np
    from scipy.stats import spearmanr

    places = [int(name.removeprefix("feature_")) for name in kept]
    found = np.abs(spearmanr(values[:, places]).statistic)
    return bool((found[np.triu_indices(len(places), 1)] < THRESHOLD).all())


def selection_ratio(rows: int, columns: int, repetitions: int) -> Comparison:
    """Both sides on the same data."""
    import numpy as np

    values = made(rows, columns)
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        path = Path(folder) / "values.npy"
        np.save(path, values)
        found = {side: measured(side, path, repetitions) for side in SIDES}
    time = {side: median(result.seconds) for side, result in found.items()}
    table = [("data", f"{rows:,} rows, {columns:,} columns")]
    for side, result in found.items():
        table += [(f"{side}, s", f"{time[side]:.3f}"), (f"{side}, peak, MB", f"{result.memory / 1e6:.0f}")]
        table += [(f"{side}, kept", f"{len(result.kept):,}")]
    first, second = (found[side].kept for side in SIDES)
    same = first == second and bounded(values, first) and bounded(values, second)
    return Comparison(time["feature-engine"] / time["fx-assets"], same, table)


def main() -> int:
    """Run it; 1 where the sides did not keep the same, 2 where feature-engine is not there."""
    options = arguments(__doc__ or "")
    if importlib.util.find_spec("feature_engine") is None:
        sys.stderr.write(HOW_TO_INSTALL)
        return 2
    quick = (QUICK_ROWS, QUICK_COLUMNS, QUICK_REPETITIONS)
    result = selection_ratio(*(quick if options.quick else (ROWS, COLUMNS, REPETITIONS)))
    return report(
        "feature_selection",
        ratios={"faster_than_feature_engine": result.faster_than_feature_engine},
        equal=result.equal,
        packages=PACKAGES,
        rows=result.rows,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
