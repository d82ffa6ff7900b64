"""What `/metrics` counts, and that no request can make it grow without end."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.running_api import Api

Labels = dict[str, str]


def counts(client: Api) -> dict[tuple[str, str, str], float]:
    """Answered requests by method, route and status."""
    return {
        (labels["method"], labels["route"], labels["status"]): value
        for name, labels, value in samples(client)
        if name == "fx_request_seconds_count"
    }


def samples(client: Api) -> list[tuple[str, Labels, float]]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def test_requests_are_counted_by_route_and_status(client: Api) -> None:
    route = "/v1/forecasts/{pair}/latest"
    for pair in ("EURUSD", "USDJPY"):
        etag = client.get(f"/v1/forecasts/{pair}/latest").headers["etag"]
        client.get(f"/v1/forecasts/{pair}/latest", headers={"if-none-match": etag})
    client.get("/v1/forecasts/EURUSD/latest?model=solo")
    client.head("/v1/forecasts/EURUSD/latest")
    found = counts(client)
    assert found["GET", route, "200"] == 3
    assert found["GET", route, "304"] == 2
    assert found["HEAD", route, "200"] == 1
    assert counts(client)["GET", "/metrics", "200"] == 1


def test_what_a_client_makes_up_becomes_no_label(client: Api) -> None:
    for n in range(20):
        client.get(f"/made/up/{n}")
        client.get(f"/v1/forecasts/PAIR{n}/latest")
        client.request(f"MADE{n}", "/livez")
    labels = {label for name in counts(client) for label in name}
    assert not any("made" in label.lower() or "PAIR" in label for label in labels)
    assert len(counts(client)) < 10


def test_what_is_served_is_told_by_pair(client: Api) -> None:
    found = {(name, labels.get("pair")): value for name, labels, value in samples(client)}
    assert found["fx_forecast_issued_seconds", "EURUSD"] > 1.7e9
    ready = client.get("/readyz?verbose").json()
    for pair, told in ready["pairs"].items():
        assert found["fx_forecast_dates_missed", pair] == told["open_dates_missed"]
        assert found["fx_forecast_stale", pair] == (told["state"] != "fresh")
    assert found["fx_lake_version", None] == ready["lake"]["version"]
    assert found["fx_stream_listeners", None] == 0
