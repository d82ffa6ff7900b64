"""Models compared all at once: who could be the best, and whether the best beats the walk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fx_assets.evaluation.leaderboard.together import LEAST_WINDOWS, together
from tests.evaluation.test_certify import scores


def test_a_better_model_leaves_the_others_behind() -> None:
    found = together({"walk": scores("walk"), "model": scores(better=0.05), "same": scores("same")}, "walk")
    assert found is not None
    assert found.windows == 800
    assert found.confidence["model"] == 1.0
    assert found.confidence["walk"] == found.confidence["same"] < 0.01
    assert found.superior < 0.01


def test_where_nobody_is_better_all_stay_and_nobody_is_superior() -> None:
    found = together({"walk": scores("walk"), "model": scores(better=-0.0001), "same": scores("same")}, "walk")
    assert found is not None
    assert min(found.confidence.values()) > 0.1
    assert found.superior > 0.05


def test_only_shared_windows_count_in_any_order() -> None:
    whole = scores(better=0.05)
    shuffled = whole.take(pa.array(np.random.default_rng(1).permutation(len(whole))))
    found = together({"walk": scores("walk"), "model": shuffled, "late": scores("late", first=500, n=100)}, "walk")
    assert found is not None
    assert found.windows == 100
    assert found == together({"walk": scores("walk"), "model": whole, "late": scores("late", first=500, n=100)}, "walk")


def test_too_little_to_compare() -> None:
    assert together({"walk": scores("walk")}, "walk") is None
    assert together({"walk": scores("walk"), "model": scores()}, "gone") is None
    assert together({"walk": scores("walk"), "late": scores("late", first=790, n=LEAST_WINDOWS)}, "walk") is None
    assert together({"walk": scores("walk"), "none": scores("none").slice(0, 0)}, "walk") is None
