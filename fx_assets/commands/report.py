"""What was forecast, and how well: the table of `make demo`, one document, the fan charts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fx_assets.features.stored import bars_table
from fx_assets.forecasting import certificate as certificate_form
from fx_assets.forecasting.champion import champion_of, served_by_default
from fx_assets.forecasting.charts import decimals, fan_chart
from fx_assets.forecasting.document import ForecastDocument, HorizonForecast, with_evaluation
from fx_assets.forecasting.freshness import as_served
from fx_assets.forecasting.scores import summaries
from fx_assets.forecasting.table import latest
from fx_assets.orchestration.resources import Stores
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.storage.errors import NoData
from fx_assets.storage.two_times import current_rows
from fx_assets.timegrid.calendars import calendar

SHOWN = (1, 5, 20)
WIDE = 132


def served_documents(stores: Stores, catalog: Catalog, pair: str) -> list[ForecastDocument]:
    """The newest forecast of each model for a pair, with freshness as of now and what it scored."""
    spec = catalog.pairs[pair]
    try:
        heads = latest(stores.lake.read("forecasts", pair))
    except NoData:
        return []
    scored, certificates = _summaries(stores, pair), stores.lake.find(certificate_form.TABLE, pair)
    now = datetime.now(UTC)
    return [
        with_evaluation(
            as_served(document, calendar(spec.calendar), spec.freshness, now),
            scored.get((pair, document.model_id, document.model_version)),
            None
            if certificates is None
            else certificate_form.standing(certificates, document.model_id, document.model_version),
        )
        for document in heads
        if document.model_id in catalog.models
    ]


def latest_document(settings: Settings, catalog: Catalog, pair: str, model: str | None) -> ForecastDocument:
    """The newest forecast of one model, or of the champion. Raises `LookupError` saying what to do."""
    documents = served_documents(Stores(settings), catalog, pair)
    # Days where the pair is forecast at several frequencies: what most people mean.
    usual = next((f for f in ("1d", *catalog.forecast_frequencies()) if pair in catalog.forecast_at(f)), "1d")
    champion = served_by_default(document for document in documents if document.frequency == usual)
    wanted = model or (
        champion_of(catalog.models, pair, usual, catalog.pairs) if champion is None else champion.model_id
    )
    for document in documents:
        if document.model_id == wanted:
            return document
    have = ", ".join(document.model_id for document in documents) or "none yet"
    raise LookupError(
        f"no forecast of {pair} by {wanted!r} (there are: {have}); run: fx-assets materialize --pairs {pair}"
    )


def print_report(settings: Settings, catalog: Catalog, console: Console) -> None:
    """One row per pair and model: what it forecasts, and its one-day CRPS against the random walk's."""
    stores = Stores(settings)
    # A narrow terminal gets the range under the median, so that nothing is cut off.
    between = " " if console.width >= WIDE else "\n"
    table = Table(
        title="Median and 80 % range of the price; one-day CRPS in basis points on the held-out last year",
        box=None,
        pad_edge=False,
        title_justify="left",
    )
    for name in ("pair", "model", "as of"):
        table.add_column(name, overflow="fold")
    for h in SHOWN:
        table.add_column(f"{h} day{'s' if h > 1 else ''}", overflow="fold")
    for name in ("CRPS", "ratio"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    late = stale = 0
    for pair in catalog.pairs:
        for document in served_documents(stores, catalog, pair):
            table.add_row(*_row(document, between))
            stale += document.stale
            late += any(horizon.retrospective for horizon in document.horizons)
        table.add_section()
    console.print(table)
    console.print(
        "ratio: of that CRPS to a random walk with constant volatility, which any moving volatility beats.\n"
        "verdict: on all windows ever judged, against the random walk with the champion's volatility; see "
        "fx-assets certificate",
        soft_wrap=True,
    )
    if stale:
        console.print(f"* {stale} forecasts are stale: the market has newer prices than they were made from")
    if late:
        console.print(
            f"{late} forecasts are retrospective at some horizons: issued after the price they forecast was set"
        )


def _row(document: ForecastDocument, between: str) -> list[str]:
    by_step = {horizon.h: horizon for horizon in document.horizons}
    scored = document.evaluation
    figures = ("not scored", "") if scored is None else (f"{scored.crps:.2f}", f"{scored.ratio:.4f}")
    return [
        document.pair,
        document.model_id,
        f"{document.data_as_of}{'*' if document.stale else ''}",
        *(_range(by_step[h], decimals(document.pip), between) if h in by_step else "" for h in SHOWN),
        *figures,
        document.verdict,
    ]


def _range(horizon: HorizonForecast, digits: int, between: str) -> str:
    median = f"{horizon.median:.{digits}f}"
    low, high = horizon.quantiles.get("0.1"), horizon.quantiles.get("0.9")
    return median if low is None or high is None else f"{median}{between}{low:.{digits}f}..{high:.{digits}f}"


def print_document(document: ForecastDocument, console: Console) -> None:
    """One forecast for people."""
    state = "stale" if document.stale else "fresh"
    console.print(
        f"{document.pair} by {document.model_id} (champion: {document.champion}), "
        f"as of {document.data_as_of} ({state}), last price {document.last_price}"
    )
    table = Table()
    for name in ("days", "target", "median", "80 % range", "volatility", ""):
        table.add_column(name)
    for horizon in document.horizons:
        low, high = horizon.quantiles.get("0.1"), horizon.quantiles.get("0.9")
        table.add_row(
            str(horizon.h),
            str(horizon.target_date),
            f"{horizon.median:.6g}",
            "" if low is None or high is None else f"{low:.6g} to {high:.6g}",
            f"{horizon.volatility:.4%}",
            "retrospective" if horizon.retrospective else "",
        )
    console.print(table)
    scored = document.evaluation
    if scored is not None:
        console.print(
            f"one-day CRPS {scored.crps:.2f} bp, random walk {scored.crps_random_walk:.2f} bp, "
            f"ratio {scored.ratio:.4f} on {scored.independent_windows} independent windows"
        )
    for note in document.notes:
        console.print(note)


def write_charts(settings: Settings, catalog: Catalog) -> list[Path]:
    """A fan chart of each pair's champion as PNG in `settings.charts_path`; returns the paths.

    A chart that was drawn today from the document that is served now stays as it is.
    """
    stores = Stores(settings)
    settings.charts_path.mkdir(parents=True, exist_ok=True)
    return [path for pair in catalog.pairs for path in _chart(stores, settings, catalog, pair)]


def _chart(stores: Stores, settings: Settings, catalog: Catalog, pair: str) -> Iterator[Path]:
    documents = served_documents(stores, catalog, pair)
    for document in documents:
        if document.model_id == document.champion:
            path = settings.charts_path / f"{pair}.png"
            if not _drawn_today(path, document):
                path.write_bytes(
                    fan_chart(current_rows(stores.lake.read(bars_table(document.frequency), pair)), document)
                )
            yield path


def _drawn_today(path: Path, document: ForecastDocument) -> bool:
    if not path.exists():
        return False
    drawn, now = datetime.fromtimestamp(path.stat().st_mtime, UTC), datetime.now(UTC)
    return drawn > document.issued_at and drawn.date() == now.date()


def _summaries(stores: Stores, pair: str) -> dict[tuple[str, str, str], dict[int, dict[str, object]]]:
    try:
        return summaries(stores.lake.read("scores", pair))
    except NoData:
        return {}
