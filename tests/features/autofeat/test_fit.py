"""Real fits in real children: what is found, what limits do, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from fx_assets.features.autofeat import remote
from fx_assets.features.autofeat.child import same_values
from fx_assets.features.autofeat.remote import CHILD, Outcome, search_formulas
from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.autofeat import Autofeat
from fx_assets.features.stages.base import Fit
from fx_assets.settings import project_root
from tests.features.autofeat.library import columns
from tests.features.autofeat.samples import PRODUCTS, fit, planted, sample
from tests.training.helpers import wait_until_gone

# A fit in a process of its own: `FOLDER SEED`; prints what it learned.
ALONE = """
import json, sys
from pathlib import Path
from tests.features.autofeat.samples import MANY, fit, planted
print(json.dumps(fit(planted(), Path(sys.argv[1]), seed=int(sys.argv[2]), **MANY).params))
"""


def children() -> list[int]:
    """Living processes started by this one that run the child's module."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if CHILD in process.cmdline():
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, list[Path]]:
    scratch = tmp_path_factory.mktemp("autofeat")
    return fit(planted(), scratch, **PRODUCTS), list(scratch.iterdir())


def test_a_planted_relation_is_found(found: tuple[Fit, list[Path]]) -> None:
    best, *others = found[0].params["formulas"]
    assert (best["expression"], best["name"]) == ("x001*log(x000)", "autofeat__momentum*log([ATR(14)])")
    assert found[0].params["inputs"][:2] == ["ATR(14)", "momentum"]
    report = found[0].report
    assert report.keys() == {"status", "reason", "inputs", "rows", "formulas", "refused"}
    assert (report["status"], report["reason"], report["refused"]) == ("fitted", "", [])
    assert (report["inputs"], report["rows"]) == (["ATR(14)", "momentum", "noise"], 300)
    assert report["formulas"][0] == {"name": best["name"], "inputs": ["ATR(14)", "momentum"]}
    assert [formula["name"] for formula in report["formulas"][1:]] == [formula["name"] for formula in others]


def test_what_it_learned_is_json_and_makes_the_column(found: tuple[Fit, list[Path]]) -> None:
    given = planted()
    params = json.loads(json.dumps(found[0].params, allow_nan=False))
    made = Autofeat().transform(given.names, given.values, params)
    expected = given.values[:, 1] * np.log(given.values[:, 0])
    np.testing.assert_allclose(made[:, 3], expected, rtol=1e-12)
    assert params["formulas"][0]["limit"] == pytest.approx(1000 * np.abs(expected).max())
    assert np.corrcoef(made[:, 3], given.target)[0, 1] > 0.99


def test_nothing_is_left_in_the_scratch_folder(found: tuple[Fit, list[Path]]) -> None:
    assert found[1] == []
    assert children() == []


def test_the_time_limit_gives_no_features_and_leaves_no_process(tmp_path: Path) -> None:
    made = fit(planted(), tmp_path, time_limit_s=0.5)
    assert made.params == {"formulas": [], "inputs": []}
    assert (made.report["status"], made.report["reason"]) == ("time limit", "time limit of 0.5 s passed")
    assert children() == []
    assert list(tmp_path.iterdir()) == []


def test_the_memory_limit_gives_no_features_and_leaves_no_process(tmp_path: Path) -> None:
    rows = 20_000
    values = np.random.default_rng(0).normal(size=(rows, 20))
    wide = sample({f"x{number}": values[:, number] for number in range(20)}, values[:, 0] ** 2)
    made = fit(wide, tmp_path, steps=3, transformations=["^2", "abs"], rows=rows, memory_mb=1024)
    assert made.params == {"formulas": [], "inputs": []}
    assert made.report["status"] == "memory limit"
    assert made.report["reason"].startswith("limit of 1024 MB met: MemoryError")
    assert children() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("x000**2", True),
        ("x000**2*(1 + 2/1000000000)", False),
        ("x000**3", False),
        ("zoo*x000", False),
        ("log(-x000)", False),
    ],
)
def test_a_formula_must_have_the_values_that_autofeat_chose_it_for(expression: str, same: bool) -> None:
    values = columns(seed=7, rows=20)
    assert same_values(expression, values, values[:, 0] ** 2) is same


class Interrupted(BaseException):
    """Like Dagster's, not an Exception."""


def test_an_interrupt_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupt() -> None:
        while not seen:
            seen.extend(children())
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    def raised(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, raised)
    watching = threading.Thread(target=interrupt, daemon=True)
    try:
        watching.start()
        with pytest.raises(Interrupted):
            fit(planted(), tmp_path)
    finally:
        watching.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 1
    assert wait_until_gone(*seen, seconds=0) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "reason"), [("fx_assets.no_such_module", "exit code 1"), ("this", "exit code 0")], ids=["none", "mute"]
)
def test_a_child_that_says_nothing_has_failed(
    module: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CHILD", module)
    made = fit(planted(), tmp_path)
    assert made.params == {"formulas": [], "inputs": []}
    assert (made.report["status"], made.report["reason"]) == ("failed", reason)


def search(values: FloatArray, target: FloatArray, scratch: Path, memory_mb: int) -> Outcome:
    return search_formulas(
        values,
        target,
        steps=1,
        transformations=["^2"],
        max_features=1,
        time_limit_s=60,
        memory_mb=memory_mb,
        scratch=scratch,
    )


@pytest.mark.slow
@pytest.mark.parametrize("memory_mb", [64, 300, 600])
def test_too_little_memory_for_the_imports_is_the_memory_limit(memory_mb: int, tmp_path: Path) -> None:
    outcome = search(planted().values, planted().target, tmp_path, memory_mb)
    assert outcome.status == "memory limit", outcome.reason


@pytest.mark.slow
def test_a_fit_that_fails_says_why(tmp_path: Path) -> None:
    outcome = search(planted().values, np.zeros(300), tmp_path, 4096)
    assert (outcome.status, outcome.expressions) == ("failed", ())
    assert outcome.reason.startswith("ValueError: Input y contains NaN")


@pytest.mark.slow
def test_equal_samples_give_equal_bytes_whatever_process_seed_and_hash(tmp_path: Path) -> None:
    running = []
    for seed in ("0", "1"):
        (tmp_path / seed).mkdir()
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", ALONE, str(tmp_path / seed), seed],
                env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "2"},
                cwd=project_root(),
                stdout=subprocess.PIPE,
            )
        )
    first, second = (process.communicate()[0] for process in running)
    assert first == second
    assert b"x001*log(x000)" in first


@pytest.mark.slow
def test_a_killed_parent_takes_the_child_along(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ALONE, str(tmp_path), "1"], cwd=project_root())
    while not (started := psutil.Process(parent.pid).children(recursive=True)):
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    assert wait_until_gone(*(child.pid for child in started)) == []


@pytest.mark.slow
def test_eight_fits_leave_the_parent_flat(tmp_path: Path) -> None:
    def after_a_fit() -> float:
        assert fit(planted(), tmp_path, transformations=["^2"]).report["status"] in {"fitted", "nothing found"}
        return float(psutil.Process().memory_info().rss) / 2**20

    first, *later = [after_a_fit() for _ in range(9)]
    assert max(later) - first < 8
