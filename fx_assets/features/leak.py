"""The leak probe: proves that no feature looks ahead, by destroying what lies ahead.

For a bar t, everything that became known after t is replaced by noise (later bars, corrections of earlier ones, other
pairs, exogenous values); then bars up to t get false corrections, known only after t; then all that lies after t is cut
off. Every feature up to t must stay the same to the last bit. Noise finds values that flow back, false corrections what
takes no heed of `known_at`, the cut what depends on how long the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.features.blocks import Inputs
from fx_assets.features.errors import FeatureError
from fx_assets.features.known import Versions
from fx_assets.features.pipeline import block_of_set, values_of
from fx_assets.features.sets import feature_schema, lookback
from fx_assets.specs.schema import FeatureSetSpec

# Prices move by up to a factor of about ten: far outside any history, so that even a maximum, a rank
# or a clipped mean over the future changes.
NOISE = 1.0
# Share of the bars before t that get a false correction, known only after t.
FALSE_CORRECTIONS = 0.1
_SECOND = 1_000_000

Source = Callable[[str], Inputs]
# From the inputs of a block, a bar of it, the moment (microseconds UTC) at which that was known, and chance.
Damages = Callable[[Inputs, str, int, int, np.random.Generator], list[tuple[str, Inputs]]]
_Change = Callable[[Versions, "int | None", int, np.random.Generator], Versions]


@dataclass(frozen=True)
class Leak:
    """One column that changed at or before a bar whose future was destroyed."""

    column: str
    probed: datetime
    first_changed: datetime
    how: str

    def __str__(self) -> str:
        return (
            f"{self.column}: value of the bar ending {self.first_changed:%Y-%m-%d %H:%M} UTC changed when what was "
            f"known after {self.probed:%Y-%m-%d %H:%M} UTC was {self.how}"
        )


@dataclass(frozen=True)
class LeakReport:
    """Outcome of a probe: how many bars were probed, how many features were compared, and every leak found."""

    probes: int
    compared: int
    leaks: tuple[Leak, ...]

    @property
    def passed(self) -> bool:
        """Whether no feature looked ahead."""
        return not self.leaks

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that looked ahead, each once."""
        return tuple(dict.fromkeys(leak.column for leak in self.leaks))


def probe(
    source: Source,
    blocks: Sequence[str],
    spec: FeatureSetSpec,
    *,
    n: int,
    seed: int,
    damages: Damages | None = None,
) -> LeakReport:
    """Probe `n` bars of one pair: the newest that has a future in its block, and others drawn with `seed`.

    `source` gives the inputs of a block (with the look-back that `spec` needs), `blocks` are those to draw from,
    `damages` makes the inputs with a destroyed future, each with a word for how; here those of bars. Raises
    `FeatureError` where no block has a bar to probe.
    """
    rng = np.random.default_rng(seed)
    drawn = _drawn(source, blocks, spec, n, rng)
    if not drawn:
        raise FeatureError(
            f"nothing to probe: feature set {spec.name!r} needs a bar with {lookback(spec)} bars before it and one "
            f"after it, and at least one probe; asked for {n} in {len(blocks)} blocks"
        )
    leaks: list[Leak] = []
    compared = 0
    for block, times in drawn.items():
        inputs = source(block)
        reference = block_of_set(spec, inputs, block)
        for time in times:
            moment = int(inputs.rows.usable[np.searchsorted(inputs.rows.time, time)])
            for how, changed in (damages or _of_bars)(inputs, block, time, moment, rng):
                leaks += _changes(reference, block_of_set(spec, changed, block), spec, time, moment, how)
                compared += len(feature_schema(spec))
    return LeakReport(probes=sum(map(len, drawn.values())), compared=compared, leaks=tuple(leaks))


def _of_bars(inputs: Inputs, _block: str, time: int, moment: int, rng: np.random.Generator) -> list[tuple[str, Inputs]]:
    return [
        ("replaced by noise", _changed(inputs, time, moment, rng, _noisy)),
        ("falsely corrected", _changed(inputs, time, moment, rng, _falsified)),
        ("cut off", _cut(inputs, time, moment)),
    ]


def _drawn(
    source: Source, blocks: Sequence[str], spec: FeatureSetSpec, n: int, rng: np.random.Generator
) -> dict[str, list[int]]:
    """Times of bars to probe, by block; the newest candidate of the newest block first."""
    found: dict[str, list[int]] = {}
    left = n
    order = [*reversed(blocks[-1:]), *rng.permutation(np.array(blocks[:-1], dtype=object)).tolist()]
    for place, block in enumerate(order):
        if left < 1:
            break
        table = block_of_set(spec, source(block), block)
        # The last row of a block has no future in it, and nothing of a later block can reach into this one.
        times = np.asarray(table.column("time").cast(pa.int64()).to_numpy(), dtype=np.int64)[:-1]
        if not len(times):
            continue
        share = max(1, left // (len(order) - place)) if place else min(left, 1 + (n - 1) // len(order))
        chosen = rng.choice(len(times), size=min(share, len(times)), replace=False)
        if not found:
            # A leak of one bar shows only at t itself, and the newest bars are those that are traded on.
            chosen[0] = len(times) - 1
        found[block] = sorted(set(times[chosen].tolist()))
        left -= len(found[block])
    return found


def _moment_of(inputs: Inputs, time: int) -> int:
    """The moment of the market that the bar's own price is of: nothing beside it may be of a later one."""
    return int(inputs.rows.observed[np.searchsorted(inputs.rows.time, time)])


def _changed(inputs: Inputs, time: int, moment: int, rng: np.random.Generator, change: _Change) -> Inputs:
    return replace(
        inputs,
        own=change(inputs.own, _moment_of(inputs, time), moment, rng),
        others={name: change(rows, _moment_of(inputs, time), moment, rng) for name, rows in inputs.others.items()},
        exog={name: change(rows, None, _moment_of(inputs, time), rng) for name, rows in inputs.exog.items()},
    )


def _hidden(rows: Versions, until: int | None, moment: int) -> NDArray[np.bool_]:
    """What nobody could know at `moment`, and prices of the market after `until`."""
    hidden = rows.known_at > moment
    return hidden if until is None else hidden | (rows.observed > until)


def _noisy(rows: Versions, until: int | None, moment: int, rng: np.random.Generator) -> Versions:
    """What is hidden, times noise: of each column another, for a ratio of two would not notice the same."""
    hidden = _hidden(rows, until, moment)
    columns = {}
    for name, values in rows.columns.items():
        factors = np.exp(NOISE * rng.standard_normal(len(rows)))
        columns[name] = np.where(hidden, values * factors, values)
    return replace(rows, columns=columns)


def _falsified(rows: Versions, until: int | None, moment: int, rng: np.random.Generator) -> Versions:
    """Some of what is not hidden is corrected by noise or taken back, a second after `moment`."""
    false = np.flatnonzero(~_hidden(rows, until, moment) & (rng.random(len(rows)) < FALSE_CORRECTIONS))
    factors = np.exp(NOISE * rng.standard_normal(len(false)))
    made = Versions(
        time=np.append(rows.time, rows.time[false]),
        end=np.append(rows.end, rows.end[false]),
        observed=np.append(rows.observed, rows.observed[false]),
        known_at=np.append(rows.known_at, np.full(len(false), moment + _SECOND)),
        dates=np.append(rows.dates, rows.dates[false]),
        said=np.append(rows.said, rng.random(len(false)) < 0.5),
        columns={name: np.append(values, values[false] * factors) for name, values in rows.columns.items()},
    )
    return made.take(np.lexsort((made.known_at, made.time)))


def _cut(inputs: Inputs, time: int, moment: int) -> Inputs:
    until = _moment_of(inputs, time)
    return replace(
        inputs,
        own=inputs.own.take(~_hidden(inputs.own, until, moment)),
        others={name: rows.take(~_hidden(rows, until, moment)) for name, rows in inputs.others.items()},
        exog={name: rows.take(~_hidden(rows, None, until)) for name, rows in inputs.exog.items()},
    )


def _changes(
    reference: pa.Table, probed: pa.Table, spec: FeatureSetSpec, time: int, moment: int, how: str
) -> list[Leak]:
    """Columns that differ in a row up to `time` that was known at `moment`; all of them where such a row is missing."""
    before, after = _seen(reference, time, moment), _seen(probed, time, moment)
    ends = before.column("end")
    probed_end = ends[-1].as_py()
    if before.column("time") != after.column("time"):
        return [Leak(column, probed_end, ends[0].as_py(), how) for column in feature_schema(spec)]
    leaks = []
    for column in feature_schema(spec):
        # Compared as bits: a difference in the last one is a leak too.
        changed = np.flatnonzero(_bits(before, column) != _bits(after, column))
        if len(changed):
            leaks.append(Leak(column, probed_end, ends[int(changed[0])].as_py(), how))
    return leaks


def _seen(table: pa.Table, time: int, moment: int) -> pa.Table:
    times, known = (
        np.asarray(table.column(name).cast(pa.int64()).to_numpy(), dtype=np.int64) for name in ("time", "known_at")
    )
    return table.filter(pa.array((times <= time) & (known <= moment)))


def _bits(table: pa.Table, column: str) -> NDArray[np.uint64]:
    return np.ascontiguousarray(values_of(table, column)).view(np.uint64)
