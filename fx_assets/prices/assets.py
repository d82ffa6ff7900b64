"""`prices/raw`: what the source says, cleaned, with what was thrown away on record."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, guard, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.prices.history import current_view, merge
from fx_assets.prices.quality import CHECKS, check_prices
from fx_assets.prices.sources.base import Fetched, source
from fx_assets.prices.version import CODE_VERSION
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint, table_hash
from fx_assets.storage.records import State

_log = logging.getLogger("fx_assets.prices")

TABLE = "prices/raw"
REJECTS = "rejects"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """The raw prices of every pair."""

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
    def raw(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, spec = lake, catalog.pairs[context.partition_key]
        fetched = source(spec.source.kind).fetch(spec, settings=stores.settings, log=context.log.info)
        if live := fetched.notes.get("live"):
            _log.info("%s: newer prices %s", spec.source.kind, live)
        _record_rejects(context, stores, spec, fetched)
        yield from publish_table(
            context,
            stores,
            table=TABLE,
            pair=spec.pair,
            fingerprint=fingerprint(
                spec.model_dump(mode="json"), CODE_VERSION, table_hash(fetched.rows.to_arrow()), fetched.rejects.height
            ),
            compute=lambda: _draft(stores, spec, fetched),
        )

    return [raw]


def _draft(stores: Stores, spec: PairSpec, fetched: Fetched) -> Draft:
    try:
        current = pl.DataFrame(stores.lake.read(TABLE, spec.pair))
    except NoData:
        current = None
    merged = merge(current, fetched.rows, now=datetime.now(UTC))
    view = current_view(merged.rows)
    facts = {
        "first": str(view["trading_date"].min()),
        "last": str(view["trading_date"].max()),
        "added": merged.added,
        "corrected": merged.corrected,
        "rejected": fetched.rejects.height,
        **{f"source/{name}": str(note) for name, note in fetched.notes.items()},
    }
    return Draft(merged.rows.to_arrow(), check_prices(view, fetched.rejects, spec), facts)


def _record_rejects(context: dg.AssetExecutionContext, stores: Stores, spec: PairSpec, fetched: Fetched) -> None:
    # Before the checks: rejected rows are on record even when there are so many that nothing is published.
    if fetched.rejects.is_empty():
        return
    asset = context.asset_key.to_user_string()
    table = fetched.rejects.to_arrow()
    key = table_hash(fetched.rejects.drop("at").to_arrow())
    last = stores.lake.state(REJECTS, spec.pair, asset=asset)
    if last is not None and last.fingerprint == key:
        return
    lease = stores.control.acquire(f"{asset}/rejects", spec.pair, context.run.run_id)
    state = State(asset, spec.pair, key, key, (), table.num_rows, context.run.run_id, datetime.now(UTC), {})
    stores.lake.write(REJECTS, spec.pair, table, state=state, mode="replace", guard=guard(context, stores, lease))
