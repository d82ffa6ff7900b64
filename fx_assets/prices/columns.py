"""Which column of a table means what, by its usual names or by a mapping; and what prices the table then holds.

Polars is imported inside, because checking the configuration needs the names only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fx_assets.prices.batch import ROW_COLUMNS, Form
from fx_assets.prices.names import PRICE_COLUMNS, Side
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import SourceSpec
from fx_assets.timegrid.frequencies import FREQUENCIES, seconds_of

if TYPE_CHECKING:
    import polars as pl

TIME_COLUMNS = ("time", "date")
OURS = (*TIME_COLUMNS, *ROW_COLUMNS)

_WHEN = (
    "datetime",
    "timestamp",
    "gmttime",
    "utctime",
    "timeutc",
    "utc",
    "localtime",
    "opentime",
    "epoch",
    "unix",
    "ts",
)
_OHLC = {"open": "o", "high": "h", "low": "l", "close": "c"}
# Names in lower case and without anything but letters, the likeliest first.
_USUAL: dict[str, tuple[str, ...]] = {
    "open": ("midopen", "mido", "open", "o"),
    "high": ("midhigh", "midh", "high", "h"),
    "low": ("midlow", "midl", "low", "l"),
    "close": ("midclose", "midc", "close", "c", "price", "mid", "last", "rate"),
    **{f"{side}_{name}": (f"{side}{name}", f"{side}{short}", f"{name}{side}") for side in ("bid", "ask")
       for name, short in _OHLC.items() if name != "close"},
    **{side: (side, f"{side}close", f"{side}c", f"close{side}", f"{side}price") for side in ("bid", "ask")},
    "ticks": ("tickvolume", "tickvol", "tickcount", "ticks"),
    "volume": ("volume", "vol", "v"),
}  # fmt: skip
_SIDED = {
    side: {"open": f"{side}_open", "high": f"{side}_high", "low": f"{side}_low", "close": side}
    for side in ("bid", "ask")
}
_FORMATS = (
    (r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", "iso"),
    (r"\d{8}( \d{4}| \d{6})?", "iso"),
    (r"\d{9,10}(\.\d+)?", "epoch_s"),
    (r"\d{12,13}", "epoch_ms"),
    (r"\d{15,16}", "epoch_us"),
    (r"\d{14}", "%Y%m%d%H%M%S"),
    (r"\d{8} \d\d:\d\d", "%Y%m%d %H:%M"),
    (r"\d{8} \d\d:\d\d:\d\d", "%Y%m%d %H:%M:%S"),
    (r"\d{4}\.\d\d\.\d\d", "%Y.%m.%d"),
    (r"\d{4}\.\d\d\.\d\d \d\d:\d\d", "%Y.%m.%d %H:%M"),
    (r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d", "%Y.%m.%d %H:%M:%S"),
    (r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d\.\d+", "%Y.%m.%d %H:%M:%S%.f"),
)
_REGULAR = 0.5  # share of the steps between lone prices that makes bars of them


@dataclass(frozen=True)
class Columns:
    """`taken`: of each of our columns the table's name for it. `ignored`: the names that mean nothing to us."""

    taken: Mapping[str, str]
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{ours} from {theirs}" if ours != theirs else ours for ours, theirs in self.taken.items())

    @property
    def says_side(self) -> Side | None:
        """The side of the prices where the names say it: both sides, or mid, or one side and no price besides."""
        if {"bid", "ask"} <= set(self.taken) or any(
            _plain(self.taken.get(name, "")).startswith("mid") for name in _OHLC
        ):
            return "mid"
        if "close" in self.taken:
            return None
        return "bid" if "bid" in self.taken else "ask" if "ask" in self.taken else None


def mapping_problems(mapping: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a mapping from our columns to a table's, as (dotted path below `source`, message)."""
    for ours in mapping:
        if ours not in OURS:
            yield f"columns.{ours}", f"unknown column.{nearest(ours, OURS)}"
    if not mapping:
        return
    if not set(TIME_COLUMNS) & set(mapping):
        yield "columns", "no time: add e.g. time: Date"
    if not set(PRICE_COLUMNS) & set(mapping):
        yield "columns", "no price: add e.g. close: Price, or bid and ask"
    for theirs in sorted(set(mapping.values())):
        users = [ours for ours, name in mapping.items() if name == theirs]
        if len(users) > 1:
            yield "columns", f"{' and '.join(users)} are taken from one column {theirs!r}"


def recognise(names: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """The meaning of the columns called `names`: as the mapping says, and only so; else by their usual names.

    Raises `ValueError` that lists the names where the mapping, the time or every price finds no column.
    """
    taken = dict(mapping) if mapping else _usual(names)
    shown = ", ".join(repr(name) for name in names)
    for ours, theirs in taken.items():
        if theirs not in names:
            raise ValueError(f"columns.{ours}: there is no column {theirs!r}; the columns are {shown}")
    for meant, needed in (("time", TIME_COLUMNS), ("price", PRICE_COLUMNS)):
        if taken.keys().isdisjoint(needed):
            raise ValueError(
                f"no column is known as {meant}: {shown}; say which, e.g. columns: {{time: Date, close: Price}}"
            )
    return Columns(taken, tuple(name for name in names if name not in taken.values()))


def _usual(names: Sequence[str]) -> dict[str, str]:
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(_plain(name), name)
    taken = {}
    when = next((by_plain[name] for name in _WHEN if name in by_plain), None)
    if when is None and "time" not in by_plain:
        when = by_plain.get("date")
    if when is not None:
        taken["time"] = when
    else:
        taken |= {name: by_plain[name] for name in ("date", "time") if name in by_plain}
    for ours, usual in _USUAL.items():
        found = next((by_plain[name] for name in usual if name in by_plain), None)
        if found is not None:
            taken[ours] = found
    return taken


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalpha())


def form_of(columns: Columns, source: SourceSpec, times: pl.Series) -> Form:
    """What the table holds: as `resolution` and `side` say, else as its columns and `times` (UTC) show.

    Bars, where there are open, high or low, or where lone prices come at a regular step, which is then their length;
    ticks otherwise. Raises `ValueError` where that cannot be told, or contradicts the configuration.
    """
    taken = set(columns.taken)
    ranged = sorted(taken & {name for name in PRICE_COLUMNS if name.rpartition("_")[2] in ("open", "high", "low")})
    if source.resolution == "tick":
        if ranged:
            raise ValueError(f"resolution: tick, but the columns {', '.join(ranged)} are those of bars")
        return Form("tick", 0, _side(columns, source))
    if source.resolution is not None:
        return Form("bar", seconds_of(source.resolution), _side(columns, source))
    step, share = _usual_step(times)
    if step is not None and (ranged or share >= _REGULAR):
        return Form("bar", step, _side(columns, source))
    if ranged:
        raise ValueError(f"the length of the bars cannot be told from {times.len()} times; say resolution, e.g. 1h")
    return Form("tick", 0, _side(columns, source))


def _side(columns: Columns, source: SourceSpec) -> Side:
    said = columns.says_side
    if said is None and "close" not in columns.taken:
        raise ValueError(f"no closing price: the columns are {columns}; map close, or bid and ask")
    if said is not None and source.side not in (None, said):
        raise ValueError(f"side: {source.side}, but the columns are {said}: {columns}")
    return said or source.side or "mid"


def _usual_step(times: pl.Series) -> tuple[int | None, float]:
    """The most frequent step in seconds, where bars have that length, and its share."""
    steps = times.drop_nulls().unique().sort().diff().drop_nulls()
    if steps.is_empty():
        return None, 0.0
    counts = steps.value_counts(sort=True)
    step: timedelta = counts[times.name][0]
    seconds = {seconds_of(name) for name in FREQUENCIES}
    length = step.total_seconds()
    return (int(length) if length in seconds else None), counts["count"][0] / steps.len()


def arranged(rows: pl.DataFrame, form: Form, points: float | None = None) -> pl.DataFrame:
    """`rows` with our column names as a batch of that form has them.

    A lone price of ticks becomes both sides, or the one that it is; bars of one side become open to close. `points`:
    size of the unit that prices are in.
    """
    import polars as pl

    from fx_assets.prices.delimited import scaled

    prices = [name for name in PRICE_COLUMNS if name in rows.columns]
    rows = scaled(rows, points)
    if form.kind == "tick":
        if not {"bid", "ask"} & set(prices):
            sides = [form.side] if form.side in _SIDED else list(_SIDED)
            rows = rows.with_columns(pl.col("close").alias(side) for side in sides)
        return rows.drop([*_OHLC, "ticks"], strict=False)
    if {"bid", "ask"} <= set(prices):
        return rows
    halves = [name for names in _SIDED.values() for name in names.values() if name in prices]
    if "close" in prices:
        return rows.drop(halves)
    own = {name: ours for ours, name in _SIDED[form.side].items() if name in prices}
    return rows.drop([name for name in prices if name not in own]).rename(own)


def time_format(texts: Sequence[str]) -> str:
    """The format that most of `texts` are in, as `prices.times` names it.

    Raises `ValueError` where none is known, or where the day could be the month.
    """
    formats = Counter(form for text in texts for pattern, form in _FORMATS if re.fullmatch(pattern, text))
    if formats:
        return formats.most_common(1)[0][0]
    shown = next(iter(texts), "")
    if re.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}", shown):
        raise ValueError(
            f"in {shown!r} the day may stand first or the month; say options.time_format, e.g. '%d/%m/%Y %H:%M' or "
            "'%m/%d/%Y %H:%M'"
        )
    raise ValueError(f"{shown!r} is no known form of time; say options.time_format, e.g. '%Y/%m/%d %H:%M'")
