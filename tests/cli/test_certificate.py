"""`fx-assets certificate` on a small lake, and what the reader serves beside a forecast."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.forecasting.certificate import to_row
from tests.evaluation.test_certify import NOW, made, scores
from tests.support.tiny_lake import TinyLake, tiny_lake


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """A lake with an older and a newer certificate of one model."""
    lake = tiny_lake(tmp_path_factory.mktemp("certificate"))
    lake.settings.home.mkdir()
    for better, days in ((0.05, 0), (-0.05, 1)):
        certificate = made(scores(better=better), now=NOW + timedelta(days=days)).model_copy(
            update={"model_id": "solo", "pair": "EURUSD"}
        )
        lake.commit("certificates", "EURUSD", to_row(certificate), asset="certificates/solo", append=True)
    return lake


@pytest.fixture
def run(tiny: TinyLake, monkeypatch: pytest.MonkeyPatch) -> object:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(tiny.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(tiny.settings.configs))

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["certificate", *arguments])

    return command


def test_the_newest_one_is_printed(run: object) -> None:
    result = run("solo", "--pair", "eurusd")  # type: ignore[operator]
    assert result.exit_code == 0, result.output
    assert "worse: 1 bar ahead its CRPS is 1.0499 times" in result.stdout
    for said in ("driftless random walk", "GARCH-t", "HAR", "Clark-West", "Kupiec", "80 % held", "3 trials"):
        assert said in result.stdout


def test_json_is_one_document_that_fits_its_schema(run: object) -> None:
    import jsonschema  # type: ignore[import-untyped]

    result = run("solo", "--pair", "EURUSD", "--json")  # type: ignore[operator]
    document = json.loads(result.stdout)
    schema = Path(__file__).parents[2] / "fx_assets" / "schemas" / "certificate.schema.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(document)
    assert document["verdict"] == "worse"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sol", "--pair", "EURUSD"), 2, "solo"),
        (("solo", "--pair", "EURUSX"), 2, "EURUSD"),
        (("solo", "--pair", "USDJPY"), 1, "fx-assets materialize --pairs USDJPY"),
    ],
)
def test_what_is_not_there_is_named(run: object, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(*arguments)  # type: ignore[operator]
    assert result.exit_code == code
    assert said in " ".join(result.output.split())
