"""Losses, hits and exceptions of one model and pair, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fx_assets.evaluation.judge import Forecasts
from fx_assets.evaluation.references import Reference
from fx_assets.evaluation.skill.tracks import STRETCH, WARM_UP, of_candidate, of_reference
from fx_assets.evaluation.skill.walked import Said
from fx_assets.metrics.losses import crps_normal, interval_score
from fx_assets.models.calibration import Calibration
from fx_assets.models.inputs import PairHistory
from fx_assets.models.ranges import GAIN, Ranges
from tests.evaluation.skill.helpers import track
from tests.models.simulated import pair_history


@pytest.fixture(scope="module")
def history() -> PairHistory:
    """1,500 days of normal returns of 50 basis points."""
    return pair_history(n=1_500, seed=4)


def flat(history: PairHistory, *, variance: float = 2.5e-5) -> Reference:
    """One normal forecast at each row from the 100th on."""
    rows = np.arange(100, len(history) - 1)
    return Reference(
        origins=rows,
        fold=np.zeros(len(rows), dtype=np.int64),
        horizons=(1, 5),
        variance=np.outer(np.ones(len(rows)), [variance, 5 * variance]),
        degrees=np.full(len(rows), np.inf),
    )


def normal_ranges(masses: int = 99) -> Ranges:
    z = stats.norm.ppf(0.5 + np.arange(1, masses + 1) / 200)
    return Ranges.from_calibration(Calibration(1_000, np.stack([z, z])))


def test_a_right_forecast_has_its_losses_and_its_hits(history: PairHistory) -> None:
    reference = flat(history)
    found = of_reference("flat", reference, history)
    y = history.outcomes(reference.origins, (1, 5)) * 1e4
    exact = crps_normal(y=y[:, 0], location=np.zeros(len(y)), scale=np.full(len(y), 50.0))
    assert np.mean(found.crps) == pytest.approx(np.mean(exact), rel=0.01)
    assert found.qlike == pytest.approx(np.log(0.25) + np.square(y[:, 0] / 100) / 0.25)
    half = 50 * stats.norm.ppf(0.9)
    assert np.array_equal(found.hits[80, 1], np.abs(y[:, 0]) <= half)
    assert found.score[80] == pytest.approx(
        interval_score(y=y[:, 0], lower=np.full(len(y), -half), upper=np.full(len(y), half), coverage=0.8)
    )
    assert np.array_equal(found.lower, y[:, 0] < 50 * stats.norm.ppf(0.01))
    assert np.array_equal(found.upper, y[:, 0] > 50 * stats.norm.ppf(0.99))
    assert np.array_equal(found.dates, history.trading_dates[reference.origins])
    # Of the last four origins nothing has come five days ahead.
    assert np.isnan(found.hits[90, 5][-4:]).all()
    assert np.isfinite(found.hits[90, 5][:-4]).all()
    assert found.finite
    assert found.coverage(80) == pytest.approx(0.8, abs=0.05)


def test_a_candidate_whose_ranges_never_learn_is_the_reference(history: PairHistory) -> None:
    """At its first origin nothing has matured; later its ranges follow, so that a wrong scale is made up for."""
    reference = flat(history)
    scale = np.sqrt(reference.variance)
    forecasts = Forecasts(reference.origins, (1, 5), np.zeros_like(scale), scale)
    found = of_candidate("followed", Said(forecasts, normal_ranges(), 3), history)
    plain = of_reference("flat", reference, history)
    assert found.noted == 3
    assert found.qlike == pytest.approx(plain.qlike)
    assert found.crps[0] == pytest.approx(plain.crps[0], rel=1e-9)
    assert not np.array_equal(found.crps[1:], plain.crps[1:])
    # After one miss of the 80 % range its half-width is exp(GAIN x .8) times as wide.
    first = int(np.argmin(plain.hits[80, 1]))
    grown = np.exp(GAIN * (0.8 - 0.2 * first))
    half = 50 * stats.norm.ppf(0.9) * grown
    assert found.hits[80, 1][first + 1] == (abs(history.outcomes(reference.origins, (1,))[first + 1, 0]) * 1e4 <= half)
    narrow = Forecasts(reference.origins, (1, 5), np.zeros_like(scale), scale / 2)
    fixed = of_candidate("narrow", Said(narrow, normal_ranges(), 0), history)
    assert of_reference("narrow", flat(history, variance=2.5e-5 / 4), history).coverage(80) < 0.6
    assert fixed.coverage(80) == pytest.approx(0.8, abs=0.03)


def test_the_worst_stretch_is_the_one_furthest_off_after_the_warm_up() -> None:
    n = WARM_UP + 2 * STRETCH
    hits = (np.arange(n) % 5 != 0).astype(np.float64)  # exactly 80 % in any 500
    hits[:WARM_UP] = 0.0  # the warm-up does not count
    hits[WARM_UP + 300 : WARM_UP + 800] = 1.0
    made = track(n, hits={(80, 1): hits})
    assert made.worst_stretch(80) == 1.0
    assert made.coverage(80) == pytest.approx((500 + 400) / 1000)
    hits = hits.copy()
    hits[WARM_UP + 300 : WARM_UP + 800] = np.arange(500) % 10 != 0  # and 90 % in one of them
    assert track(n, hits={(80, 1): hits}).worst_stretch(80) == 0.9
    assert np.isnan(track(WARM_UP + STRETCH - 1).worst_stretch(80))
    assert np.isnan(track(WARM_UP).coverage(80))


def test_parts_of_the_years() -> None:
    made = track(1_200)  # from 2015-01-01 on, a day each
    assert made.kept(span=(2015, 2015)).sum() == 365
    assert made.kept(400, span=(2015, 2016)).sum() == 331
    hits = made.hits[80, 1].copy()
    hits[made.kept(span=(2017, 2017))] = 1.0
    assert track(1_200, hits={(80, 1): hits}).coverage(80, span=(2017, 2017)) == 1.0
