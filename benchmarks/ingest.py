"""HistData zips and bi5 hours into the lake, against pandas and bare numpy; a night's append to 2 and to 20 years.

`read_faster_than_pandas`: time of `pandas.read_csv` with the times parsed, as a multiple of ours to clean rows in
memory. pandas only reads; ours also puts the times on UTC, checks every row, sorts and looks for spikes.
`to_lake_of_pandas`: our time from the zip to the committed lake, as a share of that same reading by pandas.
`bi5_of_bare_numpy`: our time from the hours to the committed lake, as a share of unpacking and decoding them with lzma
and numpy alone. `append_growth`, `append_bytes_growth`: time of a day's append, and bytes that it wrote, to 20 years of
minutes as a share of those to 2 years: near 1 where a night's cost does not grow with the history.

The code is that of the asset `prices/raw` with its checks, less Dagster and the charts. All prices are simulated and
written in the vendors' forms: a year of minutes, 20 days of ticks, 20 years of minutes as a zip a year and then a file
a day. Both histories end on the same date and get the same days in turn. Medians; each side runs once before it counts.
With --quick there are half a year of minutes, 5 days of ticks, fewer repetitions, and one week in ten of the long
histories but for their last block. Where FX_SAMPLE_DATA is set, its real year and day are read once, for the table.
"""

from __future__ import annotations

import lzma
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from measure import arguments, median, report, seconds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

    from fx_assets.settings import Settings
    from fx_assets.specs.schema import PairSpec
    from fx_assets.storage.lake import Lake

PAIR = "EURUSD"
ASSET = "prices/raw"
SEED = 20180305
YEAR, QUICK_YEAR = (date(2018, 1, 2), date(2018, 12, 31)), (date(2018, 7, 2), date(2018, 12, 31))
TICK_DAYS, QUICK_TICK_DAYS = 20, 5
LAST_HELD = date(2020, 2, 14)  # in the middle of a block
HISTORIES = {"2 years": date(2018, 2, 15), "20 years": date(2000, 2, 15)}  # from these dates on
WHOLE_FROM = date(2020, 1, 1)  # the block that is appended to: whole with --quick too
QUICK_WEEKS = 10
REPETITIONS, QUICK_REPETITIONS = 7, 3
APPENDS, QUICK_APPENDS = 9, 5
MINUTE_TICKS, DAY_TICKS = 6_000, 60_000  # a day: to make minutes of, and to store
POINTS = 1e5
RECORD = [("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")]
COLUMNS = ("time", "open", "high", "low", "close")
TICK_COLUMNS = ("time", "bid", "ask", "volume")
PACKAGES = ("fx-assets", "polars", "pandas", "numpy", "pyarrow", "deltalake")

Columns = dict[str, "np.ndarray[Any, Any]"]
"""By name, (n,); times in microseconds since 1970, UTC."""


@dataclass(frozen=True)
class Home:
    """An installation with one pair, whose files lie in `files`."""

    settings: Settings
    spec: PairSpec

    @classmethod
    def made(cls, folder: Path, kind: str, files: str) -> Home:
        """A fresh one in `folder`."""
        from fx_assets.settings import Settings
        from fx_assets.specs.schema import PairSpec, SourceSpec

        spec = PairSpec(
            pair=PAIR,
            pip=0.0001,
            source=SourceSpec(kind=kind, files=files),
            calendar="fx",
            history_start=date(2000, 1, 3),
            plausible_range=(0.4, 3.0),
        )
        return cls(Settings(home=folder, live=False), spec)

    @property
    def lake(self) -> Lake:
        """Its lake."""
        from fx_assets.storage.lake import Lake

        return Lake(self.settings.lake_path)

    @property
    def table(self) -> str:
        """Where its prices are: HistData's are minutes, Dukascopy's ticks."""
        return "prices/raw" if self.spec.source.kind == "histdata" else "prices/ticks"

    def read(self) -> list[pl.DataFrame]:
        """The clean rows of all files, block by block, and no lake."""
        from fx_assets.prices.update import fetch

        with _scratch(self.settings) as scratch:
            fetched = fetch(self.spec, None, self.lake, settings=self.settings, scratch=Path(scratch), log=_silent)
            return [fetched.collected.block(name) for name in fetched.collected.blocks]

    def publish(self) -> dict[str, Any]:
        """What the asset does with what is new: read, clean, merge, check, commit. The facts of its state.

        Raises where a check would block.
        """
        from fx_assets.prices.update import Update, fetch
        from fx_assets.storage.hashing import fingerprint
        from fx_assets.storage.records import State

        last = self.lake.state(self.table, PAIR, asset=ASSET)
        with _scratch(self.settings) as scratch:
            fetched = fetch(self.spec, last, self.lake, settings=self.settings, scratch=Path(scratch), log=_silent)
            update = Update.of(fetched, last, self.lake)

            def state(hashes: Mapping[str, str]) -> State:
                checks = tuple(update.audit.outcomes(fetched.collected))
                if failed := [check.description for check in checks if check.blocking and not check.passed]:
                    raise RuntimeError("; ".join(failed))
                facts, content, moment = update.facts(), fingerprint(dict(hashes)), datetime.now(UTC)
                return State(ASSET, PAIR, fetched.fingerprint, content, checks, facts["rows"], "bench", moment, facts)

            self.lake.write_blocks(self.table, PAIR, update.blocks(), state=state, guard=nullcontext)
        return update.facts()

    def newest(self) -> tuple[str, str]:
        """Name and content hash of the newest block."""
        return max(self.lake.snapshot(self.table).blocks(PAIR).items())

    def held(self, columns: Sequence[str]) -> Columns:
        """The prices in the lake, also those that were taken back as spikes."""
        import polars as pl

        from fx_assets.prices.history import last_said

        rows = last_said(pl.DataFrame(self.lake.read(self.table, PAIR)))
        return {name: rows[name].to_physical().to_numpy() for name in columns}


def _scratch(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    settings.scratch_path.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=settings.scratch_path)


def _silent(line: str) -> None:
    """The log of nobody."""


def weeks(first: date, last: date, every: int) -> Iterator[tuple[date, date]]:
    """First and last date of the weeks in between: all from `WHOLE_FROM` on, and one in `every` before."""
    while first <= last:
        sunday = first + timedelta(days=6 - first.weekday())
        if sunday >= WHOLE_FROM or sunday.toordinal() // 7 % every == 0:
            yield first, min(sunday, last)
        first = sunday + timedelta(days=1)


def minutes_of_bid(first: date, last: date, every: int = 1) -> pl.DataFrame:
    """`wall` (Datetime[us], on HistData's clock), open, high, low, close, volume; the same each time."""
    import polars as pl

    from fx_assets.prices.simulation import Market, minutes, simulate_days

    market = Market(PAIR, SEED, ticks_per_day=MINUTE_TICKS)
    days = [minutes(ticks) for week in weeks(first, last, every) for _, ticks in simulate_days(market, *week)]
    new_york, london = (
        pl.col("time").dt.convert_time_zone(zone).dt.replace_time_zone(None)
        for zone in ("America/New_York", "Europe/London")
    )
    wall = pl.when(new_york.dt.year() < 2019).then(new_york).otherwise(london - pl.duration(hours=5))
    return pl.concat(days).select(
        wall.alias("wall"), open="bid_open", high="bid_high", low="bid_low", close="bid", volume=pl.lit(0)
    )


def histdata(rows: pl.DataFrame) -> str:
    """The text of HistData's CSV."""
    return rows.write_csv(separator=";", include_header=False, datetime_format="%Y%m%d %H%M%S", float_precision=6)


def write_zips(folder: Path, rows: pl.DataFrame) -> None:
    """A zip a year, beside the prices the vendor's report."""
    import polars as pl

    folder.mkdir(parents=True)
    for _, part in rows.group_by(pl.col("wall").dt.year(), maintain_order=True):
        name = f"DAT_ASCII_{PAIR}_M1_{part['wall'][0].year}"
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", histdata(part))
            archive.writestr(f"{name}.txt", f"HistData.com (c) 2012\nFile: {name}.csv Status Report\n")


def write_hours(folder: Path, days: int) -> None:
    """Ticks as Dukascopy's files of an hour, in its folders, whose months count from 0."""
    import numpy as np
    import polars as pl

    from fx_assets.prices.simulation import Market, simulate_days
    from fx_assets.timegrid.calendars import calendar

    dates = calendar("fx").next_days(QUICK_YEAR[0], days)
    market = Market(PAIR, SEED, ticks_per_day=DAY_TICKS)
    ticks = pl.concat(frame for _, frame in simulate_days(market, dates[0], dates[-1]))
    for _, part in ticks.group_by(pl.col("time").dt.truncate("1h"), maintain_order=True):
        hour = part["time"][0].replace(minute=0, second=0, microsecond=0)
        records = np.zeros(part.height, RECORD)
        records["ms"] = (part["time"] - hour).dt.total_milliseconds().to_numpy()
        for side in ("ask", "bid"):
            records[side] = np.rint(part[side].to_numpy() * POINTS)
            records[f"{side}_volume"] = part["volume"].to_numpy()
        path = folder / PAIR / f"{hour.year}/{hour.month - 1:02}/{hour.day:02}/{hour.hour:02}h_ticks.bi5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(records.tobytes(), lzma.FORMAT_ALONE))


def with_pandas(path: Path) -> pd.DataFrame:
    """`read_csv` of the prices in a zip, times parsed as they stand; the vendor's zip has a second file."""
    import pandas as pd

    names = (*COLUMNS, "volume")
    with zipfile.ZipFile(path) as archive, archive.open(f"{path.stem}.csv") as file:
        return pd.read_csv(file, sep=";", names=names, parse_dates=["time"], date_format="%Y%m%d %H%M%S")


def of_pandas(path: Path) -> Columns:
    """What pandas read, its times put on UTC; right up to 2018."""
    rows = with_pandas(path)
    time = rows["time"].dt.tz_localize("America/New_York").dt.tz_convert("UTC").dt.tz_localize(None)
    return {"time": time.to_numpy("M8[us]").view("i8"), **{name: rows[name].to_numpy() for name in COLUMNS[1:]}}


def with_numpy(folder: Path) -> Columns:
    """Hours unpacked and decoded, the time of each from its path."""
    import numpy as np

    parts: dict[str, list[Any]] = {name: [] for name in TICK_COLUMNS}
    for path in sorted(folder.rglob("*_ticks.bi5")):
        year, month, day = (int(part) for part in path.parts[-4:-1])
        hour = datetime(year, month + 1, day, int(path.name[:2]), tzinfo=UTC)
        records = np.frombuffer(lzma.decompress(path.read_bytes()), RECORD)
        parts["time"].append((int(hour.timestamp()) * 1_000 + records["ms"].astype("i8")) * 1_000)
        parts["bid"].append(records["bid"] / POINTS)
        parts["ask"].append(records["ask"] / POINTS)
        parts["volume"].append(records["bid_volume"].astype("f8"))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


@dataclass(frozen=True)
class Sides:
    """Seconds of the other tool, of ours to memory and to the lake, each time; whether the prices are equal."""

    times: list[tuple[float, float, float]]
    rows: int
    equal: bool

    def ratio(self, above: int, below: int) -> float:
        """Of two of the three, repetition by repetition, since a busy machine slows neighbours alike."""
        return median([times[above] / times[below] for times in self.times])

    def table(self, what: str, other: str) -> list[tuple[str, str]]:
        """Lines with rows a second."""
        labels = (f"{other}, reading only", "fx-assets, to memory", "fx-assets, to lake")
        sides = zip(labels, zip(*self.times, strict=True), strict=True)
        return [(f"{what}, {label}, s", _with_rate(median(times), self.rows)) for label, times in sides]


def compared(folder: Path, kind: str, files: str, other: Callable[[], object], truth: Columns, n: int) -> Sides:
    """The three in turn, `n` times and once before that, each to the lake in a fresh home."""
    import numpy as np

    times = []
    for number in range(n + 1):
        home = Home.made(folder / str(number), kind, files)
        times.append((seconds(other), seconds(home.read), seconds(home.publish)))
    ours = home.held(tuple(truth))
    equal = all(np.array_equal(ours[name], values) for name, values in truth.items())
    return Sides(times[1:], len(truth["time"]), equal)


def of_zip(folder: Path, path: Path, n: int) -> Sides:
    """A year of minutes against pandas."""
    return compared(folder, "histdata", str(path), partial(with_pandas, path), of_pandas(path), n)


def of_hours(folder: Path, hours: Path, n: int) -> Sides:
    """Hours of ticks against numpy."""
    files = str(hours / "**" / "*_ticks.bi5")
    return compared(folder, "dukascopy", files, partial(with_numpy, hours), with_numpy(hours), n)


@dataclass(frozen=True)
class Append:
    """Seconds, bytes and files that an update took, and the rows that were added."""

    time: float
    size: int
    files: int
    rows: int

    @classmethod
    def of(cls, home: Home) -> Append:
        """Publish what is new in the inbox."""
        before = _sizes(home.settings.lake_path)
        began = perf_counter()
        facts = home.publish()
        time = perf_counter() - began
        new = {path: size for path, size in _sizes(home.settings.lake_path).items() if before.get(path) != size}
        return cls(time, sum(new.values()), len(new), facts["added"])


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def nights(folder: Path, *, every: int, count: int) -> tuple[dict[str, list[Append]], bool]:
    """To each history: its own publication, then `count` days; and whether both got each day, and the same."""
    from fx_assets.timegrid.calendars import calendar

    rows, found, homes, same = minutes_of_bid(min(HISTORIES.values()), LAST_HELD, every), {}, {}, True
    for label, first in HISTORIES.items():
        inbox = folder / label / "inbox"
        write_zips(inbox, rows.filter(rows["wall"] >= datetime(first.year, first.month, first.day)))
        homes[label] = Home.made(folder / label, "histdata", str(inbox / "*"))
        found[label] = [Append.of(homes[label])]
    for day in calendar("fx").next_days(LAST_HELD, count):
        fresh = minutes_of_bid(day, day)
        for label, home in homes.items():
            (folder / label / "inbox" / f"DAT_ASCII_{PAIR}_M1_{day:%Y%m%d}.csv").write_text(histdata(fresh))
            found[label].append(Append.of(home))
            same = same and found[label][-1].rows == fresh.height
        same = same and len({home.newest() for home in homes.values()}) == 1
    return found, same


def _with_rate(time: float, rows: int) -> str:
    return f"{time:.3f}  {rows / time:>12,.0f} rows/s"


def main() -> int:
    """Run it; 1 where our rows are not those that pandas and numpy read."""
    options = arguments(__doc__ or "")
    samples = os.environ.get("FX_SAMPLE_DATA")
    for name in [name for name in os.environ if name.startswith(("FX_", "DAGSTER_"))]:
        del os.environ[name]  # nothing of the caller's installation
    n = QUICK_REPETITIONS if options.quick else REPETITIONS
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as made:
        folder = Path(made)
        write_zips(folder / "zip", minutes_of_bid(*(QUICK_YEAR if options.quick else YEAR)))
        write_hours(folder / "hours", QUICK_TICK_DAYS if options.quick else TICK_DAYS)
        (path,) = (folder / "zip").iterdir()
        year = of_zip(folder / "a", path, n)
        hours = of_hours(folder / "b", folder / "hours", n)
        table = [*year.table("zip", "pandas"), *hours.table("bi5", "numpy")]
        if samples is not None:
            real = of_zip(folder / "c", Path(samples, "histdata", f"DAT_ASCII_{PAIR}_M1_2018.zip"), 1)
            ticks = of_hours(folder / "d", Path(samples, "dukascopy", "bi5", PAIR, "2019", "01"), 1)
            table += [*real.table("real zip", "pandas"), *ticks.table("real bi5", "numpy")]
            table += [("real files equal", str(real.equal and ticks.equal).lower())]
        every, count = (QUICK_WEEKS, QUICK_APPENDS) if options.quick else (1, APPENDS)
        appends, same = nights(folder / "nights", every=every, count=count + 1)
    for label, (whole, _, *days) in appends.items():  # the first day warms up
        time, size = median([day.time for day in days]), median([day.size for day in days])
        table += [
            (f"{label} of minutes, to lake, s", _with_rate(whole.time, whole.rows)),
            (f"a day to {label}, s", f"{time:.3f}  {size / 1e6:.2f} MB in {days[-1].files} files"),
        ]
    pairs = list(zip(*(days[2:] for days in appends.values()), strict=True))
    return report(
        "ingest",
        ratios={
            "read_faster_than_pandas": year.ratio(0, 1),
            "to_lake_of_pandas": year.ratio(2, 0),
            "bi5_of_bare_numpy": hours.ratio(2, 0),
            "append_growth": median([long.time / short.time for short, long in pairs]),
            "append_bytes_growth": median([long.size / short.size for short, long in pairs]),
        },
        equal=year.equal and hours.equal and same,
        packages=PACKAGES,
        rows=table,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
