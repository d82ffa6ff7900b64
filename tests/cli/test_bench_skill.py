"""`fx-assets bench skill` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app


@pytest.fixture(autouse=True)
def _no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FX_SAMPLE_DATA", raising=False)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["bench", "skill", *words])


def test_wrong_use_says_what_was_expected(tmp_path: Path) -> None:
    pairs = invoke("--pairs", "EUR/USD")
    assert pairs.exit_code == 2
    assert "expected pairs such as EURUSD,USDJPY" in " ".join(pairs.stderr.split())
    folder = invoke("--data", str(tmp_path))
    assert folder.exit_code == 2
    assert "EUR_USD_H1.csv.xz" in folder.stderr


def test_a_currency_that_the_ecb_does_not_fix_is_refused() -> None:
    done = invoke("--pairs", "EURXXX", "--quick")
    assert done.exit_code == 1
    assert "has no currency 'XXX'" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_quick_run_is_one_document_and_a_table() -> None:
    done = invoke("--quick", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["quick"], document["model"], document["refits"]) == (True, "scale", 5)
    assert list(document["pairs"]) == ["EURUSD", "USDJPY"]
    for found in document["pairs"].values():
        assert 0.9 < found["crps_ratio_to_random_walk"] < 1
        assert found["crps_ratio_to_garch_t"] == pytest.approx(1, abs=0.02)
        assert found["coverage"]["0.8"] == pytest.approx(0.8, abs=0.04)
        assert found["coverage"]["0.9"] == pytest.approx(0.9, abs=0.04)
        assert 0 <= found["p_value"] <= 1
        assert found["verdict"] in {"skill shown", "no skill shown", "worse"}
    assert {"constant", "garch_t", "egarch_t", "random_walk", "har", "garch", "egarch", "scale"} <= set(
        document["models"]
    )
    assert document["realised"] is None
    assert all(aim["met"] in (True, False, None) for aim in document["aims"])
    assert len(document["aims"]) >= 17
    for said in document["models"].values():
        assert said["origins"] > 1_200
