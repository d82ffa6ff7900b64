"""tsfresh's features over rolling windows: ours, tsfresh's own ways, and tsflex. A part of `features.py`.

tsfresh, called directly or through `roll_time_series` and `extract_features`, and tsflex get a stretch of windows in
the middle of the series and are scaled by the window; ours gets all of them. All compute the same columns: those of
`EfficientFCParameters` that have a number in some window of the stretch ("live") and a kernel here. All work in one
process, and what counts is its processor time, so that a busy machine falsifies less.

tsflex is no dependency of the project; it takes part where it is on the path:
  .venv/bin/python -m pip install --no-deps --target /tmp/tsflex tsflex dill multiprocess tqdm
  PYTHONPATH=/tmp/tsflex .venv/bin/python benchmarks/features.py
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import process_time
from typing import TYPE_CHECKING, Any

from feature_part import Part, alone, forget_peak, memory
from measure import median

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fx_assets.features.frames import Frame
    from fx_assets.features.stages.tsfresh import Tsfresh, TsfreshOptions

    FloatArray = NDArray[np.float64]

WINDOW = 96
BARS, BLOCK = 10_000, 10_000
COMPARED, QUICK_COMPARED = 240, 12
REPETITIONS, QUICK_REPETITIONS = 5, 3
GROWN, QUICK_GROWN = (100_000, 1_000_000), (50_000,)
SHOWN = 10
TOLERANCE = 1e-9
KIND = "returns"
PEER = "tsflex"
ABSENT = "not installed; benchmarks/feature_windows.py says how"
# tsfresh's dictionary, as its own settings and our configs have it.
Parameters = dict[str, Any]


def measure(quick: bool) -> Part:
    """Run all sides in turn, each in a process of its own."""
    compared, repetitions = (QUICK_COMPARED, QUICK_REPETITIONS) if quick else (COMPARED, REPETITIONS)
    first = BARS // 2
    known, seen = alone(reference, first, compared)
    live = {name for name, column in seen.items() if not is_nan(column)}
    asked = {name: sets for name, sets in of_columns(known, live).items() if name in calculators()}
    theirs = alone(others, first, compared, asked)
    ours = alone(by_kernels, asked, first, compared, repetitions, QUICK_GROWN if quick else GROWN)
    same = [name for name in ours.columns if name in live and equal(ours.columns[name], seen[name])]
    a_window = ours.seconds / BARS
    rows = [
        ("windows of 96 bars, ours", f"{BARS}"),
        ("windows of 96 bars, the others", f"{compared}"),
        ("columns that tsfresh gives for EfficientFCParameters", f"{len(seen)}"),
        ("of these live", f"{len(live)}"),
        ("of these computed by kernels, by all sides", f"{len(ours.columns)}"),
        ("of these equal to tsfresh's to 1e-9", f"{len(same)}"),
        ("fx-assets, ms a window", f"{a_window * 1e3:.4f}"),
        *((f"{side}, ms a window", f"{time * 1e3:.1f}" if time else ABSENT) for side, time in theirs.items()),
        *((f"fx-assets, {bars} bars, ms a window", f"{time * 1e3:.4f}") for bars, time in ours.grown.items()),
        ("fx-assets, peak beside the columns, MB", f"{(ours.memory - 8 * BARS * len(ours.columns)) / 1e6:.1f}"),
        *((f"slowest: {name}, us a window", f"{time * 1e6:.1f}") for name, time in ours.slowest),
    ]
    ratios = {
        "faster_than_tsfresh": theirs["tsfresh, direct calls"] / a_window,
        "faster_than_roll_and_extract": theirs["tsfresh, roll and extract"] / a_window,
        "columns_equal": float(len(same)),
        "extra_memory_mb": ours.memory / 1e6,
        "cost_growth": ours.grown[max(ours.grown)] / ours.grown[min(ours.grown)],
    }
    if theirs[PEER]:
        rows.append(("faster than tsflex", f"{theirs[PEER] / a_window:.1f}"))
    packages = ("fx-assets", "numpy", "scipy", "pandas", "statsmodels", "tsfresh", *([PEER] if theirs[PEER] else []))
    return Part(ratios, len(same) == len(ours.columns), rows, packages)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    began = process_time()
    work()
    return process_time() - began


def is_nan(column: FloatArray) -> bool:
    """Whether there is no number in it."""
    import numpy as np

    return bool(np.isnan(column).all())


def equal(one: FloatArray, other: FloatArray) -> bool:
    """To 1e-9 of the larger of 1 and the value; NaN and infinities are one, as the stage gives them."""
    import numpy as np

    other = np.where(np.isfinite(other), other, np.nan)
    near = np.abs(one - other) <= TOLERANCE * np.maximum(1.0, np.abs(other))
    return bool((near | (np.isnan(one) & np.isnan(other))).all())


def calculators() -> set[str]:
    """Those with a kernel."""
    from fx_assets.features.kernels.base import kernels

    return set(kernels())


def of_columns(parameters: Mapping[str, Any], columns: set[str]) -> Parameters:
    """The part of tsfresh's dictionary that makes these columns."""
    from fx_assets.features.kernels.base import column_of

    found: Parameters = {}
    for name, sets in parameters.items():
        kept = [params for params in sets or [{}] if column_of(name, params, KIND) in columns]
        if kept:
            found[name] = kept if sets else None
    return found


def closes(n: int) -> FloatArray:
    """A walk whose volatility comes in clusters, in quotes of five digits, the same each time."""
    import numpy as np

    draw = np.random.default_rng(20260101)
    volatility = 4e-4 * np.exp(0.8 * np.sin(np.arange(n) / 40))
    steps = draw.standard_t(4, n) * volatility * (draw.random(n) > 0.05)
    return np.asarray(np.round(1.1 * np.exp(np.cumsum(steps - steps.mean())), 5))


def stretch(first: int, count: int) -> FloatArray:
    """The returns, in basis points, of `count` windows, the first of which ends at row `first` of the closes."""
    import numpy as np

    close = closes(BARS + WINDOW)[first - WINDOW : first + count]
    return np.asarray(np.diff(np.log(close)) * 1e4)


def reference(first: int, count: int) -> tuple[Parameters, dict[str, FloatArray]]:
    """`EfficientFCParameters`, and what tsfresh makes with it of every window: a column (count,) by tsfresh's name."""
    from tsfresh.feature_extraction.settings import EfficientFCParameters

    parameters = dict(EfficientFCParameters())
    return parameters, roll_and_extract(stretch(first, count), parameters)


def roll_and_extract(values: FloatArray, parameters: Parameters) -> dict[str, FloatArray]:
    """The way that tsfresh's manual has it, in one process and without its progress bar."""
    import numpy as np
    import pandas as pd
    from tsfresh import extract_features
    from tsfresh.utilities.dataframe_functions import roll_time_series

    series = pd.DataFrame({"id": 0, "time": np.arange(len(values)), KIND: values})
    reach = {"max_timeshift": WINDOW - 1, "min_timeshift": WINDOW - 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tsfresh divides by zero, and says so each time
        rolled = roll_time_series(
            series, column_id="id", column_sort="time", n_jobs=0, disable_progressbar=True, **reach
        )
        found = extract_features(
            rolled,
            column_id="id",
            column_sort="time",
            default_fc_parameters=parameters,
            n_jobs=0,
            disable_progressbar=True,
        )
    return {str(name): found[name].to_numpy(dtype=np.float64) for name in found}


def others(first: int, count: int, asked: Parameters) -> dict[str, float]:
    """Seconds a window of tsfresh's ways and tsflex on the same columns; 0 for what is not installed."""
    import numpy as np

    from fx_assets.features.tsfresh import raw

    values = stretch(first, count)
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW)
    sets = {name: params or [{}] for name, params in asked.items()}
    raw.compute(windows[:1], sets)  # everything is imported
    parts = np.array_split(windows, 3)
    direct = [seconds(partial(raw.compute, part, sets)) / len(part) for part in parts]
    return {
        "tsfresh, direct calls": median(direct),
        "tsfresh, roll and extract": seconds(partial(roll_and_extract, values, asked)) / count,
        PEER: with_tsflex(values, asked) if importlib.util.find_spec(PEER) else 0.0,
    }


def with_tsflex(values: FloatArray, asked: Parameters) -> float:
    """Seconds a window, as its manual has it for tsfresh's settings; in one process."""
    import pandas as pd

    tsflex = importlib.import_module("tsflex.features")
    functions = importlib.import_module("tsflex.features.integrations").tsfresh_settings_wrapper(asked)
    collection = tsflex.FeatureCollection(
        tsflex.MultipleFeatureDescriptors(functions=functions, series_names=KIND, windows=WINDOW, strides=1)
    )
    series = pd.Series(values, name=KIND)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = process_time()
        found = collection.calculate(series, return_df=True, n_jobs=1, include_final_window=True)
        took = process_time() - began
    return took / len(found)


@dataclass(frozen=True)
class Ours:
    """Columns at the compared rows; seconds and bytes for all windows, the columns included; seconds a window by the
    number of bars; the slowest calculators with seconds a window, each computed by itself."""

    columns: dict[str, FloatArray]
    seconds: float
    memory: int
    grown: dict[int, float]
    slowest: list[tuple[str, float]]


def by_kernels(asked: Parameters, first: int, count: int, repetitions: int, grown: Sequence[int]) -> Ours:
    """The stage as the pipeline calls it: a block of bars with the look-back before it."""
    from fx_assets.features.stages.tsfresh import Tsfresh, TsfreshOptions

    stage = Tsfresh()
    options = TsfreshOptions(window=WINDOW, inputs=["returns"], preset="none", fc_parameters=as_in_yaml(asked))
    bars = frame(closes(BARS + WINDOW))
    stage.compute(bars.take(slice(0, 2 * WINDOW)), options)  # everything is imported
    forget_peak()
    held = memory("VmRSS")
    columns = {name: column[first : first + count].copy() for name, column in stage.compute(bars, options).items()}
    peak = memory("VmHWM") - held
    took = median([seconds(partial(stage.compute, bars, options, WINDOW)) for _ in range(repetitions)])
    histories = {n: frame(closes(n + WINDOW)) for n in (BARS, *grown)}
    by_bars = {n: seconds(partial(in_blocks, stage, options, history)) / n for n, history in histories.items()}
    return Ours(columns, took, peak, by_bars, slowest(asked))


def as_in_yaml(asked: Parameters) -> Parameters:
    """An option of the stage; tuples come as lists."""
    return {
        name: sets and [{k: list(v) if isinstance(v, tuple) else v for k, v in params.items()} for params in sets]
        for name, sets in asked.items()
    }


def frame(close: FloatArray) -> Frame:
    """Hourly bars with nothing but a close."""
    import numpy as np

    from fx_assets.features.frames import Frame

    time = np.datetime64("2000-01-03", "us") + np.timedelta64(1, "h") * np.arange(len(close))
    return Frame("EURUSD", "1h", "fx", time, time + np.timedelta64(1, "h"), time.astype("M8[D]"), {"close": close})


def in_blocks(stage: Tsfresh, options: TsfreshOptions, bars: Frame) -> None:
    """All windows of a long history, a block after the other, as the pipeline does."""
    for begin in range(WINDOW, len(bars), BLOCK):
        stage.compute(bars.take(slice(begin - WINDOW, begin + BLOCK)), options, WINDOW)


def slowest(asked: Parameters) -> list[tuple[str, float]]:
    """Calculators and seconds a window, each by itself with all that it derives from the windows."""
    import numpy as np

    from fx_assets.features.kernels.base import CHUNK, compute

    windows = np.lib.stride_tricks.sliding_window_view(stretch(WINDOW, CHUNK), WINDOW)
    took = {
        name: median([seconds(partial(compute, windows, {name: sets or [{}]})) for _ in range(3)]) / CHUNK
        for name, sets in asked.items()
    }
    return sorted(took.items(), key=lambda item: -item[1])[:SHOWN]
