"""What Dagster loads from the project's own configs, and the home it runs in."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from fx_assets.definitions import ROOMS
from fx_assets.models.catalog import load
from fx_assets.orchestration import keys, nights
from fx_assets.orchestration.gather import gather
from fx_assets.orchestration.home import prepare_home
from fx_assets.settings import Settings, project_root
from fx_assets.specs.loader import Catalog

ROOT = project_root()
NEW_YORK = ZoneInfo("America/New_York")
THURSDAY, GOOD_FRIDAY, SATURDAY = date(2026, 4, 2), date(2026, 4, 3), date(2026, 4, 4)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(_settings(), environ={})


@pytest.fixture(scope="module")
def defs(catalog: Catalog) -> dg.Definitions:
    return gather(_settings(), catalog, ROOMS)


def _settings() -> Settings:
    return Settings(configs=ROOT / "configs")


def test_every_model_has_its_assets_and_every_asset_says_what_it_is(catalog: Catalog, defs: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    rooms = ("checkpoints", "ranges", "scores", "certificates", "forecasts")
    stages = {f"{room}/{model}" for model in catalog.models for room in rooms}
    stages |= {f"walk/{name}" for name, model in catalog.models.items() if model.evaluation.years}
    fitted = {f"selection/{name}" for name, model in catalog.models.items() if model.features == "core"}
    sets = {f"features/{name}{stage}" for name in ("core", "scale") for stage in ("", "/indicators")}
    shared = {"prices/raw", "bars/1d", "references/1d", *sets}
    closing = {"scorecard/1d", "champions/1d", "leaderboard/1d", "joint/1d_fixing_target_usd"}
    assert set(specs) == shared | stages | fitted | closing
    for name, spec in specs.items():
        assert spec.description, name
        assert spec.group_name not in (None, "default", "broken"), name
        assert spec.owners, name
        assert {kind for kind in spec.kinds if kind}, name
        assert spec.code_version, name


def test_every_run_stays_in_one_process(defs: dg.Definitions) -> None:
    # Backfills and the UI launch the implicit job; its executor is that of the definitions.
    assert defs.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor
    for job in defs.get_repository_def().get_all_jobs():
        assert job.executor_def is dg.in_process_executor, job.name


def test_no_job_mixes_partitions(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    jobs = [job for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")]
    assert {job.name for job in jobs} == {
        *(nights.PAIRS_JOB, nights.CROSSING_JOB, nights.FRESHNESS_JOB, keys.INGEST_JOB),
        *(nights.close_job("1d"), nights.BOARD_JOB),
        *(
            nights.list_job("usdjpy"),
            nights.list_job("blend"),
            nights.panel_train_job("majors"),
            nights.panel_forecast_job("majors"),
            nights.panel_train_job("scale"),
            nights.panel_forecast_job("scale"),
        ),
    }
    for job in jobs:
        found = {graph.get(key).partitions_def for key in job.asset_layer.executable_asset_keys}
        assert len(found) <= 1, f"{job.name} mixes {found}"
        assert job.partitions_def == (found.pop() if found else None), job.name


def test_every_nightly_asset_has_one_job(catalog: Catalog, defs: dg.Definitions) -> None:
    no_night = {keys.INGEST_JOB}
    all_jobs = defs.get_repository_def().get_all_jobs()
    jobs = [job for job in all_jobs if not job.name.startswith("__") and job.name not in no_night]
    selected = [key for job in jobs for key in job.asset_layer.executable_asset_keys]
    assert len(selected) == len(set(selected))
    assert set(selected) == set(defs.resolve_asset_graph().materializable_asset_keys)
    assert [name for name, spec in catalog.models.items() if not spec.schedule.nightly] == ["blend"]


def test_long_trainings_take_turns(defs: dg.Definitions) -> None:
    nodes = {
        node.name: node.definition
        for job in defs.get_repository_def().get_all_jobs()
        if not job.name.startswith("__")
        for node in job.graph.nodes
        if isinstance(node.definition, dg.OpDefinition)
    }
    assert {name for name, node in nodes.items() if node.pool == "gpu"} == {
        *(f"checkpoints__{model}" for model in ("usdjpy", "majors", "blend")),
        *(f"walk__{model}" for model in ("majors", "blend")),
    }
    assert {node.pool for node in nodes.values()} == {None, "gpu"}


def tick(defs: dg.Definitions, night: date) -> dg.SkipReason | list[dg.RunRequest]:
    """What the schedule asks for on a night."""
    repository = defs.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            repository_def=repository,
            scheduled_execution_time=datetime.combine(night, time(17, 15), NEW_YORK),
        )
        done = repository.get_schedule_def("nightly").evaluate_tick(context)
    return list(done.run_requests) if done.run_requests else dg.SkipReason(done.skip_message)


def test_the_schedule_is_1715_new_york_and_on(defs: dg.Definitions) -> None:
    (schedule,) = defs.get_repository_def().schedule_defs
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 17 * * *", "America/New_York")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_tick_asks_for_one_run_of_each_pair_with_stable_keys(catalog: Catalog, defs: dg.Definitions) -> None:
    asked = tick(defs, THURSDAY)
    assert isinstance(asked, list)
    assert [request.partition_key for request in asked] == list(catalog.pairs)
    keys = [request.run_key for request in asked]
    assert keys == [f"2026-04-02:{nights.PAIRS_JOB}:{pair}" for pair in catalog.pairs]
    again = tick(defs, THURSDAY)
    assert isinstance(again, list)
    assert [request.run_key for request in again] == keys
    # By these the sensor knows a night that has begun, and for which pairs.
    assert {request.tags[nights.PAIRS_TAG] for request in asked} == {",".join(catalog.pairs)}


@pytest.mark.parametrize("night", [GOOD_FRIDAY, SATURDAY], ids=["good friday", "saturday"])
def test_a_closed_day_is_skipped_with_its_reason(defs: dg.Definitions, night: date) -> None:
    asked = tick(defs, night)
    assert isinstance(asked, dg.SkipReason)
    assert asked.skip_message == f"{night}: every source is closed by its own calendar"


def test_the_instance_takes_the_settings_of_dagster_yaml(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "configs" / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds > 0
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 2
        assert concurrency.pool_config.default_pool_limit == 1
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


PREPARE = """
import sys, time
from pathlib import Path
import dagster
from fx_assets.orchestration.home import prepare_home
from fx_assets.settings import get_settings
go = Path(sys.argv[1])
print("waiting", flush=True)
while not go.exists():
    time.sleep(0.001)
print(prepare_home(get_settings()))
"""


def test_a_fresh_home_is_made_once_by_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, go = tmp_path / "home", tmp_path / "go"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(go)],
            env={**clean, "FX_HOME": str(home)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
    go.touch()
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (0, f"{home / 'dagster'}\n", "")
    databases = sorted((home / "dagster").rglob("*.db"))
    assert {path.name for path in databases} >= {"runs.db", "index.db", "schedules.db"}
    for path in databases:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]
    # It is a home in which runs can be kept, and an operator's own dagster.yaml would stay.
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    own = home / "dagster" / "dagster.yaml"
    own.write_text(own.read_text() + "\n# mine\n")
    assert prepare_home(Settings(home=home)) == home / "dagster"
    assert own.read_text().endswith("# mine\n")
    with dg.DagsterInstance.get() as instance:

        @dg.job
        def probe() -> None: ...

        assert probe.execute_in_process(instance=instance).success
        assert instance.get_runs_count() == 1


def command(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A tool of the environment, in the checkout but with a Dagster home and a user's home elsewhere."""
    (tmp_path / "dagster").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        env={
            **clean,
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            "FX_HOME": str(tmp_path / "home"),
            "HOME": str(tmp_path),
            "VIRTUAL_ENV": sys.prefix,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_dg_finds_the_project_and_its_definitions(tmp_path: Path) -> None:
    done = command(tmp_path, "dg", "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_workspace_loads(tmp_path: Path) -> None:
    done = command(tmp_path, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Validation successful for code location fx_assets" in said
