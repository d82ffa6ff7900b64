"""What each window of a trial lost and earned: from the folds to the report, whole where a search was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from fx_assets.children.supervisor import LONGEST_LINE
from fx_assets.storage.trial_series import LONGEST, unpacked
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.records import Event, Trial, event_from_json, event_to_json, silent
from fx_assets.training.search.coordinator import Judge
from fx_assets.training.search.optuna_coordinator import SERIES, OptunaCoordinator
from fx_assets.training.search.out_of_fold import OutOfFold, out_of_fold, pooled
from fx_assets.training.search.windows import PairWindows, packed_windows
from tests.models.simulated import model_spec, pair_history
from tests.training.search.helpers import STUDY, search_spec, url
from tests.training.test_out_of_fold import HISTORY, SPEC, Spy, folds, given


def part(fold: int, pair: str = "EURUSD", count: int = 4) -> PairWindows:
    origins = np.arange(count) * np.timedelta64(1, "D") + np.datetime64("2020-01-01T22:00", "us")
    return PairWindows(pair, origins + fold * np.timedelta64(30, "D"), np.full(count, 1.0 + fold), np.zeros(count))


def by_windows(values: Mapping[str, Any], judge: Judge) -> None:
    """Three folds of one pair; the loss of each is that of its windows."""
    for fold in range(3):
        judge(1.0 + fold + values["training.learning_rate"], [part(fold)])


def searched(folder: Path, trials: int, objective: Any = by_windows, report: Any = silent) -> list[Trial]:
    return OptunaCoordinator(url(folder)).search(STUDY, search_spec(trials=trials), objective, report)


@pytest.mark.parametrize(("drift", "sign"), [(0.001, 1.0), (-0.001, -1.0), (0.0, 0.0)])
def test_windows_are_those_of_the_fold_and_earn_by_the_sign_of_the_location(drift: float, sign: float) -> None:
    for fold, found in zip(folds(), out_of_fold(SPEC, given(), folds(), Spy(drift=drift)), strict=True):
        (windows,) = found.windows
        assert windows.pair == "EURUSD"
        assert np.mean(windows.losses) == pytest.approx(found.loss)
        last = np.datetime64(fold.validate_until.replace(tzinfo=None), "us")
        assert (windows.origins >= last).all()
        rows = np.searchsorted(HISTORY.ends, windows.origins)
        np.testing.assert_array_equal(HISTORY.ends[rows], windows.origins)
        np.testing.assert_allclose(windows.returns, sign * np.diff(np.log(HISTORY.closes))[rows], atol=1e-15)


def test_a_window_loses_the_mean_over_its_horizons() -> None:
    span = (("EURUSD", HISTORY.ends[:2]),)
    still, one = np.zeros((2, 2)), np.ones((2, 2))
    found = OutOfFold(still, one, np.array([[0.0, 0.0], [1.0, 3.0]]), one, span).windows[0]
    # CRPS of a standard normal: at 0, (sqrt 2 - 1) / sqrt pi; at 1 and 3 by Gneiting and Raftery's closed form.
    np.testing.assert_allclose(found.losses, [0.2336949773, (0.6024413977 + 2.4365745870) / 2], rtol=1e-6)
    assert found.returns.tolist() == [0.0, 0.0]


def test_windows_of_a_panel_are_told_apart_and_put_together_by_pair() -> None:
    yen = pair_history("USDJPY", n=500, seed=4)
    parts = list(out_of_fold(model_spec(scope="panel"), given(HISTORY, yen), folds(), lambda _, m: FitTrainer(m)))
    np.testing.assert_array_equal([window.origins for window in parts[0].windows], [parts[0].windows[0].origins] * 2)
    euro, japan = packed_windows(pooled(parts).windows)
    assert packed_windows([window for found in parts for window in found.windows]) == (euro, japan)
    assert (euro.pair, japan.pair) == ("EURUSD", "USDJPY")
    assert euro.windows == japan.windows == sum(len(found.y) for found in parts) // 2
    np.testing.assert_allclose(unpacked(japan)[1][:3], parts[0].windows[1].losses[:3], rtol=1e-6)


def test_pairs_share_the_bound_equally() -> None:
    found = packed_windows([part(0), part(0, "USDJPY"), part(1), part(1, "USDJPY")], longest=6)
    assert [(one.pair, one.windows, one.left_out) for one in found] == [("EURUSD", 3, 5), ("USDJPY", 3, 5)]
    assert unpacked(found[0])[1].tolist() == [2.0] * 3, "the newest are kept"
    assert packed_windows([]) == ()


def test_a_trial_tells_its_series_the_same_each_time(tmp_path: Path) -> None:
    reported: list[Event] = []
    trials = searched(tmp_path, 2, report=reported.append)
    for trial in trials:
        (series,) = trial.series
        assert (series.pair, series.windows) == ("EURUSD", 12)
        assert unpacked(series)[1].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4
        assert "series" not in repr(trial)
        assert event_from_json(json.loads(json.dumps(event_to_json(trial)))) == trial
    assert searched(tmp_path, 2, objective=None) == trials
    assert sorted(trials, key=lambda trial: trial.number) == reported


def test_a_trial_that_ends_early_tells_of_the_folds_it_got_to(tmp_path: Path) -> None:
    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        bad = len(judged) == 6
        judged.append(values)
        judge(9.0 if bad else 1.0, [part(0)])
        judge(1.0, [part(1)])
        if len(judged) == 6:
            raise ValueError("too wide")
        judge(1.0, [part(2)])

    judged: list[Mapping[str, Any]] = []
    trials = {trial.number: trial for trial in searched(tmp_path, 7, objective)}
    found = [(trials[number].state, trials[number].series[0].windows) for number in (0, 5, 6)]
    assert found == [("complete", 12), ("failed", 8), ("pruned", 4)]


def test_a_search_of_a_version_before_goes_on_without_its_old_series(tmp_path: Path) -> None:
    searched(tmp_path, 1)
    study = optuna.load_study(study_name=STUDY, storage=url(tmp_path))
    engine = study._storage._backend.engine  # type: ignore[attr-defined]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM trial_user_attributes WHERE key = '{SERIES}'")
    engine.dispose()
    trials = {trial.number: trial for trial in searched(tmp_path, 2)}
    assert [len(trials[number].series) for number in (0, 1)] == [0, 1]


def test_the_largest_trial_fits_into_a_line_of_the_childs_report() -> None:
    rng, pairs = np.random.default_rng(3), 30
    origins = np.arange(LONGEST) * np.timedelta64(1, "D") + np.datetime64("1800-01-01", "us")
    windows = [
        PairWindows(f"PAIR{at:02}", origins, rng.random(LONGEST), rng.normal(0, 0.01, LONGEST)) for at in range(pairs)
    ]
    series = packed_windows(windows)
    assert sum(one.windows for one in series) == LONGEST
    assert len(json.dumps([vars(one) for one in series])) < LONGEST_LINE - 50_000
