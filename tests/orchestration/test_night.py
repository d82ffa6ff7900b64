"""Whole nights: real Dagster runs of the whole graph, on real rates, with two networks that train.

One file, because its tests share one installation: test runners keep a file together.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest

from fx_assets.commands.night import NightResult
from fx_assets.features.sets import stage_table, steps, table_name
from fx_assets.forecasting.joint.words import newest
from fx_assets.models.stored import stored_history
from tests.support.running_api import Api, running
from tests.support.whole_night import NETWORK, PLAIN, Run, WholeNight, runs, whole_night

PAIRS = ("EURUSD", "USDJPY")
MODELS = {"EURUSD": {"har", "majors", "random_walk"}, "USDJPY": {"har", "majors", "random_walk", "usdjpy"}}
MODELLED = [(model, pair) for pair, models in MODELS.items() for model in sorted(models)]
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@dataclass(frozen=True)
class FirstNight:
    """Two pairs on ECB rates, four models, one night. Shared: tests that write take `later`, a copy."""

    night: WholeNight
    result: NightResult
    runs: list[Run]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstNight:
    night = whole_night(tmp_path_factory.mktemp("night"))
    for pair in ("EURUSD", "USDJPY"):
        night.pair(pair)
    night.model(PLAIN.format(model="random_walk", kind="random_walk", target="log_return"), "random_walk")
    night.model(PLAIN.format(model="har", kind="har", target="volatility"), "har")
    night.model(NETWORK.format(model="usdjpy", pairs="[USDJPY]", scope="pair", epochs=1), "usdjpy")
    night.model(NETWORK.format(model="majors", pairs="[EURUSD, USDJPY]", scope="panel", epochs=1), "majors")
    assert night.catalog.broken == {}
    result = night.run()
    return FirstNight(night, result, runs(night))


@pytest.fixture
def later(first: FirstNight, tmp_path: Path) -> WholeNight:
    """A copy of the installation after its first night."""
    return first.night.copy(tmp_path / "later")


def test_five_waves_each_after_the_one_before(first: FirstNight) -> None:
    assert first.result.failed == []
    assert [run.status for run in first.runs] == [SUCCESS] * len(first.runs)
    waves = {wave: [run for run in first.runs if run.wave == wave] for wave in range(1, 6)}
    assert sum(len(wave) for wave in waves.values()) == len(first.runs)
    assert {(run.job, run.pair) for run in waves[1]} == {("night_pairs", pair) for pair in PAIRS}
    assert {(run.job, run.pair) for run in waves[2]} == {("night_usdjpy", "USDJPY"), ("train_majors", None)}
    forecasts = {("forecast_majors", pair) for pair in PAIRS}
    assert {(run.job, run.pair) for run in waves[3]} == forecasts
    assert {(run.job, run.pair) for run in waves[4]} == {("night_close_1d", pair) for pair in PAIRS}
    assert {(run.job, run.pair) for run in waves[5]} == {("night_board", None), ("freshness", None)}
    for before, after in itertools.pairwise(waves):
        assert max(run.ended for run in waves[before]) <= min(run.began for run in waves[after])


def test_every_asset_of_the_graph_is_materialized_for_each_of_its_pairs(first: FirstNight) -> None:
    graph = first.night.definitions().resolve_asset_graph()
    expected = set()
    for key in graph.materializable_asset_keys:
        partitions = graph.get(key).partitions_def
        pairs = [None] if partitions is None else partitions.get_partition_keys()
        expected |= {(key.to_user_string(), pair) for pair in pairs}
    found = [(asset, run.pair) for run in first.runs for asset in run.materialized]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert len(first.result.computed) == len(found)
    assert first.result.reused == []


def test_a_panel_checkpoint_trains_once_a_night(first: FirstNight) -> None:
    events = [run.materialized["checkpoints/majors"] for run in first.runs if "checkpoints/majors" in run.materialized]
    assert [event["reused"] for event in events] == [False]
    versions = [version for model, scope, version in first.night.versions() if model == "majors"]
    assert versions == [events[0]["version"]]
    assert [item.version for item in first.night.tiny.control.versions("majors", "panel")] == versions
    artifact = first.night.tiny.artifacts.load("majors", "panel", versions[0])
    assert artifact.manifest["pairs"] == list(PAIRS)
    assert events[0]["pairs"] == ", ".join(PAIRS)
    assert {first.night.served(pair)["majors"].model_version for pair in PAIRS} == set(versions)


def test_each_checkpoint_has_a_manifest_of_its_run(first: FirstNight) -> None:
    expected = {(model, "panel" if model == "majors" else pair) for pair in PAIRS for model in MODELS[pair]}
    assert {(model, scope) for model, scope, _ in first.night.versions()} == expected
    assert len(first.night.versions()) == len(expected)
    for model, scope, version in first.night.versions():
        artifact = first.night.tiny.artifacts.load(model, scope, version)
        assert ("model.onnx" in artifact.files) == (model in {"usdjpy", "majors"})
        pair = "USDJPY" if scope == "panel" else scope
        year_before = first.night.served(pair)[model].origin - timedelta(days=365)
        assert datetime.fromisoformat(artifact.manifest["trained_until"]) <= year_before


def test_all_forecasts_lie_in_one_table(first: FirstNight) -> None:
    lake = first.night.tiny.lake
    assert sorted(lake.pairs("forecasts")) == list(PAIRS)
    for pair in PAIRS:
        table = lake.read("forecasts", pair)
        counts = {
            row["model_id"]: row["h_count"]
            for row in table.group_by("model_id").aggregate([("h", "count")]).to_pylist()
        }
        assert counts == dict.fromkeys(MODELS[pair], 20)
        for model, document in first.night.served(pair).items():
            assert document.pair == pair
            assert document.champion == "random_walk"
            assert [horizon.h for horizon in document.horizons] == list(range(1, 21))
            for horizon in document.horizons:
                assert horizon.quantiles["0.5"] == horizon.median
                assert horizon.quantiles["0.05"] < horizon.median < horizon.quantiles["0.95"], (model, horizon.h)


def test_the_night_is_closed_with_champions_a_leaderboard_and_a_joint_forecast(first: FirstNight) -> None:
    tiny = first.night.tiny
    for pair in PAIRS:
        (decision,) = tiny.control.decisions(pair, "1d")
        assert (decision.kind, decision.champion_after) == ("initial", "random_walk")
        assert tiny.lake.read("champions/1d", pair).column("run_id").to_pylist() == [decision.run_id]
    board = tiny.lake.read("leaderboard/1d", "ALL").to_pylist()
    assert [(row["model_id"], row["currency_pair"]) for row in board] == MODELLED
    assert {row["model_id"] for row in board if row["serves"]} == {"random_walk"}
    joint = newest(tiny.lake.read("joint/1d_fixing_target_usd", "ALL"))
    assert joint is not None
    assert joint.pairs == PAIRS
    for member in joint.members:
        served = first.night.served(member.pair)["random_walk"]
        assert (member.model_version, member.last_price) == (served.model_version, served.last_price)
    (event,) = [run.materialized["leaderboard/1d"] for run in first.runs if "leaderboard/1d" in run.materialized]
    assert "data:image/png;base64," in event["leaderboard"]
    (close,) = [run for run in first.runs if run.pair == "USDJPY" and run.job == "night_close_1d"]
    assert close.checks["scorecard/1d", "no_drift"]


@pytest.mark.parametrize(("model", "pair"), MODELLED)
def test_each_model_is_scored_on_the_held_out_year(first: FirstNight, model: str, pair: str) -> None:
    table = first.night.tiny.lake.read("scores", pair)
    table = table.filter(pc.and_(pc.equal(table.column("model_id"), model), pc.equal(table.column("fold"), "live")))
    days = table.filter(pc.equal(table.column("horizon"), 1))
    assert set(table.column("horizon").to_pylist()) == {1, 5, 20}
    assert len(days) > 200
    assert np.isfinite(days.column("loss_crps").to_numpy()).all()
    assert len(set(days.column("origin").to_pylist())) == len(days)
    manifest = first.night.tiny.artifacts
    (version,) = set(table.column("model_version").to_pylist())
    scope = "panel" if model == "majors" else pair
    trained = manifest.load(model, scope, version).manifest["trained_until"]
    assert min(table.column("origin").to_pylist()).isoformat() >= trained


def test_metadata_count_the_rows_and_name_the_columns(first: FirstNight) -> None:
    lake, catalog = first.night.tiny.lake, first.night.catalog
    short = catalog.features["short"]
    (step,) = steps(short)
    tables = {"features/short": table_name(short), "features/short/indicators": stage_table(short, step)}
    for run in first.runs:
        for asset, metadata in run.materialized.items():
            room = asset.split("/")[0]
            if room == "checkpoints":
                continue
            of_all = room in {"leaderboard", "joint"}
            assert run.pair is not None or of_all or asset in {"selection/majors", "walk/majors"}
            table = tables.get(asset, room if room in {"forecasts", "scores", "certificates"} else asset)
            pair = run.pair or ("ALL" if of_all else "PANEL")
            state = lake.state(table, pair, asset=asset)
            assert state is not None
            # Rates of weeks ago, forecast today: no forecast came in time to be counted.
            assert metadata["dagster/row_count"] == state.rows
            assert state.rows > 0 or room == "scorecard"
            columns = [column.name for column in metadata["dagster/column_schema"].columns]
            assert sorted(columns) == sorted(lake.read(table, pair).column_names)


@pytest.mark.parametrize(("model", "pair"), MODELLED)
def test_each_forecast_has_a_fan_chart_in_place(first: FirstNight, model: str, pair: str) -> None:
    asset = f"forecasts/{model}"
    (metadata,) = [run.materialized[asset] for run in first.runs if asset in run.materialized and run.pair == pair]
    found = re.fullmatch(r"!\[fan chart of (\w+)\]\(data:image/png;base64,(.+)\)", metadata["fan_chart"])
    assert found is not None
    assert found[1] == pair
    picture = base64.b64decode(found[2], validate=True)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")
    assert len(picture) < 100_000


def test_every_check_is_evaluated_once_and_those_that_block_pass(first: FirstNight) -> None:
    graph = first.night.definitions().resolve_asset_graph()
    checks = {(key.asset_key.to_user_string(), key.name): graph.get(key).blocking for key in graph.asset_check_keys}
    freshness = ("prices/raw", "freshness")
    for run in first.runs:
        own = {name for name in checks if name[0] in run.materialized and name != freshness}
        # Whether a pair is late is known when the night is over.
        assert set(run.checks) == ({freshness} if run.job == "freshness" else own)
    assert checks["prices/raw", "plausible_range"]
    assert not checks[freshness]
    assert all(passed for run in first.runs for name, passed in run.checks.items() if checks[name])


def test_a_second_night_reuses_everything(later: WholeNight, first: FirstNight) -> None:
    versions, tables = later.versions(), later.tables()
    result = later.run()
    assert result.failed == []
    assert result.computed == []
    assert sorted(result.reused) == sorted(first.result.computed)
    again = runs(later, after=len(first.runs))
    assert [run.status for run in again] == [SUCCESS] * len(first.runs)
    assert later.versions() == versions
    assert later.tables() == tables
    # What was checked when it was written is said again, so that the graph shows no asset unchecked.
    assert [run.checks for run in again] == [run.checks for run in first.runs]


def test_a_broken_pair_fails_alone_and_keeps_its_last_forecast(later: WholeNight, first: FirstNight) -> None:
    before, versions, tables = later.served("USDJPY"), later.versions(), later.tables()
    price, last = before["random_walk"].last_price, before["random_walk"].data_as_of.isoformat()
    later.pair("USDJPY", low=0.95 * price)  # believable is where it is now, not where it was
    result = later.run()
    assert len(result.failed) == 1
    assert result.failed[0].startswith(
        "wave 1 night_pairs USDJPY: prices__raw: Not published, the last good version stays."
    )
    assert "plausible_range: " in result.failed[0]
    again = {(run.job, run.pair): run for run in runs(later, after=len(first.runs))}
    broken = again.pop(("night_pairs", "USDJPY"))
    assert broken.status == FAILURE
    assert broken.materialized == {}
    assert broken.checks["prices/raw", "plausible_range"] is False
    assert {run.status for run in again.values()} == {SUCCESS}
    assert set(again) == {(run.job, run.pair) for run in first.runs} - {("night_pairs", "USDJPY")}
    # The panel stands on the pair's last good data, and says how far they go.
    panel = again["train_majors", None].materialized["checkpoints/majors"]
    assert panel["reused"] is True
    assert panel["pairs"] == "EURUSD, USDJPY"
    assert (panel["data_until/EURUSD"], panel["data_until/USDJPY"]) == (last, last)
    assert later.served("USDJPY") == before
    assert later.versions() == versions
    assert later.tables() == tables


@pytest.fixture(scope="module")
def api(first: FirstNight) -> Iterator[Api]:
    with running(first.night.tiny) as client:
        yield client


def numbers(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is forecast, without the dates."""
    return [(item["h"], item["median"], item["volatility"], item["quantiles"]) for item in document["horizons"]]


@pytest.mark.parametrize(("model", "pair"), MODELLED)
def test_a_prediction_is_that_of_the_night(first: FirstNight, api: Api, model: str, pair: str) -> None:
    spec = first.night.catalog.models[model]
    published = first.night.served(pair)[model].model_dump(mode="json")
    history = stored_history(first.night.tiny.lake, pair, spec, first.night.catalog)
    rows = history.window(len(history) - 1, spec.window).tolist()
    assert len(numbers(published)) == 20
    for body in ({"pair": pair}, {"pair": pair, "data": rows}):
        for path in (f"/v1/models/{model}/predict", f"/{model}/predict"):
            answer = api.post(path, json=body)
            assert answer.status_code == 200, answer.text
            assert numbers(answer.json()) == numbers(published)
            assert answer.json()["model_version"] == published["model_version"]
            assert answer.json()["last_price"] == published["last_price"]
    stored = api.post(f"/{model}/predict", json={"pair": pair}).json()
    assert (stored["data_as_of"], stored["origin"]) == (published["data_as_of"], published["origin"])


@pytest.mark.parametrize(("model", "pair"), MODELLED)
def test_the_latest_forecast_is_the_published_one_with_its_score(
    first: FirstNight, api: Api, model: str, pair: str
) -> None:
    published = first.night.served(pair)[model].model_dump(mode="json")
    latest = api.get(f"/v1/forecasts/{pair}/latest", params={"model": model}).json()
    assert latest["horizons"] == published["horizons"]
    assert latest["lineage"] == published["lineage"]
    (run,) = [run for run in first.runs if run.pair == pair and f"scores/{model}" in run.materialized]
    scored = run.materialized[f"scores/{model}"]
    evaluation = latest["evaluation"]
    assert (evaluation["horizon"], evaluation["crps"]) == (1, scored["h1/crps"])
    assert evaluation["crps_random_walk"] == scored["h1/crps_random_walk"]
    assert evaluation["independent_windows"] == scored["h1/independent_windows"]


def test_a_pair_is_served_its_champion_by_default(api: Api) -> None:
    assert api.get("/v1/forecasts/USDJPY/latest").json()["model_id"] == "random_walk"
    assert api.get("/readyz").json()["missing"] == []
