"""Price files to raw prices and bars, through real Dagster runs: what is written anew, and what the past was."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fx_assets.commands.night import NightResult
from fx_assets.orchestration.resources import Stores
from fx_assets.storage.two_times import current_rows
from tests.support.whole_night import Run, WholeNight, runs, whole_night

PAIR = """\
pair: EURUSD
pip: 0.0001
source: {source}
calendar: fx
frequencies: [1min, 1h, 1d, 1w]
history_start: 2010-01-04
plausible_range: [0.9, 1.6]
reject_limit: 0.01
"""
FIXINGS = """\
pair: USDJPY
pip: 0.01
source: {kind: ecb}
calendar: target
history_start: 2024-01-02
plausible_range: [50, 400]
"""
# Three weeks of winter, over the end of the first quarter's blocks: Monday to Friday, 00:00 to 15:59 New York.
FIRST_MONDAY = datetime(2023, 12, 18)
INGEST, RAW = "ingest", "prices/raw"


def minutes(day: datetime, level: float = 1.1) -> list[str]:
    """A day of a HistData M1 file: a minute each, which wander by tenths of a pip."""
    lines = []
    for at in range(16 * 60):
        close = level + 0.00001 * ((at * 7) % 50)
        time = day + timedelta(minutes=at)
        lines.append(f"{time:%Y%m%d %H%M%S};{level:.5f};{close + 0.00002:.5f};{level - 0.00002:.5f};{close:.5f};0")
    return lines


def weekdays(first: datetime, n: int) -> list[datetime]:
    days = (first + timedelta(days=i) for i in range(3 * n))
    return [day for day in days if day.weekday() < 5 and (day.month, day.day) not in {(12, 25), (1, 1)}][:n]


@pytest.fixture
def night(tmp_path: Path) -> WholeNight:
    return empty(tmp_path / "installation")


def empty(folder: Path) -> WholeNight:
    made = whole_night(folder)
    (made.settings.configs / "features" / "short.yaml").unlink()
    (made.settings.configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(source="{kind: histdata}"))
    return made


def drop(night: WholeNight, name: str, lines: list[str]) -> Path:
    folder = night.settings.inbox_path / "EURUSD"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def ingest(night: WholeNight, pair: str = "EURUSD") -> Run:
    before = len(runs(night))
    night.launch((INGEST, pair))
    return runs(night, after=before)[-1]


def facts(run: Run, asset: str) -> dict[str, Any]:
    assert run.status == dg.DagsterRunStatus.SUCCESS, run.log
    return dict(run.materialized[asset])


def bars(night: WholeNight, frequency: str) -> pa.Table:
    return night.tiny.lake.read(f"bars/{frequency}", "EURUSD")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> WholeNight:
    """Thirteen days ingested; tests take a copy."""
    made = empty(tmp_path_factory.mktemp("flow") / "installation")
    drop(made, "a.csv", [line for day in weekdays(FIRST_MONDAY, 13) for line in minutes(day)])
    facts(ingest(made), RAW)
    return made


@pytest.fixture
def held(once: WholeNight, tmp_path: Path) -> WholeNight:
    return once.copy(tmp_path / "held")


def test_files_become_prices_and_bars_of_every_frequency(held: WholeNight) -> None:
    raw = held.tiny.lake.read(RAW, "EURUSD")
    assert raw.num_rows == 13 * 960
    assert set(raw.column("block").to_pylist()) == {"2023q4", "2024q1"}
    assert bars(held, "1min").num_rows == 13 * 960
    assert bars(held, "1h").num_rows == 13 * 16
    assert bars(held, "1d").column("trading_date").to_pylist() == [day.date() for day in weekdays(FIRST_MONDAY, 13)]
    # 00:00 in New York in winter is 05:00 UTC.
    assert raw.column("time")[0].as_py() == datetime(2023, 12, 18, 5, tzinfo=UTC)
    week = bars(held, "1w")
    assert week.column("time")[0].as_py() == datetime(2023, 12, 17, 22, tzinfo=UTC)
    assert week.column("end")[0].as_py() == datetime(2023, 12, 22, 22, tzinfo=UTC)


@pytest.mark.slow
def test_the_same_files_again_change_nothing(held: WholeNight) -> None:
    tables = held.tables()
    run = ingest(held)
    assert all(values["reused"] for values in run.materialized.values())
    assert held.tables() == tables


def test_a_new_day_writes_the_last_block_only(held: WholeNight) -> None:
    before = held.tiny.lake.snapshot(RAW).blocks("EURUSD")
    stored = {path for path in held.tables() if path.startswith(RAW) and "block=2023q4" in path}
    drop(held, "b.csv", minutes(weekdays(FIRST_MONDAY, 14)[-1]))
    run = ingest(held)
    after = held.tiny.lake.snapshot(RAW).blocks("EURUSD")
    assert facts(run, RAW)["blocks_written"] == 1
    assert facts(run, RAW)["added"] == 960
    assert facts(run, RAW)["source/files_skipped"] == "1"
    assert before["2023q4"] == after["2023q4"]
    assert before["2024q1"] != after["2024q1"]
    assert {path for path in held.tables() if path.startswith(RAW) and "block=2023q4" in path} == stored
    assert facts(run, "bars/1min")["blocks_written"] == 1
    assert bars(held, "1d").num_rows == 14


def test_a_correction_is_appended_and_the_past_stays_as_it_was(held: WholeNight) -> None:
    then = datetime.now(UTC)
    was = {frequency: bars(held, frequency) for frequency in ("1min", "1h", "1d", "1w")}
    wrong = weekdays(FIRST_MONDAY, 3)[-1] + timedelta(hours=10, minutes=5)
    drop(held, "z.csv", [f"{wrong:%Y%m%d %H%M%S};1.10000;1.10400;1.10000;1.10300;0"])
    run = ingest(held)
    assert facts(run, RAW)["corrected"] == 1
    assert facts(run, RAW)["blocks_written"] == 1
    for frequency, rows in was.items():
        now = bars(held, frequency)
        assert current_rows(now, when=then).equals(rows), frequency
        assert now.num_rows == rows.num_rows + 1, frequency
    day = current_rows(bars(held, "1d"))
    assert day.column("high")[2].as_py() == 1.104
    assert was["1d"].column("high")[2].as_py() < 1.102


@pytest.mark.slow
def test_a_late_row_is_known_from_now_on_only(held: WholeNight) -> None:
    then = datetime.now(UTC)
    hours = bars(held, "1h").num_rows
    late = weekdays(FIRST_MONDAY, 3)[-1] + timedelta(hours=16, minutes=30)
    drop(held, "z.csv", [f"{late:%Y%m%d %H%M%S};1.10000;1.10010;1.10000;1.10010;0"])
    run = ingest(held)
    assert (facts(run, RAW)["late"], facts(run, RAW)["corrected"]) == (1, 0)
    assert current_rows(bars(held, "1h")).num_rows == hours + 1
    assert current_rows(bars(held, "1h"), when=then).num_rows == hours


def test_too_many_rejects_publish_nothing_and_stay_on_record(held: WholeNight) -> None:
    tables = [path for path in held.tables() if path.startswith((RAW, "bars"))]
    lines = minutes(weekdays(FIRST_MONDAY, 14)[-1])
    for at in range(0, 400, 20):
        lines[at] = lines[at].replace(";1.1", ";-1.1")
    drop(held, "b.csv", [*lines, "not a price at all"])
    run = ingest(held)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert not run.checks[RAW, "rejects_within_limit"]
    assert RAW not in run.materialized
    assert [path for path in held.tables() if path.startswith((RAW, "bars"))] == tables
    rejects = held.tiny.lake.read("rejects", "EURUSD")
    assert rejects.num_rows == 21
    assert pc.all(pc.match_substring(rejects.column("source"), "b.csv")).as_py()
    assert "not a price at all" in rejects.column("raw").to_pylist()[-1]
    assert rejects.column("line").to_pylist()[-1] == 961
    # Mended, it goes in; what was rejected stays on record, once.
    drop(held, "b.csv", minutes(weekdays(FIRST_MONDAY, 14)[-1]))
    assert facts(ingest(held), RAW)["added"] == 960
    assert held.tiny.lake.read("rejects", "EURUSD").num_rows == 21


def test_a_wrong_clock_is_refused_with_the_one_that_fits(night: WholeNight) -> None:
    """Whole weeks, Sunday 17:00 to Friday 17:00 New York, said to be UTC."""
    (night.settings.configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(source="{kind: histdata, clock: UTC}"))
    lines = []
    for week in range(4):
        sunday = datetime(2023, 2, 5, 17) + timedelta(weeks=week)
        for minute in range(5 * 24 * 60):
            time = sunday + timedelta(minutes=minute)
            lines.append(f"{time:%Y%m%d %H%M%S};1.10000;1.10010;1.10000;1.10010;0")
    drop(night, "a.csv", lines)
    result = NightResult()
    result.record("ingest", night.launch((INGEST, "EURUSD"))[0])
    assert "set clock: America/New_York" in result.failed[0]
    assert not (night.settings.lake_path / "prices").exists()


@pytest.mark.slow
def test_a_missing_file_fails_that_pair_alone(night: WholeNight) -> None:
    (night.settings.configs / "pairs" / "USDJPY.yaml").write_text(FIXINGS)
    assert ingest(night, "EURUSD").status == dg.DagsterRunStatus.FAILURE
    run = ingest(night, "USDJPY")
    assert run.status == dg.DagsterRunStatus.SUCCESS
    # Nobody asks for minutes of fixings: those bars are left out, and that is no failure.
    assert set(run.materialized) == {RAW, "bars/1d"}


def test_the_sensor_asks_for_a_run_once_a_file_has_settled(held: WholeNight) -> None:
    definitions = held.definitions()
    sensor = next(found for found in definitions.sensors or [] if found.name == "inbox")
    assert isinstance(sensor, dg.SensorDefinition)
    with held.instance() as instance:

        def ask(cursor: str | None) -> dg.SensorExecutionData:
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"lake": Stores(held.settings)}, definitions=definitions
            )
            return sensor.evaluate_tick(context)

        fresh = drop(held, "b.csv", minutes(weekdays(FIRST_MONDAY, 14)[-1]))
        assert ask(None).run_requests == []
        old = fresh.stat().st_mtime - 60
        for path in fresh.parent.iterdir():
            os.utime(path, (old, old))
        first = ask(None)
        assert [request.partition_key for request in first.run_requests or []] == ["EURUSD"]
        assert ask(first.cursor).run_requests == []
        fresh.write_text(fresh.read_text() + "20240110 000000;1.1;1.1;1.1;1.1;0\n")
        os.utime(fresh, (old + 30, old + 30))
        assert len(ask(first.cursor).run_requests or []) == 1


def test_pictures_and_tables_stand_at_the_asset(once: WholeNight) -> None:
    values = facts(runs(once)[0], RAW)
    assert "data:image/png;base64," in values["coverage"]
    assert "| off_hours |" in values["coverage"], "the table below the picture"
