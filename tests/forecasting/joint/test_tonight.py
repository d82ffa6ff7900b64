"""What enters tonight's joint forecast, and what does not hold it up."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.issue import joint_forecast
from fx_assets.forecasting.joint.tonight import groups_of, history_until, those_together
from fx_assets.forecasting.joint.words import JOINT_SCHEMA, correlations, newest, risk, to_row
from fx_assets.models.catalog import load
from fx_assets.settings import get_settings
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end
from tests.forecasting.conftest import LAST, NOW, Issuer
from tests.forecasting.joint.test_joint_document import restated

GRAPH = pair_graph(["EURJPY", "EURUSD", "USDJPY"])
LASTS = {"EURJPY": 165.0, "EURUSD": 1.1, "USDJPY": 150.0}


@pytest.fixture
def served(issued: Issuer) -> dict[str, ForecastDocument]:
    document = issued()
    return {pair: restated(document, pair, last, 0.0) for pair, last in LASTS.items()}


def bars(pair: str, last: float, *, missing: tuple[int, ...] = (), rows: int = 700) -> pa.Table:
    days = calendar("target").days(date(2020, 1, 2), LAST)[-rows:]
    steps = np.random.default_rng(sum(map(ord, pair))).normal(0, 0.005, rows)
    closes = last * np.exp(np.cumsum(steps) - np.sum(steps))
    kept = [row for row in range(rows) if row not in missing]
    return pa.table(
        {
            "trading_date": pa.array([days[row] for row in kept], pa.date32()),
            "end": pa.array([bar_end(days[row]) for row in kept], pa.timestamp("us", tz="UTC")),
            "close": closes[kept],
        }
    )


def test_the_project_joins_its_six_pairs() -> None:
    found = groups_of(load(get_settings(), environ={}))
    assert list(found) == [("1d", "1d_fixing_target_usd")]
    graph = found["1d", "1d_fixing_target_usd"]
    assert len(graph.pairs) == 6
    assert graph.crosses == ("EURJPY",)


def test_a_pair_that_failed_tonight_does_not_stop_the_others(served: dict[str, ForecastDocument]) -> None:
    documents, left_out = those_together(served, GRAPH)
    assert ([document.pair for document in documents], left_out) == (sorted(LASTS), {})
    without = {pair: document for pair, document in served.items() if pair != "EURJPY"}
    assert those_together(without, GRAPH)[1] == {"EURJPY": "it has no forecast"}
    late = served["USDJPY"].model_copy(update={"origin": served["USDJPY"].origin - timedelta(days=1)})
    documents, left_out = those_together({**served, "USDJPY": late}, GRAPH)
    assert [document.pair for document in documents] == ["EURJPY", "EURUSD"]
    assert left_out == {"USDJPY": f"its forecast is from {LAST}"}
    assert those_together({}, GRAPH) == ([], dict.fromkeys(GRAPH.pairs, "it has no forecast"))


def test_pairs_that_nothing_links_any_more_are_left_out(served: dict[str, ForecastDocument]) -> None:
    four = pair_graph(["AUDNZD", "AUDUSD", "EURUSD", "USDJPY"])
    document = served["EURUSD"]
    there = {"AUDNZD": restated(document, "AUDNZD", 1.08, 0.0), "EURUSD": document, "USDJPY": served["USDJPY"]}
    documents, left_out = those_together(there, four)
    assert [one.pair for one in documents] == ["EURUSD", "USDJPY"]
    assert left_out == {"AUDUSD": "it has no forecast", "AUDNZD": "nothing links it to the others tonight"}


def test_forecasts_are_cut_to_what_all_of_them_say(served: dict[str, ForecastDocument]) -> None:
    short = served["EURUSD"]
    fewer = tuple(
        horizon.model_copy(update={"quantiles": {k: v for k, v in horizon.quantiles.items() if k in ("0.1", "0.5")}})
        for horizon in short.horizons[:5]
    )
    documents, _ = those_together({**served, "EURUSD": short.model_copy(update={"horizons": fewer})}, GRAPH)
    assert {len(document.horizons) for document in documents} == {5}
    assert {tuple(document.horizons[0].quantiles) for document in documents} == {("0.1", "0.5")}


def test_prices_are_joined_on_all_dates_up_to_the_origin(served: dict[str, ForecastDocument]) -> None:
    documents, _ = those_together(served, GRAPH)
    tables = {pair: bars(pair, last) for pair, last in LASTS.items()}
    tables["EURUSD"] = bars("EURUSD", LASTS["EURUSD"], missing=(300, 301))
    graph, past = history_until(tables, documents)
    assert graph.pairs == GRAPH.pairs
    assert past.rescaled
    assert past.closes.shape == (700, 3)
    assert np.isnan(past.closes[300, 1])
    assert np.isfinite(past.closes[300, [0, 2]]).all()
    assert past.trading_dates[-1] == np.datetime64(LAST)
    # What came after the origin is not there.
    earlier = [document.model_copy(update={"origin": bar_end(LAST) - timedelta(days=1)}) for document in documents]
    assert history_until(tables, earlier)[1].trading_dates[-1] < np.datetime64(LAST)


def test_the_document_is_stored_and_told(served: dict[str, ForecastDocument]) -> None:
    tables = {pair: bars(pair, last) for pair, last in LASTS.items()}
    closes = {pair: float(table.column("close")[-1].as_py()) for pair, table in tables.items()}
    again = {pair: restated(document, pair, closes[pair], 0.0) for pair, document in served.items()}
    documents, _ = those_together(again, GRAPH)
    graph, past = history_until(tables, documents)
    made = joint_forecast(documents, graph, past, group="g", now=NOW, run_id="run", draws=500)
    row = to_row(made)
    assert row.schema.equals(JOINT_SCHEMA)
    assert newest(row) == made
    later = to_row(made.model_copy(update={"issued_at": NOW + timedelta(hours=1), "run_id": "again"}))
    found = newest(pa.concat_tables([later, row]))
    assert found is not None
    assert found.run_id == "again"
    assert newest(row.slice(0, 0)) is None
    assert correlations(made).splitlines()[2].startswith("| EURJPY | +1.00 | ")
    assert "book" in risk(made, 20)
    with pytest.raises(ValueError, match="horizon 21"):
        risk(made, 21)
