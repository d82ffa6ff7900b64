"""The catalog: what is sound works, what is broken says where and why, and hides nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fx_assets.settings import project_root
from fx_assets.specs.loader import Catalog, load_catalog
from fx_assets.specs.problems import SpecError


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(project_root() / "configs", folder)
    return folder


def problems(catalog: Catalog, key: str) -> str:
    return "\n".join(str(problem) for problem in catalog.broken[key])


def test_the_shipped_configs_are_sound(configs: Path) -> None:
    catalog = load_catalog(configs, environ={})
    assert catalog.broken == {}
    assert list(catalog.pairs) == ["AUDUSD", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY"]
    assert set(catalog.models) == {"random_walk", "har", "garch", "usdjpy", "majors", "blend", "scale"}


def test_a_typo_names_file_line_field_and_the_nearest_key(configs: Path) -> None:
    path = configs / "models" / "usdjpy.yaml"
    path.write_text(path.read_text().replace("max_epochs", "max_epoch"))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "max_epoch:" in text)
    catalog = load_catalog(configs, environ={})
    assert f"models/usdjpy.yaml:{line}: training.max_epoch: unknown key." in problems(catalog, "models/usdjpy")
    assert "'max_epochs'" in problems(catalog, "models/usdjpy")
    assert set(catalog.models) == {"random_walk", "har", "garch", "majors", "blend", "scale"}
    with pytest.raises(SpecError, match="max_epochs"):
        catalog.model("usdjpy")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("horizon: 20", "horizon: soon", "horizon"),
        ("horizon: 20", "horizon: 20\nhorizon: 21", "stands twice"),
        ("model_id: usdjpy", "model_id: readyz", "address of the API"),
        ("model_id: usdjpy", "model_id: USDJPY", "model_id"),
        ("pairs: [USDJPY]", "pairs: [USDJPX]", "'USDJPY'"),
        ("features: core", "features: cores", "'core'"),
        ("window: 96", "quantiles: [0.1, 0.9]\nwindow: 96", "0.5 is missing"),
        ("window: 96", "quantiles: [0.1, 0.5, 0.8]\nwindow: 96", "symmetric"),
        ("window: 96", "", "window: this key is missing"),
    ],
)
def test_faults_of_a_model_file(configs: Path, old: str, new: str, words: str) -> None:
    path = configs / "models" / "usdjpy.yaml"
    path.write_text(path.read_text().replace(old, new))
    catalog = load_catalog(configs, environ={})
    assert words in problems(catalog, "models/usdjpy")
    assert "har" in catalog.models


def test_a_model_id_used_twice(configs: Path) -> None:
    shutil.copy(configs / "models" / "har.yaml", configs / "models" / "har_again.yaml")
    catalog = load_catalog(configs, environ={})
    assert "already the model_id of configs/models/har.yaml" in problems(catalog, "models/har_again")
    assert "har" in catalog.models


def test_a_broken_pair_takes_only_what_needs_it(configs: Path) -> None:
    (configs / "pairs" / "EURUSD.yaml").write_text("pair: EURUSD\n")
    catalog = load_catalog(configs, environ={})
    assert "EURUSD" not in catalog.pairs
    assert "pairs/EURUSD" in catalog.broken
    assert "models/majors" in catalog.broken
    assert set(catalog.models) == {"random_walk", "har", "garch", "usdjpy"}


def test_small_numbers_are_numbers(configs: Path) -> None:
    catalog = load_catalog(configs, environ={})
    assert catalog.models["usdjpy"].training.learning_rate == 5e-4


def test_overrides_reach_nested_keys_and_are_reported(configs: Path) -> None:
    environ = {"FX_MODELS__USDJPY__TRAINING__MAX_EPOCHS": "1", "FX_PAIRS__EURUSD__GAP_LIMIT": "9", "FX_HOME": "x"}
    catalog = load_catalog(configs, environ=environ)
    assert catalog.models["usdjpy"].training.max_epochs == 1
    assert catalog.pairs["EURUSD"].gap_limit == 9
    assert [str(override) for override in catalog.overrides] == [
        "FX_MODELS__USDJPY__TRAINING__MAX_EPOCHS sets models/usdjpy: training.max_epochs = 1",
        "FX_PAIRS__EURUSD__GAP_LIMIT sets pairs/eurusd: gap_limit = 9",
    ]
    plain = load_catalog(configs, environ={})
    assert catalog.models["usdjpy"].training_config() != plain.models["usdjpy"].training_config()


def test_an_override_of_an_unknown_model_or_key_is_a_problem(configs: Path) -> None:
    catalog = load_catalog(configs, environ={"FX_MODELS__USDJP__WINDOW": "5"})
    assert "'usdjpy'" in problems(catalog, "environment/FX_MODELS__USDJP__WINDOW")
    catalog = load_catalog(configs, environ={"FX_MODELS__USDJPY__WINDO": "5"})
    assert "unknown key" in problems(catalog, "models/usdjpy")


def test_a_folder_without_pairs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="FX_CONFIGS"):
        load_catalog(tmp_path, environ={})
