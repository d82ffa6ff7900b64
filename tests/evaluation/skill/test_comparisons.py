"""Gains pooled over pairs by date, their test, and the verdict's words."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.skill.comparisons import CRPS, QLIKE, SCORES, blocks, compared
from tests.evaluation.skill.helpers import track


def test_a_loss_a_hundredth_lower_is_found() -> None:
    theirs = track(seed=1)
    ours = track(seed=1, crps=theirs.crps * 0.99 + np.random.default_rng(2).normal(0, 0.1, 1_200))
    found = compared([ours], [theirs], CRPS)
    assert found.difference == pytest.approx(-0.01, abs=0.002)
    assert found.ratio == pytest.approx(np.mean(ours.crps) / np.mean(theirs.crps))
    assert found.p_value == pytest.approx(diebold_mariano(theirs.crps - ours.crps, horizon=1).p_value)
    assert found.p_value < 1e-6
    assert found.verdict == "skill shown"
    assert compared([theirs], [ours], CRPS).verdict == "worse"
    assert found.document() == {
        "difference": found.difference,
        "p_value": found.p_value,
        "verdict": "skill shown",
        "dates": 1_200,
    }


def test_itself_and_luck_are_no_skill() -> None:
    one, other = track(seed=1), track(seed=2)
    same = compared([one], [one], CRPS)
    assert (same.difference, same.verdict) == (0.0, "no skill shown")
    assert compared([one], [other], CRPS).verdict == "no skill shown"
    few = compared([track(19, seed=1)], [track(19, seed=2)], CRPS)
    assert few.verdict == "too little data"


def test_pairs_are_pooled_by_date_as_shares_of_their_benchmark() -> None:
    n = 1_000
    dates = np.datetime64("2015-01-01") + np.arange(n)
    alike = track(n, seed=1, dates=dates)
    benchmark = [track(n, seed=1, dates=dates), track(n, seed=1, pair="EURJPY", dates=dates)]
    ours = [alike, track(n, seed=1, pair="EURJPY", dates=dates)]
    rng = np.random.default_rng(3)
    gain = 0.02 + rng.normal(0, 1, n)
    for k, pair in enumerate(("EURUSD", "EURJPY")):
        scale = 1.0 if k == 0 else 100.0  # a pair with a hundred times the loss counts no more
        theirs = scale * (10 + rng.normal(0, 1, n))
        benchmark[k] = track(n, pair=pair, dates=dates, crps=theirs)
        ours[k] = track(n, pair=pair, dates=dates, crps=theirs - gain * np.mean(theirs))
    both = compared(ours, benchmark, CRPS)
    # Two pairs that gain alike on each date are one observation a date: no more certain than one of them alone.
    alone = compared(ours[:1], benchmark[:1], CRPS)
    assert both.difference == pytest.approx(-np.mean(gain))
    assert both.p_value == pytest.approx(alone.p_value)
    assert both.n == n
    plain = compared(ours, benchmark, QLIKE)
    assert plain.difference == pytest.approx(
        np.mean([one.qlike - other.qlike for one, other in zip(ours, benchmark, strict=True)])
    )


def test_dates_that_one_pair_lacks_count_with_the_others() -> None:
    late = np.datetime64("2015-06-01") + np.arange(800)
    ours = [track(1_000, seed=1), track(800, seed=2, pair="EURJPY", dates=late)]
    theirs = [track(1_000, seed=3), track(800, seed=4, pair="EURJPY", dates=late)]
    assert compared(ours, theirs, CRPS).n == len(np.union1d(ours[0].dates, late))
    with pytest.raises(ValueError, match="other origins of EURJPY"):
        compared(ours, [theirs[0], track(700, pair="EURJPY", dates=late[:700])], CRPS)


def test_scores_leave_the_warm_up_out_and_spans_the_other_years() -> None:
    assert compared([track(1_200, seed=1)], [track(1_200, seed=2)], SCORES[80]).n == 700
    assert compared([track(1_200, seed=1)], [track(1_200, seed=2)], CRPS, span=(2016, 2016)).n == 366
    nothing = compared([track(seed=1)], [track(seed=2)], CRPS, span=(1999, 1999))
    assert nothing.n == 0
    assert np.isnan(nothing.difference)
    assert nothing.verdict == "too little data"


def test_blocks_are_five_years_from_the_first_with_more_than_one_origin() -> None:
    pairs = np.array(["2011-12-30", "2011-12-30"], dtype="datetime64[D]")
    dates = np.concatenate([pairs, np.datetime64("2012-01-02") + np.arange(4_000)])
    assert blocks(dates) == [(2012, 2016), (2017, 2021), (2022, 2022)]
