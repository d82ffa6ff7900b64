"""What options may say, what they refuse, and what follows from them before anything is computed."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from fx_assets.features.errors import FeatureError
from fx_assets.features.indicators.declared import Periodic, Switch
from fx_assets.features.stages.base import FIXING_COLUMNS
from fx_assets.features.stages.indicators import INDICATORS, Indicators
from fx_assets.settings import project_root
from tests.features.conftest import CORE
from tests.features.indicators.support import bars, computed, parsed

PERIODIC = [name for name, made in INDICATORS.items() if isinstance(made, Periodic)]
SWITCHES = [name for name, made in INDICATORS.items() if isinstance(made, Switch)]


def test_the_core_set_keeps_its_columns() -> None:
    core = yaml.safe_load((project_root() / "configs" / "features" / "core.yaml").read_text())
    assert [stage["options"] for stage in core["stages"] if stage["stage"] == "indicators"] == [CORE]
    assert [column.name for column in Indicators().columns(parsed(**CORE))] == [
        *("returns_1", "returns_5", "returns_20", "volatility_5", "volatility_22"),
        *("rsi_14", "ema_ratio_20", "bollinger_20", "macd", "macd_histogram"),
    ]
    assert Indicators().needs(parsed(**CORE)) == FIXING_COLUMNS


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"returns": [1, 20]}, 20),
        ({"volatility": [22]}, 22),
        ({"bollinger": [20]}, 19),
        ({"rsi": [14], "returns": [20]}, 500),
        ({"ema_ratio": [100]}, 1200),
        ({"macd": True}, 500),
        ({"returns": [1999], "macd": True}, 1999),
        ({"atr": [50]}, 12 * 99),
        ({"kama_ratio": [50]}, 600),
        ({"strength": {"periods": [3, 7]}}, 7 + 10),
        ({"cross": {"pairs": ["EURUSD"], "returns": [30], "correlations": [20]}}, 30 + 10),
        ({"exog": {"series": ["fear_greed/CNN"]}}, 0),
        ({"exog": {"series": ["fear_greed/CNN"], "changes": [5], "zscores": [20]}}, 19),
        ({"sessions": True, "month_end": [3]}, 0),
        (CORE, 500),
    ],
)
def test_look_back_covers_the_longest_window_or_the_warm_up(options: dict[str, Any], rows: int) -> None:
    assert Indicators().lookback(parsed(**options), "1d") == rows


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0], "greater than or equal to"),
        ([2001], "less than or equal to 2000"),
        ([50, 50], "each may stand once"),
        (list(range(10, 31)), "at most 20 items"),
        ([20.0], "valid integer"),
        ((20,), "valid list"),
        (True, "valid list"),
    ],
)
def test_periods_are_checked(value: Any, message: str) -> None:
    for name in PERIODIC:
        with pytest.raises(ValidationError, match=message) as caught:
            parsed(**{name: value})
        assert caught.value.errors()[0]["loc"][0] == name


def shortest(name: str) -> int:
    """The shortest period that the option takes."""
    for period in (1, 2):
        with contextlib.suppress(ValidationError):
            parsed(**{name: [period]})
            return period
    return 10


def test_the_shortest_period_that_is_allowed_works() -> None:
    frame = bars(700)
    for name in PERIODIC:
        options = parsed(**{name: [shortest(name)]})
        (values,) = Indicators().compute(frame, options).values()
        assert np.isfinite(values[Indicators().lookback(options, "1h") :]).all(), name


def test_a_switch_is_true_or_false() -> None:
    for name in SWITCHES:
        assert Indicators().columns(parsed(**{name: False})) == []
        with pytest.raises(ValidationError, match="valid boolean"):
            parsed(**{name: "yes"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rsj": [14]}, "Extra inputs are not permitted"),
        ({"strength": {"periods": []}}, "at least 1 item"),
        ({"strength": {}}, "Field required"),
        ({"strength": {"periods": [5, 5]}}, "each may stand once"),
        ({"strength": {"periods": [5], "currencies": ["usd"]}}, "should match pattern"),
        ({"strength": {"periods": [5], "currencies": []}}, "at least 1 item"),
        ({"cross": {"pairs": ["EURUSD"]}}, "expected periods under returns or correlations"),
        ({"cross": {"pairs": [], "returns": [1]}}, "at least 1 item"),
        ({"cross": {"pairs": ["EUR/USD"], "returns": [1]}}, "should match pattern"),
        ({"cross": {"pairs": ["EURUSD", "EURUSD"], "returns": [1]}}, "each may stand once"),
        ({"cross": {"pairs": ["EURUSD"], "correlations": [5]}}, "greater than or equal to 10"),
        ({"exog": {"series": ["CNN"]}}, "should match pattern"),
        ({"exog": {"series": []}}, "at least 1 item"),
        ({"exog": {"series": ["a_b/CC", "a/B_CC"]}}, "a column 'exog_a_b_cc' each"),
        ({"exog": {"series": ["a/BB", "a/BB_CHANGE_5"], "changes": [5]}}, "a column 'exog_a_bb_change_5' each"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parsed(**options)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_gap_in_the_closes_is_refused_with_its_bar(bad: float) -> None:
    broken = bars(200)
    close = broken.columns["close"].copy()
    close[123] = bad
    with pytest.raises(FeatureError, match=rf"'close' without gaps; 1 of 200.*first the one from {broken.time[123]}"):
        computed(bars(200, close), returns=[1])
