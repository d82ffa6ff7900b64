"""The pure core of the pipeline: the features of one block of trading dates, as each row's own moment knew its past.

A feature at bar t is a function of the bars from `lookback` rows before t's block up to t, each as it was known at
the moment of t: its end, or later where the bar itself came late. So a correction changes no row that was known
before it, and a block made alone, in a later night or from a longer history is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.known import Micros, Versions, newest_known
from fx_assets.features.stages.base import StatelessStage
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.blocks import Period, block_of, dates_of
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import seconds_of

_UTC = pa.timestamp("us", tz="UTC")
KEY_FIELDS = (
    pa.field("pair", pa.string()),
    pa.field("block", pa.string()),
    pa.field("time", _UTC),
    pa.field("end", _UTC),
    pa.field("known_at", _UTC),
    pa.field("trading_date", pa.date32()),
)
_DAY = 86_400


def period_of(frequency: Frequency) -> Period:
    """How long a block of features is: a month, or a year of daily and weekly bars."""
    return "month" if seconds_of(frequency) < _DAY else "year"


class Rows(NamedTuple):
    """Bars by time, (n,) each: `usable` is the end of a bar, or the later moment at which it was first known.

    `observed` is the moment of the market that its price is of: a fixing's lies hours before its end.
    """

    time: Micros
    observed: Micros
    usable: Micros
    dates: NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the features of one pair are made of, as far back as the first block asked for needs.

    `own`: versions of the bars; `others`: those of other pairs, with `close`; `exog`: versions of series by
    `group/SERIES`, with `value`, whose `end` is their time.
    """

    pair: str
    frequency: Frequency
    calendar: CalendarName
    own: Versions
    others: Mapping[str, Versions] = field(default_factory=dict)
    exog: Mapping[str, Versions] = field(default_factory=dict)

    def blocks(self) -> list[str]:
        """Names of the blocks that its bars lie in, in order."""
        period = period_of(self.frequency)
        return sorted({block_of(day, period) for day in np.unique(self.rows.dates).astype(object).tolist()})

    @cached_property
    def rows(self) -> Rows:
        """The bars that were ever said, whatever was said of them later."""
        said = self.own.take(self.own.said)
        first = said.first
        usable = np.maximum(said.end, said.known_at)
        return Rows(said.time[first], said.observed[first], usable[first], said.dates[first])


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows of a block that see the past alike: positions `rows` of `frame`, and since when each is known."""

    frame: Frame
    rows: NDArray[np.int64]
    known_at: Micros


def segments(inputs: Inputs, block: str, lookback: int) -> list[Segment]:
    """The block cut where a correction became known; one segment where none did, none where it has no rows.

    Rows that have fewer than `lookback` rows before them are left out: the history begins there.
    """
    time, observed, usable, own_dates = inputs.rows
    begin, until = (np.datetime64(day, "D") for day in dates_of(block))
    a, b = int(np.searchsorted(own_dates, begin, "left")), int(np.searchsorted(own_dates, until, "right"))
    if a == b:
        return []
    reach = lookback
    while True:
        low = max(0, a - reach)
        found = _views(inputs.own, time[low:b], usable[low:b], a - low)
        before = [int(np.searchsorted(view.time, time[a])) for view, _ in found]
        short = min(before) < lookback
        if low == 0 or not short:
            break
        reach = 2 * reach + 16
    if not short:
        # Corrections of bars that no view looks back to divide nothing.
        since = min(int(view.time[rows - lookback]) for (view, _), rows in zip(found, before, strict=True))
        low = int(np.searchsorted(time, since))
        found = _views(inputs.own, time[low:b], usable[low:b], a - low)
    place = _Beside(inputs, observed[low:b], usable[low:b])
    result = []
    for view, chosen in found:
        at = np.searchsorted(view.time, time[low + chosen])
        start = max(0, int(np.searchsorted(view.time, time[a])) - lookback)
        keep = at >= lookback if short else np.full(len(at), fill_value=True)
        if not keep.any():
            continue
        stretch = slice(start, int(at[keep].max()) + 1)
        rows = np.searchsorted(time[low:b], view.time[stretch])
        frame = place.frame(view.take(stretch), rows)
        result.append(Segment(frame, at[keep] - start, usable[low + chosen][keep]))
    return result


def _views(own: Versions, time: Micros, usable: Micros, first: int) -> list[tuple[Versions, NDArray[np.int64]]]:
    """The views that rows `first` and later of `time` have of the past, each with the rows that have it."""
    near = own.take(slice(int(np.searchsorted(own.time, time[0])), int(np.searchsorted(own.time, time[-1], "right"))))
    moments = usable[first:]
    # The earliest moment of a row and all rows after it: a version known by then is known to all of them.
    earliest = np.minimum.accumulate(moments[::-1])[::-1]
    row = np.clip(np.searchsorted(time, near.time) - first, 0, len(moments) - 1)
    dividing = near.known_at > earliest[row]
    epochs = np.unique(near.known_at[dividing])
    epoch = np.searchsorted(epochs, moments, side="right")
    result = []
    for number in np.unique(epoch):
        later = np.zeros(len(near), dtype=np.bool_)
        later[dividing] = np.searchsorted(epochs, near.known_at[dividing]) >= number
        known = near.take(~later)
        last = np.append(known.time[1:] != known.time[:-1], True)[: len(known)]
        result.append((known.take(last & known.said), first + np.flatnonzero(epoch == number)))
    return result


class _Beside:
    """What stood beside the bars of a stretch: the same for every view of it.

    Nothing here observed the market after the moment that a bar's own price is of, although it may be known when that
    bar is: beside a fixing of 14:10, a price or a mood of the same evening would foretell the next fixing, untradeably.
    """

    def __init__(self, inputs: Inputs, observed: Micros, usable: Micros) -> None:
        self._inputs = inputs
        self._others = {name: newest_known(rows, observed, usable) for name, rows in inputs.others.items()}
        self._exog = {name: newest_known(rows, observed, observed) for name, rows in inputs.exog.items()}

    def frame(self, bars: Versions, rows: NDArray[np.int64]) -> Frame:
        """`bars` as a frame; `rows`: their numbers in the stretch."""
        inputs = self._inputs
        return Frame(
            pair=inputs.pair,
            frequency=inputs.frequency,
            calendar=inputs.calendar,
            time=bars.time.astype("datetime64[us]"),
            end=bars.end.astype("datetime64[us]"),
            trading_date=bars.dates,
            columns=bars.columns,
            # What another pair did before the frame begins does not count, however far its rows reach back.
            others={
                name: _values(inputs.others[name], "close", at[rows], since=int(bars.time[0]))
                for name, at in self._others.items()
            },
            exog={name: _values(inputs.exog[name], "value", at[rows]) for name, at in self._exog.items()},
        )


def _values(rows: Versions, column: str, at: NDArray[np.int64], since: int | None = None) -> FloatArray:
    found = at >= 0
    if since is not None:
        found &= rows.time[np.maximum(at, 0)] >= since if len(rows) else False
    result = np.full(len(at), np.nan)
    result[found] = rows.columns[column][at[found]]
    return result


def digest(parts: Sequence[Segment]) -> str:
    """Sixteen hex digits of everything that the features of a block are made of."""
    hashed = blake2b(digest_size=8)
    for part in parts:
        frame = part.frame
        hashed.update(f"{frame.pair} {frame.frequency} {frame.calendar} {len(frame)} {len(part.rows)}".encode())
        for array in (frame.time, frame.end, frame.trading_date, part.rows, part.known_at):
            hashed.update(np.ascontiguousarray(array).tobytes())
        for group in (frame.columns, frame.others, frame.exog):
            for name in sorted(group):
                hashed.update(name.encode())
                hashed.update(np.ascontiguousarray(group[name]).tobytes())
    return hashed.hexdigest()


def compute(stage: StatelessStage, options: Any, parts: Sequence[Segment], block: str, schema: pa.Schema) -> pa.Table:
    """The features of a block from its segments: `schema` (`KEY_FIELDS`, then the stage's columns), by time.

    Raises `FeatureError` for a stage that cannot run and for a value that is not finite where it has to be.
    """
    tables = [_of_segment(stage, options, part, block, schema) for part in parts]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks().sort_by("time")


def _of_segment(stage: StatelessStage, options: Any, part: Segment, block: str, schema: pa.Schema) -> pa.Table:
    frame, rows = part.frame, part.rows
    columns = stage.compute(frame, options, int(rows.min()))
    made = []
    for column in stage.columns(options):
        values = np.ascontiguousarray(columns[column.name][rows])
        bad = np.isinf(values) if column.missing else ~np.isfinite(values)
        if bad.any():
            end = frame.end[rows[int(np.argmax(bad))]]
            raise FeatureError(
                f"feature {column.name!r} is not finite at the bar that ends {end} UTC ({int(bad.sum())} of "
                f"{len(values)} rows of {block}); look at the prices there"
            )
        made.append(pa.array(values))
    keys = (
        pa.array([frame.pair] * len(rows), pa.string()),
        pa.array([block] * len(rows), pa.string()),
        pa.array(frame.time[rows]).cast(_UTC),
        pa.array(frame.end[rows]).cast(_UTC),
        pa.array(part.known_at).cast(_UTC),
        pa.array(frame.trading_date[rows]).cast(pa.date32()),
    )
    return pa.table([*keys, *made], schema=schema)
