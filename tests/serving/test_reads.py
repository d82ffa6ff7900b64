"""How the newest forecasts are read: forms, conditions, caching, several at once; and what stands beside them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, expected_last_date
from serving.negotiation import CSV, EVENTS, JSON, best_of, offers
from serving.rendering import Served
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake

LATEST = "/v1/forecasts/EURUSD/latest"
BY_ROUTER = f"{LATEST}?model=random_walk"


@pytest.mark.parametrize("path", [LATEST, BY_ROUTER], ids=["hot", "router"])
def test_a_tag_that_matches_is_304_without_a_body(shared_client: Api, path: str) -> None:
    first = shared_client.get(path)
    again = shared_client.get(path, headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    for name in ("etag", "last-modified", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert "content-length" not in again.headers
    assert "x-request-id" in again.headers


@pytest.mark.parametrize("path", [LATEST, BY_ROUTER], ids=["hot", "router"])
def test_last_modified_counts_where_there_is_no_tag(shared_client: Api, path: str) -> None:
    first = shared_client.get(path)
    since = parsedate_to_datetime(first.headers["last-modified"])
    before = format_datetime(since - timedelta(seconds=1), usegmt=True)
    same = format_datetime(since, usegmt=True)
    assert shared_client.get(path, headers={"if-modified-since": same}).status_code == 304
    assert shared_client.get(path, headers={"if-modified-since": before}).status_code == 200
    assert shared_client.get(path, headers={"if-modified-since": "yesterday"}).status_code == 200
    # A tag that does not match wins over a date that does.
    both = {"if-modified-since": same, "if-none-match": '"other"'}
    assert shared_client.get(path, headers=both).status_code == 200


@pytest.mark.parametrize("path", [LATEST, BY_ROUTER], ids=["hot", "router"])
def test_head_is_get_without_the_body(shared_client: Api, path: str) -> None:
    whole, head = shared_client.get(path), shared_client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    told = dict(whole.headers), dict(head.headers)
    for headers in told:
        for varies in ("x-request-id", "date", "cache-control"):
            headers.pop(varies)
    assert told[0] == told[1]


def test_both_ways_to_the_champion_give_the_same_bytes(shared_client: Api) -> None:
    hot, routed = shared_client.get(LATEST), shared_client.get(BY_ROUTER)
    assert hot.content == routed.content
    assert hot.headers["etag"] == routed.headers["etag"]


def test_csv_has_a_row_for_each_horizon_and_reads_back_to_the_last_bit(shared_client: Api) -> None:
    document = ForecastDocument.model_validate(shared_client.get(LATEST).json())
    answer = shared_client.get(LATEST, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(document.horizons)
    for row, horizon in zip(rows, document.horizons, strict=True):
        assert float(row["median"]) == horizon.median
        assert {level: float(row[f"q{level}"]) for level in horizon.quantiles} == horizon.quantiles
        assert (row["pair"], row["h"], row["forecast_id"]) == ("EURUSD", str(horizon.h), document.forecast_id)
    assert answer.headers["etag"] != shared_client.get(LATEST).headers["etag"]
    assert "accept" in answer.headers["vary"]


def test_what_may_be_cached_until_when(tiny: TinyLake) -> None:
    spec = tiny.catalog.pairs["EURUSD"]
    document = tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT)
    rendered = Served(document).render(spec, SECOND_NIGHT)
    expected = document.valid_until + timedelta(minutes=15)
    now = SECOND_NIGHT.timestamp()
    assert rendered.cache_control(now) == b"private, max-age=%d" % int((expected - SECOND_NIGHT).total_seconds())
    assert rendered.cache_control(expected.timestamp()) == b"no-cache"  # it is late: ask every time


def test_what_is_rendered_holds_until_another_date_has_ended(tiny: TinyLake) -> None:
    spec, days = tiny.catalog.pairs["EURUSD"], calendar("target")
    served = Served(tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT))
    first = served.render(spec, SECOND_NIGHT)
    end = bar_end(days.next_days(expected_last_date(days, SECOND_NIGHT), 1)[0])
    assert served.fresh((end - timedelta(seconds=1)).timestamp()) is first
    assert served.fresh(end.timestamp()) is None
    assert served.fresh((SECOND_NIGHT - timedelta(days=30)).timestamp()) is None
    # Stale once more dates than the pair allows have ended; Last-Modified says when that was, whoever renders it.
    stale_since = bar_end(days.next_days(LAST, spec.freshness + 1)[-1])
    for later in (timedelta(0), timedelta(days=9)):
        late = Served(served.document).render(spec, stale_since + later)
        assert (late.document.stale, late.modified) == (True, stale_since)


def test_a_new_forecast_is_served_after_the_next_look(tiny: TinyLake, client: Api) -> None:
    before = client.get(LATEST)
    written = tiny.forecast("random_walk", "EURUSD", issued_at=datetime.now(UTC))
    assert client.get(LATEST).content == before.content
    client.refresh()
    after = client.get(LATEST, headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["issued_at"] == written.model_dump(mode="json")["issued_at"]


@pytest.mark.parametrize(
    ("accept", "offered", "expected"),
    [
        ("text/csv", [JSON, CSV], CSV),
        ("text/*", [JSON, CSV], CSV),
        ("*/*", [JSON, CSV], JSON),
        ("application/json;q=0.5, text/csv;q=0.6", [JSON, CSV], CSV),
        ("text/csv;q=0, */*;q=0.1", [CSV, JSON], JSON),
        ("text/html", [JSON, CSV], None),
        ("text/event-stream", [EVENTS], EVENTS),
    ],
)
def test_the_form_is_the_one_liked_best(accept: str, offered: list[str], expected: str | None) -> None:
    assert best_of(accept, offered) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/forecasts/EURUSD/latest", (JSON, CSV)),
        ("/v1/forecasts/EURUSD", (JSON, CSV)),
        ("/v1/forecasts/EURUSD/outcomes", (JSON,)),
        ("/v1/forecasts/EURUSD/versions/20261030-0123456789abcdef", (JSON, CSV)),
        ("/v1/forecasts/stream", (EVENTS,)),
        ("/v1/pairs", (JSON,)),
        ("/random_walk/predict", (JSON,)),
        ("/", None),
    ],
)
def test_what_each_address_offers(path: str, expected: tuple[str, ...] | None) -> None:
    assert offers(path) == expected


def test_csv_where_there_is_none_is_406(shared_client: Api) -> None:
    answer = shared_client.get("/v1/pairs", headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_a_batch_is_of_one_version_of_the_lake(shared_client: Api) -> None:
    answer = shared_client.post("/v1/forecasts:batchGet", json={"pairs": ["USDJPY", "EURUSD"]})
    assert answer.status_code == 200
    body = answer.json()
    assert [item["pair"] for item in body["forecasts"]] == ["USDJPY", "EURUSD"]
    assert body["forecasts"][1] == shared_client.get(LATEST).json()
    assert body["missing"] == []
    assert body["version"] == shared_client.get("/readyz").json()["lake"]["version"]
    one = shared_client.post("/v1/forecasts:batchGet", json={"pairs": ["USDJPY", "EURUSD"], "model": "solo"}).json()
    assert ([item["pair"] for item in one["forecasts"]], one["missing"]) == (["EURUSD"], ["USDJPY"])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "list of 1 to 500"),
        ({"pairs": []}, 422, "list of 1 to 500"),
        ({"pairs": "EURUSD"}, 422, "got text"),
        ({"pairs": ["EURUSD", 7]}, 422, "index 1"),
        ({"pairs": ["EURUSD", "EURUSD"]}, 422, "each pair once"),
        ({"pairs": ["EURUSD"], "secret": 1}, 422, "1 unknown"),
        ({"pairs": ["EURUSD"], "model": 1}, 422, "model: expected text"),
        ({"pairs": ["XXXYYY"]}, 404, "no such pair"),
        ({"pairs": ["EURUSD"], "model": "secret"}, 404, "no such model"),
        ([], 422, "got an array"),
    ],
)
def test_a_batch_that_is_wrong_says_what(shared_client: Api, body: object, status: int, said: str) -> None:
    answer = shared_client.post("/v1/forecasts:batchGet", json=body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert "secret" not in answer.text.replace("secrets", "")


def test_bars_are_the_newest_closes_oldest_first(shared_client: Api) -> None:
    body = shared_client.get("/v1/bars/EURUSD", params={"limit": "3"}).json()
    last = shared_client.get(LATEST).json()["last_price"]
    assert [len(body["bars"]), body["bars"][-1]["close"], body["frequency"]] == [3, last, "1d"]
    ends = [datetime.fromisoformat(bar["end"]) for bar in body["bars"]]
    assert ends == sorted(ends)
    assert shared_client.get("/v1/bars/XXXYYY").status_code == 404
    for limit in ("0", "5001", "x", "-1", "1e3"):
        assert shared_client.get("/v1/bars/EURUSD", params={"limit": limit}).status_code == 422


def test_versions_of_a_model_are_those_on_record(built: TinyLake, shared_client: Api) -> None:
    body = shared_client.get("/v1/models/random_walk/versions").json()
    assert {item["scope"] for item in body["versions"]} == {"EURUSD", "USDJPY"}
    expected = {item.version for item in built.control.versions("random_walk")}
    assert {item["version"] for item in body["versions"]} == expected
    assert shared_client.get("/v1/models/secret/versions").json()["code"] == "unknown_model"


def test_a_certificate_that_is_not_there_yet_is_404_and_a_pair_must_be_named(shared_client: Api) -> None:
    path = "/v1/models/random_walk/certificate"
    unnamed = shared_client.get(path)
    assert (unnamed.status_code, unnamed.json()["pairs"]) == (422, ["EURUSD", "USDJPY"])
    assert shared_client.get(path, params={"pair": "EURUSD"}).json()["code"] == "no_certificate"
    assert shared_client.get("/v1/models/solo/certificate").json()["code"] == "no_certificate"
    assert shared_client.get("/v1/models/solo/certificate", params={"pair": "USDJPY"}).status_code == 404
    assert shared_client.get(path, params={"pair": "XXXYYY"}).json()["code"] == "unknown_pair"


def test_readyz_verbose_tells_of_each_pair(shared_client: Api) -> None:
    brief, verbose = shared_client.get("/readyz").json(), shared_client.get("/readyz?verbose").json()
    assert "pairs" not in brief
    assert set(verbose["pairs"]) == {"EURUSD", "USDJPY"}
    told = verbose["pairs"]["EURUSD"]
    assert (told["model_id"], told["data_as_of"]) == ("random_walk", LAST.isoformat())
    assert (told["state"] == "stale") == ("EURUSD" in verbose["stale"])
    assert shared_client.get("/readyz?loud").status_code == 422


def test_reads_go_on_while_the_queue_of_predictions_is_full(tiny: TinyLake) -> None:
    with running(tiny) as client:
        predictions = client.app.state.predictions
        predictions.waiting = tiny.settings.predict_queue  # as if so many waited
        refused = client.post("/random_walk/predict", json={"pair": "EURUSD"})
        assert (refused.status_code, refused.json()["code"]) == (503, "too_busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get(LATEST).status_code == 200
        predictions.waiting = 0
        assert client.post("/random_walk/predict", json={"pair": "EURUSD"}).status_code == 200
