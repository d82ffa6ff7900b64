"""A part of `features.py`: twenty years of hours as a whole and night by night, through the lake; and its memory.

`whole_of_increment`: time of computing and committing all of a pair's history, as a multiple of the median night that
adds 24 bars, as its asset does it: find what changed, compute, commit. `equal`: after the nights the table is, bit for
bit, what computing everything at once gives. Each side runs in a process of its own; memory is its peak above what it
held after a small set was made, so with all libraries loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_part import Part, alone, forget_peak, memory
from measure import median, seconds

YEARS, QUICK_YEARS = 20, 1
NIGHTS = 5
HOURS_A_YEAR = 24 * 260
PAIR = "EURUSD"
INDICATORS: dict[str, Any] = {
    "returns": [1, 5, 24, 120],
    "volatility": [24, 120],
    "rsi": [14],
    "ema_ratio": [24],
    "bollinger": [20],
    "macd": True,
}
PACKAGES = ("deltalake", "numpy", "pyarrow", "ta-lib")


def feature_set() -> Any:
    """Indicators, and every tsfresh column that has a kernel."""
    from fx_assets.specs.schema import FeatureSetSpec

    stages = [
        {"stage": "indicators", "options": INDICATORS},
        {"stage": "tsfresh", "options": {"window": 96, "preset": "efficient"}},
    ]
    return FeatureSetSpec.model_validate({"name": "hourly", "frequency": "1h", "stages": stages})


def write_bars(root: Path, rows: int) -> None:
    """A random walk by the hour on weekdays, in blocks of years: the same each time."""
    import numpy as np
    import pyarrow as pa

    days = np.arange(np.datetime64("2000-01-03"), np.datetime64("2040-01-01"))
    days = np.repeat(days[np.is_busday(days)], 24)[:rows]
    hours = np.arange(rows) % 24
    start = (days - np.timedelta64(1, "D")).astype("datetime64[us]") + (22 + hours) * np.timedelta64(1, "h")
    close = 1.1 * np.exp(np.cumsum(np.random.default_rng(5).standard_t(4, rows) * 6e-4))
    moment = pa.timestamp("us", tz="UTC")
    ends = pa.array(start + np.timedelta64(1, "h")).cast(moment)
    years = days.astype("datetime64[Y]").astype(str)
    table = pa.table(
        {
            "pair": pa.array([PAIR] * rows),
            "block": pa.array(years.tolist()),
            "time": pa.array(start).cast(moment),
            "end": ends,
            "known_at": ends,
            "trading_date": pa.array(days),
            "kind": pa.array(["bar"] * rows),
            "close": pa.array(close),
        }
    )
    blocks = ((year, table.filter(pa.compute.equal(table.column("block"), year))) for year in np.unique(years).tolist())
    commit(root, "bars/1h", "bars/1h", blocks, {})


def commit(root: Path, table: str, asset: str, blocks: Iterator[tuple[str, Any]], facts: dict[str, Any]) -> None:
    """Blocks and a state into the lake, without the control database's lease."""
    from fx_assets.storage.lake import Lake
    from fx_assets.storage.records import State

    def state(hashes: Any) -> State:
        digest = str(hash(tuple(sorted(hashes.items()))))
        return State(asset, PAIR, digest, digest, (), 1, "benchmark", datetime.now(UTC), metadata=dict(facts))

    def guard() -> AbstractContextManager[None]:
        return nullcontext()

    Lake(root).write_blocks(table, PAIR, blocks, state=state, guard=guard)


def night(root: Path, facts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the assets of the set do when the bars have changed; `facts` of the last night, and those of this one."""
    from fx_assets.features.sets import stage_table, steps, table_name
    from fx_assets.features.stored import StoredInputs
    from fx_assets.features.update import SetUpdate, StageUpdate
    from fx_assets.specs.schema import PairSpec
    from fx_assets.storage.lake import Lake
    from fx_assets.storage.records import State

    def last(name: str) -> State | None:
        known = facts.get(name)
        return None if known is None else State(name, PAIR, "", "", (), 1, "", datetime.now(UTC), metadata=known)

    spec, lake, made = feature_set(), Lake(root), {}
    document = {
        "pair": PAIR,
        "pip": 0.0001,
        "source": {"kind": "csv"},
        "calendar": "fx",
        "history_start": "2000-01-01",
        "plausible_range": [0.1, 10],
    }
    pair = PairSpec.model_validate(document)
    for step in steps(spec):
        update = StageUpdate(step, StoredInputs(lake, pair, [PAIR], [step], "1h"), last(step.name))
        commit(root, stage_table(spec, step), f"features/{step.name}", update.blocks(), {})
        made[step.name] = update.facts()
    joined = SetUpdate(spec, lake, PAIR, last("set"))
    commit(root, table_name(spec), "features/hourly", joined.blocks(), {})
    return {**made, "set": joined.facts()}


def whole_then_nights(root: Path, rows: int) -> tuple[float, list[float], int]:
    """Seconds of all but the last nights, of each of these, and the peak of memory in bytes."""
    with tempfile.TemporaryDirectory() as small:
        write_bars(Path(small), 800)
        night(Path(small), {})
    before = memory("VmRSS")
    forget_peak()
    facts: dict[str, dict[str, Any]] = {}

    def work() -> None:
        nonlocal facts
        facts = night(root, facts)

    write_bars(root, rows - 24 * NIGHTS)
    whole = seconds(work)
    peak = memory("VmHWM") - before
    nights = []
    for left in range(NIGHTS - 1, -1, -1):
        write_bars(root, rows - 24 * left)
        nights.append(seconds(work))
    return whole, nights, peak


def digest_of(root: Path, rows: int | None = None) -> str:
    """Of the set's table; with `rows` of one that is computed at once from so many bars."""
    from fx_assets.features.sets import table_name
    from fx_assets.storage.lake import Lake

    if rows is not None:
        write_bars(root, rows)
        night(root, {})
    return str(Lake(root).snapshot(table_name(feature_set())).blocks(PAIR))


def measure(quick: bool) -> Part:
    """The part of the benchmark."""
    rows = HOURS_A_YEAR * (QUICK_YEARS if quick else YEARS)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, nights, peak = alone(whole_then_nights, Path(one), rows)
        equal = alone(digest_of, Path(one)) == alone(digest_of, Path(other), rows)
    return Part(
        ratios={"whole_of_increment": whole / median(nights)},
        equal=equal,
        rows=[
            (f"{rows:,} hours, all at once", f"{whole:.1f} s"),
            ("a night of 24 more", f"{median(nights) * 1e3:.0f} ms"),
            ("peak of memory above the loaded libraries", f"{peak / 2**20:.0f} MiB"),
        ],
        packages=PACKAGES,
    )
