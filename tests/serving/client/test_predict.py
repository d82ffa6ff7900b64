"""Data of every kind, as rows: the same to the last bit, columns by name, and clear words where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from serving.client.errors import InvalidInput
from serving.client.rows import body_of, rows_of
from tests.serving.client.conftest import Make, connected
from tests.serving.conftest import SECOND_NIGHT
from tests.serving.test_feature_model import leaning
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake

__all__ = ["leaning"]

WINDOW = 30
CLOSES = (1.1 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.004, WINDOW)))).tolist()
DAYS = pd.date_range("2026-09-01", periods=WINDOW, freq="B", tz="UTC")
FRAMES = {
    "rows": [[close] for close in CLOSES],
    "tuples": tuple((close,) for close in CLOSES),
    "closes": np.array(CLOSES),
    "matrix": np.array(CLOSES).reshape(-1, 1),
    "fortran": np.asfortranarray(np.column_stack([CLOSES, CLOSES]))[:, :1],
    "every second": np.repeat(CLOSES, 2)[::2],
    "big endian": np.array(CLOSES, dtype=">f8"),
    "rows of numpy": [np.array([close]) for close in CLOSES],
    "series": pd.Series(CLOSES, index=DAYS),
    "pandas": pd.DataFrame({"close": CLOSES}, index=DAYS),
    "pandas with time": pd.DataFrame({"close": CLOSES, "time": DAYS}),
    "pandas nullable": pd.DataFrame({"close": pd.array(CLOSES, dtype="Float64")}),
    "polars series": pl.Series(CLOSES),
    "polars": pl.DataFrame({"close": CLOSES}),
    "polars with time": pl.DataFrame({"time": DAYS.to_pydatetime().tolist(), "close": CLOSES}),
}


@pytest.mark.parametrize("form", FRAMES)
def test_all_forms_give_the_forecast_of_the_plain_request(make: Make, shared_client: Api, form: str) -> None:
    plain = shared_client.post("/solo/predict", json={"data": FRAMES["rows"]}).json()
    with connected(make, shared_client) as client:
        found = client.predict(model_id="solo", data=FRAMES[form])
    assert found.raw["horizons"] == plain["horizons"]
    assert found.last_price == CLOSES[-1]
    assert found.lineage.data_version == plain["lineage"]["data_version"]  # a digest of the rows
    assert found.forecast_id is None


def test_rows_of_the_lake(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        now = client.predict("random_walk", pair="USDJPY")
        then = client.predict("random_walk", pair="USDJPY", as_of=SECOND_NIGHT)
        assert client.predict("random_walk", pair="USDJPY", as_of=SECOND_NIGHT.isoformat()).horizons == then.horizons
        own = client.predict("random_walk", FRAMES["pandas"], "EURUSD")
    assert (now.pair, then.revision, own.pair) == ("USDJPY", "replay", "EURUSD")
    assert then.horizons == now.horizons


@pytest.fixture
def api(leaning: TinyLake) -> Iterator[Api]:
    with running(leaning) as client:
        yield client


def test_columns_are_matched_by_name_in_any_order(make: Make, api: Api) -> None:
    columns = api.get("/v1/models/leaning").json()["columns"]
    assert len(columns) > 3
    random = np.random.default_rng(3)
    values = np.column_stack([CLOSES[:20], random.normal(0, 30, (20, len(columns) - 1))])
    plain = api.post("/leaning/predict", json={"data": values.tolist()}).json()
    pandas = pd.DataFrame(values, columns=columns)
    shuffled = list(reversed(columns))
    with connected(make, api) as client:
        for data in (values, pandas, pandas[shuffled], pl.DataFrame(pandas[shuffled])):
            assert client.predict("leaning", data).raw["horizons"] == plain["horizons"]
        with pytest.raises(InvalidInput) as raised:
            client.predict("leaning", pandas.drop(columns=columns[2]).assign(volume=1.0, open=1.0))
    said = str(raised.value)
    assert f"missing {columns[2]}; unknown volume, open" in said


@pytest.mark.parametrize("kind", ["numpy", "pandas", "polars"])
def test_what_the_service_refuses_has_its_index(make: Make, shared_client: Api, kind: str) -> None:
    holes = [*CLOSES[:3], float("nan"), *CLOSES[4:]]
    data: dict[str, Any] = {
        "numpy": np.array(holes),
        "pandas": pd.DataFrame({"close": holes}),
        "polars": pl.DataFrame({"close": holes}),
    }
    with connected(make, shared_client) as client:
        with pytest.raises(InvalidInput) as raised:
            client.predict("solo", data[kind])
        with pytest.raises(InvalidInput, match="30 rows"):
            client.predict("solo", data[kind][:7])
    assert (raised.value.index, raised.value.status) == ((3, 0), 422)


BACKWARDS = [3, 1, 2]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.DataFrame({"close": [1.0, 2.0, 3.0]}, index=pd.to_datetime(BACKWARDS, unit="D")), "the index.*row 1"),
        (pd.DataFrame({"close": [1.0, 2.0]}, index=pd.to_datetime([1, 1], unit="D")), "the index.*row 1"),
        (pd.DataFrame({"close": [1.0, 2.0]}, index=pd.DatetimeIndex(["2026-01-01", None])), "the index.*row 1"),
        (pd.Series([1.0, 2.0], index=pd.to_datetime([2, 1], unit="D")), "the index"),
        (
            pl.DataFrame({"close": [1.0, 2.0], "time": [datetime(2026, 1, 2), datetime(2026, 1, 1)]}),
            "column time.*row 1",
        ),
        (pd.DataFrame({"close": ["a", "b"]}), "column close: expected numbers, got object"),
        (pd.DataFrame({"close": [True, False]}), "column close: expected numbers, got bool"),
        (pl.DataFrame({"close": ["a", "b"]}), "column close: expected numbers, got String"),
        (pl.DataFrame({"close": [Decimal("1.1")]}), "column close: expected numbers, got Decimal"),
        (pd.DataFrame([[1.0, 2.0]], columns=["close", "close"]), "close more than once"),
        (pd.DataFrame({"price": [1.0]}), "missing close; unknown price"),
        (pd.DataFrame(), "missing close"),
        (pd.Series(["a"]), "the series: expected numbers"),
        (np.array(["a"]), "got an array of <U1"),
        (np.array([True]), "got an array of bool"),
        (np.array([1.0 + 2.0j]), "complex"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array(1.0), "0 dimensions"),
        ("1.1", "got str"),
        ({"close": [1.0]}, "got dict"),
        (7, "got int"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_data_is_said_before_anything_is_sent(data: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        rows_of(data, ["close"])


@pytest.mark.parametrize(
    "row", [[Decimal("1.1")], [object()], [{1, 2}], [2**70]], ids=["decimal", "object", "set", "big"]
)
def test_what_json_has_no_form_of_is_said(row: list[Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        body_of({"data": rows_of([row])})


def test_whole_numbers_and_halves_keep_their_value() -> None:
    assert rows_of(np.array([1, 2], dtype=np.int64)) == [[1], [2]]
    assert rows_of(np.array([0.1], dtype=np.float32)) == [[float(np.float32(0.1))]]
    assert rows_of(pd.DataFrame({"close": pd.array([1, None], dtype="Int64")}), ["close"])[0] == [1.0]
    assert rows_of(pl.DataFrame({"close": [1, None]}), ["close"])[0] == [1.0]


def test_a_column_named_time_of_the_model_is_one_of_its_columns() -> None:
    frame = pd.DataFrame({"time": [2.0, 1.0], "close": [1.0, 1.0]})
    assert rows_of(frame, ["close", "time"]) == [[1.0, 2.0], [1.0, 1.0]]


def test_the_moment_may_be_in_any_zone_but_must_have_one(make: Make, shared_client: Api) -> None:
    moment = pd.Timestamp("2026-10-30T23:30:00+02:00")
    with connected(make, shared_client) as client:
        there = client.predict("solo", pair="EURUSD", as_of=moment)
        assert there.horizons == client.predict("solo", pair="EURUSD", as_of=moment.astimezone(UTC)).horizons
        with pytest.raises(InvalidInput, match="as_of: expected an instant with its time zone"):
            client.predict("solo", pair="EURUSD", as_of=datetime(2026, 10, 30))
