"""The tour runs from its first cell to its last, and its helpers compute what they say."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fx_assets.settings import project_root
from fx_assets.timegrid.calendars import calendar

NOTEBOOKS = project_root() / "notebooks"
TOUR = NOTEBOOKS / "tour.ipynb"
PICTURES = 9
START, END = pd.Timestamp("2000-01-03"), pd.Timestamp("2026-10-30")


def cells() -> list[dict[str, Any]]:
    """Of the tour, as it lies in the repository."""
    found: list[dict[str, Any]] = json.loads(TOUR.read_text())["cells"]
    return found


def test_the_tour_is_committed_without_outputs() -> None:
    ran = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(ran) > 20
    assert [cell["source"] for cell in ran if cell["outputs"] or cell["execution_count"] is not None] == []
    assert len({cell["id"] for cell in cells()}) == len(cells())
    assert [cell["metadata"] for cell in cells() if cell["metadata"]] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from jupyter_client.manager import KernelManager
    from nbclient import NotebookClient

    for name in [name for name in os.environ if name.startswith(("FX_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    # Whatever Jupyter and the tour write, they write here.
    for name in ("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    untyped: Any = nbformat
    tour = untyped.read(TOUR, as_version=4)
    untyped.validate(tour)
    # Over sockets in a folder of its own: nobody else on this machine can speak to the kernel.
    kernel = KernelManager(transport="ipc", ip=str(tmp_path / "kernel"))
    NotebookClient(tour, km=kernel, timeout=240, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()

    outputs = [output for cell in tour.cells for output in cell.get("outputs", ())]
    errors = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert errors == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES
    text = "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "nothing changed: all 2 assets reused" in text
    assert "no skill shown" in text
    # Three models, three questions, three horizons, and each has a verdict.
    table = next(output.text for output in outputs if "bars ahead" in output.get("text", "")).splitlines()
    assert len(table) == 1 + 27
    verdicts = ("no skill shown", "skill shown", "worse", "too little data")
    assert [line for line in table[1:] if not any(words in line for words in verdicts)] == []
    assert list((tmp_path / "tmpdir").glob("fx-assets-tour-*")) == [], "the last cell removes what was written"


@pytest.fixture
def volatility(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`utils.volatility`, as a notebook beside `utils` imports it."""
    monkeypatch.syspath_prepend(NOTEBOOKS)
    yield importlib.import_module("utils.volatility")
    for name in [name for name in sys.modules if name == "utils" or name.startswith("utils.")]:
        del sys.modules[name]


def days(*, kind: str, payroll: float = 1.0, friday: float = 1.0, after: int = 0, seed: int = 1) -> pd.DataFrame:
    """Bars of a market of .5 % a day, with these variances of Fridays and of the day `after` a first Friday."""
    dates = pd.DatetimeIndex(calendar("target").days(START.date(), END.date()))
    returns = 0.005 * np.random.default_rng(seed).standard_normal(len(dates))
    first = np.roll((dates.dayofweek == 4) & (dates.day <= 7), after)
    returns *= np.sqrt(np.where(first, payroll, 1) * np.where(dates.dayofweek == 4, friday, 1))
    returns[0] = np.nan
    return pd.DataFrame({"trading_date": dates.date, "kind": kind, "log_return": returns}, index=dates)


def test_days_that_move_more_are_found(volatility: ModuleType) -> None:
    table = volatility.weekday_effect(days(kind="bar", friday=2.0))
    assert list(table.index) == ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
    assert table["days"].sum() == len(days(kind="bar")) - 1
    others = table["ratio"].drop("Friday").mean()
    assert table.loc["Friday", "ratio"] / others == pytest.approx(2, rel=0.12)
    # Standard errors of squares of normal returns: sqrt(2 / n).
    monday = table.loc["Monday"]
    assert monday["error"] == pytest.approx(monday["ratio"] * np.sqrt(2 / monday["days"]), rel=0.15)


@pytest.mark.parametrize(("kind", "after"), [("bar", 0), ("fixing", 1)])
def test_the_payroll_report_is_looked_for_where_its_return_is(volatility: ModuleType, kind: str, after: int) -> None:
    table = volatility.payroll_effect(days(kind=kind, payroll=3.0, after=after))
    assert table.loc["payroll", "ratio"] / table.loc["other days", "ratio"] == pytest.approx(3, rel=0.25)
    wrong = volatility.payroll_effect(days(kind=kind, payroll=3.0, after=1 - after))
    assert wrong.loc["payroll", "ratio"] < 1.5


def test_volatility_that_is_right_has_a_ratio_of_one(volatility: ModuleType) -> None:
    random = np.random.default_rng(2)
    said = 0.005 * np.exp(0.5 * random.standard_normal(8000))
    scores = pd.DataFrame({"volatility": said, "y": said * random.standard_normal(8000), "location": 0.0, "horizon": 1})
    table = volatility.against_realised(scores)
    assert table["windows"].tolist() == [800] * 10
    assert table["forecast"].is_monotonic_increasing
    assert ((table["ratio"] - 1).abs() < 4 * table["error"]).all()
    assert table["error"].to_numpy() == pytest.approx(1 / np.sqrt(2 * 800), rel=0.2)
    narrow = volatility.against_realised(scores.assign(volatility=said / 2))
    assert narrow["ratio"].to_numpy() == pytest.approx(2 * table["ratio"].to_numpy())


def test_volatilities_are_a_year_in_per_cent(volatility: ModuleType) -> None:
    forecast = pd.DataFrame({"volatility": [0.005, 0.01]}, index=[1, 4])
    assert volatility.term_structure(forecast).tolist() == pytest.approx([0.5 * np.sqrt(252)] * 2)
    calm = days(kind="bar").assign(log_return=0.01)
    assert volatility.realised(calm).dropna().to_numpy() == pytest.approx(np.sqrt(252))
    inside = calm.assign(realised_variance=0.02**2)
    assert volatility.realised(inside).dropna().to_numpy() == pytest.approx(2 * np.sqrt(252))
    assert volatility.realised(inside.assign(realised_variance=np.nan)).iloc[-1] == pytest.approx(np.sqrt(252))
