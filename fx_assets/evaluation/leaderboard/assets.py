"""`leaderboard/<frequency>`: all models on all pairs, with what each was measured to be worth."""

from collections.abc import Iterator, Mapping

import dagster as dg

from fx_assets.evaluation.certify import current
from fx_assets.evaluation.leaderboard.table import standings, to_table
from fx_assets.evaluation.leaderboard.together import Together, together
from fx_assets.evaluation.pictures.board import leaderboard as drawn
from fx_assets.evaluation.pictures.board import leaderboard_table
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.evaluation.walk import selves_of
from fx_assets.forecasting import certificate as form
from fx_assets.forecasting.certificate import Certificate
from fx_assets.forecasting.champion import serving_model
from fx_assets.orchestration import keys
from fx_assets.orchestration.publish import Draft, Event, inline_png, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake_rows import ALL

SCORES = "scores"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each frequency that is forecast."""
    return [_leaderboard(frequency, catalog) for frequency in catalog.forecast_frequencies()]


def table_name(frequency: str) -> str:
    """Lake table of the leaderboard at a frequency; its rows lie under `ALL` pairs."""
    return f"leaderboard/{frequency}"


def _leaderboard(frequency: Frequency, catalog: Catalog) -> dg.AssetsDefinition:
    models = catalog.models_at(frequency)

    @dg.asset(
        key=keys.leaderboard(frequency),
        deps=[*(keys.certificate(spec.model_id) for spec in models), keys.champions(frequency)],
        group_name="certificates",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description="Every model on every pair: what its certificate says, and which one serves.",
    )
    def leaderboard(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores = lake
        found, serving = _certificates(stores, catalog, frequency), _serving(stores, catalog, frequency)
        if not found:
            raise dg.Failure(description="no certificate yet: materialize certificates first", allow_retries=False)
        yield from publish_table(
            context,
            stores,
            table=table_name(frequency),
            pair=ALL,
            fingerprint=fingerprint([one.digest for one in found], sorted(serving), CODE_VERSION),
            compute=lambda: _draft(found, serving, _compared(stores, catalog, found, serving)),
        )

    return leaderboard


def _draft(found: list[Certificate], serving: set[tuple[str, str]], compared: Mapping[str, Together | None]) -> Draft:
    table = to_table(found, serving, compared)
    rows = standings(table)
    counted = {words: sum(row.verdict == words for row in rows) for words in sorted({row.verdict for row in rows})}
    shown = {
        "leaderboard": inline_png(drawn(rows), "leaderboard"),
        "in_figures": dg.MetadataValue.md(leaderboard_table(rows)),
    }
    return Draft(table, facts={"models": len({row.model_id for row in rows}), **counted}, shown=shown)


def _compared(
    stores: Stores, catalog: Catalog, found: list[Certificate], serving: set[tuple[str, str]]
) -> dict[str, Together | None]:
    """All models of each pair at once, by the scores that their certificates rest on."""
    compared = {}
    for pair, champion in sorted(serving):
        known = stores.lake.find(SCORES, pair)
        if known is None:
            continue
        rows = {}
        for one in (each for each in found if each.pair == pair):
            selves = selves_of(stores.lake, catalog.models[one.model_id], pair)
            rows[one.model_id] = current(known, one.model_id, one.model_version, selves)
        compared[pair] = together(rows, champion)
    return compared


def _certificates(stores: Stores, catalog: Catalog, frequency: Frequency) -> list[Certificate]:
    """The newest of each model on each of its pairs, where there is one."""
    found = []
    for pair in catalog.pairs:
        table = stores.lake.find(form.TABLE, pair)
        names = sorted(spec.model_id for spec in catalog.models_at(frequency))
        newest = [] if table is None else [form.newest(table, name) for name in names]
        found += [one for one in newest if one is not None and pair in catalog.pairs_of(catalog.models[one.model_id])]
    return found


def _serving(stores: Stores, catalog: Catalog, frequency: Frequency) -> set[tuple[str, str]]:
    decided = {pair: stores.control.decision_at(pair, frequency) for pair in catalog.forecast_at(frequency)}
    return {(pair, serving_model(one, catalog.models, pair, frequency, catalog.pairs)) for pair, one in decided.items()}
