"""The scorecard in figures and in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fx_assets.evaluation.scorecard.card import scorecard
from fx_assets.evaluation.scorecard.drift import live_skill
from fx_assets.evaluation.scorecard.summary import CHECKS, drift_check, figures, in_markdown
from tests.evaluation.scorecard.test_card import LATE, bars, forecast, live, past, table


def test_figures_by_model_and_horizon() -> None:
    rows = scorecard(table(forecast(0), forecast(1)), bars([1.1022, 1.09]), now=LATE)
    one, two = figures(rows)
    assert (one["model_id"], one["horizon"], one["due"], one["windows"], one["apart"]) == ("walk", 1, 2, 2, 2)
    # The second forecast's second price never came: due, and no window.
    assert (two["horizon"], two["due"], two["windows"], two["apart"]) == (2, 2, 1, 1)
    errors = [1e4 * math.log(1.1022 / 1.1011), 1e4 * math.log(1.09 / 1.1011)]
    assert one["error_bp"] == pytest.approx(math.sqrt(np.mean(np.square(errors))))
    assert one["bias_bp"] == pytest.approx(np.mean(errors))
    assert (one["covered_80"], one["direction_right"]) == (0.5, 0.5)
    lines = in_markdown([one, two]).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| walk | 1 | 2 | 2 | ")


def test_nothing_due_says_nothing() -> None:
    rows = scorecard(table(forecast()), bars([]), now=forecast().issued_at)
    assert figures(rows) == []
    assert len(in_markdown([]).splitlines()) == 2
    quiet = drift_check(live_skill(rows, past(np.zeros(50))))
    assert quiet.passed
    assert quiet.metadata == {"alerts": 0}


def test_drift_warns_and_blocks_nothing() -> None:
    noise = np.random.default_rng(5)
    before = past(noise.normal(size=300))
    calm = drift_check(live_skill(live(noise.normal(size=60)), before))
    assert calm.passed
    assert "nothing has drifted in 3 of 3" in calm.description
    wild = drift_check(live_skill(live(4 * noise.normal(size=60)), before))
    assert (wild.name, wild.passed, wild.blocking) == ("no_drift", False, CHECKS["no_drift"])
    assert not wild.blocking
    assert "walk 1 bars ahead: volatility too low since 2026-" in wild.description
