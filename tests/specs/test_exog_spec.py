"""Exogenous series in YAML: the shipped file is sound, and what is wrong says where and what was expected."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from fx_assets.prices.exog_source import problems
from fx_assets.settings import project_root
from fx_assets.specs.exog import ExogCatalog, load_exog
from fx_assets.specs.problems import SpecError

ON = {"FX_EXOG__FEAR_GREED__ENABLED": "true"}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    shutil.copytree(project_root() / "configs" / "exog", tmp_path / "configs" / "exog")
    return tmp_path / "configs"


def changed(configs: Path, old: str, new: str) -> ExogCatalog:
    path = configs / "exog" / "fear_greed.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return load_exog(configs, environ=ON, check=problems)


def told(catalog: ExogCatalog, key: str = "exog/fear_greed") -> str:
    return "\n".join(str(problem) for problem in catalog.broken[key])


def test_the_shipped_series_are_sound_and_switched_off(configs: Path) -> None:
    catalog = load_exog(configs, environ={}, check=problems)
    assert (catalog.broken, dict(catalog.groups)) == ({}, {})
    spec = catalog.disabled["fear_greed"]
    assert spec.table == "exog/fear_greed"
    assert list(spec.series) == ["CNN", "CRYPTO"]
    assert spec.series["CNN"].changes == (date(2021, 2, 1),)
    assert spec.series["CNN"].known_at.after_midnight == timedelta(hours=16, minutes=30)
    assert spec.series["CRYPTO"].known_at.as_stamped
    catalog.require_sound()


def test_any_key_can_be_set_from_the_environment(configs: Path) -> None:
    environ = {**ON, "FX_EXOG__FEAR_GREED__SERIES__CNN__GAP_LIMIT": "9", "FX_PAIRS__EURUSD__GAP_LIMIT": "1"}
    catalog = load_exog(configs, environ=environ)
    assert catalog.groups["fear_greed"].series["CNN"].gap_limit == 9
    assert [item.variable for item in catalog.overrides] == sorted(set(environ) - {"FX_PAIRS__EURUSD__GAP_LIMIT"})


def test_an_override_of_no_file_is_a_problem(configs: Path) -> None:
    catalog = load_exog(configs, environ={"FX_EXOG__FEAR_GRED__ENABLED": "true"})
    assert "Did you mean 'fear_greed'" in told(catalog, "environment/FX_EXOG__FEAR_GRED__ENABLED")


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert load_exog(tmp_path, environ={}) == ExogCatalog({})


def test_one_broken_file_hides_no_other(configs: Path) -> None:
    (configs / "exog" / "vix.yaml").write_text("name: vix\nseries: {}\n")
    catalog = load_exog(configs, environ=ON)
    assert list(catalog.groups) == ["fear_greed"]
    with pytest.raises(SpecError, match=r"exog/vix\.yaml:2: series: "):
        catalog.require_sound()


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("CNN: #", "cnn: #", "series.cnn", "should match pattern"),
        ("gap_limit: 5", "gap_limits: 5", "series.CNN.gap_limits", "unknown key"),
        ("gap_limit: 5", "gap_limit: 0", "series.CNN.gap_limit", "greater than or equal to 1"),
        ("range: [0, 100]", "range: [100, 0]", "series.CNN.range", "low < high"),
        ('at: "16:30"', 'at: "24:30"', "series.CNN.known_at.at", "should match pattern"),
        ('at: "16:30"', "at: 16", "series.CNN.known_at.at", "string"),
        ("days: 0,", "days: -1,", "series.CNN.known_at.days", "greater than or equal to 0"),
        ("days: 0,", "as_stamped: true,", "series.CNN.known_at", "leave out days and at"),
        ('days: 0, at: "16:30"', "days: 1", "series.CNN.known_at", "expected at"),
        ("America/New_York", "America/NewYork", "series.CNN.known_at.clock", "Did you mean 'America/New_York'"),
        ("America/New_York", "new_york+7", "series.CNN.known_at.clock", "IANA zone"),
        ("[2021-02-01]", "[2021-02-01, 2020-01-01]", "series.CNN.changes", "increasing dates"),
        ("time_format: epoch_s", "time_format: date", "series.CRYPTO", "as_stamped needs stamps"),
        ("time_format: epoch_s", "time_format: epoch", "series.CRYPTO.time_format", "expected iso, epoch_s"),
        ("time_format: epoch_s", 'time_format: "%d/%m"', "series.CRYPTO.time_format", "without a year"),
        (
            "time_format: epoch_s",
            "time_format: iso\n    options: {separater: tab}",
            "series.CRYPTO.options",
            "separator",
        ),
        (
            "time_format: epoch_s",
            "time_format: iso\n    options: {time_format: iso}",
            "series.CRYPTO",
            "beside options",
        ),
        ("time: timestamp", "time: value", "series.CRYPTO", "one column 'value'"),
        ("time: timestamp, value", "time: timestamp, close", "series.CRYPTO.columns.value", "this key is missing"),
        ("CRYPTO: #", "CNN_X: #", "", "series.CNN: CNN* would also take the files of CNN_X"),
        ("name: fear_greed", "name: Fear", "name", "should match pattern"),
    ],
)
def test_faults_name_the_line_and_the_field(configs: Path, old: str, new: str, field: str, words: str) -> None:
    catalog = changed(configs, old, new)
    assert catalog.groups == {}
    [found] = {problem for group in catalog.broken.values() for problem in group if words in problem.message}
    assert found.field.startswith(field)
    lines = (configs / "exog" / "fear_greed.yaml").read_text().splitlines()
    assert found.line <= len(lines)
    if field:
        assert field.rpartition(".")[2] in lines[found.line - 1]


def test_checking_the_configuration_imports_no_polars() -> None:
    code = "import sys, fx_assets.specs.exog, fx_assets.prices.exog_source; print('polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
