"""The write path of assets whose tables are cut into blocks: only the blocks that changed are written.

The rows come block by block and are on disk, uncommitted, before the last check is known; a failed check withdraws
them. So memory holds one block, whatever the length of the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from fx_assets.orchestration.publish import (
    Event,
    guard,
    materialized,
    refuse_failed,
    reused,
    sweep,
    table_schema,
)
from fx_assets.orchestration.resources import Stores
from fx_assets.storage.hashing import fingerprint as fingerprint_of
from fx_assets.storage.records import CheckOutcome, State


@dataclass(frozen=True)
class Verdict:
    """What is known once every block was computed; the fields are those of `publish.Draft`."""

    checks: Sequence[CheckOutcome] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockDraft:
    """Blocks that changed, computed one after the other, and what follows from all of them.

    `blocks` gives (block, rows); no rows means that the block is gone. `verdict` is called when they are used up.
    """

    blocks: Iterator[tuple[str, pa.Table]]
    verdict: Callable[[], Verdict]


class _Refused(Exception):
    """A blocking check failed after the blocks were computed."""


def publish_blocks(
    context: dg.AssetExecutionContext,
    stores: Stores,
    *,
    table: str,
    pair: str,
    fingerprint: str,
    compute: Callable[[State | None], BlockDraft],
) -> Iterator[Event]:
    """Publish the changed blocks of one pair, or say `reused` where nothing changed; errors as `publish_table`.

    `compute` gets the last state of the asset, None the first time. Where no block changed, the new state (its facts
    and fingerprint) is put on record alone.
    """
    asset = context.asset_key.to_user_string()
    lease = stores.control.acquire(asset, pair, context.run.run_id)
    last = stores.lake.state(table, pair, asset=asset)
    if last is not None and last.fingerprint == fingerprint:
        yield reused(last)
        return
    draft = compute(last)
    found: list[Verdict] = []
    states: list[State] = []
    written: list[str] = []
    schema: list[pa.Schema] = []

    def blocks() -> Iterator[tuple[str, pa.Table]]:
        for name, rows in draft.blocks:
            written.append(name)
            schema[:] = [rows.schema]
            yield name, rows
        found.append(draft.verdict())
        if any(outcome.blocking and not outcome.passed for outcome in found[0].checks):
            raise _Refused

    def state(hashes: Mapping[str, str]) -> State:
        states[:] = [
            State(
                asset=asset,
                pair=pair,
                fingerprint=fingerprint,
                content_hash=fingerprint_of(dict(hashes)),
                checks=tuple(found[0].checks),
                rows=int(found[0].facts.get("rows", 0)),
                run_id=context.run.run_id,
                committed_at=datetime.now(UTC),
                metadata=dict(found[0].facts),
            )
        ]
        return states[0]

    try:
        stores.lake.write_blocks(table, pair, blocks(), state=state, guard=guard(context, stores, lease))
    except _Refused:
        yield from refuse_failed(found[0].checks)
    sweep(context, stores, table, pair)
    if last is not None and not written and states[0].content_hash == last.content_hash:
        yield reused(states[0])
        return
    columns = table_schema(schema[0].empty_table()) if schema else {}
    yield materialized(states[0], {**found[0].shown, "blocks_written": len(written), "reused": False, **columns})
