"""Calculators without a kernel: tsfresh itself, under the names that it gives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fx_assets.features.kernels.base import kernels
from fx_assets.features.tsfresh import raw
from fx_assets.features.tsfresh.settings import _EFFICIENT
from tests.features.kernels.support import differences
from tests.features.tsfresh.support import STAGE, by_tsfresh, closes, frame, options

RAW = {name: sets for name, sets in _EFFICIENT.items() if name not in kernels()}
QUERY = {"query": [1.0, -2.0, 0.5], "threshold": 2.0}


def test_there_are_some() -> None:
    assert "number_cwt_peaks" in RAW


def test_values_and_names_are_those_of_extract_features() -> None:
    close = closes(70)
    window = 64
    chosen = options(preset="none", raw=True, window=window, fc_parameters=RAW)
    assert not STAGE.online(chosen)
    found = STAGE.compute(frame(close), chosen)
    rows = [window, len(close) - 1]
    theirs = by_tsfresh(np.append(np.nan, np.diff(np.log(close)) * 1e4), rows, window, "returns", RAW)
    assert differences({name: column[rows] for name, column in found.items()}, theirs) == []
    assert 'returns__augmented_dickey_fuller__attr_"teststat"__autolag_"AIC"' in found


@pytest.mark.slow
def test_a_query_is_a_list_in_the_name_too() -> None:
    close = closes(50)
    given = {"query_similarity_count": [QUERY]}
    found = raw.compute(close[None, :], given)
    assert list(found) == ["value__query_similarity_count__query_[1.0, -2.0, 0.5]__threshold_2.0"]
    assert differences(found, by_tsfresh(close, [49], 50, "value", given)) == []


def test_no_warning_leaves_it_and_a_constant_window_has_no_answer() -> None:
    windows = np.array([np.zeros(40), closes(40)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = raw.compute(windows, {name: RAW[name] for name in RAW if name != "number_cwt_peaks"})
    assert all(np.isnan(column[0]) for column in found.values())
    assert np.isfinite(found['value__augmented_dickey_fuller__attr_"pvalue"__autolag_"AIC"'][1])


@pytest.mark.parametrize("calculator", sorted(RAW))
def test_refused_by_name_unless_raw(calculator: str) -> None:
    with pytest.raises(ValueError, match=f"{calculator} has no kernel and takes tsfresh itself"):
        options(fc_parameters={calculator: RAW[calculator]})
    assert options(raw=True, fc_parameters={calculator: RAW[calculator]}).raw
    # To take one out needs no leave.
    assert not options(fc_parameters={calculator: []}).raw


def test_the_preset_has_them_only_if_raw() -> None:
    without, with_them = ({column.name for column in STAGE.columns(options(raw=raw))} for raw in (False, True))
    assert without < with_them
    assert {name.split("__")[1] for name in with_them - without} == set(RAW)
    assert STAGE.online(options())
    assert not STAGE.online(options(raw=True))
