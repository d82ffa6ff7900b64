"""Who serves, decided by the asset: real lake, real control database, real Dagster runs, losses written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from fx_assets.evaluation.promotion.assets import build, table_name
from fx_assets.evaluation.promotion.record import from_table
from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.orchestration.resources import Stores
from fx_assets.storage.control_schema import MODEL_VERSIONS
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, fixing_time
from tests.support.tiny_lake import TinyLake, tiny_lake

PAIR = "EURUSD"
MODELS = ("random_walk", "solo")
# Bets need origins after the models were made, which is now: so the nights to come are written down in advance.
NIGHTS = 400


@pytest.fixture
def tiny(tmp_path: Path) -> TinyLake:
    made = tiny_lake(tmp_path)
    made.bars(PAIR)
    for model in MODELS:
        made.train(model, PAIR)
        made.score(model, PAIR, 30.0)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def night(tiny: TinyLake, instance: dg.DagsterInstance) -> dict[str, object]:
    """Materialize `champions/1d` of the pair; its metadata."""
    (asset,) = build(tiny.catalog)
    result = dg.materialize(
        [asset], partition_key=PAIR, instance=instance, resources={"lake": Stores(tiny.settings)}, raise_on_error=True
    )
    (event,) = result.get_asset_materialization_events()
    entries = event.step_materialization_data.materialization.metadata
    return {name: entry.value for name, entry in entries.items()}


def future(tiny: TinyLake, model: str, losses: np.ndarray, *, late: timedelta = timedelta(0)) -> None:
    """Scores of the newest version on the coming nights; its inputs saw the market until `late` after the origin."""
    days = calendar("target").next_days(datetime.now(UTC).date(), len(losses) + 1)
    ends, n = [bar_end(day) for day in days], len(losses)
    number, returns = pa.array(np.zeros(n)), np.random.default_rng(7).normal(0, 0.005, n)
    columns = {
        "pair": [PAIR] * n,
        "model_id": [model] * n,
        "model_version": [tiny.control.versions(model, PAIR)[0].version] * n,
        "fold": ["live"] * n,
        "horizon": [1] * n,
        "origin": ends[:-1],
        "target_time": ends[1:],
        "loss_crps": losses,
        "loss_crps_still": losses,
        "y": returns,
        "volatility": [0.005] * n,
        "pit": (np.arange(n) + 0.5) / n,
        "covered_80": [True] * n,
        "covered_90": [True] * n,
        "observed_until": [fixing_time(day) + late for day in days[:-1]],
    }
    arrays = {
        field.name: pa.array(columns[field.name], field.type) if field.name in columns else number
        for field in SCORES_SCHEMA
    }
    tiny.commit("scores", PAIR, pa.table(arrays, schema=SCORES_SCHEMA), asset=f"scores/{model}", append=True)


def test_a_better_model_is_promoted_once_and_told_in_the_lake(tiny: TinyLake, instance: dg.DagsterInstance) -> None:
    first = night(tiny, instance)
    assert first["champion"] == "random_walk"
    assert [one.kind for one in tiny.control.decisions(PAIR)] == ["initial"]
    noise = np.random.default_rng(1)
    future(tiny, "random_walk", 30 + noise.normal(0, 3, NIGHTS))
    future(tiny, "solo", 28 + noise.normal(0, 3, NIGHTS))
    second = night(tiny, instance)
    assert second["champion"] == "solo"
    assert str(second["what solo gains"]).startswith("![what solo gains](data:image/png;base64,")
    decided = tiny.control.decisions(PAIR)
    assert [(one.kind, one.champion_before, one.champion_after) for one in decided] == [
        ("initial", None, "random_walk"),
        ("sequential", "random_walk", "solo"),
    ]
    assert decided[1].evidence["sequential"]["candidates"]["solo"]["origins"] == NIGHTS
    assert decided[1].decided_by == "promotion"
    told = tiny.lake.read(table_name("1d"), PAIR)
    assert from_table(told) == decided
    # The bets begin anew with the new champion; nothing is decided again.
    night(tiny, instance)
    assert tiny.control.decisions(PAIR) == decided
    assert night(tiny, instance)["reused"] is True


def test_a_decision_that_a_crash_kept_from_the_database_is_recorded_from_the_lake(
    tiny: TinyLake, instance: dg.DagsterInstance
) -> None:
    night(tiny, instance)
    decided = tiny.control.decisions(PAIR)
    # The whole database is lost: the versions come back from the artifacts, the decisions from the lake.
    for path in tiny.settings.home.glob("control.db*"):
        path.unlink()
    assert tiny.control.decisions(PAIR) == []
    night(tiny, instance)
    assert tiny.control.decisions(PAIR) == decided


def test_a_model_that_sees_a_later_market_is_no_candidate(tiny: TinyLake, instance: dg.DagsterInstance) -> None:
    night(tiny, instance)
    noise = np.random.default_rng(1)
    future(tiny, "random_walk", 30 + noise.normal(0, 3, NIGHTS))
    future(tiny, "solo", 20 + noise.normal(0, 3, NIGHTS), late=timedelta(hours=12))
    said = night(tiny, instance)
    assert said["champion"] == "random_walk"
    assert "later market" in str(said["left out/solo"])
    assert len(tiny.control.decisions(PAIR)) == 1


def test_origins_from_before_the_model_was_made_do_not_count(tiny: TinyLake, instance: dg.DagsterInstance) -> None:
    night(tiny, instance)
    noise = np.random.default_rng(1)
    future(tiny, "random_walk", 30 + noise.normal(0, 3, NIGHTS))
    future(tiny, "solo", 28 + noise.normal(0, 3, NIGHTS))
    # The same model configured anew after all those nights: its losses are of rows that were in sight.
    made = datetime.now(UTC) + timedelta(days=800)
    with sa.create_engine(tiny.settings.control_database).begin() as connection:
        connection.execute(sa.update(MODEL_VERSIONS).where(MODEL_VERSIONS.c.model_id == "solo").values(created_at=made))
    night(tiny, instance)
    assert [one.kind for one in tiny.control.decisions(PAIR)] == ["initial"]
