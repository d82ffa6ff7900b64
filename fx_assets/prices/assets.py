"""`prices/raw`: what the source says, cleaned, with what was thrown away on record."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, guard, illustrated, inline_png, publish_table
from fx_assets.orchestration.publish_blocks import BlockDraft, Verdict, publish_blocks
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.prices.exog_source import dropped_files as series_files
from fx_assets.prices.exog_update import CHECKS as EXOG_CHECKS
from fx_assets.prices.exog_update import update_series
from fx_assets.prices.inbox import dropped, settled
from fx_assets.prices.quality import CHECKS
from fx_assets.prices.rejects import REJECTS, appended, rejects_of
from fx_assets.prices.schema import table_of
from fx_assets.prices.sources.base import source
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.prices.update import Fetched, Update, fetch, form_of
from fx_assets.prices.version import CODE_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.exog import ExogSpec
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import PairSpec, SourceSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.records import State
from fx_assets.storage.table_hashing import table_hash

_log = logging.getLogger("fx_assets.prices")


class Ingest(dg.Config):
    """Files to read once, instead of asking the pair's own source."""

    files: list[str] = Field(default_factory=list, description="Paths; empty: the pair's own source")
    source: str = Field(default="", description="Kind of source that reads them; empty: the pair's own")
    clock: str = Field(default="", description="Their clock; empty: the source's own")


def build(catalog: Catalog) -> list[dg.AssetsDefinition | dg.SensorDefinition]:
    """The raw prices of every pair, and the sensor of files dropped for them."""

    @dg.asset(
        key=keys.RAW,
        partitions_def=partitions.all_pairs(catalog),
        group_name="prices",
        kinds={"polars", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(keys.RAW, CHECKS),
        description="Raw prices of a pair from its source, in UTC, each with the time at which it could be known. "
        "Corrections are appended, never overwritten; rejected rows lie in the table `rejects`.",
    )
    def raw(context: dg.AssetExecutionContext, config: Ingest, lake: LakeResource) -> Iterator[Event]:
        stores, spec = lake, catalog.pairs[context.partition_key]
        table = table_of(form_of(spec).kind)
        last = stores.lake.state(table, spec.pair, asset=context.asset_key.to_user_string())
        stores.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"prices-{spec.pair}-", dir=stores.scratch) as scratch:
            fetched = fetch(
                spec,
                last,
                stores.lake,
                settings=stores.settings,
                scratch=Path(scratch),
                log=context.log.info,
                given=_given(spec, config),
            )
            if live := fetched.feed.notes.get("live"):
                _log.info("%s: newer prices %s", spec.source.kind, live)
            _record_rejects(context, stores, spec.pair, rejects_of(fetched))
            yield from publish_blocks(
                context,
                stores,
                table=table,
                pair=spec.pair,
                fingerprint=fetched.fingerprint,
                compute=lambda held: _draft(stores, fetched, held),
            )

    series = [item for group in catalog.exog.values() for item in (_exog(group), _exog_inbox(group))]
    return [raw, _inbox(catalog), *series]


def _inbox(catalog: Catalog) -> dg.SensorDefinition:
    reading = [name for name, spec in catalog.pairs.items() if isinstance(source(spec.source.kind), FileSource)]
    return _watching("inbox", keys.INGEST_JOB, reading, lambda pair, settings: dropped(catalog.pairs[pair], settings))


def _watching(
    name: str, job: str, watched: Sequence[str], digest: Callable[[str, Settings], str | None]
) -> dg.SensorDefinition:
    """One run for each pair or series whose files are others than when it was looked at last."""

    @dg.sensor(
        name=name,
        job_name=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Files that were dropped, grown or replaced for {', '.join(watched) or 'nobody'}.",
    )
    def inbox(context: dg.SensorEvaluationContext, lake: LakeResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
        seen: dict[str, str] = json.loads(context.cursor or "{}")
        found = {key: said for key in watched if (said := digest(key, lake.settings))}
        context.update_cursor(json.dumps({**seen, **found}))
        changed = [key for key, said in found.items() if seen.get(key) != said]
        if not changed:
            yield dg.SkipReason(f"no new file for {', '.join(watched) or 'anybody'}")
        for key in changed:
            yield dg.RunRequest(run_key=f"{name}:{key}:{found[key]}", partition_key=key)

    return inbox


def _exog(group: ExogSpec) -> dg.AssetsDefinition:
    key = keys.exog(group.name)

    @dg.asset(
        key=key,
        partitions_def=dg.StaticPartitionsDefinition(list(group.series)),
        group_name="exog",
        kinds={"polars", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, EXOG_CHECKS),
        description="Exogenous daily series, each value with the time at which it could be known.",
    )
    def exog(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores = lake
        update = update_series(group, context.partition_key, settings=stores.settings, log=context.log.info)
        _record_rejects(context, stores, update.series, update.rejects)

        def compute() -> Draft:
            draft = update.draft(stores.lake)
            shown = {name: inline_png(png, name) for name, png in draft.pictures().items()}
            return Draft(draft.table, draft.checks, draft.facts, shown)

        yield from publish_table(
            context, stores, table=group.table, pair=update.series, fingerprint=update.fingerprint, compute=compute
        )

    return exog


def _exog_inbox(group: ExogSpec) -> dg.SensorDefinition:
    def digest(series: str, settings: Settings) -> str | None:
        return settled(lambda: [Path(name) for name in series_files(group, series, settings)])

    return _watching(f"inbox_{group.name}", keys.exog_job(group.name), list(group.series), digest)


def _given(spec: PairSpec, config: Ingest) -> SourceSpec | None:
    if not config.files:
        return None
    kind = config.source or spec.source.kind
    own = spec.source if kind == spec.source.kind else SourceSpec(kind=kind)
    return own.model_copy(update={"files": tuple(config.files), "clock": config.clock or own.clock})


def _draft(stores: Stores, fetched: Fetched, last: State | None) -> BlockDraft:
    update = Update.of(fetched, last, stores.lake)

    def verdict() -> Verdict:
        audit, collected = update.audit, fetched.collected
        shown = illustrated(audit.pictures(collected), audit.tables(collected))
        return Verdict(audit.outcomes(collected), update.facts(), shown)

    return BlockDraft(update.blocks(), verdict)


def _record_rejects(context: dg.AssetExecutionContext, stores: Stores, pair: str, rejects: pl.DataFrame) -> None:
    # Before the checks: rejected rows are on record even when there are so many that nothing is published.
    if rejects.is_empty():
        return
    asset = context.asset_key.to_user_string()
    try:
        known = pl.DataFrame(stores.lake.read(REJECTS, pair))
    except NoData:
        known = None
    rows = appended(known, rejects)
    if known is not None and rows.height == known.height:
        return
    table = rows.to_arrow()
    key = table_hash(table)
    lease = stores.control.acquire(f"{asset}/rejects", pair, context.run.run_id)
    state = State(asset, pair, key, key, (), table.num_rows, context.run.run_id, datetime.now(UTC), {})
    stores.lake.write(REJECTS, pair, table, state=state, mode="replace", guard=guard(context, stores, lease))
