"""The same bits in any process: whatever its hash seed and its threads."""

from __future__ import annotations

import os
import subprocess
import sys

from fx_assets.settings import project_root

FIT = """
import hashlib, json
from pathlib import Path
import numpy as np
from fx_assets.features.redundancy import correlations
from fx_assets.features.stages.base import Sample
from fx_assets.features.stages.selection import Selection

rng = np.random.default_rng(5)
factors = rng.standard_normal((6_000, 40))
values = factors[:, np.arange(160) % 40] + rng.standard_normal((6_000, 160)) * np.linspace(0.05, 1, 160)
values[rng.random(values.shape) < 0.02] = np.nan
names = tuple({f"feature {i}" for i in range(160)})  # in the order of the hash seed
order = [int(name.split()[1]) for name in names]
sample = Sample(names, values[:, order], np.zeros(6_000), rng.integers(0, 3, 6_000),
                (np.arange(160) % 3 * 10)[order], np.ones(160))
fit = Selection().fit(sample, Selection.Options(threshold=0.8), scratch=Path(), seed=0)
assert 50 < fit.report["kept"] < 150, fit.report["kept"]
said = json.dumps([sorted(fit.params["fill"].items()), fit.report])
back = np.argsort(order)
bits = correlations(sample.values, sample.groups)[np.ix_(back, back)].tobytes()
print(hashlib.sha256(said.encode() + bits).hexdigest())
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_hash_seeds_and_threads_change_no_bit() -> None:
    found = {
        run(FIT, PYTHONHASHSEED=seed, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        for seed, threads in (("0", "1"), ("0", "2"), ("7", "1"), ("99", "2"))
    }
    assert len(found) == 1


def test_nothing_heavy_is_loaded_to_select() -> None:
    code = (
        "import sys, fx_assets.features.stages.selection\n"
        "print(sorted({'scipy', 'matplotlib', 'pandas', 'polars', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    assert run(code) == "[]"
