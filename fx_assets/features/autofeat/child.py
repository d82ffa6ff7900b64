"""The process autofeat runs in: `python -m fx_assets.features.autofeat.child FOLDER PARENT_PID`.

It reads task.json and rows.npz from FOLDER. Its stdout carries one JSON line: `{"formulas": [...], "refused": [...]}`
or `{"failed": reason}`. Nothing heavy is imported before the process is bound to its parent and its memory limited.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fx_assets.children.child import bind_to_parent, limit_memory, open_channel

if TYPE_CHECKING:
    from fx_assets.features.frames import FloatArray

TASK, ROWS = "task.json", "rows.npz"
# How far a formula may be from autofeat's own value on any training row, relative to its largest there.
TOLERANCE = 1e-9


def search(folder: Path, task: dict[str, Any]) -> dict[str, list[str]]:
    """Formulas in autofeat's order, best first, and those whose values here are not autofeat's own."""
    import numpy as np
    import pandas as pd
    from autofeat import AutoFeatRegressor

    from fx_assets.features.autofeat.formulas import column_name

    with np.load(folder / ROWS, allow_pickle=False) as arrays:
        values, target = arrays["values"], arrays["target"]
    # Never max_gb: it drops rows by chance. autofeat seeds numpy itself before each use of it.
    model = AutoFeatRegressor(
        feateng_steps=task["steps"], transformations=task["transformations"], n_jobs=1, verbose=0, max_gb=None
    )
    rows = pd.DataFrame(values, columns=[column_name(number) for number in range(values.shape[1])])
    made = model.fit_transform(rows, target)
    found: dict[str, list[str]] = {"formulas": [], "refused": []}
    for expression in map(str, model.new_feat_cols_):
        same = same_values(expression, values, made[expression].to_numpy())
        found["formulas" if same else "refused"].append(expression)
    return {**found, "formulas": found["formulas"][: task["max_features"]]}


def same_values(expression: str, values: FloatArray, theirs: FloatArray) -> bool:
    """Whether a formula of columns (n, k), evaluated as `transform` does, gives autofeat's values (n,)."""
    import numpy as np

    from fx_assets.features.autofeat.formulas import compiled
    from fx_assets.features.errors import FeatureError

    try:
        ours = compiled(expression, values.shape[1])(values)
    except FeatureError:
        return False
    return bool(np.all(np.abs(ours - theirs) <= TOLERANCE * np.abs(theirs).max()))


def main(arguments: list[str]) -> int:
    """Exit code 0 with formulas, or none, on stdout; 1 with the reason there."""
    folder, parent = Path(arguments[0]), int(arguments[1])
    bind_to_parent(parent)
    send = open_channel()
    try:
        task = json.loads((folder / TASK).read_text())
        limit_memory(task["memory_mb"] * 2**20)
        found = search(folder, task)
    except Exception as error:
        traceback.print_exc()
        send({"failed": f"{type(error).__name__}: {error}"})
        return 1
    send(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
