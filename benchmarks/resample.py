"""10 million ticks to bars of a minute, an hour and a trading day, against pandas and bare Polars.

`faster_than_pandas`: time of pandas as a multiple of ours. `memory_share_of_pandas`: our peak memory as a share of
pandas', each above what its process held with the ticks loaded. `of_bare_polars`: our time as a share of that of
Polars called directly. Each is of the whole: all three frequencies of the same ticks. The table has them one by one.

Each side runs in a process of its own, upon ticks in memory; loading is not measured, and of several repetitions the
median counts. We make hours and days of the minutes; pandas and Polars go through the ticks for each, as is written
with them. All make the same columns: open to close of the mid, the same of bid and ask, mean spread, ticks, volume and
realised variance (of a minute over its ticks, of longer bars over the closes of their minutes); a day is a trading date
(17:00 New York). Prices, times and counts have to be equal, mean spread and variance to 1e-12. With --quick there are 2
million ticks and fewer repetitions.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from measure import arguments, median, report

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

TICKS, QUICK_TICKS = 10_000_000, 2_000_000
REPETITIONS, QUICK_REPETITIONS = 5, 3
TICKS_A_DAY = 100_000
FREQUENCIES = ("1min", "1h", "1d")
COLUMNS = ("time", "bid", "ask", "volume")
SIDES = ("fx-assets", "polars", "pandas")
WARM_UP = 60_000
# Quotes an hour on the clock of UTC, as shares: Asia is quiet, London and New York together are not.
ACTIVITY = (2, 2, 2, 2, 2, 2, 3, 6, 7, 7, 6, 5, 6, 8, 9, 9, 8, 6, 4, 3, 2, 1, 1, 2)
QUOTES = ("open", "high", "low", "bid_open", "bid_high", "bid_low", "ask_open", "ask_high", "ask_low")
EXACT = ("time", *QUOTES, "close", "bid", "ask", "ticks", "volume")
ROUNDED = ("spread", "realised_variance")
Make = Callable[[Any, str, Mapping[str, Any]], Any]
PACKAGES = ("fx-assets", "polars", "pandas", "numpy")


@dataclass(frozen=True)
class Measured:
    """Seconds of each frequency in each repetition; the peak above what the process held before, in bytes."""

    seconds: list[dict[str, float]]
    memory: int

    def median(self, *frequencies: str) -> float:
        """Seconds of these frequencies together."""
        return median([sum(times[name] for name in frequencies) for times in self.seconds])


def write_ticks(folder: Path, n: int) -> None:
    """A random walk quoted by the hours of the day, over a change of New York's clocks; the same each time."""
    import numpy as np

    from fx_assets.timegrid.calendars import calendar
    from fx_assets.timegrid.trading_dates import bar_end, bar_start

    draw = np.random.default_rng(20180305)
    times = []
    for day in calendar("fx").next_days(date(2018, 2, 25), -(-n // TICKS_A_DAY)):
        begin, end = (int(t.timestamp() * 1000) for t in (bar_start(day), bar_end(day)))
        edges = np.arange(begin, end + 1, 3_600_000)
        shares = np.cumsum([0, *(ACTIVITY[hour // 3_600_000 % 24] for hour in edges[:-1])], dtype=float)
        # A few more than needed, since no two ticks share their millisecond.
        drawn = np.unique(np.interp(draw.random(TICKS_A_DAY + 2_000) * shares[-1], shares, edges).astype(np.int64))
        times.append(np.sort(draw.permutation(drawn)[:TICKS_A_DAY]))
    time = np.concatenate(times)[:n]
    mid = 1.23 * np.exp(np.cumsum(draw.standard_normal(n) * 8e-6))
    spread = draw.integers(0, 12, n)
    points = np.round(mid * 1e5 - spread / 2)
    found = (time * 1_000, points / 1e5, (points + spread) / 1e5, draw.integers(1, 20, n) / 4)
    for name, values in zip(COLUMNS, found, strict=True):
        np.save(folder / f"{name}.npy", values)


def in_polars(folder: Path) -> pl.DataFrame:
    """The ticks as Polars holds them."""
    import numpy as np
    import polars as pl

    frame = pl.DataFrame({name: np.load(folder / f"{name}.npy") for name in COLUMNS})
    return frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC"))).rechunk()


def in_pandas(folder: Path) -> pd.DataFrame:
    """The ticks as pandas holds them: by a time index."""
    import numpy as np
    import pandas as pd

    index = pd.DatetimeIndex(np.load(folder / "time.npy").view("M8[us]"), name="time").tz_localize("UTC")
    return pd.DataFrame({name: np.load(folder / f"{name}.npy") for name in COLUMNS[1:]}, index=index, copy=False)


def ours(ticks: Any, frequency: Any, made: Mapping[str, Any]) -> Any:
    """What the project runs: longer bars of the minutes that are `made`."""
    from fx_assets.bars.resample import compose, minutes

    return minutes(ticks) if frequency == "1min" else compose(made["1min"], frequency, calendar="fx")


def with_polars(ticks: Any, frequency: str, _made: Mapping[str, Any]) -> Any:
    """Polars called directly, in the fastest of the ways to write it that were tried: a sorted key, one pass."""
    import polars as pl

    mid = (pl.col("bid") + pl.col("ask")) / 2
    minute, bar = (_polars_key(name).set_sorted() for name in ("1min", frequency))
    frame = ticks.lazy().with_columns(mid=mid, minute=minute, bar=bar)
    square = ((pl.col("mid") - pl.col("mid").shift()) / pl.col("mid").shift()).log1p() ** 2
    inside = pl.when(pl.col("minute") == pl.col("minute").shift()).then(square).otherwise(0.0)
    frame = frame.with_columns(square=inside) if frequency == "1min" else frame
    bars = frame.group_by("bar", maintain_order=True).agg(
        *_polars_prices("mid", "open", "high", "low", "close"),
        *(
            column
            for side in ("bid", "ask")
            for column in _polars_prices(side, f"{side}_open", f"{side}_high", f"{side}_low", side)
        ),
        spread=(pl.col("ask") - pl.col("bid")).mean(),
        ticks=pl.len(),
        volume=pl.col("volume").sum(),
        **({"realised_variance": pl.col("square").sum()} if frequency == "1min" else {}),
    )
    if frequency != "1min":
        closes = frame.group_by("minute", maintain_order=True).agg(
            pl.col("bar").first(), pl.col("mid").first().alias("open"), pl.col("mid").last()
        )
        before = pl.when(pl.col("bar") == pl.col("bar").shift()).then(pl.col("mid").shift()).otherwise("open")
        closes = closes.with_columns(square=((pl.col("mid") - before) / before).log1p() ** 2)
        variance = closes.group_by("bar", maintain_order=True).agg(realised_variance=pl.col("square").sum())
        bars = bars.with_columns(variance.collect().get_column("realised_variance"))
    return bars.rename({"bar": "time"}).collect()


def _polars_key(frequency: str) -> pl.Expr:
    import polars as pl

    if frequency != "1d":
        return pl.col("time").dt.truncate(frequency.replace("min", "m"))
    wall = pl.col("time").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    return (wall + pl.duration(hours=7)).dt.date()


def _polars_prices(name: str, first: str, high: str, low: str, last: str) -> list[pl.Expr]:
    import polars as pl

    column = pl.col(name)
    return [
        column.first().alias(first), column.max().alias(high), column.min().alias(low), column.last().alias(last)
    ]  # fmt: skip


def with_pandas(ticks: Any, frequency: str, _made: Mapping[str, Any]) -> Any:
    """pandas as its manual has it: `resample` on the time index, and for trading dates `groupby`."""
    import numpy as np
    import pandas as pd

    frame = ticks.assign(mid=(ticks["bid"] + ticks["ask"]) / 2, spread=ticks["ask"] - ticks["bid"])
    quotes = ["mid", "bid", "ask"]
    if frequency == "1d":
        wall = frame.index.tz_convert("America/New_York").tz_localize(None)
        grouped: Any = frame.groupby((wall + pd.Timedelta(hours=7)).normalize())
    else:
        grouped = frame.resample(frequency)
    bars = grouped[quotes].agg(["first", "max", "min", "last"])
    names = ("open", "high", "low", "close")
    sides = (f"{side}{suffix}" for side in ("bid", "ask") for suffix in ("_open", "_high", "_low", ""))
    bars.columns = pd.Index([*names, *sides])
    bars = bars.assign(spread=grouped["spread"].mean(), ticks=grouped.size(), volume=grouped["volume"].sum())
    bars = bars[bars["ticks"] > 0]
    if frequency == "1min":
        minute = frame.index.floor("min")
        square = np.log1p(frame["mid"].diff() / frame["mid"].shift()) ** 2
        square[np.append(True, minute[1:] != minute[:-1])] = 0.0
        return bars.assign(realised_variance=square.resample("1min").sum()).rename_axis("time")
    closes = frame["mid"].resample("1min").agg(["first", "last"]).dropna()
    if frequency == "1d":
        wall = closes.index.tz_convert("America/New_York").tz_localize(None)
        bar = (wall + pd.Timedelta(hours=7)).normalize()
    else:
        bar = closes.index.floor(frequency)
    before = closes["last"].shift().where(np.append(False, bar[1:] == bar[:-1]), closes["first"])
    square = np.log1p((closes["last"] - before) / before) ** 2
    return bars.assign(realised_variance=square.groupby(bar).sum()).rename_axis("time")


def run_side(side: str, folder: Path, repetitions: int, answer: Any) -> None:
    """Measure one side in this process; its bars lie in the folder afterwards."""
    ticks: Any = in_pandas(folder) if side == "pandas" else in_polars(folder)
    make = {"fx-assets": ours, "polars": with_polars, "pandas": with_pandas}[side]
    once(make, ticks[:WARM_UP])
    gc.collect()
    held = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    bars, times = once(make, ticks)
    peak = _memory("VmHWM") - held
    repeated = [once(make, ticks)[1] for _ in range(repetitions - 1)]
    for frequency, frame in bars.items():
        write_bars(frame, frequency, folder / f"{side}-{frequency}.npz")
    answer.send(Measured([times, *repeated], peak))


def once(make: Make, ticks: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """The bars of each frequency, and the seconds that it took."""
    made: dict[str, Any] = {}
    times = {}
    for frequency in FREQUENCIES:
        began = perf_counter()
        made[frequency] = make(ticks, frequency, made)
        times[frequency] = perf_counter() - began
    return made, times


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def write_bars(bars: Any, frequency: str, path: Path) -> None:
    """The columns as numpy has them; a day by its date, however the side calls it."""
    import numpy as np
    import polars as pl

    from fx_assets.timegrid.sessions import trading_date_expr

    if not isinstance(bars, pl.DataFrame):
        bars = pl.from_pandas(bars.reset_index())
    elif frequency == "1d" and bars.schema["time"] != pl.Date:
        bars = bars.with_columns(trading_date_expr(pl.col("time")))
    kind = pl.Date() if frequency == "1d" else pl.Datetime("us", "UTC")
    bars = bars.with_columns(pl.col("time").cast(kind).to_physical(), pl.col("ticks").cast(pl.Int64))
    np.savez(path, **{name: bars[name].to_numpy() for name in (*EXACT, *ROUNDED)})


def equal(folder: Path, frequency: str) -> bool:
    """Whether all sides made the same bars."""
    import numpy as np

    first, *others = (np.load(folder / f"{side}-{frequency}.npz") for side in SIDES)
    return all(
        all(np.array_equal(first[name], other[name]) for name in EXACT)
        and all(np.allclose(first[name], other[name], rtol=1e-12, atol=0.0) for name in ROUNDED)
        for other in others
    )


def measured(side: str, folder: Path, repetitions: int) -> Measured:
    """`run_side` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe(duplex=False)
    process = context.Process(target=run_side, args=(side, folder, repetitions, far))
    process.start()
    far.close()
    try:
        found: Measured = near.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{side} ended with exit code {process.exitcode}") from None
    process.join()
    return found


def main() -> int:
    """Run it; 1 where the sides did not make the same bars."""
    options = arguments(__doc__ or "")
    ticks, repetitions = (QUICK_TICKS, QUICK_REPETITIONS) if options.quick else (TICKS, REPETITIONS)
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
        folder = Path(name)
        write_ticks(folder, ticks)
        found = {side: measured(side, folder, repetitions) for side in SIDES}
        same = all(equal(folder, frequency) for frequency in FREQUENCIES)
    time = {side: result.median(*FREQUENCIES) for side, result in found.items()}
    rows = []
    for side, result in found.items():
        rows += [(f"{side}, {frequency}, s", f"{result.median(frequency):.3f}") for frequency in FREQUENCIES]
        rows += [(f"{side}, peak, MB", f"{result.memory / 1e6:.0f}")]
    return report(
        "resample",
        ratios={
            "faster_than_pandas": time["pandas"] / time["fx-assets"],
            "memory_share_of_pandas": found["fx-assets"].memory / found["pandas"].memory,
            "of_bare_polars": time["fx-assets"] / time["polars"],
        },
        equal=same,
        packages=PACKAGES,
        rows=rows,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
