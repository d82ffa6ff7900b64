"""Whole dates of standardised returns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.forecasting.joint.history import WARM_UP, ewma_volatilities, standardised, whole_dates
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.volatility import ewma_variance

NAMES = ("EURUSD", "USDJPY")


def prices(n: int = 400, seed: int = 1) -> NDArray[np.float64]:
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.005, (n, 2)), axis=0))


def test_a_return_is_divided_by_what_was_forecast_the_row_before() -> None:
    closes = np.exp([[0.0, 0.0], [0.01, -0.02], [0.03, 0.02]])
    volatility = np.array([[0.01, 0.01], [0.02, 0.04], [0.5, 0.5]])
    found = standardised(closes, volatility, NAMES)
    assert np.isnan(found[0]).all()
    assert found[1:] == pytest.approx(np.array([[1.0, -2.0], [1.0, 1.0]]))
    moved = standardised(closes, volatility, NAMES, location=np.array([[0.01] * 2, [0.02] * 2, [9.0] * 2]))
    assert moved[1:] == pytest.approx(np.array([[0.0, -3.0], [0.0, 0.5]]))


def test_dates_on_which_a_leg_is_missing_are_left_out_and_counted() -> None:
    closes = prices()
    closes[100, 1] = np.nan  # takes the returns into row 100 and out of it
    volatility = np.full_like(closes, 0.005)
    volatility[:20] = np.nan
    volatility[200, 0] = np.nan  # takes the return into row 201
    errors = standardised(closes, volatility, NAMES)
    found = whole_dates(errors, NAMES, until=399)
    assert set(range(21, 400)) - set(found.rows.tolist()) == {100, 101, 201}
    assert found.left_out == 3
    assert len(found.rows) == 376
    assert found.values == pytest.approx(errors[found.rows])
    recent = whole_dates(errors, NAMES, until=399, most=250)
    assert (len(recent.rows), recent.left_out) == (250, 1)


def test_no_later_date_is_looked_at() -> None:
    closes, until = prices(), 349
    volatility = ewma_volatilities(closes, NAMES)
    before = whole_dates(standardised(closes, volatility, NAMES), NAMES, until=until)
    closes[until + 1 :] *= 17.0
    volatility = ewma_volatilities(closes, NAMES)
    after = whole_dates(standardised(closes, volatility, NAMES), NAMES, until=until)
    assert after.rows[-1] == until
    assert after.values.tobytes() == before.values.tobytes()


def test_residuals_are_centred_and_only_on_demand_of_unit_size() -> None:
    closes = prices()
    found = whole_dates(standardised(closes, np.full_like(closes, 0.004), NAMES), NAMES, until=399)
    centred = found.centred()
    assert centred.mean(axis=0) == pytest.approx([0, 0], abs=1e-14)
    assert centred.std(axis=0) == pytest.approx([1.25, 1.25], rel=0.1)
    assert found.centred(rescaled=True).std(axis=0) == pytest.approx([1, 1])


def test_ewma_volatilities_are_those_of_the_models_room() -> None:
    closes = prices()
    closes[150, 0] = np.nan
    found = ewma_volatilities(closes, NAMES)
    assert np.isnan(found[:WARM_UP]).all()
    assert np.isfinite(found[WARM_UP:, 1]).all()
    assert np.isnan(found[150, 0])
    for column, row in ((0, 399), (1, 399), (1, 200), (1, WARM_UP)):
        known = closes[: row + 1, column]
        returns = np.diff(np.log(known[np.isfinite(known)]))
        initial = float(np.square(returns[:WARM_UP]).mean())
        expected = ewma_variance(returns[WARM_UP:], initial=initial)
        assert found[row, column] == pytest.approx(np.sqrt(expected), rel=1e-12)


def test_a_pair_too_young_for_a_volatility_has_none() -> None:
    closes = prices()
    closes[: 400 - WARM_UP, 1] = np.nan
    found = ewma_volatilities(closes, NAMES)
    assert np.isnan(found[:, 1]).all()
    with pytest.raises(InsufficientHistory, match="0 dates on which all of EURUSD, USDJPY"):
        whole_dates(standardised(closes, found, NAMES), NAMES, until=399)


def test_too_few_dates_a_frozen_price_and_impossible_rows_are_refused() -> None:
    closes = prices()
    volatility = np.full_like(closes, 0.005)
    errors = standardised(closes, volatility, NAMES)
    with pytest.raises(InsufficientHistory, match="at least 250 are"):
        whole_dates(errors, NAMES, until=249)
    assert len(whole_dates(errors, NAMES, until=250).rows) == 250
    with pytest.raises(ValueError, match="row 400 is not among the 400 rows"):
        whole_dates(errors, NAMES, until=400)
    with pytest.raises(ValueError, match="most: expected at least 250"):
        whole_dates(errors, NAMES, until=399, most=100)
    with pytest.raises(ValueError, match=r"errors: expected \(n, 1\)"):
        whole_dates(errors, NAMES[:1], until=399)
    closes[:, 1] = 150.0
    with pytest.raises(ValueError, match="USDJPY: its price never moves on 399 dates"):
        whole_dates(standardised(closes, volatility, NAMES), NAMES, until=399)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf])
def test_prices_and_volatilities_that_cannot_be_are_refused_by_name(bad: float) -> None:
    closes, volatility = prices(), np.full((400, 2), 0.005)
    closes[7, 1] = bad
    with pytest.raises(ValueError, match="closes of USDJPY in row 7"):
        standardised(closes, volatility, NAMES)
    with pytest.raises(ValueError, match="closes of USDJPY in row 7"):
        ewma_volatilities(closes, NAMES)
    volatility[3, 0] = bad
    with pytest.raises(ValueError, match="volatility of EURUSD in row 3"):
        standardised(prices(), volatility, NAMES)
    with pytest.raises(ValueError, match="expected one shape"):
        standardised(prices(), np.full((399, 2), 0.005), NAMES)
