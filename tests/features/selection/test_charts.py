"""The map and the table that people see."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.features.frames import FloatArray
from fx_assets.features.pictures import redundancy as redundancy_charts
from fx_assets.features.pictures.redundancy import MAX_BYTES, clustered, dropped_table, redundancy_map
from fx_assets.features.redundancy import correlations
from fx_assets.features.stages.selection import Selection, SelectionOptions
from tests.features.selection.samples import sample

STAGES = ("indicators", "tsfresh", "featuretools", "autofeat")


def drawn(values: FloatArray, names: list[str] | None = None, **changed: Any) -> bytes | None:
    names = names or [f"c{i:03d}" for i in range(values.shape[1])]
    options: dict[str, Any] = {"kept": set(sorted(names)[::2]), "threshold": 0.9, **changed}
    stages = [STAGES[sum(map(ord, name)) % 4] for name in names]
    return redundancy_map("majors_hourly", names, stages, correlations(values), **options)


def size(picture: bytes | None) -> tuple[int, int]:
    assert picture is not None
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


@pytest.mark.parametrize("columns", [2, 30, 31, 230])
def test_a_picture_that_can_be_shown_inline(columns: int) -> None:
    # Few rows: everything correlates a little, which makes the largest file.
    picture = drawn(np.random.default_rng(columns).standard_normal((25, columns)))
    assert size(picture) == (726, 726)
    assert len(picture or b"") < MAX_BYTES


def test_equal_bytes_in_any_order_of_columns() -> None:
    rng = np.random.default_rng(1)
    for values in (np.eye(12), rng.standard_normal((12, 40))):  # the first: all at one distance
        names = [f"c{i:03d}" for i in range(values.shape[1])]
        order = rng.permutation(len(names))
        assert drawn(values[:, order], [names[i] for i in order]) == drawn(values, names)


def test_what_is_kept_is_seen() -> None:
    names = ["a", "b", "c"]
    values = correlations(np.random.default_rng(2).standard_normal((50, 3)))
    pictures = {
        redundancy_map("set", names, ["tsfresh"] * 3, values, kept={kept}, threshold=threshold)
        for kept, threshold in (("a", 0.9), ("b", 0.9), ("b", 1.0))
    }
    assert len(pictures) == 3
    assert {size(picture) for picture in pictures} == {(726, 726)}


def test_like_is_drawn_beside_like() -> None:
    from matplotlib.image import imread

    rng = np.random.default_rng(5)
    values = rng.standard_normal((500, 2))[:, np.arange(40) % 2] + 0.2 * rng.standard_normal((500, 40))
    picture = drawn(values)
    assert picture is not None
    row = imread(BytesIO(picture))[200, 60:600]
    assert 1 <= np.any(row[1:] != row[:-1], axis=1).sum() <= 10  # the families, and the strip between them


def test_constants_are_not_drawn_and_one_column_is_no_map() -> None:
    values = np.random.default_rng(3).standard_normal((50, 4))
    flat = np.column_stack([values, np.ones(50)])
    assert size(drawn(flat)) == (726, 726)
    assert drawn(flat[:, 3:]) is None
    assert drawn(flat[:, :0]) is None


def test_of_many_the_most_alike_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redundancy_charts, "MAX_COLUMNS", 4)
    rng = np.random.default_rng(4)
    values = rng.standard_normal((200, 9))
    values[:, 7], values[:, 2] = values[:, 0] + 0.1 * values[:, 7], values[:, 5] + 0.1 * values[:, 2]
    names = [f"c{i:03d}" for i in range(9)]
    shown = redundancy_charts._shown(names, np.abs(correlations(values)))
    assert shown.tolist() == [0, 2, 5, 7]


def test_like_stands_beside_like() -> None:
    rng = np.random.default_rng(5)
    base = rng.standard_normal((500, 3))
    values = base[:, np.arange(12) % 3] + 0.2 * rng.standard_normal((500, 12))
    order = clustered(np.abs(correlations(values)))
    assert sorted(order.tolist()) == list(range(12))
    families = (order % 3).tolist()
    assert sum(a != b for a, b in pairwise(families)) == 2


def test_a_picture_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redundancy_charts, "MAX_BYTES", 1_000)
    with pytest.raises(ValueError, match=r"redundancy map 'majors_hourly' has [\d,]+ bytes, limit 1,000"):
        drawn(np.random.default_rng(6).standard_normal((50, 5)))


def test_the_table_says_what_was_dropped_for_what(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    base = rng.standard_normal(400)
    columns = {
        "rsi_14": base,
        "x|y": -np.exp(-base),
        "a__near": base + 0.01 * rng.standard_normal(400),
        "flat": np.ones(400),
        "gone": np.full(400, np.nan),
        "lone": rng.standard_normal(400),
    }
    costs = {"x|y": 2.0, "a__near": 3.0, "lone": 9.0}
    options = SelectionOptions(max_features=1)
    report = Selection().fit(sample(columns, costs=costs), options, scratch=tmp_path, seed=0).report
    near = report["dropped"][-2]["correlation"]
    assert dropped_table(report) == "\n".join(
        [
            "1 of 6 columns kept, ranked on 400 of 400 rows; threshold 0.95.",
            "",
            "Dropped for other reasons: 1 never change, 1 without a value in too many rows, "
            "1 beyond the largest number to keep.",
            "",
            "| dropped | kept instead | rank correlation |",
            "|---|---|---:|",
            "| `x\\|y` | `rsi_14` | 1.0000 |",
            f"| `a__near` | `rsi_14` | {near:.4f} |",
        ]
    )
    assert dropped_table(report, rows=1).endswith("| 1.0000 |\n\nAnd 1 more.")


def test_a_table_of_nothing_says_so(tmp_path: Path) -> None:
    given = sample({"a": np.arange(9.0), "b": np.arange(9.0) % 4})
    report = Selection().fit(given, SelectionOptions(), scratch=tmp_path, seed=0).report
    assert dropped_table(report) == (
        "2 of 2 columns kept, ranked on 9 of 9 rows; threshold 0.95.\n\nNone is redundant."
    )
