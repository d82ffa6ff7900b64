"""`fx-assets ingest` as a new user meets it: their files become prices and bars in the lake, by real Dagster runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from fx_assets import definitions
from fx_assets.cli import app
from fx_assets.commands.price_reports import ingested
from fx_assets.storage.records import CheckOutcome, State
from tests.support.whole_night import WholeNight, whole_night

PAIR = """\
pair: {pair}
pip: 0.0001
source: {{kind: {kind}}}
calendar: {calendar}
frequencies: [{frequencies}]
history_start: 2010-01-04
plausible_range: [0.9, 1.6]
reject_limit: 0.05
enabled: {enabled}
"""
MONDAY = datetime(2024, 1, 8)
RAW = "prices/raw[EURUSD]"
# What the report of `convert` has at its top, this has too.
REPORTED = ["pair", "form", "rows", "first", "last", "rejects", "duplicates", "gaps"]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeNight]:
    """An installation with EURUSD from HistData files and GBPUSD of ECB fixings; nothing in its lake yet."""
    made = whole_night(tmp_path_factory.mktemp("ingest"))
    folder = made.settings.configs
    (folder / "features" / "short.yaml").unlink()
    for pair, kind, calendar, frequencies, enabled in (
        ("EURUSD", "histdata", "fx", "1h, 1d", "true"),
        ("GBPUSD", "ecb", "target", "1d", "true"),
        ("AUDUSD", "histdata", "fx", "1d", "false"),
    ):
        text = PAIR.format(pair=pair, kind=kind, calendar=calendar, frequencies=frequencies, enabled=enabled)
        (folder / "pairs" / f"{pair}.yaml").write_text(text)
    with made.here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(definitions, "defs", made.definitions())
        yield made


@pytest.fixture
def here(night: WholeNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own, outside of the installation."""
    assert os.environ["FX_HOME"] == str(night.settings.home)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ingest(*words: str, pair: str = "EURUSD") -> Result:
    return CliRunner().invoke(app, ["ingest", *words, "--pair", pair])


def reported(*words: str) -> dict[str, Any]:
    done = ingest(*words, "--json")
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert list(document)[: len(REPORTED)] == REPORTED
    return document


def plain(text: str) -> str:
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in text).split())


def day(date: datetime, *more: str) -> str:
    """Ten hours of HistData minutes from 08:00 New York on, and `more` lines."""
    minutes = (date + timedelta(hours=8, minutes=at) for at in range(600))
    lines = [f"{time:%Y%m%d %H%M%S};1.10000;1.10020;1.09990;1.10010;0" for time in minutes]
    return "".join(f"{line}\n" for line in [*lines, *more])


@pytest.fixture(scope="module")
def monday(night: WholeNight, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The first file that the installation gets, and what was reported of it."""
    assert night.tables() == []
    path = tmp_path_factory.mktemp("monday") / "mon.csv"
    path.write_text(day(MONDAY, "20240108 180000;1.1;1.1;1.1;nonsense;0", "20240108 180000;1;2;3;4;5;6"))
    return path, reported(str(path.parent / "m*.csv"))


def test_a_file_is_reported_as_by_convert(monday: tuple[Path, dict[str, Any]]) -> None:
    _, first = monday
    assert (first["form"], first["rows"], first["added"]) == ("bars of 1min (bid)", 600, 600)
    assert (first["first"], first["last"]) == ("2024-01-08T13:00:00+00:00", "2024-01-08T22:59:00+00:00")
    assert first["rejects"] == {"bad_number": 1, "column_count": 1}
    assert (first["duplicates"], first["gaps"]["count"]) == (0, 0)
    assert sorted(first["computed"]) == ["bars/1d[EURUSD]", "bars/1h[EURUSD]", RAW]
    assert (first["reused"], first["failed"]) == ([], [])


def test_another_file_adds_to_what_is_there(monday: tuple[Path, dict[str, Any]], here: Path) -> None:
    (here / "tue.csv").write_text(2 * day(MONDAY + timedelta(days=1)))
    second = reported("tue.csv")
    assert (second["rows"], second["added"], second["duplicates"], second["rejects"]) == (1200, 600, 600, {})
    assert (second["first"], second["last"]) == (monday[1]["first"], "2024-01-09T22:59:00+00:00")
    assert second["gaps"]["count"] == 1
    assert RAW in second["computed"]


@pytest.mark.slow
def test_the_same_file_again_adds_nothing(night: WholeNight, monday: tuple[Path, dict[str, Any]]) -> None:
    tables = [path for path in night.tables() if "_delta_log" not in path]
    done = ingest(str(monday[0]))
    assert done.exit_code == 0, done.stderr
    assert "0 rows of EURUSD added, 0 corrected, 0 late" in done.stdout
    assert "rows, bars of 1min (bid), from 2024-01-08T13:00:00+00:00 to 2024-01-0" in done.stdout
    assert "rejected: 2\n  1 bad_number\n  1 column_count\n" in done.stdout
    written = {path for path in night.tables() if "_delta_log" not in path} - set(tables)
    assert all("block=_state." in path for path in written)


def test_what_an_earlier_run_added_is_not_said_again() -> None:
    """A run that finds nothing new gives back the facts of the run that did."""
    facts = {
        "rows": 9,
        "added": 5,
        "corrected": 2,
        "late": 1,
        "duplicates": 3,
        "rejected/spike": 4,
        "source/files": "2",
    }
    gaps = CheckOutcome("gaps", False, False, "no price between here and there", {"gaps": 6})
    state = State("prices/raw", "EURUSD", "f", "c", (gaps,), 9, "run", datetime(2024, 1, 9, tzinfo=UTC), facts)
    fresh, again = ingested(state, reused=False), ingested(state, reused=True)
    assert (fresh["added"], fresh["corrected"], fresh["late"]) == (5, 2, 1)
    assert (again["added"], again["corrected"], again["late"]) == (0, 0, 0)
    for report in (fresh, again):
        assert (report["rows"], report["duplicates"], report["rejects"]) == (9, 3, {"spike": 4})
        assert (report["gaps"], report["notes"]) == ({"count": 6}, {"files": "2"})
        assert report["warnings"] == ["gaps: no price between here and there"]


@pytest.mark.usefixtures("monday")
def test_bars_and_rejects_come_out_as_files(here: Path) -> None:
    done = CliRunner().invoke(app, ["export", "bars/1h", "--pair", "EURUSD", "--format", "csv"])
    assert done.exit_code == 0, done.stderr
    bars = pd.read_csv(here / "bars-1h-EURUSD.csv", parse_dates=["time"])
    assert bars["time"].iloc[0] == datetime(2024, 1, 8, 13, tzinfo=UTC)
    assert len(bars[bars["time"] < "2024-01-09"]) == 10
    assert (bars["high"] == 1.1002).all()
    done = CliRunner().invoke(app, ["export", "rejects", "--pair", "EURUSD", "--out", "rejects.csv"])
    assert pd.read_csv(here / "rejects.csv")["line"].tolist() == [601, 602]


def test_another_form_than_the_pair_s_says_what_to_do(night: WholeNight, here: Path) -> None:
    (here / "a.csv").write_text(day(MONDAY))
    before = night.tables()
    done = ingest("a.csv", "--source", "histdata", "--json", pair="gbpusd")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["pair"], document["computed"]) == (1, "GBPUSD", [])
    [reason] = document["failed"]
    assert f"{here}/a.csv holds bars of 1min (bid), but the pair's source (kind: ecb) delivers fixings" in reason
    assert "configs/pairs/GBPUSD.yaml" in reason
    assert "fx_assets.prices" not in reason
    assert reason in done.stderr
    assert night.tables() == before


def test_another_vendor_s_file_says_which_option(night: WholeNight, here: Path) -> None:
    (here / "a.csv").write_text("2024.01.08,09:00,1.1,1.1,1.1,1.1,5\n")
    before = night.tables()
    done = ingest("a.csv")
    assert (done.exit_code, done.stdout) == (1, "0 assets computed, 0 reused, 1 steps failed\n")
    assert f"{here}/a.csv: begins '2024.01.08" in done.stderr
    assert "the files were read as 'histdata', the source in configs/pairs/EURUSD.yaml" in done.stderr
    assert "--source KIND" in done.stderr
    assert night.tables() == before


@pytest.mark.parametrize(
    ("words", "pair", "code", "said"),
    [
        (("nosuch.csv",), "EURUSD", 1, "nosuch.csv does not exist"),
        (("*.zip",), "EURUSD", 1, "no file matches "),
        (("a.csv",), "EURUSX", 2, "Invalid value for --pair: unknown pair 'EURUSX'. Did you mean 'EURUSD'?"),
        (("a.csv",), "EURUSD,GBPUSD", 2, "unknown pair 'EURUSD,GBPUSD'"),
        (("a.csv",), "AUDUSD", 2, "AUDUSD is switched off: set enabled: true in configs/pairs/AUDUSD.yaml"),
        (("a.csv", "--source", "histdat"), "EURUSD", 2, "unknown source 'histdat'. Did you mean 'histdata'?"),
        (("a.csv", "--source", "cross"), "EURUSD", 2, "the source 'cross' reads no files; those that do: csv"),
        (("a.csv", "--clock", "Mars"), "EURUSD", 2, "Invalid value for --clock: clock 'Mars' is unknown"),
        ((), "EURUSD", 2, "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_said_before_any_run(
    night: WholeNight, here: Path, words: tuple[str, ...], pair: str, code: int, said: str
) -> None:
    (here / "a.csv").write_text(day(MONDAY))
    before = sorted(night.settings.dagster_home.rglob("*"))
    done = ingest(*words, pair=pair)
    assert (done.exit_code, done.stdout) == (code, "")
    assert isinstance(done.exception, SystemExit)
    assert said in plain(done.stderr)
    assert sorted(night.settings.dagster_home.rglob("*")) == before
