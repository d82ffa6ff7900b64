"""What features are made of, as it lies in the lake: bars, other pairs' bars and exogenous series, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.features import sets
from fx_assets.features.blocks import Inputs, period_of
from fx_assets.features.errors import FeatureError
from fx_assets.features.known import Versions, versions_of
from fx_assets.features.sets import Step
from fx_assets.specs.schema import Frequency, PairSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.lake import Lake, Snapshot
from fx_assets.timegrid.blocks import block_of, dates_of

_TIMES = ("time", "end", "known_at", "trading_date", "kind")


def bars_table(frequency: str) -> str:
    """Lake table of bars at a frequency."""
    return f"bars/{frequency}"


class StoredInputs:
    """The inputs of a pair's features, read from one version of each table; of bars only the blocks that are asked for.

    `pairs`: all pairs that have bars of this frequency; `when`: leave out what became known later. Raises `NoData`
    where the bars' table is not there yet.
    """

    def __init__(
        self,
        lake: Lake,
        spec: PairSpec,
        pairs: Sequence[str],
        chosen: Sequence[Step],
        frequency: Frequency,
        *,
        when: datetime | None = None,
    ) -> None:
        self.spec, self.frequency = spec, frequency
        self.others = sets.others(chosen, spec.pair, pairs)
        self.exog = sets.exog(chosen)
        self._columns = sets.needs(chosen)
        self._when = when
        self._bars = lake.snapshot(bars_table(frequency))
        self._groups = {name: _group(lake, name) for name in self.exog}
        self._held: dict[tuple[str, str], pa.Table] = {}
        self._series: dict[str, Versions] = {}
        self._made: tuple[dict[str, list[str]], Inputs] | None = None

    def bar_blocks(self) -> dict[str, dict[str, str]]:
        """By pair, its own first: blocks of bars, each with its content hash."""
        return {pair: self._bars.blocks(pair) for pair in (self.spec.pair, *self.others)}

    def blocks(self, since: date) -> list[str]:
        """Blocks of features in which the pair has bars from `since` on, in order."""
        period = period_of(self.frequency)
        wanted = [name for name in self._bars.blocks(self.spec.pair) if dates_of(name)[1] >= since]
        days = self._bars.read(self.spec.pair, columns=["trading_date"], blocks=wanted).column("trading_date").unique()
        return sorted({block for day in days.to_pylist() if dates_of(block := block_of(day, period))[1] >= since})

    def of_block(self, block: str, lookback: int) -> Inputs:
        """What one block of features is made of, with at least `lookback` rows before it where there are so many."""
        first, last = dates_of(block)
        pair = self.spec.pair
        names = sorted(self._bars.blocks(pair))
        used = [name for name in names if dates_of(name)[0] <= last and dates_of(name)[1] >= first]
        earlier = [name for name in names if dates_of(name)[1] < first]
        table = self._read(pair, used)
        while earlier and _steady_before(table, first) < lookback:
            used.insert(0, earlier.pop())
            table = self._read(pair, used)
        since = dates_of(used[0])[0] if used else first
        read = {pair: used, **{name: self._overlapping(name, since, last) for name in self.others}}
        # Neighbouring blocks of features are often made of the same blocks of bars.
        if self._made is not None and self._made[0] == read:
            return self._made[1]
        inputs = Inputs(
            pair=pair,
            frequency=self.frequency,
            calendar=self.spec.calendar,
            own=versions_of(table, self._columns),
            others={name: versions_of(self._read(name, read[name]), ("close",)) for name in self.others},
            exog={name: self._exog(name) for name in self.exog},
        )
        # Blocks come in order: what lies before this one's bars is not asked for again.
        self._held = {key: rows for key, rows in self._held.items() if dates_of(key[1])[1] >= since}
        self._made = read, inputs
        return inputs

    @cached_property
    def exog_hashes(self) -> dict[str, str]:
        """Content hash of each series."""
        hashes = {}
        for name, snapshot in self._groups.items():
            state = snapshot.state(name.partition("/")[2])
            if state is None:
                raise _no_series(name)
            hashes[name] = state.content_hash
        return hashes

    def _overlapping(self, pair: str, first: date, last: date) -> list[str]:
        blocks = sorted(self._bars.blocks(pair))
        return [name for name in blocks if dates_of(name)[0] <= last and dates_of(name)[1] >= first]

    def _read(self, pair: str, blocks: Sequence[str]) -> pa.Table:
        columns = [*_TIMES, *(self._columns if pair == self.spec.pair else ("close",))]
        parts = []
        for block in blocks:
            if (pair, block) not in self._held:
                self._held[pair, block] = self._known(self._bars.read(pair, columns=columns, blocks=[block]))
            parts.append(self._held[pair, block])
        if parts:
            return pa.concat_tables(parts)
        return self._bars.schema.empty_table().select(columns)

    def _exog(self, name: str) -> Versions:
        if name not in self._series:
            try:
                rows = self._groups[name].read(name.partition("/")[2], columns=["time", "known_at", "value"])
            except NoData:
                raise _no_series(name) from None
            self._series[name] = versions_of(self._known(rows), ("value",), value="value", end="time")
        return self._series[name]

    def _known(self, table: pa.Table) -> pa.Table:
        if self._when is None:
            return table
        column = table.column("known_at")
        return table.filter(pc.less_equal(column, pa.scalar(self._when, column.type)))


def _steady_before(table: pa.Table, first: date) -> int:
    """How many times before `first` have one version only, with a price: those that stand in every view."""
    before = table.filter(pc.less(table.column("trading_date"), pa.scalar(first)))
    counts = before.group_by("time").aggregate([("close", "count"), ("time", "count")])
    steady = pc.and_(pc.equal(counts.column("close_count"), 1), pc.equal(counts.column("time_count"), 1))
    return int(pc.sum(steady).as_py() or 0)


def _group(lake: Lake, name: str) -> Snapshot:
    try:
        return lake.snapshot(f"exog/{name.partition('/')[0]}")
    except NoData:
        raise _no_series(name) from None


def _no_series(name: str) -> FeatureError:
    group = name.partition("/")[0]
    return FeatureError(
        f"the exogenous series {name} has no values yet: put its files into the inbox and run the job exog_{group}"
    )
