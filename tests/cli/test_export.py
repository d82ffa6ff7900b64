"""`fx-assets export` as a new user meets it: every table opens in other programs, or one sentence says why not."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.commands.exporting import FORMATS
from fx_assets.prices.exog import EXOG_SCHEMA
from fx_assets.prices.schema import RAW_SCHEMA, REJECTS_SCHEMA, TICK_SCHEMA
from fx_assets.storage.lake import Lake
from tests.storage.helpers import no_guard, state
from tests.support.tiny_lake import TinyLake, tiny_lake

T0 = datetime(2024, 1, 10, 14, tzinfo=UTC)
NIGHT = datetime(2026, 10, 30, 21, 30, tzinfo=UTC)
FEATURES = "name: core\nstages:\n  - stage: indicators\n    options: {returns: [1, 5], volatility: [5], macd: false}\n"


def blocks(lake: Lake, table: str, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    """Commit rows of EURUSD in one block, as the assets of prices do."""
    whole = [{"pair": "EURUSD", "block": "2024q1", **row} for row in rows]
    lake.write_blocks(
        table, "EURUSD", [("2024q1", pa.Table.from_pylist(whole, schema))], state=lambda _: state(), guard=no_guard
    )


def minute(at: int, close: float | None, *, known: int = 60) -> dict[str, Any]:
    time = T0 + timedelta(minutes=at)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"time": time, "known_at": time + timedelta(seconds=known), "trading_date": time.date(), **prices}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """One of each kind of table: corrected minutes, ticks, rejects, bars, features, forecasts, scores, a series."""
    tiny = tiny_lake(tmp_path_factory.mktemp("export"))
    (tiny.settings.configs / "features" / "core.yaml").write_text(FEATURES)
    minutes = [minute(0, 1.1), minute(0, 1.2, known=3600), minute(1, 1.3), minute(2, 1.4), minute(2, None, known=7200)]
    blocks(tiny.lake, "prices/raw", RAW_SCHEMA, minutes)
    ticks = [{"time": T0 + timedelta(milliseconds=at), "known_at": T0, "bid": 1.1, "ask": 1.2} for at in range(3)]
    blocks(tiny.lake, "prices/ticks", TICK_SCHEMA, [*ticks, {**ticks[2], "bid": None, "ask": None}])
    rejects = [
        {"pair": "EURUSD", "source": "a.csv", "line": 7, "reason": 'bad_number: open "x"', "raw": 'x, "y"\n', "at": T0},
        {"pair": "EURUSD", "source": "a.csv", "line": None, "reason": "spike", "raw": None, "at": T0},
    ]
    tiny.commit("rejects", "EURUSD", pa.Table.from_pylist(rejects, REJECTS_SCHEMA), asset="prices/raw/rejects")
    values = [("2024-01-10", 40.0, 1), ("2024-01-10", 41.0, 2), ("2024-01-11", 50.0, 1), ("2024-01-11", None, 2)]
    series = [
        {"pair": "CNN", "time": T0, "known_at": T0 + timedelta(days=late), "value": value, "source": day}
        for day, value, late in values
    ]
    series[2]["time"] = series[3]["time"] = T0 + timedelta(days=1)
    tiny.commit("exog/fear_greed", "CNN", pa.Table.from_pylist(series, EXOG_SCHEMA), asset="exog/fear_greed")
    tiny.bars("EURUSD")
    tiny.features("core", "EURUSD")
    tiny.train("random_walk", "EURUSD")
    tiny.forecast("random_walk", "EURUSD", issued_at=NIGHT)
    tiny.score("random_walk", "EURUSD", 45.0)
    return tiny


@pytest.fixture
def lake(made: TinyLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake of the installation, and a folder of the user's own to work in."""
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))
    monkeypatch.chdir(tmp_path)
    return made.lake


def export(*words: str, pair: str = "EURUSD") -> Result:
    return CliRunner().invoke(app, ["export", *words, "--pair", pair])


def frame(path: str | Path) -> pl.DataFrame:
    """A file as Polars, pandas or numpy read it, without any word on what is in it."""
    match Path(path).suffix:
        case ".csv":
            return pl.DataFrame(pd.read_csv(path, parse_dates=["time"]))
        case ".arrow":
            found = pl.read_ipc(path)
            assert pa_feather.read_table(path).to_pydict() == found.to_dict(as_series=False)
            return found
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return pl.DataFrame({name: arrays[name] for name in arrays.files})
        case _:
            return pl.read_parquet(path)


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_opens_elsewhere(file_format: str) -> None:
    done = export("prices/raw", "--format", file_format, "--json")
    name = f"prices-raw-EURUSD.{file_format}"
    report = {"table": "prices/raw", "pair": "EURUSD", "format": file_format, "rows": 2, "out": name}
    assert (done.exit_code, json.loads(done.stdout), done.stderr) == (0, report, "")
    found = frame(name)
    assert found["close"].to_list() == [1.2, 1.3]
    assert "block" not in found.columns
    times = [time.replace(tzinfo=None) for time in found["time"]]
    assert times == [T0.replace(tzinfo=None), T0.replace(tzinfo=None) + timedelta(minutes=1)]
    if file_format != "npz":  # numpy knows no zones: its times are UTC
        assert str(found["time"].dtype.time_zone) == "UTC"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("lake")
def test_versions_are_all_that_was_ever_said() -> None:
    done = export("prices/raw", "--versions", "--out", "new/all.parquet", pair="eurusd")
    assert (done.exit_code, done.stdout) == (0, "5 rows of prices/raw for EURUSD in new/all.parquet\n")
    assert frame("new/all.parquet")["close"].to_list() == [1.1, 1.2, 1.3, 1.4, None]
    assert export("prices/ticks", "--out", "now.arrow").exit_code == 0
    assert export("prices/ticks", "--out", "ever.arrow", "--versions").exit_code == 0
    assert (frame("now.arrow").height, frame("ever.arrow").height) == (2, 4)


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("table", ["rejects", "bars/1d", "forecasts", "scores", "prices/ticks", "features"])
def test_every_table_has_every_format(lake: Lake, table: str, file_format: str) -> None:
    if table == "features":
        table = next(str(log.parent.relative_to(lake.root)) for log in lake.root.glob("features/*/_delta_log"))
    name = f"x.{file_format}"
    done = export(table, "--format", file_format, "--out", name, "--versions")
    assert done.exit_code == 0, done.stderr
    stored = lake.read(table, "EURUSD")
    if file_format == "npz":
        with np.load(name, allow_pickle=False) as arrays:
            assert {len(arrays[column]) for column in arrays.files} == {stored.num_rows}
            assert set(arrays.files) == {column for column in stored.column_names if column != "block"}
    elif file_format == "csv":
        assert len(pd.read_csv(name)) == stored.num_rows
    else:
        assert frame(name).height == stored.num_rows


@pytest.mark.usefixtures("lake")
def test_lists_are_matrices_or_json() -> None:
    for name in ("f.npz", "f.csv"):
        assert export("forecasts", "--out", name).exit_code == 0
    with np.load("f.npz", allow_pickle=False) as arrays:
        assert arrays["levels"].tolist() == [[0.1, 0.5, 0.9]] * 5
        assert arrays["quantiles"].shape == (5, 3)
        assert arrays["origin"].dtype == np.dtype("datetime64[us]")
        quantiles = arrays["quantiles"]
        notes = [json.loads(text) for text in arrays["notes"]]
    table = pd.read_csv("f.csv")
    assert [json.loads(text) for text in table["quantiles"]] == quantiles.tolist()
    assert [json.loads(text) for text in table["notes"]] == notes


@pytest.mark.usefixtures("lake")
def test_text_of_any_kind_survives_csv() -> None:
    assert export("rejects", "--out", "r.csv").exit_code == 0
    table = pd.read_csv("r.csv")
    assert table["raw"].tolist()[0] == 'x, "y"\n'
    assert table["raw"].isna().tolist() == [False, True]
    assert export("rejects", "--out", "r.npz").exit_code == 0
    with np.load("r.npz", allow_pickle=False) as arrays:
        assert arrays["raw"].tolist() == ['x, "y"\n', ""]


@pytest.mark.usefixtures("lake")
def test_a_series_has_its_current_values() -> None:
    assert export("exog/fear_greed", "--out", "now.parquet", pair="CNN").exit_code == 0
    assert pq.read_table("now.parquet").select(["value"]).to_pydict() == {"value": [41.0]}
    assert export("exog/fear_greed", "--out", "ever.parquet", "--versions", pair="CNN").exit_code == 0
    assert pq.read_table("ever.parquet").num_rows == 4


@pytest.mark.parametrize(
    ("words", "pair", "code", "said"),
    [
        (("bars/1d",), "USDJPY", 1, "bars/1d has no rows of USDJPY, only of EURUSD; run fx-assets materialize --pairs"),
        (("bars/2d",), "EURUSD", 1, "the lake has no table 'bars/2d'. Did you mean 'bars/1d'? Its tables: bars/1d"),
        (("Bars",), "EURUSD", 2, "Invalid value for TABLE: 'Bars': expected one such as bars/1h"),
        (("../x",), "EURUSD", 2, "Invalid value for TABLE: '../x'"),
        (("bars/1d",), "EUR/USD", 2, "Invalid value for --pair: 'EUR/USD': expected one such as EURUSD"),
        (("bars/1d", "--format", "xls"), "EURUSD", 2, "unknown format 'xls'. Known: arrow, csv, npz, parquet"),
        (("bars/1d", "--format", "csv", "--out", "x.npz"), "EURUSD", 2, "x.npz does not end like the format 'csv'"),
        (("bars/1d", "--out", "."), "EURUSD", 2, ". is a folder; name a file in it"),
        (("bars/1d", "--out", "/dev/null"), "EURUSD", 2, "/dev/null is no ordinary file"),
        (("bars/1d", "--out", "/proc/x.csv"), "EURUSD", 1, "/proc/x.csv cannot be written: "),
        ((), "EURUSD", 2, "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("lake")
def test_each_misuse_has_its_sentence(words: tuple[str, ...], pair: str, code: int, said: str) -> None:
    refused(export(*words, pair=pair), said, code=code)


def refused(done: Result, said: str, *, code: int = 1) -> None:
    """It failed with that code, said so without a trace on standard error only, and left nothing."""
    assert (done.exit_code, done.stdout) == (code, "")
    assert isinstance(done.exception, SystemExit)
    assert said in " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in done.stderr).split())
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("lake")
def test_an_empty_lake_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FX_HOME", str(tmp_path / "home"))
    refused(export("bars/1d", "--out", "new/x.csv"), "is empty: run fx-assets ingest or fx-assets materialize first")


def test_a_damaged_table_is_refused_by_name(lake: Lake, made: TinyLake, tmp_path: Path) -> None:
    path = next(lake.root.glob("scores/pair=EURUSD/*/*.parquet"))
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-7] + b"x" + sound[-6:])
        refused(export("scores", "--out", "new/x.csv"), path.name)
    finally:
        path.write_bytes(sound)
    assert made.lake.read("scores", "EURUSD").num_rows == 10
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("lake")
def test_what_has_no_form_is_said_and_the_last_file_stays(made: TinyLake, tmp_path: Path) -> None:
    rows = pa.table({"pair": ["EURUSD"] * 2, "odd": pa.array([True, None])})
    made.commit("odd", "EURUSD", rows, asset="odd")
    (tmp_path / "x.npz").write_bytes(b"the last one")
    done = export("odd", "--out", "x.npz")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the column 'odd', bool, has no form in npz: use parquet or arrow" in done.stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the last one"]
