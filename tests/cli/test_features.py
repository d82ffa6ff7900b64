"""`fx-assets features describe` and `probe`: what a set is made of, and the proof that it does not look ahead."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.features.pipeline import values_of
from fx_assets.features.plan import PLAN, FeaturePlan, fit_plan
from fx_assets.features.sets import schema_hash, table_name
from fx_assets.features.stages import base
from fx_assets.prices.schema import RAW_SCHEMA, conform
from fx_assets.storage.control import ModelVersion
from tests.features.conftest import add_stage
from tests.support.tiny_lake import TinyLake, tiny_lake

SHORT = """\
name: short
stages:
  - stage: indicators
    options: {returns: [1, 3], volatility: [5], roc: [3]}
  - stage: selection
"""
ONE = "name: {0}\nstages: [{{stage: {0}}}]\n"
MODEL = """\
model_id: usd
kind: itransformer
pairs: [EURUSD]
features: short
window: 16
horizon: 5
"""
COLUMNS = ["returns_1", "returns_3", "volatility_5", "roc_3"]


@pytest.fixture(scope="module")
def registry() -> Iterator[None]:
    """A stage that knows the next close, and one that never has a value."""
    base.stage("indicators")
    before = dict(base.REGISTRY)
    add_stage("ahead", lambda close: np.append(close[1:], close[-1:]), warm_up=3)
    add_stage("gappy", lambda close: np.full(len(close), np.nan), warm_up=3, missing=True)
    yield
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, registry: None) -> TinyLake:
    """Two pairs; EURUSD has raw prices, bars and features."""
    del registry
    tiny = tiny_lake(tmp_path_factory.mktemp("features"))
    files = {"features/short": SHORT, "models/usd": MODEL}
    files |= {f"features/{name}": ONE.format(name) for name in ("ahead", "gappy")}
    for name, text in files.items():
        (tiny.settings.configs / f"{name}.yaml").write_text(text)
    assert tiny.catalog.broken == {}
    tiny.bars("EURUSD")
    tiny.features("short", "EURUSD")
    tiny.features("gappy", "EURUSD")
    bars = pl.DataFrame(tiny.lake.read("bars/1d", "EURUSD"))
    raw = bars.select(
        *("pair", "block", "time", "known_at", "trading_date", "kind"),
        *(pl.lit(None, pl.Float64).alias(name) for name in RAW_SCHEMA.names[8:-3] if name != "close"),
        *(pl.lit(None, pl.Int64).alias("ticks"), pl.lit(None, pl.Float64).alias("volume")),
        "close",
        seconds=pl.lit(0, pl.Int32),
        side=pl.lit("mid"),
        source=pl.lit("ecb"),
    )
    tiny.commit_blocks("prices/raw", "EURUSD", [("all", conform(raw, RAW_SCHEMA).to_arrow())], asset="prices/raw")
    return tiny


@pytest.fixture
def here(made: TinyLake, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))
    return made


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def document(*words: str, code: int = 0) -> dict[str, Any]:
    done = invoke(*words, "--json")
    assert (done.exit_code, done.stderr) == (code, "")
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


def plain(text: str) -> str:
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in text).split())


def trained(tiny: TinyLake, folder: Path) -> FeaturePlan:
    """A checkpoint of the model, with what its selection learned from the stored features."""
    spec = tiny.catalog.features["short"]
    table = tiny.lake.read(table_name(spec), "EURUSD")
    values = np.column_stack([values_of(table, name) for name in COLUMNS])
    plan = fit_plan(spec, [values], [np.zeros(len(values))], scratch=folder, seed=1)
    assert plan is not None
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    manifest = {
        **{"pairs": ["EURUSD"], "created_at": moment, "trained_until": moment, "kind": "itransformer"},
        **{"config_hash": "c", "run_id": "r", "fingerprint": "f", "feature_schema_hash": schema_hash(spec)},
    }
    staged = tiny.artifacts.stage("usd", "EURUSD", "20260101T000000000000Z", {PLAN: plan.dump()}, manifest)
    control = tiny.control
    with control.publishing(control.acquire("checkpoints/usd", "EURUSD", "r")) as transaction:
        staged.publish()
        transaction.register(ModelVersion.from_manifest(staged.manifest, staged.manifest_sha256))
    return plan


@pytest.mark.usefixtures("here")
def test_a_set_is_described_as_configured() -> None:
    found = document("features", "describe", "short")
    assert (found["set"], found["frequency"], found["lookback"], found["fitted"]) == ("short", "1d", 5, ["selection"])
    assert found["stages"] == [{"stage": "indicators", "features": 4, "lookback": 5, "priority": 10}]
    assert [entry["name"] for entry in found["features"]] == COLUMNS
    assert found["features"][2] == {
        "name": "volatility_5",
        "stage": "indicators",
        "about": "root mean square return of 5 bars, bp",
        "sources": ["close"],
        "lookback": 5,
        "cost": 1.0,
        "priority": 10,
        "missing": False,
    }
    shown = plain(invoke("features", "describe", "short").stdout)
    assert "short: 4 features of 1d bars from indicators (4); fitted inside each training: selection" in shown
    assert "volatility_5 indicators root mean square return of 5 bars, bp close 5 1 10 none" in shown


def test_a_pair_adds_its_values_and_what_checkpoints_keep(here: TinyLake, tmp_path: Path) -> None:
    words = ("features", "describe", "short", "--pair", "eurusd")
    before = document(*words)
    assert before["checkpoints"] == [{"model_id": "usd", "scope": "EURUSD", "version": None}]
    assert "usd: no checkpoint for EURUSD yet" in invoke(*words).stdout
    plan = trained(here, tmp_path)
    found = document(*words)
    table = here.lake.read(table_name(here.catalog.features["short"]), "EURUSD")
    values = values_of(table, "returns_1")
    assert (found["pair"], found["rows"], found["sampled"]) == ("EURUSD", len(table), len(table))
    assert found["values"]["returns_1"] == {
        "missing_share": 0.0,
        "mean": pytest.approx(values.mean(), abs=1e-12),
        "std": pytest.approx(values.std()),
        "latest": values[-1],
    }
    (kept,) = found["checkpoints"]
    assert (kept["current"], kept["kept"], kept["made"]) == (True, list(plan.names), [])
    assert list(kept["dropped"]) == ["roc_3"]
    assert kept["dropped"]["roc_3"]["reason"] == "redundant"
    assert kept["dropped"]["roc_3"]["keeper"] == "returns_3"
    shown = plain(invoke(*words).stdout)
    assert "dropped for returns_3 (1.000)" in shown
    assert f"usd: version {kept['version']} for EURUSD, trained until 2026-01-01T00:00:00+00:00, keeps 3" in shown


@pytest.mark.usefixtures("here")
def test_what_is_missing_has_no_number() -> None:
    words = ("features", "describe", "gappy", "--pair", "EURUSD")
    found = document(*words)
    assert [entry["missing"] for entry in found["features"]] == [False, True]
    assert found["values"]["gappy"] == {"missing_share": 1.0, "mean": None, "std": None, "latest": None}
    assert "gappy 100.00%" in plain(invoke(*words).stdout)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("raw", [(), ("--from-raw",)], ids=["bars", "raw"])
def test_a_sound_set_passes_the_probe(raw: tuple[str, ...]) -> None:
    words = ("probe", "short", "--pair", "EURUSD", "--n", "3", *raw)
    found = document(*words)
    assert (found["set"], found["pair"], found["from_raw"]) == ("short", "EURUSD", bool(raw))
    assert (found["passed"], found["probes"], found["leaks"]) == (True, 3, [])
    done = invoke(*words)
    assert (done.exit_code, done.stderr) == (0, "")
    start = "from raw prices on, " if raw else ""
    said = (
        f"short EURUSD: {start}3 bars probed, {found['compared']} columns compared bit by bit: no feature looks ahead\n"
    )
    assert done.stdout == said


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("raw", [(), ("--from-raw",)], ids=["bars", "raw"])
def test_a_leak_is_named_and_fails(raw: tuple[str, ...]) -> None:
    words = ("probe", "ahead", "--pair", "EURUSD", "--n", "2", *raw)
    found = document(*words, code=1)
    assert (found["passed"], found["columns"]) == (False, ["ahead"])
    leak = found["leaks"][0]
    assert leak["column"] == "ahead"
    assert leak["first_changed"] == leak["probed"]
    done = invoke(*words)
    assert done.exit_code == 1
    assert "1 look ahead: ahead" in done.stdout
    assert "  ahead: value of the bar ending 20" in done.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("features", "describe", "shor"), "unknown feature set 'shor'. Did you mean 'short'?"),
        (("probe", "shor", "--pair", "EURUSD"), "unknown feature set 'shor'. Did you mean 'short'?"),
        (("probe", "short", "--pair", "EURUSB"), "unknown pair 'EURUSB'. Did you mean 'EURUSD'?"),
        (("features", "describe", "short", "--pair", "XX"), "unknown pair 'XX'. Known: EURUSD, USDJPY."),
        (("probe", "short", "--pair", "EURUSD", "--n", "0"), "Input should be greater than or equal to 1"),
    ],
    ids=["set", "set to probe", "pair to probe", "pair", "number"],
)
def test_wrong_use_says_what_is_known(words: tuple[str, ...], said: str) -> None:
    done = invoke(*words)
    assert done.exit_code == 2
    assert said in plain(done.stderr)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", [("features", "describe", "short"), ("probe", "short")], ids=["describe", "probe"])
def test_a_pair_without_data_says_what_to_run(words: tuple[str, ...]) -> None:
    done = invoke(*words, "--pair", "USDJPY")
    assert done.exit_code == 1
    assert "fx-assets materialize --pairs USDJPY" in done.stderr
