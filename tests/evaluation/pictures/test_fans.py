"""Past fan charts with what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.pictures.fans import fan_with_outcomes
from tests.evaluation.pictures.conftest import shown, words
from tests.evaluation.scorecard.test_card import DAYS, forecast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The 80 % range is 1.092 to 1.108.
CLOSES = [1.1, 1.1, 1.1, 1.1, 1.1, 1.107, 1.109, 1.1, 1.1, 1.091, 1.1, 1.1]


def prices(closes: list[float], pair: str = "EURUSD") -> pa.Table:
    days = pa.array(DAYS[: len(closes)], pa.date32())
    return pa.table({"pair": [pair] * len(closes), "trading_date": days, "close": closes})


def test_prices_are_held_against_what_was_forecast(drawn: list[Figure]) -> None:
    documents = [forecast(8, steps=3), forecast(4, steps=3)]
    fan_with_outcomes(prices(CLOSES), documents, prices(CLOSES))
    said = words(drawn[0])
    assert "EURUSD  walk: what was forecast, and what came" in said
    assert "2 forecasts, up to 3 bars ahead, from 2026-01-09 to 2026-01-15; 4 of 6 prices came inside" in said
    (marked,) = [line for line in drawn[0].axes[0].get_lines() if line.get_label() == "outside the 80 % range"]
    assert np.asarray(marked.get_ydata()).tolist() == [1.109, 1.091]


def test_a_readable_picture_whatever_the_order_of_documents() -> None:
    documents = [forecast(8, steps=3), forecast(4, steps=3)]
    picture = fan_with_outcomes(prices(CLOSES), documents, prices(CLOSES))
    assert shown(picture)[1] == 990
    assert fan_with_outcomes(prices(CLOSES), documents[::-1], prices(CLOSES)) == picture


def test_targets_to_come_are_drawn_and_not_counted(drawn: list[Figure]) -> None:
    fan_with_outcomes(prices(CLOSES[:5]), [forecast(4, steps=3)], prices(CLOSES[:7]))
    assert "1 forecast, up to 3 bars ahead, from 2026-01-09; 1 of 2 prices" in words(drawn[0])


def test_other_forecasts_are_refused() -> None:
    with pytest.raises(ValueError, match="one pair and model, got 2"):
        fan_with_outcomes(prices(CLOSES), [forecast(4), forecast(4, model_id="garch")], prices(CLOSES))
    with pytest.raises(ValueError, match="one pair and model, got 0"):
        fan_with_outcomes(prices(CLOSES), [], prices(CLOSES))
    with pytest.raises(ValueError, match="no outcome of EURUSD on any target from 2026-01-09"):
        fan_with_outcomes(prices(CLOSES), [forecast(4)], prices(CLOSES, "USDJPY"))
