"""`fx-assets` as it is typed: documents, exit codes, and messages that say what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.forecasting.document import UNTESTED_NOTE, ForecastDocument
from fx_assets.settings import project_root
from tests.support.tiny_lake import TinyLake, tiny_lake

COMMANDS = (
    *("validate", "demo", "materialize", "train", "forecast", "convert", "ingest", "export", "probe", "serve", "up"),
    *("trials", "certificate", "backtest", "champions", "promote", "rollback", "leaderboard", "scorecard", "joint"),
)
NIGHT = datetime(2026, 10, 30, 21, 30, tzinfo=UTC)
HEAVY = {
    *("torch", "dagster", "sklearn", "pytorch_lightning", "tsfresh", "featuretools", "autofeat", "matplotlib"),
    *("onnxruntime", "scipy", "talib", "polars", "pyarrow", "deltalake", "sqlalchemy", "fastapi"),
}
# Runs the console script's own function, then says on standard error what it loaded.
SAY_MODULES = """
import json, sys
from fx_assets.cli import main
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of the project's configs that a test may break."""
    return Path(shutil.copytree(project_root() / "configs", tmp_path / "configs"))


@pytest.fixture
def environment(tmp_path: Path, configs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty home and the copied configs, for this process and for those it starts."""
    for name in [name for name in os.environ if name.startswith(("FX_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    for name, value in (("FX_HOME", tmp_path / "home"), ("FX_CONFIGS", configs), ("FX_LIVE", "false")):
        monkeypatch.setenv(name, str(value))
    return dict(os.environ)


def invoke(*words: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(app, list(words))


def typed(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own."""
    return run([str(Path(sys.executable).with_name("fx-assets")), *words], environment)


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=project_root(), capture_output=True, text=True, timeout=120, check=False
    )


def plain(text: str) -> str:
    """Text without the frame and the line breaks that a narrow terminal gets."""
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in text).split())


def line_of(path: Path, text: str) -> int:
    return 1 + [text in line for line in path.read_text().splitlines()].index(True)


def misspell(configs: Path) -> tuple[Path, int]:
    """Break one model file; the line to be named."""
    broken = configs / "models" / "usdjpy.yaml"
    broken.write_text(broken.read_text().replace("  max_epochs:", "  max_epoch:"))
    return broken, line_of(broken, "max_epoch:")


@pytest.mark.usefixtures("environment")
def test_validate_says_what_there_is() -> None:
    done = invoke("validate")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "6 pairs, 2 feature sets, 7 models, switched off: BTCUSD, ETHJPY: all valid\n"


def test_validate_names_file_and_line_and_keeps_the_others(configs: Path, environment: dict[str, str]) -> None:
    path, line = misspell(configs)
    done = typed(environment, "validate")
    assert done.returncode == 1
    assert f"configs/models/{path.name}:{line}: training.max_epoch: " in done.stdout
    assert "Did you mean 'max_epochs'?" in done.stdout
    assert "6 pairs, 2 feature sets, 6 models, switched off: BTCUSD, ETHJPY; 1 problems" in done.stdout


def test_validate_json_is_one_document(configs: Path, environment: dict[str, str]) -> None:
    path, line = misspell(configs)
    done = typed({**environment, "FX_MODELS__RANDOM_WALK__WINDOW": "64"}, "validate", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["valid"] is False
    assert document["models"] == ["blend", "garch", "har", "majors", "random_walk", "scale"]
    (problem,) = document["problems"]
    assert (problem["file"], problem["line"]) == (f"configs/models/{path.name}", line)
    assert problem["field"] == "training.max_epoch"
    # What was overridden is in the document, and is told to whoever looks on.
    (override,) = document["overrides"]
    assert "FX_MODELS__RANDOM_WALK__WINDOW sets models/random_walk: window = 64" in override
    assert override in done.stderr


@pytest.mark.parametrize("words", [("validate",), ("materialize", "--help"), ("serve", "--help")], ids=" ".join)
def test_nothing_heavy_is_loaded_before_there_is_work(environment: dict[str, str], words: tuple[str, ...]) -> None:
    done = run([sys.executable, "-c", SAY_MODULES, *words], environment)
    assert done.returncode == 0
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert "fx_assets" in modules
    assert sorted(modules & HEAVY) == []


def test_every_command_has_its_help() -> None:
    found = {entry.callback.__name__: entry.callback.__doc__ for entry in app.registered_commands if entry.callback}
    assert sorted(found) == sorted(COMMANDS)
    for command, purpose in found.items():
        done = invoke(command, "--help")
        assert done.exit_code == 0
        assert purpose
        assert plain(purpose) in plain(done.stdout)


def test_no_configs_are_said_without_a_trace(environment: dict[str, str], tmp_path: Path) -> None:
    done = typed({**environment, "FX_CONFIGS": str(tmp_path)}, "validate", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "set FX_CONFIGS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("materialize", "--pairs", "EURUSD,USDJPI"), "unknown pair 'USDJPI'. Did you mean 'USDJPY'?"),
        (("forecast", "EURUSX"), "unknown pair 'EURUSX'. Did you mean 'EURUSD'?"),
        (("train", "--model", "har", "--pairs", "EURUSX"), "unknown pair 'EURUSX'. Did you mean 'EURUSD'?"),
        (("train", "--model", "usdjpy", "--pairs", "EURUSD"), "usdjpy forecasts USDJPY, not EURUSD"),
        (("train", "--model", "usdjpi"), "unknown model 'usdjpi'. Did you mean 'usdjpy'?"),
        (("forecast", "EURUSD", "--model", "nope"), "unknown model 'nope'. Known: blend, garch, har"),
        (("train",), "one of --config FILE and --model MODEL_ID"),
        (("train", "--model", "har", "--config", "configs/models/har.yaml"), "one of --config FILE and --model"),
        (("forecast",), "Missing argument"),
        (("serve", "--port", "http"), "Invalid value for '--port'"),
        (("materialise",), "No such command 'materialise'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_2_and_says_what_is_right(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in plain(done.stderr)
    assert not (tmp_path / "home").exists()


def test_an_unknown_asset_is_wrong_use(environment: dict[str, str], tmp_path: Path) -> None:
    done = typed(environment, "materialize", "--select", "prices/raw,bars/1h", "--pairs", "EURUSD")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown asset 'bars/1h'. Did you mean 'bars/1d'?" in plain(done.stderr)
    assert not (tmp_path / "home").exists()


def test_assets_that_no_chosen_pair_has_are_wrong_use(environment: dict[str, str], tmp_path: Path) -> None:
    done = typed(environment, "materialize", "--select", "checkpoints/usdjpy", "--pairs", "EURUSD")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none of EURUSD is a pair of checkpoints/usdjpy" in plain(done.stderr)
    assert not (tmp_path / "home").exists()


def test_a_setting_that_does_not_fit_is_named_without_a_trace(environment: dict[str, str]) -> None:
    done = typed({**environment, "FX_API_PORT": "secret"}, "validate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "setting FX_API_PORT: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.usefixtures("environment")
def test_a_model_file_elsewhere_is_refused_with_the_remedy(configs: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.move(configs / "models" / "har.yaml", tmp_path / "har.yaml"))
    done = invoke("train", "--config", str(elsewhere))
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{elsewhere} is not in {configs / 'models'}" in plain(done.stderr)
    assert "move it" in done.stderr


@pytest.mark.usefixtures("environment")
def test_training_from_a_broken_or_missing_file_says_where(configs: Path) -> None:
    path, line = misspell(configs)
    done = invoke("train", "--config", str(path))
    assert done.exit_code == 1
    assert f"models/{path.name}:{line}: training.max_epoch" in done.stderr
    done = invoke("train", "--config", str(configs / "models" / "hra.yaml"))
    assert done.exit_code == 1
    assert "does not exist. Did you mean 'har'?" in plain(done.stderr)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_a_forecast_that_is_not_there_says_what_to_run(more: tuple[str, ...], tmp_path: Path) -> None:
    done = invoke("forecast", "EURUSD", *more)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "run: fx-assets materialize --pairs EURUSD" in plain(done.stderr)
    assert not (tmp_path / "home").exists()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyLake, ForecastDocument]:
    """An installation with forecasts and scores of EURUSD, and the champion's forecast as it was issued."""
    tiny = tiny_lake(tmp_path_factory.mktemp("published"))
    tiny.bars("EURUSD")
    for model_id in tiny.catalog.models:
        tiny.train(model_id, "EURUSD")
    document = tiny.forecast("random_walk", "EURUSD", issued_at=NIGHT)
    tiny.forecast("solo", "EURUSD", issued_at=NIGHT)
    tiny.score("random_walk", "EURUSD", 45.0)
    return tiny, document


def at(tiny: TinyLake, environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "FX_HOME": str(tiny.settings.home), "FX_CONFIGS": str(tiny.settings.configs)}


def test_forecast_prints_the_document_that_was_published(
    published: tuple[TinyLake, ForecastDocument], environment: dict[str, str]
) -> None:
    tiny, issued = published
    done = typed(at(tiny, environment), "forecast", "eurusd", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    shown: dict[str, Any] = json.loads(done.stdout)
    stored = issued.model_dump(mode="json")
    # Joined when it is read: what it scored, and that its prices have grown old since.
    evaluation = shown.pop("evaluation")
    assert (stored.pop("evaluation"), evaluation["ratio"], evaluation["independent_windows"]) == (None, 0.9, 10)
    assert (stored.pop("stale"), shown.pop("stale")) == (False, True)
    assert (stored.pop("notes"), shown.pop("notes")) == ([], [UNTESTED_NOTE])
    assert shown == stored


def test_forecast_of_another_model_and_for_people(
    published: tuple[TinyLake, ForecastDocument], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, issued = published
    for name, value in at(tiny, environment).items():
        monkeypatch.setenv(name, value)
    other = json.loads(invoke("forecast", "EURUSD", "--model", "solo", "--json").stdout)
    assert (other["model_id"], other["champion"]) == ("solo", "random_walk")
    shown = plain(invoke("forecast", "EURUSD").stdout)
    assert f"EURUSD by random_walk (champion: random_walk), as of {issued.data_as_of} (stale)" in shown
    assert all(str(horizon.target_date) in shown for horizon in issued.horizons)
    done = invoke("forecast", "EURUSD", "--model", "har")
    assert done.exit_code == 2
    assert "unknown model 'har'. Known: random_walk, solo" in plain(done.stderr)


def test_serve_says_which_port_is_taken(
    published: tuple[TinyLake, ForecastDocument], environment: dict[str, str]
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = typed(at(published[0], environment), "serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port} on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
