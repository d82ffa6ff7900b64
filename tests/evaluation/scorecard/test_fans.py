"""Which forecasts are drawn with what came."""

from __future__ import annotations

from fx_assets.evaluation.scorecard.card import scorecard
from fx_assets.evaluation.scorecard.fans import FANS, _apart, fans
from tests.evaluation.scorecard.test_card import LATE, bars, forecast, table


def test_the_newest_that_do_not_overlap() -> None:
    made = [forecast(row, steps=2) for row in range(20)]
    kept = _apart(made)
    assert len(kept) == FANS
    assert [document.origin for document in kept] == [made[row].origin for row in (19, 17, 15, 13)]
    assert _apart([]) == []


def test_a_picture_where_a_price_came() -> None:
    forecasts, prices = table(forecast(0), forecast(1, model_id="other")), bars([1.1, 1.11, 1.12])
    rows = scorecard(forecasts, prices, now=LATE)
    drawn = fans(rows, forecasts, prices, "walk")
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")
    assert drawn != fans(rows, forecasts, prices, "other")
    assert fans(rows, forecasts, prices, "nobody") is None
    assert fans(scorecard(forecasts, bars([]), now=LATE), forecasts, prices, "walk") is None
