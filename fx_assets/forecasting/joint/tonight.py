"""What enters tonight's joint forecast: which pairs, with which forecasts, prices and volatilities. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.graph import PairGraph, connected, groups, pair_graph
from fx_assets.forecasting.joint.history import ewma_volatilities
from fx_assets.forecasting.joint.issue import JointHistory
from fx_assets.prices.sources.base import price_kind
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency

_WHOLE_DATES = ("1d", "1w")


def groups_of(catalog: Catalog) -> dict[tuple[Frequency, str], PairGraph]:
    """By frequency and name, such as ("1d", "1d_fixing_target_usd"): two pairs or more whose prices may be joined.

    Pairs belong together that share frequency, kind of price and calendar, and are linked by common currencies. Bars
    of hours are not joined: their dates are told apart by days.
    """
    found: dict[tuple[Frequency, str], PairGraph] = {}
    for frequency in (each for each in catalog.forecast_frequencies() if each in _WHOLE_DATES):
        covered = {pair: catalog.pairs[pair] for pair in catalog.forecast_at(frequency)}
        keys = {pair: f"{frequency}/{price_kind(spec)}/{spec.calendar}" for pair, spec in covered.items()}
        named = {name.lower().replace("/", "_"): graph for name, graph in groups(keys).items()}
        found |= {(frequency, name): graph for name, graph in named.items() if len(graph.pairs) > 1}
    return found


def those_together(
    served: Mapping[str, ForecastDocument], graph: PairGraph
) -> tuple[list[ForecastDocument], dict[str, str]]:
    """The served forecasts of the newest origin, cut to common horizons and levels; and who is left out, and why.

    A pair that failed tonight does not stop the others; where it was their only link, the larger part goes on.
    """
    left_out = {pair: "it has no forecast" for pair in graph.pairs if pair not in served}
    newest = max((document.origin for document in served.values()), default=None)
    alike = {pair: document for pair, document in sorted(served.items()) if document.origin == newest}
    left_out |= {
        pair: f"its forecast is from {document.data_as_of}" for pair, document in served.items() if pair not in alike
    }
    parts = sorted(connected(alike), key=lambda part: (-len(part), part)) if alike else []
    chosen = [alike[pair] for pair in (parts[0] if parts else [])]
    left_out |= {pair: "nothing links it to the others tonight" for part in parts[1:] for pair in part}
    steps = min((len(document.horizons) for document in chosen), default=0)
    levels = [set(document.horizons[0].quantiles) for document in chosen]
    common = set.intersection(*levels) if levels else set()
    return [_cut(document, steps, common) for document in chosen], left_out


def history_until(bars: Mapping[str, pa.Table], documents: list[ForecastDocument]) -> tuple[PairGraph, JointHistory]:
    """Prices of the documents' pairs on all trading dates that any has had, up to their origin, and EWMA volatilities.

    `bars`: current rows of each pair with `trading_date`, `end` and `close`. The volatilities of served models exist
    for a few years only; those here are of one model for all of the past, so its residuals are brought to unit size.
    """
    graph = pair_graph([document.pair for document in documents])
    origin = np.datetime64(documents[0].origin.replace(tzinfo=None), "us")
    closes: dict[str, dict[np.datetime64, float]] = {}
    for pair in graph.pairs:
        table = bars[pair]
        ends = table.column("end").to_numpy().astype("datetime64[us]")
        days = table.column("trading_date").to_numpy().astype("datetime64[D]")
        prices = table.column("close").to_numpy().astype(np.float64)
        kept = ends <= origin
        closes[pair] = dict(zip(days[kept].tolist(), prices[kept].tolist(), strict=True))
    dates = sorted(set().union(*closes.values()))
    matrix = np.array([[closes[pair].get(day, np.nan) for pair in graph.pairs] for day in dates], dtype=np.float64)
    return graph, JointHistory(
        trading_dates=np.array(dates, dtype="datetime64[D]"),
        closes=matrix,
        volatility=ewma_volatilities(matrix, graph.pairs),
        rescaled=True,
    )


def _cut(document: ForecastDocument, steps: int, levels: set[str]) -> ForecastDocument:
    horizons = tuple(
        horizon.model_copy(
            update={"quantiles": {level: price for level, price in horizon.quantiles.items() if level in levels}}
        )
        for horizon in document.horizons[:steps]
    )
    return document.model_copy(update={"horizons": horizons})
