"""Every read of the client, in both flavours, on the real API."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from fx_assets.forecasting.certificate import to_row
from fx_assets.settings import project_root
from fx_assets.storage import keys
from serving.client import calls, results
from serving.client.errors import Forbidden, ForecastError, InvalidInput, NotFound, RateLimited, Unauthorized
from tests.evaluation.test_certify import made, scores
from tests.serving.client.conftest import Make, connected
from tests.serving.conftest import FIRST_NIGHT, SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake

LATEST = "/v1/forecasts/EURUSD/latest"


def test_latest_is_the_document_of_the_api(make: Make, shared_client: Api) -> None:
    expected = shared_client.get(LATEST).json()
    with connected(make, shared_client) as client:
        found = client.latest("EURUSD")
        of_model = client.latest("EURUSD", model="solo", frequency="1d")
        then = client.latest("EURUSD", as_of=FIRST_NIGHT + timedelta(hours=1))
    assert found.raw == expected
    assert (found.pair, found.model_id, found.forecast_id) == ("EURUSD", "random_walk", expected["forecast_id"])
    assert found.origin == datetime.fromisoformat(expected["origin"])
    assert (found.data_as_of.isoformat(), found.stale) == (expected["data_as_of"], expected["stale"])
    assert [(step.h, step.median, step.volatility, step.quantiles) for step in found.horizons] == [
        (step["h"], step["median"], step["volatility"], step["quantiles"]) for step in expected["horizons"]
    ]
    assert found.lineage.run_id == expected["lineage"]["run_id"]
    assert (of_model.model_id, then.issued_at) == ("solo", FIRST_NIGHT)
    assert "EURUSD by random_walk: 5 x 1d" in repr(found)


def test_what_has_not_changed_is_not_sent_again(
    make: Make, tiny: TinyLake, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []
    of_api = calls.Calls.answered

    def watched(*arguments: Any) -> Any:
        answer = yield from of_api(*arguments)
        statuses.append((answer.status, len(answer.body) > 0))
        return answer

    monkeypatch.setattr(calls.Calls, "answered", watched)
    with connected(make, client) as asking:
        first, again = asking.latest("EURUSD"), asking.latest("EURUSD")
        other = asking.latest("EURUSD", model="solo")
        first.raw.clear()
        assert asking.latest("EURUSD") == again
        tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
        client.refresh()
        assert asking.latest("EURUSD").issued_at == SECOND_NIGHT + timedelta(hours=1)
    assert again.raw["pair"] == "EURUSD"
    assert other.model_id == "solo"
    assert statuses == [(200, True), (304, False), (200, True), (304, False), (200, True)]


def test_what_is_kept_is_bounded_and_what_was_asked_for_last_stays() -> None:
    kept = calls.Kept(most=2)
    for name in "ab":
        kept.put((name,), "tag", b"")
    assert kept.get(("a",)) == ("tag", b"")
    kept.put(("c",), "tag", b"")
    assert (len(kept), kept.get(("b",)), kept.get(("a",))) == (2, None, ("tag", b""))


def test_several_pairs_at_once(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        found = client.latest_many(["USDJPY", "EURUSD"])
        some = client.latest_many(["USDJPY", "EURUSD"], model="solo")
    assert {pair: item.raw for pair, item in found.forecasts.items()} == {
        pair: shared_client.get(f"/v1/forecasts/{pair}/latest").json() for pair in ("USDJPY", "EURUSD")
    }
    assert (list(found.forecasts), found.missing) == (["USDJPY", "EURUSD"], ())
    assert found.version == shared_client.get("/readyz").json()["lake"]["version"]
    assert (list(some.forecasts), some.missing) == (["EURUSD"], ("USDJPY",))


def test_history_follows_the_pages(make: Make, shared_client: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shared_client.get("/v1/forecasts/EURUSD").json()["forecasts"]
    monkeypatch.setattr(calls, "_PAGE", 1)
    with connected(make, shared_client) as client:
        assert [item.raw for item in client.history("EURUSD")] == expected
        assert [item.raw for item in client.history("EURUSD", limit=1)] == expected[:1]
        assert [item.raw for item in client.history("EURUSD", end=expected[0]["origin"])] == expected[1:]
        later = client.history("EURUSD", start=datetime.fromisoformat(expected[0]["origin"]), model="random_walk")
        assert [item.raw for item in later] == expected[:1]
        assert next(client.history("EURUSD", model="solo", frequency="1d")).model_id == "solo"
        with pytest.raises(InvalidInput, match="limit"):
            next(client.history("EURUSD", limit=0))


def test_a_version_by_its_id(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        (_, earlier) = client.history("EURUSD")
        assert client.version("EURUSD", earlier.forecast_id) == earlier
        with pytest.raises(NotFound) as raised:
            client.version("EURUSD", "20261030-0123456789abcdef")
    assert raised.value.code == "unknown_forecast"


def test_outcomes(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        found = client.outcomes("EURUSD")
        assert client.outcomes("EURUSD", model="solo", frequency="1d", horizon=2, limit=1) != found
    (expected,) = shared_client.get("/v1/forecasts/EURUSD/outcomes").json()["outcomes"]
    assert [(item.close, item.quantiles, item.inside_80) for item in found] == [
        (expected["close"], expected["quantiles"], expected["inside_80"])
    ]
    assert found[0].origin == datetime.fromisoformat(expected["origin"])


def test_what_there_is(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        pairs, models, one = client.pairs(), client.models(), client.model("solo")
        ready = client.ready()
    assert [item.raw for item in pairs] == shared_client.get("/v1/pairs").json()["pairs"]
    assert [item.raw for item in models] == shared_client.get("/v1/models").json()["models"]
    assert {item.pair: item.champion for item in pairs} == {"EURUSD": "random_walk", "USDJPY": "random_walk"}
    assert (one.columns, one.window, one.pairs, one.quantiles) == (("close",), 30, ("EURUSD",), (0.1, 0.5, 0.9))
    assert (ready.ready, ready.forecasts) == (True, 3)


def test_that_nothing_can_be_read_yet_is_an_answer(make: Make, tiny: TinyLake) -> None:
    for file in tiny.settings.lake_path.rglob("*"):
        if file.is_file() and "forecasts" in file.parts:
            file.unlink()
    with running(tiny) as api, connected(make, api) as client:
        ready = client.ready()
    assert (ready.ready, ready.forecasts, ready.missing) == (False, 0, ("EURUSD", "USDJPY"))


def test_a_certificate_and_that_there_is_none(make: Make, shared_client: Api) -> None:
    with connected(make, shared_client) as client:
        with pytest.raises(NotFound) as raised:
            client.certificate("solo")
        assert raised.value.code == "no_certificate"
        with pytest.raises(InvalidInput) as unnamed:
            client.certificate("random_walk")
    assert unnamed.value.problem["pairs"] == ["EURUSD", "USDJPY"]


def test_a_certificate_and_its_figures(make: Make, tiny: TinyLake) -> None:
    written = made(scores(better=0.05)).model_copy(update={"model_id": "solo", "pair": "EURUSD"})
    tiny.commit("certificates", "EURUSD", to_row(written), asset="certificates/solo", append=True)
    with running(tiny) as api, connected(make, api) as client:
        found, latest = client.certificate("solo"), client.latest("EURUSD", model="solo")
        assert found.raw == api.get("/v1/models/solo/certificate").json()
    assert (found.verdict, latest.verdict) == ("skill shown", "skill shown")
    assert latest.certificate == found
    assert latest.certificate.raw == found.raw
    for step, expected in zip(found.horizons, written.horizons, strict=True):
        assert (step.horizon, step.coverage_80) == (expected.horizon, expected.coverage_80)
        assert (step.density.ratio, step.density.adjusted_p_value) == (
            expected.density.ratio,
            expected.density.adjusted_p_value,
        )
        assert len(step.volatility) == len(expected.volatility)


def key(tiny: TinyLake, name: str, scope: keys.Scope, rate: keys.Rate | None = None) -> str:
    """A key on record, that does not expire."""
    new = keys.make(name, [scope], created_at=SECOND_NIGHT, expires_at=None, rate=rate)
    store = keys.KeyStore(tiny.settings.control_database)
    store.add(new.record)
    store.close()
    return new.secret


def test_keys_their_scopes_and_rates(make: Make, tiny: TinyLake) -> None:
    reader, once = key(tiny, "reader", "read"), key(tiny, "once", "predict", keys.Rate(1, 3600))
    with running(tiny) as api:
        with connected(make, api, api_key=reader) as client:
            assert client.latest("EURUSD").pair == "EURUSD"
            with closing(client.stream()) as events:
                next(events)
            with pytest.raises(Forbidden, match="scope predict"):
                client.predict("solo", pair="EURUSD")
        with connected(make, api, api_key=once) as client:
            assert client.predict("solo", pair="EURUSD").pair == "EURUSD"
            with pytest.raises(RateLimited) as raised:
                client.predict("solo", pair="EURUSD")
        assert raised.value.retry_after is not None
        assert raised.value.retry_after > 3_000
        for wrong in (None, "fxk_wrong"):
            with connected(make, api, api_key=wrong) as client:
                with pytest.raises(Unauthorized):
                    client.latest("EURUSD")
                with pytest.raises(Unauthorized):
                    next(client.stream())
                assert client.ready().ready


def test_what_is_misspelled_in_the_configs_is_listed_too(make: Make, tiny: TinyLake) -> None:
    for name, section in (("USDJPY", "pairs"), ("solo", "models")):
        (tiny.settings.configs / section / f"{name}.yaml").write_text("nonsense: 1\n")
    with running(tiny) as api, connected(make, api) as client:
        assert {item.pair: item.state for item in client.pairs()} == {"EURUSD": "ready", "USDJPY": "failed"}
        assert {item.model_id: item.state for item in client.models()} == {"random_walk": "ready", "solo": "failed"}
        assert (client.model("solo").state, client.model("solo").columns) == ("failed", ())
        with pytest.raises(InvalidInput, match="solo"):
            client.predict("solo", pd.DataFrame({"close": [1.0]}))
        assert client.ready().failed == ("models/solo", "pairs/USDJPY")


@pytest.mark.parametrize(
    ("call", "kind", "code"),
    [
        (lambda client: client.latest("XXXYYY"), NotFound, "unknown_pair"),
        (lambda client: client.latest("EURUSD", model="secret"), NotFound, "unknown_model"),
        (lambda client: client.latest("EURUSD", as_of="yesterday"), InvalidInput, "invalid_instant"),
        (lambda client: client.latest("EURUSD", as_of=datetime(2026, 10, 30)), InvalidInput, "invalid_input"),
        (lambda client: client.latest(".."), InvalidInput, "invalid_input"),
        (lambda client: client.latest("../../models"), NotFound, "not_found"),
        (lambda client: client.model("secret?x=1#y"), NotFound, "unknown_model"),
        (lambda client: client.latest_many(["EURUSD", "EURUSD"]), InvalidInput, "invalid_input"),
        (lambda client: next(client.stream(["XXXYYY"])), NotFound, "unknown_pair"),
        (lambda client: client.stream([]), InvalidInput, "invalid_input"),
        (lambda client: client.stream("EURUSD"), InvalidInput, "invalid_input"),
        (lambda client: client.wait("EURUSD", after=datetime(2026, 10, 30)), InvalidInput, "invalid_input"),
    ],
    ids=[
        *(
            "pair",
            "model",
            "instant",
            "zone",
            "dots",
            "slashes",
            "marks",
            "twice",
            "stream",
            "no pairs",
            "text",
            "after",
        ),
    ],
)
def test_what_is_refused_says_what_and_by_whom(
    make: Make, shared_client: Api, call: Any, kind: type[ForecastError], code: str
) -> None:
    with connected(make, shared_client) as client, pytest.raises(kind) as raised:
        call(client)
    error = raised.value
    assert (error.code, "secret" in str(error.detail)) == (code, False)
    assert error.detail is not None
    assert error.detail in str(error)
    if error.status is not None:
        assert error.request_id is not None
        assert error.request_id in str(error)


def test_fields_that_a_newer_service_adds_are_passed_over(shared_client: Api) -> None:
    raw = shared_client.get(LATEST).json()
    newer = {**raw, "raw": 1, "event_id": 2, "weather": {"rain": True}}
    newer["horizons"] = [{**step, "weather": 1} for step in raw["horizons"]]
    found = results.forecast(newer)
    assert (found.pair, found.event_id, found.raw) == ("EURUSD", None, newer)


def test_fields_are_those_of_the_schema() -> None:
    schema = json.loads((project_root() / "fx_assets/schemas/forecast.schema.json").read_text())
    parts = {
        results.Forecast: schema,
        results.Horizon: schema["$defs"]["HorizonForecast"],
        results.Lineage: schema["$defs"]["Lineage"],
        results.Certificate: schema["$defs"]["Certificate"],
        results.CertificateHorizon: schema["$defs"]["AtHorizon"],
        results.Finding: schema["$defs"]["Finding"],
    }
    for kind, part in parts.items():
        names = {name for name in kind.__struct_encode_fields__ if not name.startswith("-")}
        assert names <= set(part["properties"]), kind
    assert set(schema["required"]) <= set(results.Forecast.__struct_encode_fields__) | {"pip"}
