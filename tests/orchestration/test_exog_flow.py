"""Exogenous series come in by the same door: files dropped in the inbox, real Dagster runs, two times."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg

from fx_assets.commands.night import NightResult
from fx_assets.settings import project_root
from fx_assets.specs import yaml_nodes
from tests.support.whole_night import runs, whole_night

JOB, KEY = "exog_fear_greed", "exog/fear_greed"


def test_a_series_is_read_once_corrected_later_and_its_rejects_stay_on_record(tmp_path: Path) -> None:
    night = whole_night(tmp_path / "installation")
    folder = night.settings.configs / "exog"
    folder.mkdir()
    shutil.copyfile(project_root() / "configs" / "exog" / "fear_greed.yaml", folder / "fear_greed.yaml")
    assert yaml_nodes.read(folder / "fear_greed.yaml").value["enabled"] is False
    text = (folder / "fear_greed.yaml").read_text().replace("enabled: false", "enabled: true")
    (folder / "fear_greed.yaml").write_text(text)
    assert list(night.catalog.exog) == ["fear_greed"]
    inbox = night.settings.inbox_path / "fear_greed"
    inbox.mkdir(parents=True)
    days = [f"2024-01-{day:02d},{day + 40}.0,neutral" for day in (2, 3, 4, 5, 8, 9, 10)]
    file = inbox / "cnn.csv"
    file.write_text("\n".join(["Date,Fear Greed,Rating", *days]) + "\n")

    outcomes = night.launch((JOB, "CNN"), (JOB, "CNN"), (JOB, "CRYPTO"))
    first, again, missing = runs(night)
    assert first.status == dg.DagsterRunStatus.SUCCESS, first.log
    assert (first.materialized[KEY]["dagster/row_count"], first.materialized[KEY]["reused"]) == (7, False)
    assert all(first.checks.values())
    assert "data:image/png" in str(first.materialized[KEY]["series"])
    assert again.materialized[KEY]["reused"] is True
    assert missing.status == dg.DagsterRunStatus.FAILURE
    result = NightResult()
    result.record("crypto", outcomes[-1])
    assert "holds no file called CRYPTO*" in result.failed[0]

    # A value is revised, and a line is damaged: the past stays, the row is on record, and the run says no.
    file.write_text("\n".join(["Date,Fear Greed,Rating", *days[:-1], "2024-01-10,77.0,greed"]) + "\n")
    night.launch((JOB, "CNN"))
    rows = night.tiny.lake.read(KEY, "CNN")
    assert rows.num_rows == 8
    assert rows.column("value").to_pylist()[-2:] == [50.0, 77.0]
    file.write_text(file.read_text() + "2024-01-11,seventy,greed\n")
    night.launch((JOB, "CNN"))
    assert not runs(night)[-1].checks[KEY, "rejects_within_limit"]
    assert night.tiny.lake.read(KEY, "CNN").equals(rows)
    assert "seventy" in night.tiny.lake.read("rejects", "CNN").column("raw").to_pylist()[0]
