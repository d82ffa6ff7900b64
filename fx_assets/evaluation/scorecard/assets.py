"""`scorecard/<frequency>`: forecasts that were really issued and came due, beside what happened."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.certify import current
from fx_assets.evaluation.scorecard.card import scorecard
from fx_assets.evaluation.scorecard.drift import live_skill
from fx_assets.evaluation.scorecard.fans import champions_fans
from fx_assets.evaluation.scorecard.summary import CHECKS, drift_check, figures, in_markdown
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.evaluation.walk import selves_of
from fx_assets.features import stored
from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, inline_png, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_state
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency, ModelSpec
from fx_assets.storage.hashing import fingerprint

FORECASTS, SCORES = "forecasts", "scores"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each frequency that is forecast."""
    return [_scorecard(frequency, catalog) for frequency in catalog.forecast_frequencies()]


def table_name(frequency: str) -> str:
    """Lake table of the scorecards at a frequency."""
    return f"scorecard/{frequency}"


def _scorecard(frequency: Frequency, catalog: Catalog) -> dg.AssetsDefinition:
    key = keys.scorecard(frequency)
    models = catalog.models_at(frequency)
    made = [
        partitions.of_its_pairs(of(spec.model_id), spec, catalog)
        for spec in models
        for of in (keys.forecast, keys.scores)
    ]

    @dg.asset(
        key=key,
        deps=[partitions.same_pair(keys.bars(frequency)), *made],
        partitions_def=partitions.forecast_at(frequency, catalog),
        group_name="certificates",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description="Forecasts that were issued before what they are of began, and have come due: errors, coverage, "
        "direction, and whether live forecasts are worse than back-tested ones. Replays never count.",
    )
    def card(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        bars = require_state(stores, stored.bars_table(frequency), pair, keys.bars(frequency))
        asked = [
            stores.lake.state(table, pair, asset=of(spec.model_id).to_user_string())
            for table, of in ((FORECASTS, keys.forecast), (SCORES, keys.scores))
            for spec in models
        ]
        hashes = [None if state is None else state.fingerprint for state in asked]
        yield from publish_table(
            context,
            stores,
            table=table_name(frequency),
            pair=pair,
            fingerprint=fingerprint(bars.content_hash, hashes, CODE_VERSION),
            compute=lambda: _draft(stores, frequency, models, pair),
        )

    return card


def _draft(stores: Stores, frequency: Frequency, models: list[ModelSpec], pair: str) -> Draft:
    documents = stores.lake.read(FORECASTS, pair)
    own = documents.filter(pc.equal(documents.column("frequency"), frequency))
    bars = stores.lake.read(stored.bars_table(frequency), pair)
    rows = scorecard(own, bars, now=datetime.now(UTC))
    skill = live_skill(rows, _backtested(stores, models, pair))
    lines = figures(rows)
    facts = {"due": rows.num_rows, "with an outcome": sum(line["windows"] for line in lines)}
    shown = {
        "scorecard": dg.MetadataValue.md(in_markdown(lines)),
        "live_against_backtested": dg.MetadataValue.json(_plain(skill)),
    }
    # Fans of hours would be joined by the date alone.
    drawn = champions_fans(rows, own, bars) if frequency in ("1d", "1w") else None
    shown |= {} if drawn is None else {"fans": inline_png(drawn, f"what was said of {pair}")}
    return Draft(rows, [drift_check(skill)], facts, shown)


def _backtested(stores: Stores, models: list[ModelSpec], pair: str) -> pa.Table:
    """Scores of the newest versions and their earlier selves; those before the first live forecast are compared."""
    known = stores.lake.find(SCORES, pair)
    parts = [SCORES_SCHEMA.empty_table()]
    for spec in models:
        versions = stores.control.versions(spec.model_id, spec.kept_under(pair))
        if known is not None and versions:
            selves = selves_of(stores.lake, spec, pair)
            parts.append(current(known, spec.model_id, versions[0].version, selves).select(SCORES_SCHEMA.names))
    return pa.concat_tables(parts)


def _plain(skill: pa.Table) -> list[dict[str, object]]:
    """Rows that JSON can say."""
    return [{name: str(v) if isinstance(v, datetime) else v for name, v in row.items()} for row in skill.to_pylist()]
