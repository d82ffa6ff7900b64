"""The stored references: computed once for a fold, the same whenever they are computed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.reference_table import REFERENCES_SCHEMA, reference_folds, reference_table
from tests.forecasting.conftest import simulated

RNG = np.random.default_rng(41)
MOVING = np.repeat(RNG.uniform(0.003, 0.012, 30), 52)
PRICES = simulated(RNG.normal(0, 1, len(MOVING)) * MOVING)
SHORTER = PRICES.until(reference_folds(PRICES, 1)[-1].test_until.replace(month=9))


def test_a_longer_history_adds_rows_and_changes_none() -> None:
    before = reference_table(SHORTER, 1, None)
    assert before.schema.equals(REFERENCES_SCHEMA)
    after = reference_table(PRICES, 1, before)
    assert after.equals(reference_table(PRICES, 1, None)), "what is on record makes no difference"
    shared = after.filter(pc.is_in(after.column("origin"), value_set=before.column("origin").combine_chunks()))
    assert shared.equals(before)
    assert after.num_rows > before.num_rows
    assert after.num_rows % 3 == 0
    assert sorted(set(after.column("fold").to_pylist())) == ["reference-2024", "reference-2025", "reference-2026"]


def test_a_whole_fold_is_taken_from_the_record() -> None:
    before = reference_table(PRICES, 1, None)
    marked = before.set_column(before.schema.get_field_index("garch"), "garch", pa.array([1.0] * before.num_rows))
    assert reference_table(PRICES, 1, marked).column("garch").to_pylist() == [1.0] * before.num_rows


def test_a_short_history_has_none() -> None:
    assert reference_table(simulated(RNG.normal(0, 0.006, 300)), 5, None).num_rows == 0
