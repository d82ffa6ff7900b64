"""Documents through the table and through the lake, and which of them is the head."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import FORECAST_SCHEMA, documents, latest, to_table
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.storage.table_hashing import table_hash
from tests.forecasting.conftest import NOW, Issuer


def test_a_document_comes_back_to_the_last_bit(issued: Issuer, document: ForecastDocument) -> None:
    table = to_table(document)
    assert table.schema.equals(FORECAST_SCHEMA)
    assert table.num_rows == 20
    assert documents(table) == [document]
    assert documents(table)[0].model_dump_json() == document.model_dump_json()
    signalled = issued().model_copy(update={"signal": -0.25, "notes": ("one", "two")})
    assert documents(to_table(signalled)) == [signalled]


def test_a_document_comes_back_from_the_lake(document: ForecastDocument, issued: Issuer, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    later = issued(now=NOW + timedelta(days=1), run_id="run-2")
    for item in (document, later):
        table = to_table(item)
        state = State("forecasts/walk", "USDJPY", "f", table_hash(table), (), table.num_rows, "run", NOW)
        lake.write("forecasts", "USDJPY", table, state=state, mode="append", guard=lambda: nullcontext())
    stored = lake.read("forecasts", "USDJPY")
    assert documents(stored) == [document, later]
    assert latest(stored) == [later]


def renamed(document: ForecastDocument, model_id: str) -> ForecastDocument:
    return document.model_copy(update={"model_id": model_id})


@pytest.fixture(scope="module")
def rows(issued: Issuer) -> pa.Table:
    """Three origins of two models; the middle one issued twice, the oldest issued again last of all."""
    made = [
        issued(origin=1540, now=NOW),
        issued(origin=1550, now=NOW + timedelta(hours=1)),
        issued(origin=1550, now=NOW + timedelta(hours=2)),
        issued(origin=1560, now=NOW + timedelta(hours=3)),
        issued(origin=1540, now=NOW + timedelta(hours=4)),
    ]
    made.append(renamed(made[1], "other"))
    tables = [to_table(item) for item in made]
    whole = pa.concat_tables(tables)
    # Rows of one document need not lie together, nor in order.
    return whole.take(pa.array([(7 * index) % whole.num_rows for index in range(whole.num_rows)]))


def test_the_head_is_the_newest_origin_then_the_newest_issue(rows: pa.Table) -> None:
    assert len(documents(rows)) == 6
    other, walk = latest(rows)
    assert (other.model_id, walk.model_id) == ("other", "walk")
    assert walk.issued_at == NOW + timedelta(hours=3)
    assert latest(rows, model_id="walk") == [walk]
    assert latest(rows, model_id="absent") == []
    assert latest(rows, frequency="1d") == [other, walk]


@pytest.mark.parametrize(("hours", "issued_hours"), [(-1, None), (0, 0), (1, 1), (1.5, 1), (2, 2), (3, 3), (5, 3)])
def test_as_of_serves_what_was_known_then(rows: pa.Table, hours: float, issued_hours: float | None) -> None:
    found = latest(rows, model_id="walk", as_of=NOW + timedelta(hours=hours))
    expected = [] if issued_hours is None else [NOW + timedelta(hours=issued_hours)]
    assert [item.issued_at for item in found] == expected


def test_as_of_without_a_zone_is_refused(rows: pa.Table) -> None:
    with pytest.raises(ValueError, match="as_of has no time zone"):
        latest(rows, as_of=datetime(2026, 11, 3))


def test_rows_that_are_no_whole_document_are_refused(document: ForecastDocument) -> None:
    table = to_table(document)
    with pytest.raises(ValidationError, match="every step from 1 to 19"):
        documents(pa.concat_tables([table.slice(0, 5), table.slice(6)]))
    with pytest.raises(ValidationError, match="every step from 1 to 40"):
        documents(pa.concat_tables([table, table]))
