"""`fx-assets leaderboard | scorecard | joint` and pictures of a certificate: as they are typed, on a small lake."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.definitions import ROOMS
from fx_assets.orchestration import keys
from fx_assets.orchestration.gather import gather
from fx_assets.timegrid.trading_dates import bar_end
from tests.support.tiny_lake import LAST, TinyLake, tiny_lake

MADE = (keys.references("1d"), keys.scores("random_walk"), keys.certificate("random_walk"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Two pairs and a random walk: one forecast that came due, scores, certificates, and what closes a night."""
    tiny = tiny_lake(tmp_path_factory.mktemp("boards"))
    (tiny.settings.configs / "models" / "solo.yaml").unlink()
    spec = tiny.settings.configs / "models" / "random_walk.yaml"
    spec.write_text(spec.read_text() + "evaluation: {years: 0}\n")
    defs = gather(tiny.settings, tiny.catalog, ROOMS)
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(*asked: dg.AssetKey, pair: str | None) -> None:
            job = defs.resolve_implicit_global_asset_job_def()
            for key in asked:
                assert job.execute_in_process(
                    instance=instance, partition_key=pair, asset_selection=[key], raise_on_error=True
                ).success

        for pair in tiny.catalog.pairs:
            tiny.bars(pair)
            tiny.train("random_walk", pair)
            # Issued in time, from a bar whose next ones are there.
            due = datetime(2026, 10, 22, 21, 30, tzinfo=UTC)
            tiny.forecast("random_walk", pair, issued_at=due, last=due.date())
            tiny.forecast("random_walk", pair, issued_at=bar_end(LAST))
            materialize(*MADE, keys.scorecard("1d"), keys.champions("1d"), pair=pair)
        (joint,) = (key for key in defs.resolve_asset_graph().get_all_asset_keys() if key.path[0] == "joint")
        materialize(keys.leaderboard("1d"), joint, pair=None)
    return tiny


@pytest.fixture(autouse=True)
def here(made: TinyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def document(*words: str) -> Any:
    done = invoke(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_leaderboard_names_who_serves(tmp_path: Path) -> None:
    rows = document("leaderboard")["rows"]
    assert [(row["currency_pair"], row["model_id"], row["serves"]) for row in rows] == [
        ("EURUSD", "random_walk", True),
        ("USDJPY", "random_walk", True),
    ]
    assert all(row["crps_ratio"] == 1.0 for row in rows), "the champion against its own ranges"
    done = invoke("leaderboard", "--picture", str(tmp_path / "board.png"))
    assert done.exit_code == 0
    assert "no skill shown" in done.output
    assert (tmp_path / "board.png").read_bytes().startswith(b"\x89PNG")
    wrong = invoke("leaderboard", "--picture", str(tmp_path / "nowhere" / "board.png"))
    assert (wrong.exit_code, "cannot write" in wrong.output) == (1, True)
    none = invoke("leaderboard", "--frequency", "1h")
    assert (none.exit_code, "has nothing yet" in none.output) == (1, True)


def test_the_scorecard_counts_what_was_issued_in_time(tmp_path: Path) -> None:
    rows = document("scorecard", "--pair", "eurusd")["rows"]
    assert [(row["model_id"], row["horizon"], row["due"], row["windows"]) for row in rows] == [
        ("random_walk", h, 2, 1) for h in range(1, 6)
    ]
    done = invoke("scorecard", "--pair", "EURUSD")
    assert done.exit_code == 0
    assert "random_walk" in done.output
    assert invoke("scorecard", "--pair", "EURUSDD").exit_code == 2
    drawn = invoke("scorecard", "--pair", "EURUSD", "--picture", str(tmp_path / "fans.png"))
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "fans.png").read_bytes().startswith(b"\x89PNG")


def test_the_joint_forecast_of_the_only_group() -> None:
    found = document("joint")
    assert found["group"] == "1d_fixing_target_usd"
    assert found["pairs"] == ["EURUSD", "USDJPY"]
    done = invoke("joint", "1d_fixing_target_usd", "--horizon", "5")
    assert done.exit_code == 0
    assert "5 bars ahead" in done.output
    assert "touched" in done.output
    for words in (("joint", "--horizon", "6"), ("joint", "nobody")):
        assert invoke(*words).exit_code == 2


def test_a_certificate_is_drawn_into_a_folder(tmp_path: Path) -> None:
    done = invoke("certificate", "random_walk", "--pair", "EURUSD", "--pictures", str(tmp_path / "new"))
    assert done.exit_code == 0, done.output
    drawn = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert "EURUSD-random_walk-skill_by_horizon.png" in drawn
    assert len(drawn) == 5
    (tmp_path / "file").write_text("")
    wrong = invoke("certificate", "random_walk", "--pair", "EURUSD", "--pictures", str(tmp_path / "file"))
    assert (wrong.exit_code, "cannot write" in wrong.output) == (1, True)
