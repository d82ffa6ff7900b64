"""Swap rates in YAML: the shipped file is sound and empty, and what is wrong says where and what was expected."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from fx_assets.settings import project_root
from fx_assets.specs.financing import FinancingCatalog, HolidayChanges, load_financing
from fx_assets.specs.problems import SpecError

BROKER = """\
name: broker
source: its page of 2024-12-01
pairs:
  EURUSD:
    unit: pips
    until: 2024-11-29
    rates:
      - { since: 2024-01-02, long: -0.75, short: 0.25 }
      - { since: 2024-06-03, long: -0.5, short: 0.125 }
  USDJPY:
    { unit: annual_percent, days_a_year: 360, until: 2024-11-29, rates: [{ since: 2024-01-02, long: 4, short: -6 }] }
holidays:
  JPY: { closed: [2019-10-22], open: [2019-10-23] }
"""


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(project_root() / "configs" / "financing", folder / "financing")
    (folder / "financing" / "broker.yaml").write_text(BROKER)
    return folder


def changed(configs: Path, old: str, new: str) -> FinancingCatalog:
    path = configs / "financing" / "broker.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return load_financing(configs, environ={})


def test_the_shipped_list_is_sound_switched_off_and_without_data() -> None:
    catalog = load_financing(project_root() / "configs", environ={})
    catalog.require_sound()
    assert dict(catalog.lists) == {}
    shipped = catalog.disabled["example"]
    assert (dict(shipped.pairs), dict(shipped.holidays)) == ({}, {})
    assert (catalog.rates("EURUSD"), catalog.source("EURUSD"), catalog.holidays) == (None, "", {})


def test_the_example_in_the_comments_of_the_shipped_list_is_sound(configs: Path) -> None:
    """Its comments, less the signs in front, are the file that they say."""
    path = configs / "financing" / "example.yaml"
    told = [line.removeprefix("# ") for line in path.read_text().splitlines()]
    text = [line for line in told if line.startswith((" ", "pairs:", "holidays:")) and not line.endswith("{}")]
    (configs / "financing" / "broker.yaml").unlink()
    path.write_text("\n".join(["name: example", *text]))
    catalog = load_financing(configs, environ={})
    catalog.require_sound()
    assert catalog.rates("EURUSD") is not None
    assert catalog.holidays["JPY"].closed == (date(2019, 10, 22),)


def test_rates_are_dated(configs: Path) -> None:
    catalog = load_financing(configs, environ={})
    assert catalog.broken == {}
    rates = catalog.rates("EURUSD")
    assert rates is not None
    assert [(rate.since, rate.long, rate.short) for rate in rates.rates] == [
        (date(2024, 1, 2), -0.75, 0.25),
        (date(2024, 6, 3), -0.5, 0.125),
    ]
    assert (rates.unit, rates.until) == ("pips", date(2024, 11, 29))
    assert catalog.source("EURUSD") == "broker: its page of 2024-12-01"
    assert catalog.rates("GBPUSD") is None
    assert catalog.holidays == {"JPY": HolidayChanges(closed=(date(2019, 10, 22),), open=(date(2019, 10, 23),))}


def test_any_key_can_be_set_from_the_environment(configs: Path) -> None:
    environ = {"FX_FINANCING__BROKER__ENABLED": "false", "FX_PAIRS__EURUSD__PIP": "1"}
    catalog = load_financing(configs, environ=environ)
    assert list(catalog.disabled) == ["broker", "example"]
    assert [str(item) for item in catalog.overrides] == [
        "FX_FINANCING__BROKER__ENABLED sets financing/broker: enabled = False"
    ]
    catalog = load_financing(configs, environ={"FX_FINANCING__BROKR__ENABLED": "false"})
    with pytest.raises(SpecError, match=r"Did you mean 'broker'"):
        catalog.require_sound()


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert load_financing(tmp_path, environ={}) == FinancingCatalog({})


def test_two_lists_may_not_say_the_same_or_the_opposite(configs: Path) -> None:
    other = configs / "financing" / "other.yaml"
    other.write_text(BROKER.replace("name: broker", "name: other"))
    catalog = load_financing(configs, environ={})
    assert list(catalog.lists) == ["broker"]
    told = "\n".join(map(str, catalog.broken["financing/other"]))
    assert "other.yaml:4: pairs.EURUSD: 'broker' has rates of EURUSD too" in told
    other.write_text("name: other\nholidays:\n  JPY: { open: [2019-10-22], closed: [2019-12-30] }\n")
    told = "\n".join(map(str, load_financing(configs, environ={}).broken["financing/other"]))
    assert "other.yaml:3: holidays.JPY: 'broker' says the opposite of 2019-10-22" in told
    other.write_text("name: other\nholidays:\n  JPY: { closed: [2019-12-30] }\n")
    both = load_financing(configs, environ={}).holidays["JPY"]
    assert both.closed == (date(2019, 10, 22), date(2019, 12, 30))
    other.write_text(BROKER.replace("name: broker", "name: other\nenabled: false"))
    assert load_financing(configs, environ={}).broken == {}


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("unit: pips", "unit: points", "pairs.EURUSD.unit", "'pips' or 'annual_percent'"),
        ("unit: pips", "units: pips", "pairs.EURUSD.units", "unknown key"),
        ("holidays:", "holiday:", "holiday", "Did you mean 'holidays'"),
        ("    until: 2024-11-29\n", "", "pairs.EURUSD.until", "this key is missing"),
        ("until: 2024-11-29", "until: 2024-05-31", "pairs.EURUSD", "lies before the last rate"),
        ("2024-06-03", "2024-01-02", "pairs.EURUSD.rates", "increasing dates"),
        ("2024-06-03", "2024-06-31", "pairs.EURUSD.rates.1.since", "date"),
        ("long: -0.5", "long: x", "pairs.EURUSD.rates.1.long", "a number, found 'x'"),
        ("long: -0.5", "lng: -0.5", "pairs.EURUSD.rates.1.lng", "unknown key"),
        ("unit: pips", "unit: pips\n    days_a_year: 360", "pairs.EURUSD", "belongs to unit: annual_percent"),
        ("days_a_year: 360", "days_a_year: 364", "pairs.USDJPY.days_a_year", "360 or 365"),
        ("  EURUSD:", "  EUR:", "pairs.EUR", "should match pattern"),
        ("  JPY:", "  yen:", "holidays.yen", "should match pattern"),
        ("open: [2019-10-23]", "open: [2019-10-22]", "holidays.JPY", "both closed and open"),
        ("name: broker", "name: Broker", "name", "should match pattern"),
    ],
)
def test_faults_name_the_line_and_the_field(configs: Path, old: str, new: str, field: str, words: str) -> None:
    catalog = changed(configs, old, new)
    assert dict(catalog.lists) == {}
    [found] = {problem for group in catalog.broken.values() for problem in group if words in problem.message}
    assert found.field.startswith(field)
    assert found.file == "configs/financing/broker.yaml"
    lines = (configs / "financing" / "broker.yaml").read_text().splitlines()
    last = [part for part in found.field.split(".") if not part.isdigit()][-1]
    assert last in lines[found.line - 1] or (last == "until" and "EURUSD" in lines[found.line - 1])
