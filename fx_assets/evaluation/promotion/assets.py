"""`champions/<frequency>`: who serves each pair, decided on the evidence of the nights and never changed afterwards."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.certify import current
from fx_assets.evaluation.pictures.champion import pictures_beside
from fx_assets.evaluation.promotion.dates import newest_decision_date
from fx_assets.evaluation.promotion.entrants import Entrant, losses_tonight, made_since
from fx_assets.evaluation.promotion.record import from_table, in_markdown, lost, to_table
from fx_assets.evaluation.promotion.rule import Ruling, rule
from fx_assets.evaluation.promotion.standing import standing
from fx_assets.evaluation.scoring import target_starts
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.evaluation.walk import selves_of, selves_on_record
from fx_assets.features import stored
from fx_assets.forecasting.champion import champion_of
from fx_assets.models.inputs import history
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, inline_png, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency
from fx_assets.storage.control import Decision, ModelVersion, Transaction
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import trading_date_of

SCORES = "scores"
DECIDED_BY = "promotion"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each frequency that is forecast."""
    return [_champions(frequency, catalog) for frequency in catalog.forecast_frequencies()]


def table_name(frequency: str) -> str:
    """Lake table of the decisions at a frequency."""
    return f"champions/{frequency}"


def _champions(frequency: Frequency, catalog: Catalog) -> dg.AssetsDefinition:
    models = catalog.models_at(frequency)

    @dg.asset(
        key=keys.champions(frequency),
        deps=[partitions.of_its_pairs(keys.scores(spec.model_id), spec, catalog) for spec in models],
        partitions_def=partitions.forecast_at(frequency, catalog),
        group_name="certificates",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description="Which model serves the pair, since when and why. Another is promoted on a decision date, or on "
        "any night when a bet on it has won enough; it serves from its next forecast on.",
    )
    def champions(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        today = trading_date_of(datetime.now(UTC))
        due = newest_decision_date(today, calendar(catalog.pairs[pair].calendar))
        decisions = _decisions(context, stores, pair, frequency)
        scored = [stores.lake.state(SCORES, pair, asset=keys.scores(m.model_id).to_user_string()) for m in models]
        hashes = [None if state is None else state.content_hash for state in scored]
        yield from publish_table(
            context,
            stores,
            table=table_name(frequency),
            pair=pair,
            fingerprint=fingerprint(hashes, len(decisions), due.isoformat(), CODE_VERSION),
            compute=lambda: _ruled(context, stores, catalog, pair, frequency, decisions, today),
        )

    return champions


def _decisions(context: dg.AssetExecutionContext, stores: Stores, pair: str, frequency: Frequency) -> list[Decision]:
    """All of them; one that a crash has kept from the control database is recorded now."""
    recorded = stores.control.decisions(pair, frequency)
    table = stores.lake.find(table_name(frequency), pair)
    missing = [] if table is None else lost(from_table(table), recorded)
    for decision in missing:
        stores.control.decide(decision)
        context.log.warning(f"{decision.id} was told and not recorded, as after a crash: recorded again")
    return [*recorded, *missing]


def _ruled(
    context: dg.AssetExecutionContext,
    stores: Stores,
    catalog: Catalog,
    pair: str,
    frequency: Frequency,
    decisions: Sequence[Decision],
    today: date,
) -> Draft:
    before = standing(decisions, champion_of(catalog.models, pair, frequency, catalog.pairs))
    bars = current_rows(stores.lake.read(stored.bars_table(frequency), pair))
    scores = stores.lake.read(SCORES, pair)
    starts = target_starts(history(pair, bars), bars)
    entrants = list(_entrants(stores, catalog, pair, frequency, scores))
    field = losses_tonight(scores, before.champion, entrants, starts)
    ruling = rule(
        before,
        field.champion,
        field.challengers,
        today=today,
        calendar=calendar(catalog.pairs[pair].calendar),
        trials=len(stores.control.trials(pair=pair)),
    )
    context.log.info(f"{pair} {frequency}: {ruling.reason}")
    made, record = list(decisions), None
    if ruling.kind is not None:
        record = _decision(ruling, decisions, pair, frequency, context.run.run_id)
        made.append(record)
    told = stores.lake.state(table_name(frequency), pair)
    return Draft(
        to_table(made),
        facts={
            "champion": ruling.champion_after,
            "tonight": ruling.reason,
            "decisions": len(made),
            **{f"left out/{name}": why for name, why in field.left_out.items()},
        },
        shown={
            "decided": dg.MetadataValue.md(in_markdown(made)),
            "evidence": dict(ruling.evidence),
            **_drawn(scores, before.champion, entrants, [one.model_id for one in field.challengers]),
        },
        # A person's decisions, which need no night, are told here too.
        unchanged=record is None and told is not None and told.rows == len(made),
        also=None if record is None else partial(Transaction.decide, decision=record),
    )


def _drawn(
    scores: pa.Table, champion: str, entrants: Sequence[Entrant], challengers: Sequence[str]
) -> dict[str, dg.MarkdownMetadataValue]:
    """Pictures of the champion, and of the challenger that comes nearest."""
    rows = {one.model_id: current(scores, one.model_id, one.version, one.selves) for one in entrants}
    if champion not in rows:
        return {}
    drawn = pictures_beside(rows[champion], {name: rows[name] for name in challengers})
    return {name: inline_png(picture, name) for name, picture in drawn.items()}


def _decision(ruling: Ruling, decisions: Sequence[Decision], pair: str, frequency: Frequency, run_id: str) -> Decision:
    newest = decisions[-1] if decisions else None
    return ruling.decision(newest, pair, frequency, decided_at=datetime.now(UTC), decided_by=DECIDED_BY, run_id=run_id)


def _entrants(stores: Stores, catalog: Catalog, pair: str, frequency: Frequency, scores: pa.Table) -> Iterator[Entrant]:
    """Every model that was ever scored on the pair at the frequency, configured still or not."""
    for model_id in sorted(pc.unique(scores.column("model_id")).to_pylist()):
        spec = catalog.models.get(model_id)
        able = spec is not None and spec.frequency == frequency and pair in catalog.pairs_of(spec)
        versions = _versions(stores, model_id, pair)
        if not versions or not (able or _frequency(stores, versions[0]) == frequency):
            continue
        yield Entrant(
            model_id,
            versions[0].version,
            selves_on_record(stores.lake, model_id, versions[0].scope)
            if spec is None
            else selves_of(stores.lake, spec, pair),
            made_since(versions),
            barred="" if able else "it is not configured for the pair any more",
        )


def _versions(stores: Stores, model_id: str, pair: str) -> list[ModelVersion]:
    """Versions that know the pair, newest first: its own, or a panel's."""
    found = [*stores.control.versions(model_id, pair), *stores.control.versions(model_id, "panel")]
    known = [version for version in found if pair in version.pairs]
    return sorted(known, key=lambda version: version.created_at, reverse=True)


def _frequency(stores: Stores, version: ModelVersion) -> object:
    return stores.artifacts.load(version.model_id, version.scope, version.version).manifest["config"]["frequency"]
