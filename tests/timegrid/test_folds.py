"""Walk-forward folds: inside the training part, oldest first, and nothing of a later stretch in an earlier one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fx_assets.timegrid.windows import EvaluationWindow

ENDS = (np.datetime64("2015-01-01T22") + np.arange(1000) * np.timedelta64(1, "D")).astype("datetime64[us]")


def at(row: int) -> datetime:
    end: datetime = ENDS[row].item()
    return end.replace(tzinfo=UTC)


WINDOW = EvaluationWindow(at(799), at(899), at(999))


def test_stretches_are_equal_and_end_with_the_training_rows() -> None:
    folds = WINDOW.folds(ENDS, 3)
    cuts = [(fold.train_until, fold.validate_until, fold.test_until) for fold in folds]
    assert cuts == [(at(399), at(499), at(599)), (at(499), at(599), at(699)), (at(599), at(699), at(799))]


@pytest.mark.parametrize("horizon", [1, 20])
def test_every_window_is_judged_once_and_by_a_fold_that_never_saw_its_target(horizon: int) -> None:
    judged: list[int] = []
    for fold in WINDOW.folds(ENDS, 4):
        train = fold.origins(ENDS, window=10, horizon=horizon, part="train")
        test = fold.origins(ENDS, window=10, horizon=horizon, part="test")
        assert train.max() + horizon < test.min() + 1
        assert ENDS[test + horizon].max() <= np.datetime64(WINDOW.train_until.replace(tzinfo=None))
        judged += test.tolist()
    assert judged == sorted(set(judged))


def test_too_few_rows_are_refused() -> None:
    short = EvaluationWindow(at(9), at(20), at(30))
    with pytest.raises(ValueError, match="insufficient_history: 10 training rows cannot be cut into 8 folds"):
        short.folds(ENDS, 8)
    with pytest.raises(ValueError, match="one fold or more"):
        WINDOW.folds(ENDS, 0)
    with pytest.raises(ValueError, match="share"):
        WINDOW.folds(ENDS, 2, share=1.0)
