"""The write path of every asset: guard, lease, compute, check, commit, and only then say so.

There is no IO manager: one would write although a blocking check fails, and load before any guard
could run. The state that the guard reads lies in the lake, beside the data it describes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg
import pyarrow as pa

from fx_assets.orchestration.resources import Stores
from fx_assets.storage.control import Lease, Transaction
from fx_assets.storage.records import CheckOutcome, State
from fx_assets.storage.table_hashing import table_hash

Event = dg.AssetCheckResult | dg.MaterializeResult[Any]


@dataclass(frozen=True)
class Draft:
    """What an asset computed and would publish.

    `facts` are plain numbers and texts that are stored and shown again when the asset is reused;
    `shown` is metadata for this run only (charts, tables). `unchanged` says that the rows are on
    record already: then nothing is written. `also` is recorded in the control transaction of the commit: both, or
    neither.
    """

    table: pa.Table
    checks: Sequence[CheckOutcome] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    unchanged: bool = False
    also: Callable[[Transaction], None] | None = None


def publish_table(
    context: dg.AssetExecutionContext,
    stores: Stores,
    *,
    table: str,
    pair: str,
    fingerprint: str,
    compute: Callable[[], Draft],
    mode: Literal["replace", "append"] = "replace",
) -> Iterator[Event]:
    """Publish one pair of an asset to a lake table, or say `reused` where nothing changed.

    Raises `dg.Failure` when a blocking check fails: every check result is reported, nothing is
    committed, and the last good version stays. Raises `LeaseLost` when a newer run or a cancel took over.
    """
    asset = context.asset_key.to_user_string()
    lease = stores.control.acquire(asset, pair, context.run.run_id)
    last = stores.lake.state(table, pair, asset=asset)
    if last is not None and last.fingerprint == fingerprint:
        yield reused(last)
        return
    draft = compute()
    yield from refuse_failed(draft.checks)
    if draft.unchanged and last is not None:
        # Looked at again and found to say the same: what was looked at may still be worth showing.
        yield materialized(last, {**_for_people(draft.facts), **draft.shown, "reused": True})
        return
    state = State(
        asset=asset,
        pair=pair,
        fingerprint=fingerprint,
        content_hash=table_hash(draft.table),
        checks=tuple(draft.checks),
        rows=draft.table.num_rows,
        run_id=context.run.run_id,
        committed_at=datetime.now(UTC),
        metadata=dict(draft.facts),
    )
    held = guard(context, stores, lease, also=draft.also)
    stores.lake.write(table, pair, draft.table, state=state, mode=mode, guard=held)
    sweep(context, stores, table, pair)
    yield materialized(state, {**draft.shown, "reused": False, **table_schema(draft.table)})


def guard(
    context: dg.AssetExecutionContext,
    stores: Stores,
    lease: Lease,
    *,
    also: Callable[[Transaction], None] | None = None,
) -> Callable[[], AbstractContextManager[Transaction]]:
    """The short control transaction around a commit: the lease is still ours and nobody cancels.

    `also` is recorded first; where the commit fails after it, it is taken back.
    """

    @contextmanager
    def held() -> Iterator[Transaction]:
        with stores.control.publishing(lease, is_cancelled=lambda: being_cancelled(context)) as transaction:
            if also is not None:
                also(transaction)
            yield transaction

    return held


def sweep(context: dg.AssetExecutionContext, stores: Stores, table: str, pair: str) -> None:
    """Remove what no version of the last hour names: replaced files, and what a killed run left behind."""
    removed = stores.lake.clean(table, pair)
    if removed:
        context.log.info(f"{table}: removed {len(removed)} files of {pair} that no version names any more")


def being_cancelled(context: dg.AssetExecutionContext) -> bool:
    """Whether this run was asked to stop, from the UI or anywhere else."""
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is None or run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def refuse_failed(checks: Sequence[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
    """Report all checks and raise `dg.Failure` if a blocking one failed; else yield nothing."""
    failed = [outcome for outcome in checks if outcome.blocking and not outcome.passed]
    if not failed:
        return
    yield from (check_result(outcome) for outcome in checks)
    reasons = "; ".join(f"{outcome.name}: {outcome.description}" for outcome in failed)
    raise dg.Failure(
        description=f"Not published, the last good version stays. Failed checks: {reasons}", allow_retries=False
    )


def reused(state: State) -> dg.MaterializeResult[Any]:
    """The result of an asset whose inputs, spec and code are those of its last version."""
    return materialized(state, {"reused": True})


def materialized(state: State, shown: Mapping[str, Any]) -> dg.MaterializeResult[Any]:
    """What is said of a state that is on record, with its checks, and `shown` beside its own facts."""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(state.content_hash),
        check_results=[check_result(outcome) for outcome in state.checks],
        metadata={**_described(state), **shown},
    )


def check_result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    """A check outcome as Dagster shows it."""
    return dg.AssetCheckResult(
        check_name=outcome.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.description or None,
        metadata=dict(outcome.metadata),
    )


def check_specs(asset: dg.AssetKey, names: Mapping[str, bool]) -> list[dg.AssetCheckSpec]:
    """Specs of an asset's checks: name to whether it blocks."""
    return [dg.AssetCheckSpec(name, asset=asset, blocking=blocking) for name, blocking in names.items()]


def inline_png(picture: bytes, title: str) -> dg.MarkdownMetadataValue:
    """A PNG as metadata that the UI shows in place."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(picture).decode()})")


def illustrated(pictures: Mapping[str, bytes], tables: Mapping[str, str]) -> dict[str, dg.MarkdownMetadataValue]:
    """PNGs and Markdown tables as metadata; where one name has both, the table stands below its picture."""
    return {
        name: dg.MetadataValue.md(
            "\n\n".join(
                [*([inline_png(pictures[name], name).md_str or ""] if name in pictures else []), tables.get(name, "")]
            ).strip()
        )
        for name in dict.fromkeys([*pictures, *tables])
    }


def table_schema(table: pa.Table) -> dict[str, Any]:
    """Dagster's column schema of an Arrow table."""
    columns = [dg.TableColumn(name=entry.name, type=str(entry.type)) for entry in table.schema]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def _described(state: State) -> dict[str, Any]:
    """Metadata of a stored state; keys that begin with an underscore are for the next run, not for people."""
    return {
        "dagster/row_count": state.rows,
        "committed_at": dg.MetadataValue.timestamp(state.committed_at),
        "written_by_run": dg.MetadataValue.dagster_run(state.run_id),
        **_for_people(state.metadata),
    }


def _for_people(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if not name.startswith("_")}
