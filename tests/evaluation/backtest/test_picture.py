"""The picture of a back-test: a PNG that fits inline, equal for equal results."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from fx_assets.evaluation.backtest import picture
from fx_assets.evaluation.backtest.picture import equity_chart
from tests.evaluation.backtest.helpers import daily, plain, traded, walk


def test_the_picture_is_a_small_png_and_always_the_same() -> None:
    bars = walk(800)
    signs = np.sign(np.random.default_rng(1).normal(size=799))
    result = traded(bars, signs, plain(200.0))
    drawn = equity_chart(result, "EURUSD  solo, back-test")
    assert drawn.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", drawn[16:24]) == (990, 506)
    assert 10_000 < len(drawn) < 100_000
    assert equity_chart(result, "EURUSD  solo, back-test") == drawn
    assert equity_chart(traded(bars, -signs, plain(200.0)), "EURUSD  solo, back-test") != drawn


def test_a_result_without_trades_is_drawn() -> None:
    bars = daily([1.0] * 5, [1.0] * 5)
    assert equity_chart(traded(bars, np.zeros(4)), "none").startswith(b"\x89PNG")


def test_a_picture_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_BYTES", 1_000)
    result = traded(walk(10), np.ones(9))
    with pytest.raises(ValueError, match="expected under 1,000"):
        equity_chart(result, "EURUSD")


def test_long_histories_keep_their_deepest_point() -> None:
    fall = np.zeros(50_000)
    fall[12_345] = -0.5
    shown = picture._points(fall)
    assert {0, 12_345, 49_999} <= set(shown.tolist())
    assert len(shown) <= 4_001
