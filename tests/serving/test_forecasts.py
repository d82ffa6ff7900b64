"""`/v1/forecasts/{pair}/latest`, `/readyz`, `/v1/pairs` and `/v1/models` on a small real installation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.specs.schema import PairSpec
from serving.rendering import Served
from tests.serving.conftest import EARLIER, FIRST_NIGHT, SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake, tiny_lake


def latest(client: Api, pair: str = "EURUSD", **parameters: str) -> dict[str, Any]:
    answer = client.get(f"/v1/forecasts/{pair}/latest", params=parameters)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_the_latest_is_the_champions_newest_and_a_valid_document(shared_client: Api) -> None:
    body = latest(shared_client)
    ForecastDocument.model_validate(body)
    assert (body["pair"], body["model_id"], body["champion"]) == ("EURUSD", "random_walk", "random_walk")
    assert body["data_as_of"] == LAST.isoformat()
    assert [item["h"] for item in body["horizons"]] == [1, 2, 3, 4, 5]


def test_what_is_served_is_what_the_night_wrote_to_the_last_bit(tiny: TinyLake) -> None:
    written = tiny.forecast("random_walk", "USDJPY", issued_at=SECOND_NIGHT + timedelta(hours=1))
    with running(tiny) as client:
        served = ForecastDocument.model_validate(latest(client, "USDJPY"))
    assert served.horizons == written.horizons
    assert served.last_price.hex() == written.last_price.hex()


def test_a_model_can_be_asked_for(shared_client: Api) -> None:
    assert latest(shared_client, model="solo")["model_id"] == "solo"
    assert latest(shared_client, model="solo", frequency="1d")["champion"] == "random_walk"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (SECOND_NIGHT + timedelta(seconds=1), LAST),
        (SECOND_NIGHT, LAST),
        (SECOND_NIGHT - timedelta(seconds=1), EARLIER),
        (FIRST_NIGHT, EARLIER),
        (datetime(2999, 1, 1, tzinfo=UTC), LAST),
    ],
)
def test_as_of_gives_what_was_served_then(shared_client: Api, moment: datetime, expected: date) -> None:
    assert latest(shared_client, as_of=moment.isoformat())["data_as_of"] == expected.isoformat()


def test_as_of_before_the_first_night_is_404(shared_client: Api) -> None:
    moment = (FIRST_NIGHT - timedelta(seconds=1)).isoformat()
    answer = shared_client.get("/v1/forecasts/EURUSD/latest", params={"as_of": moment})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_forecast")


def test_freshness_is_that_of_the_answer_not_of_the_issue(shared_client: Api) -> None:
    then = latest(shared_client, as_of=SECOND_NIGHT.isoformat())
    now = latest(shared_client)
    assert (then["stale"], now["stale"]) == (False, True)
    assert then["valid_until"] == now["valid_until"] == "2026-11-02T22:00:00Z"


def test_rendered_bytes_change_when_a_document_goes_stale(built: TinyLake) -> None:
    pair: PairSpec = built.catalog.pairs["EURUSD"]
    served = Served(_document(built))
    fresh = served.render(pair, SECOND_NIGHT)
    assert served.render(pair, SECOND_NIGHT + timedelta(minutes=1)) is fresh
    stale = served.render(pair, SECOND_NIGHT + timedelta(days=30))
    assert stale.json.etag != fresh.json.etag
    assert served.render(pair, SECOND_NIGHT).json == fresh.json


def _document(built: TinyLake) -> ForecastDocument:
    with running(built) as client:
        return ForecastDocument.model_validate(latest(client))


def test_an_entity_tag_saves_the_body(shared_client: Api) -> None:
    first = shared_client.get("/v1/forecasts/EURUSD/latest")
    tag = first.headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = shared_client.get("/v1/forecasts/EURUSD/latest", headers={"if-none-match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = shared_client.get("/v1/forecasts/EURUSD/latest", headers={"if-none-match": '"other"'})
    assert other.content == first.content
    assert shared_client.get("/v1/forecasts/USDJPY/latest").headers["etag"] != tag


def test_scores_of_the_documents_own_version_stand_beside_it(shared_client: Api) -> None:
    evaluation = latest(shared_client)["evaluation"]
    assert (evaluation["crps"], evaluation["crps_random_walk"], evaluation["ratio"]) == (45.0, 50.0, 0.9)
    assert (evaluation["windows"], evaluation["coverage_80"]) == (10, 0.8)
    assert latest(shared_client, as_of=SECOND_NIGHT.isoformat())["evaluation"] == evaluation
    assert latest(shared_client, model="solo")["evaluation"]["ratio"] == 1.1
    assert latest(shared_client, "USDJPY")["evaluation"] is None


def test_scores_of_another_version_do_not(tiny: TinyLake, client: Api) -> None:
    tiny.train("random_walk", "EURUSD")
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    client.refresh()
    assert latest(client)["evaluation"] is None
    tiny.score("random_walk", "EURUSD", 60.0)
    client.refresh()
    assert latest(client)["evaluation"]["ratio"] == 1.2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/forecasts/GBPUSD/latest", 404, "unknown_pair"),
        ("/v1/forecasts/eurusd/latest", 404, "unknown_pair"),
        ("/v1/forecasts/EURUSD/latest?model=nothing", 404, "unknown_model"),
        ("/v1/forecasts/USDJPY/latest?model=solo", 404, "no_forecast"),
        ("/v1/forecasts/EURUSD/latest?frequency=1h", 404, "unknown_frequency"),
        ("/v1/forecasts/EURUSD/latest?as_of=yesterday", 422, "invalid_instant"),
        ("/v1/forecasts/EURUSD/latest?as_of=2026-10-30", 422, "invalid_instant"),
        ("/v1/forecasts/EURUSD/latest?asof=2026-10-30T00:00:00Z", 422, "invalid_request"),
        ("/v1/forecasts/EURUSD/latest?model=solo&model=random_walk", 422, "invalid_request"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(shared_client: Api, path: str, status: int, code: str) -> None:
    answer = shared_client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_readyz_names_stale_and_missing_pairs(client: Api, tiny: TinyLake) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert (answer.json()["stale"], answer.json()["missing"]) == (["EURUSD", "USDJPY"], [])
    # Dates that end with the last finished trading date are fresh whatever the day of this test.
    fresh = datetime.now(UTC)
    tiny.bars("USDJPY", fresh.date() - timedelta(days=1))
    tiny.forecast("random_walk", "USDJPY", issued_at=fresh, last=fresh.date() - timedelta(days=1))
    client.refresh()
    assert client.get("/readyz").json()["stale"] == ["EURUSD"]
    # A moment to come is now: nothing is stale before its time.
    assert latest(client, "USDJPY", as_of="2999-01-01T00:00:00Z")["stale"] is False


def test_without_a_forecast_readyz_is_503_and_livez_is_not(tmp_path: Any) -> None:
    with running(tiny_lake(tmp_path)) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.json()["missing"] == ["EURUSD", "USDJPY"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/v1/forecasts/EURUSD/latest").json()["code"] == "no_forecast"


def test_pairs_and_models_are_described(shared_client: Api) -> None:
    (first, second) = shared_client.get("/v1/pairs").json()["pairs"]
    assert (first["pair"], first["state"], first["champion"]) == ("EURUSD", "ready", "random_walk")
    assert (first["models"], second["models"]) == (["random_walk", "solo"], ["random_walk"])
    listed = {item["model_id"]: item for item in shared_client.get("/v1/models").json()["models"]}
    assert set(listed) == {"random_walk", "solo"}
    solo = shared_client.get("/v1/models/solo").json()
    expected = {"columns": ["close"], "window": 30, "horizon": 5, "target": "log_return", "pairs": ["EURUSD"]}
    assert expected.items() <= solo.items()
    assert solo["quantiles"] == [0.1, 0.5, 0.9]
    assert solo["versions"]["EURUSD"]["published"] == latest(shared_client, model="solo")["model_version"]


def test_a_broken_model_file_is_listed_and_its_last_forecast_stays(tiny: TinyLake) -> None:
    path = tiny.settings.configs / "models" / "solo.yaml"
    path.write_text(path.read_text().replace("window:", "widnow:"))
    with running(tiny) as client:
        solo = client.get("/v1/models/solo").json()
        assert solo["state"] == "failed"
        assert any(p["line"] == 4 and "window" in p["message"] for p in solo["problems"])
        assert {item["model_id"]: item["state"] for item in client.get("/v1/models").json()["models"]} == {
            "random_walk": "ready",
            "solo": "failed",
        }
        assert latest(client, model="solo")["model_id"] == "solo"
        assert client.post("/solo/predict", json={}).json()["code"] == "model_failed"
        assert client.get("/readyz").json()["failed"] == ["models/solo"]


def test_a_broken_pair_file_fails_that_pair_only(tiny: TinyLake) -> None:
    (tiny.settings.configs / "pairs" / "USDJPY.yaml").write_text("pair: USDJPY\n")
    with running(tiny) as client:
        states = {item["pair"]: item["state"] for item in client.get("/v1/pairs").json()["pairs"]}
        assert states == {"EURUSD": "ready", "USDJPY": "failed"}
        assert client.get("/v1/forecasts/USDJPY/latest").json()["code"] == "pair_failed"
        assert latest(client)["pair"] == "EURUSD"


def test_an_unknown_model_is_404(shared_client: Api) -> None:
    assert shared_client.get("/v1/models/nothing").json()["code"] == "unknown_model"
