"""`forecasts/<model_id>`: what each model says of each pair, appended and never changed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import numpy as np

from fx_assets.forecasting import certificate as certificate_form
from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.champion import served_by_default, serving_model
from fx_assets.forecasting.charts import fan_chart
from fx_assets.forecasting.document import ForecastDocument, same_content
from fx_assets.forecasting.freshness import behind
from fx_assets.forecasting.quality import CHECKS, check_forecast
from fx_assets.forecasting.ranges import advanced, ranges_at, table_name
from fx_assets.forecasting.table import latest, to_table
from fx_assets.forecasting.version import CODE_VERSION
from fx_assets.models.manifest import Manifest
from fx_assets.models.registry import predictor_class
from fx_assets.models.stored import Inputs, bars_table, data_version, load_inputs
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, inline_png, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_version
from fx_assets.prices.sources.base import price_kind
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec, PairSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows

TABLE = "forecasts"


def build(catalog: Catalog) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """One forecast asset for each model, and the check for stale pairs."""
    models = catalog.models.values()
    return [
        *(_ranges(spec, catalog) for spec in models),
        *(_forecast(spec, catalog) for spec in models),
        _freshness(catalog),
    ]


def _ranges(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, panel = keys.ranges(spec.model_id), spec.scope == "panel"
    upstream = [keys.bars(spec.frequency), *([keys.features(spec.features)] if spec.features else [])]
    trained = keys.checkpoint(spec.model_id)

    @dg.asset(
        key=key,
        deps=[*map(partitions.same_pair, upstream), trained if panel else partitions.same_pair(trained)],
        partitions_def=partitions.of_model(spec, catalog),
        group_name="ranges",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description=f"How far outcomes have moved the ranges of the newest version of `{spec.model_id}`, for each "
        "horizon and central mass. A night adds what has matured since.",
    )
    def ranges(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        version = require_version(stores, spec.model_id, spec.kept_under(pair))
        data = data_version(stores.lake, pair, spec, catalog.features)

        def compute() -> Draft:
            inputs = load_inputs(stores.lake, stores.artifacts, version, pair, spec, catalog)
            stored = stores.lake.find(table_name(spec.model_id), pair)
            found, row = advanced(inputs.predictor, inputs.history, version.version, version.trained_until, stored)
            wide = {f"width_80/h{h}": float(np.exp(found.width[h - 1, 79])) for h in (1, 5, 20) if h <= spec.horizon}
            facts = {"version": version.version, "matured": found.matured[0], **wide}
            return Draft(row, facts=facts)

        yield from publish_table(
            context,
            stores,
            table=table_name(spec.model_id),
            pair=pair,
            fingerprint=fingerprint(version.version, data, CODE_VERSION),
            compute=compute,
            mode="append",
        )

    return ranges


def _forecast(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, panel = keys.forecast(spec.model_id), spec.scope == "panel"
    upstream = [keys.bars(spec.frequency), *([keys.features(spec.features)] if spec.features else [])]
    trained = keys.checkpoint(spec.model_id)

    @dg.asset(
        key=key,
        deps=[
            *map(partitions.same_pair, [*upstream, keys.ranges(spec.model_id)]),
            trained if panel else partitions.same_pair(trained),
        ],
        partitions_def=partitions.of_model(spec, catalog),
        group_name="forecasts",
        kinds={"onnx" if predictor_class(spec.kind).trainer == "lightning" else "numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description=f"{spec.description or spec.kind}: median, volatility and quantiles for every step to "
        f"{spec.horizon} bars ahead. A run again adds a revision; nothing is overwritten.",
    )
    def forecast(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, catalog.pairs[context.partition_key]
        version = require_version(stores, spec.model_id, spec.kept_under(pair.pair))
        data = data_version(stores.lake, pair.pair, spec, catalog.features)
        decision = stores.control.decision_at(pair.pair, spec.frequency)
        champion = serving_model(decision, catalog.models, pair.pair, spec.frequency, catalog.pairs)
        yield from publish_table(
            context,
            stores,
            table=TABLE,
            pair=pair.pair,
            fingerprint=fingerprint(version.version, data, champion, pair.model_dump(mode="json"), CODE_VERSION),
            compute=lambda: _draft(
                stores,
                pair,
                load_inputs(stores.lake, stores.artifacts, version, pair.pair, spec, catalog),
                champion,
                context.run.run_id,
            ),
            mode="append",
        )

    return forecast


def _draft(stores: Stores, pair: PairSpec, inputs: Inputs, champion: str, run_id: str) -> Draft:
    predictor, version = inputs.predictor, str(inputs.manifest["version"])
    ranges = ranges_at(
        stores.lake.find(table_name(predictor.spec.model_id), pair.pair),
        version,
        predictor.calibrations[pair.pair],
        inputs.history.end,
    )
    certificates = stores.lake.find(certificate_form.TABLE, pair.pair)
    certificate = None
    if certificates is not None:
        certificate = certificate_form.standing(certificates, predictor.spec.model_id, version)
    document = issue(
        inputs.predictor,
        inputs.history,
        pair,
        manifest=Manifest.model_validate(inputs.manifest),
        kind_of_price=price_kind(pair),
        champion=champion,
        now=datetime.now(UTC),
        data_version=inputs.data_version,
        run_id=run_id,
        ranges=ranges,
        certificate=certificate,
    )
    spec = inputs.predictor.spec
    first = document.horizons[0]
    facts = {
        "origin": document.origin.isoformat(),
        "last_price": document.last_price,
        "median_1": first.median,
        "volatility_1": first.volatility,
        **{f"quantile_1/{level}": first.quantiles[level] for level in ("0.1", "0.9") if level in first.quantiles},
        "stale": document.stale,
        "model_version": document.model_version,
    }
    chart = fan_chart(current_rows(stores.lake.read(bars_table(spec), pair.pair)), document)
    return Draft(
        to_table(document),
        check_forecast(document, pair, inputs.history.closes[-spec.window :]),
        facts,
        {"fan_chart": inline_png(chart, f"fan chart of {pair.pair}")},
        unchanged=any(same_content(document, head) for head in _heads(stores, pair.pair, spec.model_id)),
    )


def _heads(stores: Stores, pair: str, model_id: str | None = None) -> list[ForecastDocument]:
    try:
        return latest(stores.lake.read(TABLE, pair), model_id=model_id)
    except NoData:
        return []


def _freshness(catalog: Catalog) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=keys.RAW,
        name="freshness",
        description="Pairs whose forecast is missing or made from stale prices: the same that /readyz names.",
    )
    def freshness(lake: LakeResource) -> dg.AssetCheckResult:
        stores = lake
        served = {pair: served_by_default(_heads(stores, pair)) for pair in catalog.pairs}
        found = behind(served, catalog.pairs, datetime.now(UTC))
        late = [f"{pair}: no price for {missed} open trading dates" for pair, missed in found.stale.items()]
        late += [f"{pair}: no forecast" for pair in found.missing]
        return dg.AssetCheckResult(
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(late) or "Every pair is fresh",
            metadata={"stale": len(found.stale), "missing": len(found.missing), "pairs": len(catalog.pairs)},
        )

    return freshness
