"""Predictions over HTTP: the client's rows or the lake's, equal to the night to the last bit, or refused."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.certificate import to_row
from fx_assets.forecasting.document import ForecastDocument, with_evaluation
from fx_assets.models.base import Row
from fx_assets.models.inputs import PairHistory
from fx_assets.models.predictors.random_walk import RandomWalk
from fx_assets.timegrid.trading_dates import bar_end
from serving import prediction
from serving.prediction import Forecaster
from serving.registry import Opened
from serving.rendering import document_json
from serving.validation import PredictRequest
from tests.evaluation.test_certify import made, scores
from tests.serving.conftest import EARLIER, FIRST_NIGHT, SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, PAIRS, TinyLake

PATH = "/v1/models/random_walk/predict"


def closes(tiny: TinyLake, pair: str) -> list[float]:
    bars = tiny.lake.read("bars/1d", pair)
    values: list[float] = bars.filter(pc.less_equal(bars.column("trading_date"), pa.scalar(LAST)))["close"].to_pylist()
    return values[-30:]


def window(tiny: TinyLake, pair: str = "EURUSD") -> list[list[float]]:
    return [[close] for close in closes(tiny, pair)]


def ask(client: Api, path: str = PATH, **body: Any) -> ForecastDocument:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return ForecastDocument.model_validate(answer.json())


def bits(document: ForecastDocument) -> list[tuple[str, ...]]:
    return [
        (item.median.hex(), item.volatility.hex(), *(price.hex() for price in item.quantiles.values()))
        for item in document.horizons
    ]


def evaluation_of(client: Api, pair: str) -> object:
    return ForecastDocument.model_validate(client.get(f"/v1/forecasts/{pair}/latest").json()).evaluation


def test_night_own_rows_and_lake_agree_to_the_last_bit(shared_client: Api, built: TinyLake) -> None:
    answer = shared_client.get("/v1/forecasts/EURUSD/latest")
    night = ForecastDocument.model_validate(answer.json())
    for path in (PATH, "/random_walk/predict"):
        assert bits(ask(shared_client, path, data=window(built), pair="EURUSD")) == bits(night)
        assert bits(ask(shared_client, path, pair="EURUSD")) == bits(night)


def test_the_document_says_where_its_rows_came_from(shared_client: Api, built: TinyLake) -> None:
    own = ask(shared_client, data=window(built, "USDJPY"), pair="USDJPY")
    assert any("came with the request" in note for note in own.notes)
    stored = ask(shared_client, pair="USDJPY")
    assert (stored.data_as_of, stored.origin) == (LAST, bar_end(LAST))
    assert not any("came with the request" in note for note in stored.notes)
    assert stored.lineage.run_id.startswith("http-")
    assert own.lineage.data_version == stored.lineage.data_version
    assert stored.evaluation is None
    assert (ask(shared_client, pair="EURUSD").evaluation or 0) == evaluation_of(shared_client, "EURUSD")
    assert (stored.champion, stored.revision, stored.in_sample) == ("random_walk", "live", False)


def test_a_model_of_one_pair_needs_no_pair(shared_client: Api, built: TinyLake) -> None:
    assert ask(shared_client, "/solo/predict", data=window(built)).pair == "EURUSD"


def test_as_of_takes_what_was_known_then(shared_client: Api) -> None:
    past = shared_client.get("/v1/forecasts/EURUSD/latest", params={"as_of": FIRST_NIGHT.isoformat()}).json()
    document = ask(shared_client, pair="EURUSD", as_of=FIRST_NIGHT.isoformat())
    assert document.data_as_of == EARLIER
    assert bits(document) == bits(ForecastDocument.model_validate(past))
    assert (document.revision, document.in_sample) == ("replay", False)


def test_before_the_models_training_ended_the_answer_is_in_sample(shared_client: Api) -> None:
    document = ask(shared_client, pair="EURUSD", as_of="2024-06-03T22:00:00Z")
    assert document.data_as_of.isoformat() == "2024-06-03"
    assert document.in_sample


def test_as_of_uses_the_version_of_that_moment(tiny: TinyLake, client: Api) -> None:
    (first,) = tiny.control.versions("random_walk", "EURUSD")
    between = datetime.now(UTC)
    second = tiny.train("random_walk", "EURUSD")
    client.refresh()
    assert ask(client, pair="EURUSD").model_version == second.version
    assert ask(client, pair="EURUSD", as_of=datetime.now(UTC).isoformat()).model_version == second.version
    assert ask(client, pair="EURUSD", as_of=between.isoformat()).model_version == first.version
    assert ask(client, pair="EURUSD", as_of="2026-10-30T22:00:00Z").model_version == first.version


def test_a_correction_that_came_later_is_not_seen_before(tiny: TinyLake, client: Api) -> None:
    before = ask(client, pair="EURUSD", as_of="2026-10-30T22:00:00Z")
    bars = tiny.lake.read("bars/1d", "EURUSD")
    again = bars.slice(len(bars) - 3, 1)
    changed = {"known_at": datetime(2026, 11, 5, tzinfo=UTC), "close": again["close"][0].as_py() * 1.05}
    for name, value in changed.items():
        index = again.column_names.index(name)
        again = again.set_column(index, name, pa.array([value], again.schema.field(name).type))
    tiny.commit_blocks("bars/1d", "EURUSD", [("all", pa.concat_tables([bars, again]))], asset="bars/1d")
    after = ask(client, pair="EURUSD", as_of="2026-10-30T22:00:00Z")
    assert any("1 bars before as_of were corrected" in note for note in after.notes)
    assert after.horizons == before.horizons
    assert ask(client, pair="EURUSD").horizons[0].volatility > 2 * before.horizons[0].volatility


def test_a_moment_with_too_little_before_it_is_the_clients_fault(shared_client: Api) -> None:
    answer = shared_client.post(PATH, json={"pair": "EURUSD", "as_of": "2022-01-20T00:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (422, "insufficient_history")


def test_a_version_that_is_no_longer_kept_is_410(tiny: TinyLake, client: Api) -> None:
    (first,) = tiny.control.versions("random_walk", "EURUSD")
    between = datetime.now(UTC)
    tiny.train("random_walk", "EURUSD")
    folder = tiny.settings.artifacts_path / "random_walk" / "EURUSD" / first.version
    folder.rename(folder.parent.parent / "gone")
    answer = client.post(PATH, json={"pair": "EURUSD", "as_of": between.isoformat()})
    assert (answer.status_code, answer.json()["code"]) == (410, "version_gone")


def cell(value: str, row: int = 7) -> bytes:
    rows = [["1.1"] for _ in range(30)]
    rows[row] = [value]
    return f'{{"pair": "EURUSD", "data": [{", ".join("[" + ", ".join(r) + "]" for r in rows)}]}}'.encode()


def post(client: Api, body: bytes, path: str = PATH, **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e999", '"nan"', '"1.5"', "true", "null", "{}", "[1.1]", "-1.1", "0", "1" * 5000],
)
def test_a_cell_that_is_no_price_is_422_naming_its_index(shared_client: Api, value: str) -> None:
    answer = post(shared_client, cell(value))
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["code"], problem["index"]) == ("invalid_input", [7, 0])
    assert "data[7][0]" in problem["detail"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ([], "30 rows"),
        ([[1.1]] * 29, "got 29"),
        ([[1.1]] * 31, "got 31"),
        ([[1.1, 2.0]] * 30, "got 2"),
        ([[]] * 30, "got 0"),
        ([1.1] * 30, "a row"),
        ({"0": [1.1]}, "an object"),
        (17, "a number"),
        ("secret", "text"),
    ],
)
def test_a_shape_that_does_not_fit_says_expected_and_got(shared_client: Api, data: Any, word: str) -> None:
    answer = shared_client.post(PATH, json={"pair": "EURUSD", "data": data})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]
    assert "secret" not in answer.text


def test_a_model_of_several_pairs_names_them(shared_client: Api, built: TinyLake) -> None:
    problem = shared_client.post(PATH, json={"data": window(built)}).json()
    assert (problem["status"], problem["pairs"]) == (422, ["EURUSD", "USDJPY"])


@pytest.mark.parametrize("model", ["nothing", "RANDOM_WALK", "random_walk2"])
def test_an_unknown_model_is_404_on_both_routes(shared_client: Api, model: str) -> None:
    for path in (f"/v1/models/{model}/predict", f"/{model}/predict"):
        answer = shared_client.post(path, json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


def test_a_model_that_was_never_trained_is_503(tiny: TinyLake) -> None:
    path = tiny.settings.configs / "models" / "late.yaml"
    path.write_text((path.parent / "solo.yaml").read_text().replace("solo", "late"))
    with running(tiny) as client:
        answer = client.post("/late/predict", json={"pair": "EURUSD"})
        assert (answer.status_code, answer.json()["code"]) == (503, "model_untrained")


@pytest.mark.parametrize("how", ["gone", "locked", "garbage"])
def test_without_the_control_database_models_in_memory_predict_and_others_are_503(
    tiny: TinyLake, client: Api, how: str
) -> None:
    before = ask(client, pair="EURUSD")
    database = tiny.settings.home / "control.db"
    holder = sqlite3.connect(database, isolation_level=None)
    if how == "locked":
        client.app.state.control.open().close()
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
    else:
        holder.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        holder.close()
        kept = database.read_bytes()
        for path in tiny.settings.home.glob("control.db*"):
            path.unlink()
        if how == "garbage":
            database.write_bytes(b"no database at all" * 1000)
    client.refresh()
    assert bits(ask(client, pair="EURUSD")) == bits(before), "its versions are known still"
    answer = client.post(PATH, json={"pair": "USDJPY"})
    assert (answer.status_code, answer.json()["code"]) == (503, "control_unavailable")
    assert "retry-after" in answer.headers
    assert str(tiny.settings.home) not in answer.text
    assert client.get("/v1/forecasts/EURUSD/latest").status_code == 200
    holder.close()
    if how != "locked":
        database.write_bytes(kept)
    assert ask(client, pair="USDJPY").pair == "USDJPY"


def test_without_the_lake_own_rows_of_a_pair_known_before_still_predict(tiny: TinyLake, client: Api) -> None:
    rows = window(tiny)
    ask(client, data=rows, pair="EURUSD")
    tiny.settings.lake_path.rename(tiny.settings.home / "away")
    answer = client.post(PATH, json={"pair": "EURUSD"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_data")
    assert ask(client, data=rows, pair="EURUSD").pair == "EURUSD"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which the random walk predicted, one after the other."""
    names: list[str] = []
    predict = RandomWalk._predict

    def noted(self: RandomWalk, rows: Any) -> Any:
        names.append(threading.current_thread().name)
        return predict(self, rows)

    monkeypatch.setattr(RandomWalk, "_predict", noted)
    return names


def test_a_prediction_from_memory_needs_no_thread_once_it_was_quick(
    tiny: TinyLake, client: Api, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "QUICK_SECONDS", math.inf)
    rows = window(tiny)

    def asked(**body: Any) -> bool:
        threads.clear()
        ask(client, pair="EURUSD", **body)
        return threads[-1] == "predict"

    assert asked(data=rows), "the checkpoint is read"
    assert not asked(data=rows)
    assert asked(), "rows are read from the lake"
    assert asked(as_of=f"{LAST}T23:00:00Z"), "they are of the past"
    assert not asked(data=rows)
    client.refresh()
    assert asked(data=rows), "the database is asked for versions"
    assert not asked(data=rows)
    tiny.forecast("solo", "EURUSD", issued_at=datetime.now(UTC))
    client.app.state.lake.refresh()
    assert asked(data=rows), "another picture of the lake"
    assert not asked(data=rows)


def test_a_slow_prediction_stays_in_its_thread(
    tiny: TinyLake, client: Api, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "QUICK_SECONDS", 0.0)
    rows = window(tiny)
    for _ in range(3):
        ask(client, data=rows, pair="EURUSD")
    assert set(threads) == {"predict"}


def test_an_unusable_forecast_is_500_and_counted(client: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # Loaded while it was sound: a checkpoint that is spoilt already does not pass its golden sample.
    assert client.post(PATH, json={"pair": "EURUSD"}).status_code == 200
    monkeypatch.setattr(RandomWalk, "_predict", lambda *_: Row(np.full(5, np.nan), np.ones(5)))
    answer = client.post(PATH, json={"pair": "EURUSD"})
    assert (answer.status_code, answer.json()["code"]) == (500, "model_output_invalid")
    assert client.get("/v1/models/random_walk").json()["invalid_outputs"] == 1


def test_the_schema_has_a_route_for_each_model(shared_client: Api) -> None:
    paths = shared_client.get("/openapi.json").json()["paths"]
    assert {"/v1/models/solo/predict", "/solo/predict", PATH, "/random_walk/predict"} <= set(paths)
    own, stored = paths[PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert (own["properties"]["data"]["minItems"], own["required"]) == (30, ["data", "pair"])
    assert stored["required"] == ["pair"]


def test_the_answer_is_json_of_unrounded_numbers(shared_client: Api) -> None:
    answer = shared_client.post(PATH, json={"pair": "EURUSD", "as_of": (SECOND_NIGHT + timedelta(days=1)).isoformat()})
    assert json.loads(answer.content) == ForecastDocument.model_validate_json(answer.content).model_dump(mode="json")
    assert answer.headers["cache-control"] == "no-store"


def test_the_fast_bytes_are_those_of_the_validated_document_and_of_the_nights_code(
    shared_client: Api, built: TinyLake
) -> None:
    """Own windows of every size of move, through `issue`, pydantic and `with_evaluation`, against what HTTP sends."""
    rng, now = np.random.default_rng(8), datetime.now(UTC)
    state = shared_client.app.state
    for model_id, spec in built.catalog.models.items():
        for pair in built.catalog.pairs_of(spec):
            loaded = state.registry.newest(spec, pair, Opened(state.control))
            forecaster = Forecaster(state.registry, state.lake, Opened(state.control))
            for deviation in (1e-9, 0.001, 0.005, 0.1, 1.0) * 4:
                prices = PAIRS[pair] * np.exp(np.clip(np.cumsum(rng.normal(0, deviation, 30)), -6, 6))
                asked = PredictRequest(pair, [[price] for price in prices.tolist()], None)
                told = forecaster.answer_json(spec, asked, now=now, run_id="r")
                document = ForecastDocument.model_validate_json(told)
                assert told == document_json(document)
                last = np.datetime64(document.data_as_of, "D")
                dates = last - np.arange(29, -1, -1).astype("timedelta64[D]")
                end = np.datetime64(document.origin.replace(tzinfo=None), "us")
                ends = end - np.arange(29, -1, -1).astype("timedelta64[D]")
                night = issue(
                    loaded.predictor,
                    PairHistory(pair, ends, dates, prices, np.empty((30, 0)), calendar="target"),
                    built.catalog.pairs[pair],
                    manifest=loaded.manifest,
                    kind_of_price="fixing",
                    champion=document.champion,
                    now=now,
                    data_version=document.lineage.data_version,
                    run_id="r",
                )
                scored = state.lake.current.pairs[pair].evaluations.get((pair, model_id, document.model_version))
                said = with_evaluation(night, scored)
                said = said.model_copy(update={"notes": (*said.notes, document.notes[-1])})
                assert told == document_json(said)


def test_a_certificate_is_joined_as_the_published_document_has_it(tiny: TinyLake) -> None:
    version = tiny.control.versions("random_walk", "EURUSD")[0].version
    found = made(scores(better=0.05)).model_copy(
        update={"pair": "EURUSD", "model_id": "random_walk", "model_version": version}
    )
    tiny.commit("certificates", "EURUSD", to_row(found.sealed()), asset="certificates")
    with running(tiny) as client:
        published = ForecastDocument.model_validate(client.get("/v1/forecasts/EURUSD/latest").json())
        answer = client.post(PATH, json={"pair": "EURUSD"})
        for _ in range(2):
            document = ForecastDocument.model_validate_json(answer.content)
            assert answer.content == document_json(document)
            assert document.certificate == published.certificate is not None
            assert (document.verdict, document.notes[0]) == (published.verdict, published.notes[0])
            answer = client.post(PATH, json={"pair": "EURUSD", "data": window(tiny)})
