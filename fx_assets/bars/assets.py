"""`bars/<frequency>`: bars labelled by their start and known at their end."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from fx_assets.bars.daily import daily_bars
from fx_assets.bars.quality import CHECKS, check_bars
from fx_assets.bars.version import CODE_VERSION
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, publish_table
from fx_assets.orchestration.resources import LakeResource
from fx_assets.orchestration.upstream import require_state
from fx_assets.prices.history import current_view
from fx_assets.specs.loader import Catalog
from fx_assets.storage.hashing import fingerprint
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import expected_last_date


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each frequency that a pair asks for."""
    frequencies = sorted({frequency for spec in catalog.pairs.values() for frequency in spec.frequencies})
    return [_bars(frequency, catalog) for frequency in frequencies]


def _bars(frequency: str, catalog: Catalog) -> dg.AssetsDefinition:
    key, table = keys.bars(frequency), f"bars/{frequency}"

    @dg.asset(
        key=key,
        deps=[keys.RAW],
        partitions_def=partitions.all_pairs(catalog),
        group_name="bars",
        kinds={"polars", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description="Daily bars by trading date (17:00 New York to 17:00 New York). A fixing has a close only.",
    )
    def bars(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, spec = lake, catalog.pairs[context.partition_key]
        prices, now = require_state(stores, "prices/raw", spec.pair, keys.RAW), datetime.now(UTC)
        # A price of today may be there before its bar has ended; it makes a bar once it has.
        finished = min(str(prices.metadata["last"]), expected_last_date(calendar(spec.calendar), now).isoformat())

        def compute() -> Draft:
            view = current_view(pl.DataFrame(stores.lake.read("prices/raw", spec.pair)))
            frame = daily_bars(view, spec.pair, now=now)
            last = frame.tail(1)
            facts = {"last": str(last["trading_date"].item()), "last_close": float(last["close"].item())}
            return Draft(frame.to_arrow(), check_bars(frame, spec), facts)

        yield from publish_table(
            context,
            stores,
            table=table,
            pair=spec.pair,
            fingerprint=fingerprint(
                prices.content_hash, finished, spec.model_dump(mode="json"), frequency, CODE_VERSION
            ),
            compute=compute,
        )

    return bars
