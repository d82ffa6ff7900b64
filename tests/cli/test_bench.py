"""`fx-assets bench exchange` as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.evaluation.exchange.table import FILE_NAME, as_text
from tests.evaluation.exchange.helpers import walk


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 420 rows, which is not the papers'."""
    monkeypatch.delenv("FX_SAMPLE_DATA", raising=False)
    written = tmp_path / FILE_NAME
    written.parent.mkdir()
    written.write_bytes(as_text(walk(420)))
    return written


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["bench", "exchange", *words])


def test_one_json_document_and_nothing_else(path: Path) -> None:
    done = invoke("--data", str(path), "--quick", "--seeds", "1", "--horizons", "8", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    rows = {row["model"]: row for row in document["rows"]}
    assert {"repeat_last", "itransformer", "chosen"} <= rows.keys()
    assert rows["repeat_last"]["mse"].keys() == {"8"}
    assert document["configurations_tried"] == len(document["choice"]["ranking"])
    assert (document["quick"], document["protocol"], document["test_rows_unseen"]) == (True, False, True)
    assert rows["exhibit"]["note"].startswith("recipe found on test, loses in ")


def test_a_table_for_people_says_what_it_rests_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FX_SAMPLE_DATA", str(path.parent.parent))
    done = invoke("--quick", "--seeds", "1", "--horizons", "8")
    assert done.exit_code == 0, done.stderr
    for said in (
        "420 rows, 294 / 42 / 84 for training, validation and test",
        "bad ticks: none",
        "frozen rows, on which nothing changed: 0",
        "dates: none in the file",
        "repeat_last",
        "test rows unseen",
        "configurations tried",
        "not the papers' table: their rows are left out",
        "not the protocol",
    ):
        assert said in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "FX_SAMPLE_DATA"),
        (("--data", "missing.txt.gz"), 2, "does not exist"),
        (("--fresh", "--horizons", "96,x"), 2, "expected numbers of rows"),
        (("--fresh", "--seeds", "0"), 2, "--seeds"),
    ],
    ids=["no_file", "missing", "horizons", "seeds"],
)
def test_wrong_use_says_what_to_give(
    words: tuple[str, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FX_SAMPLE_DATA", raising=False)
    done = invoke(*words)
    assert done.exit_code == code
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_table_too_short_fails_with_a_sentence(path: Path) -> None:
    done = invoke("--data", str(path), "--quick", "--horizons", "720")
    assert done.exit_code == 1
    assert "too few" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_leak_fails_the_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaling by every row, the commonest leak of this protocol, put in on purpose."""
    from functools import cached_property

    from fx_assets.evaluation.exchange.split import Split
    from fx_assets.evaluation.exchange.table import Floats

    def leaking(split: Split) -> Floats:
        values = split.table.values
        scaled: Floats = (values - values.mean(0)) / values.std(0)
        return scaled

    broken = cached_property(leaking)
    broken.__set_name__(Split, "z")
    monkeypatch.setattr(Split, "z", broken)
    done = invoke("--data", str(path), "--quick", "--seeds", "1", "--horizons", "8", "--json")
    assert done.exit_code == 1
    assert "saw test rows while they were fitted" in done.stderr
    assert json.loads(done.stdout)["test_rows_unseen"] is False


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom fx_assets.cli import app\n"
        "assert CliRunner().invoke(app, ['bench', 'exchange', '--help']).exit_code == 0\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert not set(done.stdout.split()) & {"torch", "numpy", "polars", "scipy", "sklearn", "dagster"}


@pytest.mark.slow
def test_on_the_published_file_end_to_end(sample_data: Path) -> None:
    done = invoke("--data", str(sample_data / FILE_NAME), "--quick", "--seeds", "1", "--horizons", "96", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["as_published"] is True
    rows = {row["model"]: row for row in document["rows"]}
    assert rows["repeat_last"]["mse"]["96"] == pytest.approx(0.081126, abs=1e-6)
    assert rows["itransformer"]["mse"]["96"] < 0.1
    assert rows["iTransformer"]["published"] is True
    assert rows["chosen"]["verdict"] == rows["iTransformer"]["verdict"] == "too little data"
    assert rows["exhibit"]["note"].startswith("recipe found on test, loses in 7 of 10 other cuts")
