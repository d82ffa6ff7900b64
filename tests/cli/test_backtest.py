"""`fx-assets backtest` on a small lake: one document, a picture, what it takes for granted, and wrong use."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.storage.ledger import LedgerEntry
from tests.evaluation.backtest.helpers import daily, lake_rows, score_rows, version, walk
from tests.support.tiny_lake import TinyLake, tiny_lake

COUNT = 400
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
BROKER = """\
name: broker
pairs:
  EURUSD: { unit: pips, until: 2030-01-01, rates: [{ since: 2019-01-01, long: -0.5, short: 0.25 }] }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """A model that is right in six of ten, on quoted bars of EURUSD; USDJPY is quoted by nobody and has no scores."""
    tiny = tiny_lake(tmp_path_factory.mktemp("backtest"))
    tiny.settings.home.mkdir()
    path = tiny.settings.configs / "pairs" / "EURUSD.yaml"
    path.write_text(path.read_text() + "costs: { spread_pips: 0.5, commission_per_million: 30 }\n")
    bars = walk(COUNT)
    tiny.commit_blocks("bars/1d", "EURUSD", [("all", lake_rows(bars))], asset="bars/1d")
    yen = daily(100 * bars.open, 100 * bars.close, pair="USDJPY")
    tiny.commit_blocks("bars/1d", "USDJPY", [("all", lake_rows(yen))], asset="bars/1d")
    moves = np.sign(np.diff(bars.close))
    right = np.random.default_rng(8).random(COUNT - 1) < 0.6
    rows = score_rows(bars.ends[:-1], 0.004 * np.where(right, moves, -moves))
    tiny.commit("scores", "EURUSD", rows, asset="scores/solo", append=True)
    control = tiny.control
    with control.publishing(control.acquire("checkpoints/solo", "EURUSD", "run")) as transaction:
        transaction.register(version())
    for number, state in enumerate(("complete", "pruned", "failed")):
        control.record_trial(
            LedgerEntry("one", number, "solo", "har", ("EURUSD",), {}, state, 0.5, (0.5,), NOW, NOW, "", "r")
        )
    return tiny


@pytest.fixture
def here(made: TinyLake, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))
    return made


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["backtest", *words])


def document(*words: str) -> dict[str, Any]:
    done = invoke("solo", "--pair", "eurusd", *words, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


@pytest.mark.usefixtures("here")
def test_one_document_says_what_was_earned_and_what_it_cost() -> None:
    found = document()
    assert [found[key] for key in ("pair", "model_id", "model_version", "account")] == ["EURUSD", "solo", "v2", "USD"]
    summary = found["summary"]
    assert found["financing"] == summary["financing_said"] == "before financing"
    assert found["assumptions"][0].startswith("before financing: no swap rates of this pair in configs/financing")
    assert summary["net_profit"] == pytest.approx(
        summary["price_profit"] - summary["spread_cost"] - summary["commission"], rel=1e-9
    )
    assert summary["net_profit"] == pytest.approx(summary["final_equity"] - 100_000, rel=1e-9)
    assert min(summary["spread_cost"], summary["commission"], summary["price_profit"]) > 0
    assert summary["trades"] == len(found["trades"]) > 100
    assert summary["bars"] + 1 == len(found["equity"]) == COUNT
    assert summary["independent_bars"] == COUNT - 1
    assert found["equity"][-1]["equity"] == summary["final_equity"]
    # Bars are quoted, so that nothing is assumed of the spread.
    assert summary["assumed_fills"] == 0
    assert {trade["filled_at"] >= trade["known_at"] for trade in found["trades"]} == {True}
    # The pruned trial counts, the failed one does not.
    assert found["luck"]["trials"] == 2
    assert 0 < found["luck"]["probability"] < 1
    assert (found["luck"]["overfitting"], any("no PBO" in note for note in found["luck"]["notes"])) == (None, True)


def test_swap_rates_make_it_after_financing(here: TinyLake) -> None:
    plain = document()["summary"]
    folder = here.settings.configs / "financing"
    folder.mkdir()
    try:
        (folder / "broker.yaml").write_text(BROKER)
        found = document()
        assert found["financing"] == "after financing"
        assert found["summary"]["financing_days"] > 300
        assert found["summary"]["financing"] < 0
        # The path of positions is the same: the sizes do not depend on the equity.
        assert found["summary"]["price_profit"] == plain["price_profit"]
        assert found["summary"]["net_profit"] == pytest.approx(
            plain["net_profit"] + found["summary"]["financing"], rel=1e-9
        )
        (folder / "broker.yaml").write_text(BROKER.replace("unit: pips", "unit: points"))
        refused = invoke("solo", "--pair", "EURUSD")
        assert refused.exit_code == 1
        assert "configs/financing/broker.yaml:3: pairs.EURUSD.unit: " in refused.stderr
    finally:
        (folder / "broker.yaml").unlink()
        folder.rmdir()


@pytest.mark.usefixtures("here")
def test_other_accounts_and_sizes() -> None:
    euro = document("--account", "eur")
    assert euro["account"] == "EUR"
    assert euro["summary"]["net_profit"] != document()["summary"]["net_profit"]
    yen = document("--account", "JPY", "--capital", "10000000", "--size", "10_000_000")
    assert yen["account"] == "JPY"
    small = document("--size", "10%", "--lot", "1000", "--leverage", "0.5")
    assert {trade["position"] % 1000 for trade in small["trades"]} == {0}
    assert "a forecast volatility of 10.0% of the equity a year" in "\n".join(small["assumptions"])
    equity = {row["time"]: row for row in small["equity"]}
    assert max(abs(row["position"]) for row in equity.values()) <= 0.5 * 120_000


@pytest.mark.usefixtures("here")
def test_the_table_and_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "equity.png"
    done = invoke("solo", "--pair", "EURUSD", "--picture", str(path))
    assert done.exit_code == 0
    for words in (
        "EURUSD solo, version v2: 399 bars",
        "before financing",
        "Sharpe ratio a year",
        "break-even hit rate",
    ):
        assert words in done.stdout
    assert path.read_bytes().startswith(b"\x89PNG")
    refused = invoke("solo", "--pair", "EURUSD", "--picture", str(tmp_path / "none" / "equity.png"))
    assert (refused.exit_code, "No such file" in refused.stderr) == (1, True)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sole", "--pair", "EURUSD"), 2, "Did you mean 'solo'"),
        (("solo", "--pair", "EURUSX"), 2, "unknown pair 'EURUSX'"),
        (("solo", "--pair", "USDJPY"), 2, "solo forecasts EURUSD, not USDJPY"),
        (("solo", "--pair", "EURUSD", "--size", "lots"), 2, "expected a value such as 100000"),
        (("solo", "--pair", "EURUSD", "--size", "-5"), 2, "expected a value such as 100000"),
        (("solo", "--pair", "EURUSD", "--lot", "0"), 2, "expected lot above 0"),
        (("solo", "--pair", "EURUSD", "--capital", "0"), 2, "expected more than 0"),
        (("solo", "--pair", "EURUSD", "--account", "dollar"), 2, "expected a currency such as USD"),
        (("random_walk", "--pair", "EURUSD"), 1, "table 'scores/random_walk' has no rows of EURUSD"),
        (("solo", "--pair", "EURUSD", "--account", "CHF"), 1, "prices of USDCHF or CHFUSD are needed"),
    ],
)
def test_wrong_use_and_missing_data_say_what_to_do(words: tuple[str, ...], code: int, said: str) -> None:
    done = invoke(*words)
    assert done.exit_code == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
