"""Which rows of the scores table a picture takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.pictures.windows import against, folds, horizons, scored, spans
from tests.evaluation.pictures.worlds import scores


def test_one_horizon_in_the_order_of_time() -> None:
    table = scores(60, horizons=(5, 1))
    assert horizons(table) == [1, 5]
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
    windows = scored(shuffled)
    assert (windows.pair, windows.model_id, windows.horizon) == ("EURUSD", "walk", 1)
    assert (np.diff(windows.times("origin")) > np.timedelta64(0)).all()
    assert np.array_equal(windows.numbers("y"), scored(table, 1).numbers("y"))
    far = scored(table, 5)
    assert (len(far), far.independent, far.apart.tolist()) == (60, 12, list(range(0, 60, 5)))
    assert np.isnan(far.numbers("loss_qlike_har")).all()


def test_of_two_scores_of_an_origin_the_first_on_record_counts() -> None:
    first, again = scores(50, seed=1), scores(30, seed=2)
    windows = scored(pa.concat_tables([first, again]))
    assert np.array_equal(windows.numbers("pit"), scored(first).numbers("pit"))


def test_what_is_no_single_series_is_refused() -> None:
    with pytest.raises(ValueError, match="2 values of pair"):
        scored(pa.concat_tables([scores(30), scores(30, pair="USDJPY")]))
    with pytest.raises(ValueError, match="2 values of model_id"):
        scored(pa.concat_tables([scores(30), scores(30, model_id="garch")]))
    with pytest.raises(ValueError, match=r"no score at horizon 7; the table has \[1\]"):
        scored(scores(30), 7)
    with pytest.raises(ValueError, match="no row"):
        scored(scores(30).slice(0, 0))


def test_the_champions_walk_stands_where_both_were_scored() -> None:
    table, champion = scores(60, seed=1, horizons=(1, 5)), scores(50, seed=2, model_id="garch", horizons=(5, 1))
    joined = against(table, pa.concat_tables([champion, scores(50, seed=3, model_id="garch")]))
    for step in (1, 5):
        own, theirs = scored(joined, step), scored(champion, step)
        assert np.array_equal(own.numbers("loss_crps_still")[-50:], theirs.numbers("loss_crps_still"))
        assert np.isnan(own.numbers("loss_crps_still")[:10]).all()
    assert joined.drop_columns(["loss_crps_still"]).equals(table.drop_columns(["loss_crps_still"]))


def test_stretches() -> None:
    assert folds(["walk-2019", "walk-2019", "walk-2020", "live"]) == [(0, "2019"), (2, "2020"), (3, "live")]
    assert spans(np.array([0, 0, 1, 1, 1, 0])) == [(0, 1), (2, 4), (5, 5)]
    assert spans(np.array([])) == []
