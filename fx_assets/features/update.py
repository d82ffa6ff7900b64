"""One update of a stage's features: of the blocks whose inputs changed, and nothing else, made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from time import perf_counter
from typing import Any

import pyarrow as pa

from fx_assets.features.blocks import compute, digest, segments
from fx_assets.features.errors import FeatureError
from fx_assets.features.pipeline import joined, stage_schema
from fx_assets.features.sets import Step, stage_table, steps
from fx_assets.features.stored import StoredInputs
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.timegrid.blocks import dates_of


@dataclass
class StageUpdate:
    """The features of one stage: iterate over `blocks`, then read the facts."""

    step: Step
    inputs: StoredInputs
    last: State | None
    digests: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    computed: int = 0

    @property
    def basis(self) -> str:
        """What stored blocks are good for; another basis makes all of them anew."""
        inputs = self.inputs
        return fingerprint(self.step.hash, inputs.spec.calendar, list(inputs.others), list(inputs.exog))

    def blocks(self) -> Iterator[tuple[str, pa.Table]]:
        """(block, its rows) for each block of features that changed; no rows where the block is gone.

        Raises `FeatureError` (`insufficient_history`) where no bar has features, and whatever a stage raises.
        """
        known = self._known()
        since = self._since(known)
        self.digests = {name: text for name, text in known.get("_digests", {}).items() if dates_of(name)[1] < since}
        self.rows = {name: known["_rows"][name] for name in self.digests}
        # Of any last state, another basis or not: what is not made again has to go.
        held = {} if self.last is None else self.last.metadata.get("_digests", {})
        gone = set(held) - set(self.digests)
        for block in self.inputs.blocks(since):
            parts = segments(self.inputs.of_block(block, self.step.lookback), block, self.step.lookback)
            if not parts:
                continue
            gone.discard(block)
            self.digests[block] = digest(parts)
            self.rows[block] = sum(len(part.rows) for part in parts)
            if known.get("_digests", {}).get(block) != self.digests[block]:
                started = perf_counter()
                table = compute(self.step.stage, self.step.options, parts, block, stage_schema(self.step))
                self.seconds += perf_counter() - started
                self.computed += len(table)
                yield block, table
        yield from ((block, stage_schema(self.step).empty_table()) for block in sorted(gone))
        if not self.digests:
            raise FeatureError(
                f"insufficient_history: stage {self.step.name!r} needs more than {self.step.lookback} bars before its "
                f"first row; {self.inputs.spec.pair} has fewer. Take a longer history or shorter periods"
            )

    def facts(self) -> dict[str, Any]:
        """Plain numbers about the features, and what they were made of."""
        before = {} if self.last is None else self.last.metadata
        cost = self.seconds / self.computed * 1e6 if self.computed else before.get("ms_per_1000_rows", 0.0)
        return {
            "rows": sum(self.rows.values()),
            "features": len(self.step.columns),
            "rows_computed": self.computed,
            "ms_per_1000_rows": cost,
            "_basis": self.basis,
            "_bars": self.inputs.bar_blocks(),
            "_exog": self.inputs.exog_hashes,
            "_digests": self.digests,
            "_rows": self.rows,
        }

    def _known(self) -> Mapping[str, Any]:
        if self.last is None or self.last.metadata.get("_basis") != self.basis:
            return {}
        return self.last.metadata

    def _since(self, known: Mapping[str, Any]) -> date:
        """The first date whose features may have changed: those after it see it within their look-back."""
        if not known or known["_exog"] != self.inputs.exog_hashes:
            return date.min
        changed = [
            dates_of(block)[0]
            for pair, blocks in self.inputs.bar_blocks().items()
            for block in set(blocks) | set(known["_bars"][pair])
            if blocks.get(block) != known["_bars"][pair].get(block)
        ]
        return min(changed, default=date.max)


@dataclass
class SetUpdate:
    """The candidate matrix of a set: blocks of its stages' tables, put side by side where one of them changed."""

    spec: FeatureSetSpec
    lake: Lake
    pair: str
    last: State | None
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    touched: list[pa.Table] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[str, pa.Table]]:
        """(block, its rows) for each block in which a stage changed."""
        chosen = steps(self.spec)
        tables = {step.name: self.lake.snapshot(stage_table(self.spec, step)) for step in chosen}
        self.inputs = {name: table.blocks(self.pair) for name, table in tables.items()}
        known: Mapping[str, Any] = {} if self.last is None else self.last.metadata
        before: dict[str, dict[str, str]] = known.get("_inputs", {})
        self.rows = dict(known.get("_rows", {}))
        for block in sorted({name for blocks in (*self.inputs.values(), *before.values()) for name in blocks}):
            now = {name: blocks.get(block) for name, blocks in self.inputs.items()}
            if before and now == {name: before.get(name, {}).get(block) for name in now}:
                continue
            self.changed.append(block)
            parts = {name: table.read(self.pair, blocks=[block]) for name, table in tables.items()}
            table = joined(self.spec, parts)
            self.rows[block] = len(table)
            if not len(table):
                self.rows.pop(block)
            self.touched = [*self.touched[-1:], table] if len(table) else self.touched
            yield block, table

    def facts(self) -> dict[str, Any]:
        """Plain numbers about the matrix, and what it was made of."""
        return {"rows": sum(self.rows.values()), "_inputs": self.inputs, "_rows": self.rows}
