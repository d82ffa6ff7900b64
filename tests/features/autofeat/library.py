"""autofeat itself, in a process of its own: `python -m tests.features.autofeat.library FILE STEPS TRANSFORMATION...`.

Writes every formula it makes of two columns, and its own values of them on rows it was not fitted on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fx_assets.features.frames import FloatArray
from fx_assets.settings import project_root

ALL = ("1/", "exp", "log", "abs", "sqrt", "^2", "^3", "1+", "1-", "sin", "cos", "exp-", "2^")


@dataclass(frozen=True)
class Made:
    """Rows (n, 2), formulas (m,) and autofeat's values (n, m)."""

    rows: FloatArray
    formulas: list[str]
    values: FloatArray


def made_by_autofeat(folder: Path, steps: int, transformations: tuple[str, ...]) -> Made:
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder / "made.npz"), str(steps), *transformations],
        env={**os.environ, "PYTHONHASHSEED": "0", "NUMBA_DISABLE_JIT": "1"},
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "made.npz", allow_pickle=False) as found:
        return Made(found["rows"], [str(name) for name in found["formulas"]], found["values"])


def columns(seed: int, rows: int) -> FloatArray:
    """One positive column and one of both signs, drawn at random."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(0.2, 3, rows), rng.normal(size=rows)])


def main(path: str, steps: str, *transformations: str) -> None:
    import pandas as pd
    from autofeat import AutoFeatRegressor

    names = ["x000", "x001"]
    given = columns(seed=1, rows=100)
    # Without a selection run it keeps all that it makes.
    model = AutoFeatRegressor(feateng_steps=int(steps), featsel_runs=0, transformations=transformations)
    model.fit_transform(pd.DataFrame(given, columns=names), given[:, 0] * given[:, 1])
    # The last three are outside of what roots, logarithms, quotients and powers are defined for.
    rows = np.concatenate([columns(seed=2, rows=100), [[0.0, 0.0], [-1.5, 1.0], [800.0, -800.0]]])
    made = model.transform(pd.DataFrame(rows, columns=names))
    formulas = [str(name) for name in model.new_feat_cols_]
    np.savez(path, allow_pickle=False, rows=rows, formulas=np.array(formulas), values=made[formulas].to_numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
