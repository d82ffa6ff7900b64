"""Folds of a walk forward: their tests meet, and nothing that a fold learned from reaches into its test."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_start
from fx_assets.timegrid.windows import EvaluationWindow


def ends(first: date, last: date) -> NDArray[np.datetime64]:
    days = calendar("fx").days(first, last)
    return np.array([bar_end(day).replace(tzinfo=None) for day in days], dtype="datetime64[us]")


ROWS = ends(date(2010, 1, 4), date(2016, 8, 12))


def test_one_fold_a_year_and_the_tests_meet_without_a_gap() -> None:
    folds = EvaluationWindow.walk_forward(ROWS, first=date(2013, 5, 1), refit_every="year")
    # 31 December is a trading date, whose bar ends where the year begins.
    assert [fold.validate_until for fold in folds] == [bar_start(date(year, 1, 1)) for year in (2013, 2014, 2015, 2016)]
    assert [fold.train_until.year for fold in folds] == [2010, 2011, 2012, 2013]
    for fold, following in itertools.pairwise(folds):
        assert fold.test_until == following.validate_until
    tested = np.concatenate([fold.origins(ROWS, window=20, horizon=1, part="test") for fold in folds])
    # Every row from the first test on is the origin of one forecast, but the last row and those at a cut: their target
    # lies in the next fold's test.
    assert np.array_equal(tested, np.unique(tested))
    assert tested[-1] == len(ROWS) - 2
    weekend = EvaluationWindow.walk_forward(ROWS, first=date(2013, 1, 1), refit_every="month")
    by_month = np.concatenate([fold.origins(ROWS, window=20, horizon=1, part="test") for fold in weekend])
    assert np.array_equal(by_month, tested), "months that begin on a weekend lose no origin"
    first = int(np.searchsorted(ROWS, np.datetime64(bar_start(date(2013, 1, 1)).replace(tzinfo=None), "us")))
    assert len(tested) == len(ROWS) - 1 - first


def test_an_embargo_ends_the_validation_rows_before_the_test() -> None:
    plain = EvaluationWindow.walk_forward(ROWS, first=date(2013, 1, 1), refit_every="year")
    held = EvaluationWindow.walk_forward(ROWS, first=date(2013, 1, 1), refit_every="year", embargo=20)
    for without, fold in zip(plain, held, strict=True):
        assert fold.test_from == without.validate_until
        cuts = [np.datetime64(cut.replace(tzinfo=None)) for cut in (fold.validate_until, without.validate_until)]
        assert np.diff(np.searchsorted(ROWS, cuts, side="right")) == 20
        test = fold.origins(ROWS, window=20, horizon=5, part="test")
        assert np.array_equal(test, without.origins(ROWS, window=20, horizon=5, part="test"))
        validation = fold.origins(ROWS, window=20, horizon=5, part="validation")
        assert validation.max() + 5 + 20 < test.min() + 1


def test_a_longer_history_changes_no_fold_but_the_last() -> None:
    shorter = EvaluationWindow.walk_forward(ROWS[:-200], first=date(2013, 1, 1), refit_every="quarter", embargo=5)
    longer = EvaluationWindow.walk_forward(ROWS, first=date(2013, 1, 1), refit_every="quarter", embargo=5)
    assert longer[: len(shorter) - 1] == shorter[:-1]
    assert longer[len(shorter) - 1].validate_until == shorter[-1].validate_until
    assert len(longer) > len(shorter)


def test_years_without_rows_to_train_on_are_passed_over() -> None:
    folds = EvaluationWindow.walk_forward(ROWS, first=date(2005, 1, 1), refit_every="year")
    assert folds[0].train_until > datetime(2010, 1, 4, tzinfo=UTC)
    assert folds[0].validate_until == bar_start(date(2013, 1, 1))
    with pytest.raises(ValueError, match="insufficient_history"):
        EvaluationWindow.walk_forward(ROWS[:400], first=date(2005, 1, 1), refit_every="year")
    with pytest.raises(ValueError, match="insufficient_history"):
        EvaluationWindow.walk_forward(ROWS, first=date(2020, 1, 1), refit_every="year")


def test_a_bad_embargo_is_refused() -> None:
    with pytest.raises(ValueError, match="embargo"):
        EvaluationWindow.walk_forward(ROWS, first=date(2013, 1, 1), refit_every="year", embargo=-1)
    cut = datetime(2014, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="test_from"):
        EvaluationWindow(
            datetime(2013, 1, 1, tzinfo=UTC), cut, datetime(2015, 1, 1, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC)
        )
