"""The ledger's trials against a Sharpe ratio: a planted winner, luck alone, and what cannot be said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from fx_assets.evaluation.backtest.luck import luck_of
from fx_assets.evaluation.inference.overfitting import backtest_overfitting, deflated_sharpe
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.storage.trial_series import TrialSeries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGINS = np.datetime64("2019-01-02T22:00", "us") + np.arange(600) * np.timedelta64(1, "D")
NOISE = np.random.default_rng(4).normal(0, 0.005, (600, 8))


def trial(number: int, state: str = "complete", study: str = "one") -> LedgerEntry:
    return LedgerEntry(study, number, "solo", "har", ("EURUSD",), {}, state, 0.5, (0.5,), NOW, NOW, "", "r")


def kept(number: int, returns: Any, state: str = "complete", study: str = "one", model: str = "solo") -> TrialSeries:
    origins = ORIGINS[: len(returns)]
    return TrialSeries(study, number, model, "har", state, "EURUSD", origins, np.zeros(len(returns)), returns, 0)


def test_the_ledger_raises_the_bar() -> None:
    returns = NOISE[:, 0] + 0.0006
    trials = [trial(number) for number in range(8)]
    series = [kept(number, NOISE[:, number]) for number in range(8)]
    found = luck_of(returns, trials, series, model_id="solo")
    sharpes = NOISE.mean(axis=0) / NOISE.std(axis=0, ddof=1)
    expected = deflated_sharpe(returns, sharpes)
    assert (found.trials, found.threshold, found.probability) == (8, expected.threshold, expected.probability)
    assert found.overfitting == backtest_overfitting(NOISE).probability
    alone = luck_of(returns, [], [], model_id="solo")
    assert (alone.trials, alone.threshold) == (1, 0.0)
    assert alone.probability is not None
    assert found.probability is not None
    assert alone.probability > found.probability
    assert "counted as one trial" in alone.notes[0]


def test_pruned_trials_count_and_failed_ones_do_not() -> None:
    trials = [trial(0), trial(1), trial(2, "pruned"), trial(3, "failed")]
    series = [
        kept(0, NOISE[:, 0]),
        kept(1, NOISE[:, 1]),
        kept(2, NOISE[:50, 2], "pruned"),
        kept(3, NOISE[:9, 3], "failed"),
    ]
    found = luck_of(NOISE[:, 0], trials, series, model_id="solo")
    sharpes = [one.returns.mean() / one.returns.std(ddof=1) for one in series[:3]]
    assert (found.trials, found.threshold) == (3, deflated_sharpe(NOISE[:, 0], sharpes).threshold)
    # The pruned one has not all windows: what is compared are whole trials.
    assert found.overfitting == backtest_overfitting(NOISE[:, :2]).probability


def test_trials_without_returns_are_counted_with_the_variance_of_luck() -> None:
    returns = NOISE[:, 0] + 0.0006
    found = luck_of(returns, [trial(number) for number in range(20)], [], model_id="solo")
    assert found.trials == 20
    lucky = np.random.default_rng(9).normal(size=(20_000, 20)).max(axis=1).mean() / np.sqrt(600)
    assert found.threshold == pytest.approx(lucky, rel=0.02)
    assert any("fewer than two trials" in note for note in found.notes)


def test_pbo_is_of_the_models_newest_search() -> None:
    old = [kept(number, NOISE[:, number], study="old") for number in range(3)]
    new = [kept(number, NOISE[:, number + 3], study="new") for number in range(3)]
    other = [kept(number, NOISE[:, number + 6], study="other", model="har") for number in range(2)]
    trials = [trial(number, study=study) for study in ("old", "new") for number in range(3)]
    found = luck_of(NOISE[:, 0], trials, [*old, *new, *other], model_id="solo")
    assert found.trials == 8
    # Columns stand in the order of the newest first, which changes nothing.
    assert found.overfitting == pytest.approx(backtest_overfitting(NOISE[:, 3:6]).probability)
    short = luck_of(NOISE[:, 0], [], [*old, *(kept(n, NOISE[:20, n], study="new") for n in range(3))], model_id="solo")
    assert short.overfitting == pytest.approx(backtest_overfitting(NOISE[:, :3]).probability)
    none = luck_of(NOISE[:, 0], [], other, model_id="solo")
    assert none.overfitting is None
    assert any(note.startswith("no PBO") for note in none.notes)


def test_an_equity_that_never_moves_has_no_sharpe_ratio() -> None:
    found = luck_of(np.zeros(50), [], [], model_id="solo")
    assert (found.threshold, found.probability) == (None, None)
    assert any("never varies" in note for note in found.notes)
