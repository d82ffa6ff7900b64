"""`joint/<group>`: what pairs do together, from the forecasts that are served of each."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from fx_assets.features import stored
from fx_assets.forecasting.champion import served_by_default
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.backtest import SIDES, replay
from fx_assets.forecasting.joint.document import same_content
from fx_assets.forecasting.joint.follow import followed
from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.forecasting.joint.history import LEAST_DATES
from fx_assets.forecasting.joint.issue import JointHistory, joint_forecast
from fx_assets.forecasting.joint.tonight import groups_of, history_until, those_together
from fx_assets.forecasting.joint.words import correlations, newest, risk, to_row
from fx_assets.forecasting.table import latest
from fx_assets.forecasting.version import CODE_VERSION
from fx_assets.models.errors import InsufficientHistory
from fx_assets.orchestration import keys
from fx_assets.orchestration.publish import Draft, Event, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake_rows import ALL
from fx_assets.storage.two_times import current_rows

FORECASTS = "forecasts"
# The track record: origins, and paths from each.
TRACK, TRACK_DRAWS = 250, 1000


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each group of pairs that may be joined."""
    found = groups_of(catalog)
    return [_joint(frequency, name, graph, catalog) for (frequency, name), graph in found.items()]


def table_name(group: str) -> str:
    """Lake table of a group; its rows lie under `ALL` pairs."""
    return f"joint/{group}"


def _joint(frequency: Frequency, group: str, graph: PairGraph, catalog: Catalog) -> dg.AssetsDefinition:
    models = catalog.models_at(frequency)

    @dg.asset(
        key=keys.joint(group),
        deps=[keys.forecast(m.model_id) for m in models if set(catalog.pairs_of(m)) & set(graph.pairs)],
        group_name="joint",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description=f"{', '.join(graph.pairs)} together: locations made coherent, value at risk of a book, implied "
        "correlations and the odds that a level is touched, from whole dates of the past at today's volatilities.",
    )
    def joint(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores = lake
        documents, left_out = those_together(_served(stores, graph, frequency), graph)
        for pair, why in left_out.items():
            context.log.warning(f"{pair} is left out: {why}")
        if len(documents) < 2:
            said = "; ".join(f"{pair}: {why}" for pair, why in left_out.items())
            raise dg.Failure(description=f"fewer than two pairs to join tonight: {said}", allow_retries=False)
        made_of = [(one.model_dump(mode="json", exclude=_APART)) for one in documents]
        yield from publish_table(
            context,
            stores,
            table=table_name(group),
            pair=ALL,
            fingerprint=fingerprint(made_of, CODE_VERSION),
            compute=lambda: _draft(stores, group, documents, left_out, context.run.run_id),
            mode="append",
        )

    return joint


# What says when a forecast was issued, and what it was measured to be worth, does not change the paths.
_APART = {"issued_at", "stale", "evaluation", "certificate", "verdict", "notes", "lineage"}


def _draft(
    stores: Stores, group: str, documents: list[ForecastDocument], left_out: dict[str, str], run_id: str
) -> Draft:
    table = stored.bars_table(documents[0].frequency)
    bars = {one.pair: current_rows(stores.lake.read(table, one.pair)) for one in documents}
    graph, past = history_until(bars, documents)
    known = stores.lake.find(table_name(group), ALL)
    last = None if known is None else newest(known)
    before = None if known is None else followed(known, graph, past.trading_dates, past.closes, graph.numeraire)
    made = joint_forecast(documents, graph, past, group=group, now=datetime.now(UTC), run_id=run_id, followed=before)
    first = made.horizons[0].book
    facts = {
        "pairs": ", ".join(made.pairs),
        "origin": made.origin.isoformat(),
        "dates_used": made.dates_used,
        **{f"book_value_at_risk_1/{level}": loss for level, loss in first.held.value_at_risk.items()},
        "book_outcomes_followed": made.book_outcomes,
        **_track(graph, past),
        **{f"left out/{pair}": why for pair, why in left_out.items()},
    }
    shown = {
        "correlation": dg.MetadataValue.md(correlations(made)),
        "risk": dg.MetadataValue.md(risk(made)),
    }
    return Draft(to_row(made), facts=facts, shown=shown, unchanged=last is not None and same_content(last, made))


def _track(graph: PairGraph, past: JointHistory) -> dict[str, float]:
    """How such paths one bar ahead have done over the last year: the book's losses, and the energy score."""
    last = len(past.closes) - 1
    origins = range(last - min(TRACK, last - LEAST_DATES), last)
    try:
        found = replay(past.closes, past.volatility, graph, origins=origins, draws=TRACK_DRAWS)
    except InsufficientHistory:
        return {}
    shares = dict(zip(found.levels, found.shares().T.tolist(), strict=True))
    beyond = {
        f"track/beyond_{level:g}_{s}": v for level, both in shares.items() for s, v in zip(SIDES, both, strict=True)
    }
    gain = 1 - float(found.energy["joint"].mean() / found.energy["independent"].mean())
    return {"track/origins": len(found.rows), **beyond, "track/energy_gain_over_independence": gain}


def _served(stores: Stores, graph: PairGraph, frequency: Frequency) -> dict[str, ForecastDocument]:
    """Newest forecast of each pair's champion, where there is one."""
    found = {}
    for pair in graph.pairs:
        table = stores.lake.find(FORECASTS, pair)
        head = None if table is None else served_by_default(latest(table, frequency=frequency))
        if head is not None:
            found[pair] = head
    return found
