"""What was published before, page by page and one by one; and what came of it."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import identified
from fx_assets.settings import Settings
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end
from tests.serving.conftest import EARLIER, FIRST_NIGHT, SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake

PATH = "/v1/forecasts/EURUSD"
NIGHTS = calendar("target").days(date(2026, 10, 12), date(2026, 10, 27))


def issued(day: date) -> datetime:
    return bar_end(day) + timedelta(minutes=20)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, built: TinyLake) -> TinyLake:
    """A copy of the installation with twelve more nights of the random walk."""
    folder = tmp_path_factory.mktemp("busy") / "installation"
    shutil.copytree(built.settings.home.parent, folder)
    made = TinyLake(Settings(home=folder / "var", configs=folder / "configs", poll_seconds=3600, live=False))
    for day in NIGHTS:
        made.forecast("random_walk", "EURUSD", issued_at=issued(day), last=day)
    return made


def pages(client: Api, **parameters: str) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        body = client.get(PATH, params={**parameters, **more}).json()
        found.append(body["forecasts"])
        cursor = body["next"]
        if cursor is None:
            return found


def test_pages_follow_each_other_and_miss_nothing(busy: TinyLake) -> None:
    with running(busy) as client:
        whole = client.get(PATH).json()
        cut = pages(client, limit="5")
    dates = [item["data_as_of"] for item in whole["forecasts"]]
    expected = sorted({*NIGHTS, EARLIER, LAST}, reverse=True)
    assert (dates, whole["next"]) == ([day.isoformat() for day in expected], None)
    assert [len(page) for page in cut] == [5, 5, len(expected) - 10]
    assert [item for page in cut for item in page] == whole["forecasts"]


def test_a_night_between_two_pages_moves_nothing(tiny: TinyLake) -> None:
    with running(tiny) as client:
        first = client.get(PATH, params={"limit": "1"}).json()
        tiny.forecast("random_walk", "EURUSD", issued_at=issued(LAST) + timedelta(days=1))
        client.refresh()
        second = client.get(PATH, params={"limit": "1", "cursor": first["next"]}).json()
    assert [first["forecasts"][0]["data_as_of"], second["forecasts"][0]["data_as_of"]] == [str(LAST), str(EARLIER)]


def test_from_and_to_are_of_the_origin(busy: TinyLake) -> None:
    asked = {"from": bar_end(NIGHTS[2]).isoformat(), "to": bar_end(NIGHTS[5]).isoformat()}
    with running(busy) as client:
        found = client.get(PATH, params=asked).json()["forecasts"]
    assert [item["data_as_of"] for item in found] == [day.isoformat() for day in reversed(NIGHTS[2:5])]


def test_a_document_of_the_history_is_what_was_written(busy: TinyLake) -> None:
    written = busy.forecast("random_walk", "USDJPY", issued_at=SECOND_NIGHT + timedelta(hours=2))
    with running(busy) as client:
        (found, *_) = client.get("/v1/forecasts/USDJPY").json()["forecasts"]
        read = ForecastDocument.model_validate(found)
        assert read == identified(written)
        one = client.get(f"/v1/forecasts/USDJPY/versions/{read.forecast_id}")
        assert (one.status_code, one.json()) == (200, found)
        assert "immutable" in one.headers["cache-control"]
        again = client.get(one.request.url, headers={"if-none-match": one.headers["etag"]})
        assert again.status_code == 304
        assert client.head(one.request.url).headers["etag"] == one.headers["etag"]


def test_a_version_stays_when_newer_ones_come(tiny: TinyLake) -> None:
    with running(tiny) as client:
        latest = client.get(f"{PATH}/latest").json()
        first = client.get(f"{PATH}/versions/{latest['forecast_id']}")
        tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(days=3))
        client.refresh()
        assert client.get(f"{PATH}/latest").json()["forecast_id"] != latest["forecast_id"]
        assert client.get(f"{PATH}/versions/{latest['forecast_id']}").content == first.content


@pytest.mark.parametrize("name", ["20261030-0123456789abcdef", "x", "%2e%2e", "20261030-" + "a" * 5_000, "%00"])
def test_an_unknown_version_is_404(shared_client: Api, name: str) -> None:
    answer = shared_client.get(f"{PATH}/versions/{name}")
    assert answer.status_code == 404
    assert "aaaa" not in answer.text


def test_history_as_csv_has_the_rows_of_all_documents(shared_client: Api) -> None:
    answer = shared_client.get(PATH, params={"limit": "1"}, headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (len(rows), {row["data_as_of"] for row in rows}) == (5, {LAST.isoformat()})
    assert 'rel="next"' in answer.headers["link"]
    following = answer.links["next"]["url"]
    more = shared_client.get(following, headers={"accept": "text/csv"})
    assert {row["data_as_of"] for row in csv.DictReader(io.StringIO(more.text))} == {EARLIER.isoformat()}
    assert "link" not in more.headers


@pytest.mark.parametrize(
    "parameters",
    [
        {"cursor": "nonsense"},
        {"cursor": "WyIyMDI2Il0="},
        {"cursor": "a" * 200},
        {"cursor": "WzFd"},
        {"limit": "0"},
        {"limit": "501"},
        {"from": "yesterday"},
        {"to": "2026-10-30"},
        {"until": "2026-10-30T00:00:00Z"},
    ],
    ids=lambda value: next(iter(value)) + "=" + str(next(iter(value.values())))[:12],
)
def test_wrong_parameters_are_422(shared_client: Api, parameters: dict[str, str]) -> None:
    answer = shared_client.get(PATH, params=parameters)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_of_an_origin_the_newest_revision_is_listed_once(tiny: TinyLake) -> None:
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    with running(tiny) as client:
        found = client.get(PATH).json()["forecasts"]
    assert [item["data_as_of"] for item in found] == [LAST.isoformat(), EARLIER.isoformat()]
    assert datetime.fromisoformat(found[0]["issued_at"]) == SECOND_NIGHT + timedelta(hours=1)


def test_outcomes_join_what_was_said_with_what_came(busy: TinyLake) -> None:
    with running(busy) as client:
        body = client.get(f"{PATH}/outcomes", params={"model": "random_walk"}).json()
        closes = {bar["end"]: bar["close"] for bar in client.get("/v1/bars/EURUSD?limit=60").json()["bars"]}
        longer = client.get(f"{PATH}/outcomes", params={"horizon": "5"}).json()
        few = client.get(f"{PATH}/outcomes", params={"limit": "2"}).json()
    days = calendar("target")
    expected = [(day, days.next_days(day, 1)[0]) for day in [*NIGHTS, EARLIER]]
    assert [item["origin"] for item in body["outcomes"]] == [bar_end(day).isoformat() for day, _ in expected]
    for item, (_, target) in zip(body["outcomes"], expected, strict=True):
        assert item["close"] == closes[bar_end(target).isoformat()]
        low, high = item["quantiles"]["0.1"], item["quantiles"]["0.9"]
        assert item["inside_80"] is (low <= item["close"] <= high)
    assert len(longer["outcomes"]) == len([day for day in [*NIGHTS, EARLIER] if days.next_days(day, 5)[-1] <= LAST])
    assert few["outcomes"] == body["outcomes"][-2:]


def test_an_outcome_is_of_the_first_forecast_made_in_time(tiny: TinyLake) -> None:
    later = FIRST_NIGHT + timedelta(days=5)  # by then the price had come
    tiny.forecast("random_walk", "EURUSD", issued_at=later, last=EARLIER)
    with running(tiny) as client:
        (found,) = client.get(f"{PATH}/outcomes").json()["outcomes"]
    assert datetime.fromisoformat(found["issued_at"]) == FIRST_NIGHT
