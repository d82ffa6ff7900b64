"""`bars/<frequency>`: bars labelled by their start and known at their end."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from fx_assets.bars.quality import CHECKS as BAR_CHECKS
from fx_assets.bars.update import BarUpdate, basis_of, has_ended, table_name
from fx_assets.bars.version import CODE_VERSION
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Event, check_specs
from fx_assets.orchestration.publish_blocks import BlockDraft, Verdict, publish_blocks
from fx_assets.orchestration.resources import LakeResource
from fx_assets.orchestration.upstream import require_state
from fx_assets.prices.schema import table_of
from fx_assets.prices.triangles import CROSS_CHECKS
from fx_assets.prices.update import form_of
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.records import State

CHECKS = {**BAR_CHECKS, **CROSS_CHECKS}


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each frequency that a pair or a model asks for."""
    return [_bars(frequency, catalog) for frequency in catalog.frequencies()]


def _bars(frequency: Frequency, catalog: Catalog) -> dg.AssetsDefinition:
    key, table = keys.bars(frequency), table_name(frequency)

    # A pair without this frequency is skipped, and so is what hangs on it: only a skippable spec can say so.
    @dg.multi_asset(
        name=f"bars__{frequency}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[keys.RAW],
                skippable=True,
                group_name="bars",
                kinds={"polars", "deltalake"},
                owners=keys.OWNERS,
                code_version=str(CODE_VERSION),
                description=f"Bars of {frequency}, labelled by their start, known at their end; days and weeks end at "
                "17:00 New York. A corrected bar is one more row, known later. A fixing has a close only.",
            )
        ],
        partitions_def=partitions.all_pairs(catalog),
        check_specs=check_specs(key, CHECKS),
        can_subset=True,
    )
    def bars(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, spec, now = lake, catalog.pairs[context.partition_key], datetime.now(UTC)
        if frequency not in catalog.frequencies_of(spec.pair):
            context.log.info(f"{spec.pair} has no {frequency} bars: nobody asks for them")
            return
        form = form_of(spec)
        prices = require_state(stores, table_of(form.kind), spec.pair, keys.RAW)
        if "last_time" not in prices.metadata:
            raise dg.Failure(f"prices/raw of {spec.pair} is of an older version: materialize it again first")
        newest = datetime.fromisoformat(prices.metadata["last_time"])

        def compute(last: State | None) -> BlockDraft:
            others = [pair for pair in catalog.pairs if frequency in catalog.frequencies_of(pair)]
            update = BarUpdate(spec, form, frequency, stores.lake, last, now, others)
            return BlockDraft(update.blocks(), lambda: Verdict(update.checks(), update.facts()))

        yield from publish_blocks(
            context,
            stores,
            table=table,
            pair=spec.pair,
            fingerprint=fingerprint(
                basis_of(spec, form, frequency),
                prices.content_hash,
                has_ended(newest, frequency, now, spec.calendar),
            ),
            compute=compute,
        )

    return bars
