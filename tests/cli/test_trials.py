"""`fx-assets trials`: the ledger as it is typed, its counts, and wrong use."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.storage.ledger import LedgerEntry
from tests.support.tiny_lake import TinyLake, tiny_lake

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ALONE, PANEL, GONE = "solo/ridge/EURUSD/0a/1", "random_walk/ridge/EURUSD+USDJPY/0b/2", "old/har/GBPUSD/0c/3"


def entry(study: str, number: int, state: str = "complete", **changes: Any) -> LedgerEntry:
    model, kind, pairs, *_ = study.split("/")
    moment = NOW + timedelta(minutes=number)
    row: dict[str, Any] = {
        **{"study": study, "number": number, "model_id": model, "kind": kind, "pairs": tuple(pairs.split("+"))},
        **{"values": {"hyperparameters.alpha": 0.5}, "state": state, "loss": 0.25 + number, "folds": (0.25 + number,)},
        **{"started_at": moment, "ended_at": moment, "reason": "", "run_id": "run-1", "recorded_at": moment},
    }
    return LedgerEntry(**{**row, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Two pairs and two models, and a ledger that also knows a pair and a model which are gone."""
    tiny = tiny_lake(tmp_path_factory.mktemp("trials"))
    tiny.settings.home.mkdir()
    control = tiny.control
    failed = entry(ALONE, 1, "failed", loss=None, folds=(), reason="ValueError: [red]too wide[/red]")
    for one in (entry(ALONE, 0), failed, entry(PANEL, 2, "pruned"), entry(GONE, 3)):
        control.record_trial(one)
    return tiny


@pytest.fixture
def here(made: TinyLake, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))
    return made


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["trials", *words])


def document(*words: str) -> dict[str, Any]:
    done = invoke(*words, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), [(ALONE, 0), (ALONE, 1), (PANEL, 2), (GONE, 3)]),
        (("--pair", "eurusd"), [(ALONE, 0), (ALONE, 1), (PANEL, 2)]),
        (("--pair", "USDJPY"), [(PANEL, 2)]),
        (("--model", "solo"), [(ALONE, 0), (ALONE, 1)]),
        (("--pair", "EURUSD", "--model", "random_walk"), [(PANEL, 2)]),
        (("--pair", "USDJPY", "--model", "solo"), []),
        # What is configured no longer was tried all the same.
        (("--pair", "GBPUSD"), [(GONE, 3)]),
        (("--model", "old"), [(GONE, 3)]),
        (("--pair", "GBPUSD", "--model", "solo"), []),
    ],
)
def test_trials_are_listed_newest_last(words: tuple[str, ...], names: list[tuple[str, int]]) -> None:
    assert [(trial["study"], trial["number"]) for trial in document(*words)["trials"]] == names


@pytest.mark.usefixtures("here")
def test_the_document_has_all_of_a_trial_and_the_counts() -> None:
    found = document("--pair", "EURUSD")
    assert (found["pair"], found["model"]) == ("EURUSD", None)
    assert found["counts"] == {"trials": 3, "complete": 1, "pruned": 1, "failed": 1}
    moment = NOW.isoformat()
    assert found["trials"][0] == {
        **{"study": ALONE, "number": 0, "model_id": "solo", "kind": "ridge", "pairs": ["EURUSD"]},
        **{"values": {"hyperparameters.alpha": 0.5}, "state": "complete", "loss": 0.25, "folds": [0.25]},
        **{"started_at": moment, "ended_at": moment, "reason": "", "run_id": "run-1", "recorded_at": moment},
    }


@pytest.mark.usefixtures("here")
def test_the_table_ends_with_the_counts() -> None:
    done = invoke("--pair", "EURUSD")
    assert done.exit_code == 0
    study, head, first, failed, other, _, pruned, last = done.stdout.splitlines()
    assert (study, other) == (f"study {ALONE}", f"study {PANEL}")
    assert head.split() == ["number", "state", "loss", "folds", "values", "ended", "(UTC)"]
    assert first.split() == ["0", "complete", "0.25000", "1", "hyperparameters.alpha=0.5", "2026-11-21", "03:00"]
    assert "hyperparameters.alpha=0.5 (ValueError: [red]too wide[/red])" in failed
    assert pruned.split()[:2] == ["2", "pruned"]
    assert last == "EURUSD: 3 trials ever run in 2 searches: 1 complete, 1 pruned, 1 failed"
    assert invoke("--pair", "USDJPY", "--model", "solo").stdout == "USDJPY solo: 0 trials ever run\n"
    assert invoke().stdout.splitlines()[-1].startswith("all pairs: 4 trials ever run in 3 searches")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pair", "EURUDS"), "unknown pair 'EURUDS'. Did you mean 'EURUSD'?"),
        (("--model", "sole"), "unknown model 'sole'. Did you mean 'solo'?"),
        (("--pair", "EURUSD", "--model", "sole"), "unknown model 'sole'"),
        (("--pair", "XXXYYY", "--model", "solo"), "unknown pair 'XXXYYY'"),
    ],
)
def test_what_nobody_knows_is_wrong_use(words: tuple[str, ...], said: str) -> None:
    done = invoke(*words)
    assert done.exit_code == 2
    text = " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in done.stderr).split())
    assert said in text


def test_a_ledger_that_cannot_be_read_is_a_failure(
    here: TinyLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del here
    (tmp_path / "control.db").write_text("this is no database at all, it is text" * 100)
    monkeypatch.setenv("FX_CONTROL_URL", f"sqlite:///{tmp_path / 'control.db'}")
    done = invoke("--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "not a database" in done.stderr
