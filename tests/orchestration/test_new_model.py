"""A new model from one YAML file and a short class, and a model file that is broken, beside models that work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from fx_assets.models.stored import stored_history
from tests.models import example_drift
from tests.support.csv_prices import KIND, csv_source, trading_days, write_prices
from tests.support.running_api import Api, running
from tests.support.whole_night import PLAIN, Run, WholeNight, runs, whole_night

EXAMPLE = Path(example_drift.__file__).read_text()
# The YAML of the worked example, as its docstring gives it.
YAML = EXAMPLE.split('"""')[1].partition("\n\n")[2]
BROKEN = """\
model_id: broken
kind: random_walk
pairs: [EURUSD]
widnow: 30
horizon: 5
"""


@dataclass(frozen=True)
class Opened:
    """An installation after a night, and its API."""

    night: WholeNight
    runs: list[Run]
    api: Api


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with csv_source():
        night = whole_night(tmp_path_factory.mktemp("new_model"))
        night.pair("EURUSD", KIND)
        write_prices(night.settings, "EURUSD", trading_days(datetime.now(UTC)))
        night.model(PLAIN.format(model="random_walk", kind="random_walk", target="log_return"), "random_walk")
        night.model(YAML, "drift")
        night.model(BROKEN, "misspelt")
        assert night.run().failed == []
        with running(night.tiny) as api:
            yield Opened(night, runs(night), api)


def test_the_example_is_one_class_of_at_most_fifty_lines() -> None:
    assert len(EXAMPLE.splitlines()) <= 50
    assert EXAMPLE.count("\nclass ") == 1
    assert "kind: example_drift" in YAML


def test_a_new_model_appears_as_assets_and_does_all_that_the_others_do(opened: Opened) -> None:
    keys = opened.night.definitions().resolve_asset_graph().materializable_asset_keys
    own = {f"{room}/drift" for room in ("checkpoints", "walk", "ranges", "scores", "certificates", "forecasts")}
    assert own <= {key.to_user_string() for key in keys}
    (run,) = [run for run in opened.runs if run.job == "night_pairs"]
    assert own <= set(run.materialized)
    assert [model for model, _, _ in opened.night.versions()] == ["drift", "random_walk"]
    assert run.materialized["forecasts/drift"]["fan_chart"].startswith("![fan chart of EURUSD]")
    assert run.materialized["scores/drift"]["h1/crps"] > 0
    assert opened.night.served("EURUSD")["drift"].model_version == run.materialized["checkpoints/drift"]["version"]


def test_a_new_model_answers_over_http_as_the_night_did(opened: Opened) -> None:
    listed = {model["model_id"]: model for model in opened.api.get("/v1/models").json()["models"]}
    assert (listed["drift"]["state"], listed["drift"]["kind"]) == ("ready", "example_drift")
    assert "/drift/predict" in opened.api.get("/openapi.json").json()["paths"]
    latest = opened.api.get("/v1/forecasts/EURUSD/latest", params={"model": "drift"}).json()
    assert latest["evaluation"]["crps"] > 0
    spec = opened.night.catalog.models["drift"]
    history = stored_history(opened.night.tiny.lake, "EURUSD", spec, opened.night.catalog)
    rows = history.window(len(history) - 1, spec.window).tolist()
    for body in ({"pair": "EURUSD"}, {"data": rows}):
        answer = opened.api.post("/drift/predict", json=body)
        assert answer.status_code == 200, answer.text
        for found, published in zip(answer.json()["horizons"], latest["horizons"], strict=True):
            assert found["quantiles"] == published["quantiles"]
            assert (found["median"], found["volatility"]) == (published["median"], published["volatility"])


def test_a_broken_model_file_stands_in_the_graph_with_its_problems(opened: Opened) -> None:
    graph = opened.night.definitions().resolve_asset_graph()
    node = graph.get(dg.AssetKey(["checkpoints", "misspelt"]))
    assert node.group_name == "broken"
    assert not node.is_materializable
    assert node.description is not None
    assert "configs/models/misspelt.yaml:4" in node.description
    assert "widnow: unknown key. Did you mean 'window'?" in node.description
    assert graph.get(dg.AssetKey(["checkpoints", "drift"])).group_name != "broken"
    jobs = {job.name for job in opened.night.definitions().resolve_all_job_defs()}
    assert not {name for name in jobs if "misspelt" in name}


def test_a_broken_model_is_listed_as_failed_and_the_others_answer(opened: Opened) -> None:
    listed = {model["model_id"]: model for model in opened.api.get("/v1/models").json()["models"]}
    assert {name: model["state"] for name, model in listed.items()} == {
        "drift": "ready",
        "random_walk": "ready",
        "misspelt": "failed",
    }
    problems = [(item["file"], item["line"], item["field"]) for item in listed["misspelt"]["problems"]]
    assert ("configs/models/misspelt.yaml", 4, "widnow") in problems
    refused = opened.api.post("/misspelt/predict", json={"pair": "EURUSD"})
    assert (refused.status_code, refused.json()["code"]) == (503, "model_failed")
    assert opened.api.get("/readyz").json()["failed"] == ["models/misspelt"]
    assert opened.api.post("/random_walk/predict", json={"pair": "EURUSD"}).status_code == 200
