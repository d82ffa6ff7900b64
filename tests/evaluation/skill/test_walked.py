"""Candidates walked forward: the night's trainer in every fold, and nothing of a fold's future in its forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.skill.candidates import WINDOW, Candidate
from fx_assets.evaluation.skill.walked import Said, walk
from fx_assets.models.inputs import PairHistory
from fx_assets.models.predictors.garch import Garch
from fx_assets.settings import Settings
from tests.evaluation.skill.helpers import PLAN, world
from tests.models.arch_worlds import GARCH, simulated

STEPS = PLAN.steps
Walk = Callable[[Candidate, Mapping[str, PairHistory]], dict[str, Said]]


@pytest.fixture(scope="module")
def histories() -> dict[str, PairHistory]:
    """About five and a half years of two GARCH pairs."""
    moves = {pair: simulated(Garch, GARCH, 1_400, seed=seed)[0] for seed, pair in enumerate(("EURUSD", "USDJPY"), 1)}
    return world(moves).histories()


@pytest.fixture
def walked(tmp_path: Path) -> Walk:
    settings = Settings(home=tmp_path)

    def run(candidate: Candidate, histories: Mapping[str, PairHistory]) -> dict[str, Said]:
        spec = candidate.spec(tuple(histories), horizon=max(STEPS))
        folds = PLAN.folds(histories)
        return walk(spec, histories, folds, STEPS, features=None, settings=settings, show=lambda _: None)

    return run


def spoilt(history: PairHistory, row: int) -> PairHistory:
    """Other closes after `row`."""
    closes = history.closes.copy()
    closes[row + 1 :] *= np.exp(np.random.default_rng(5).normal(0, 0.2, len(closes) - row - 1))
    return replace(history, closes=closes)


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param(Candidate("garch", "garch"), id="pair"),
        pytest.param(Candidate("random_walk", "random_walk", scope="panel", target="log_return"), id="panel"),
    ],
)
def test_nothing_later_reaches_a_forecast(
    candidate: Candidate, histories: dict[str, PairHistory], walked: Walk
) -> None:
    plain = walked(candidate, histories)
    rows = plain["EURUSD"].forecasts.rows
    folds = PLAN.folds(histories)
    wanted = [fold.origins(histories["EURUSD"].ends, window=WINDOW, horizon=1, part="test") for fold in folds]
    assert len(folds) == 3
    assert np.array_equal(rows, np.concatenate(wanted))
    row = int(rows[-150])  # inside the last fold's test
    other = walked(candidate, {pair: spoilt(history, row) for pair, history in histories.items()})
    for pair in histories:
        one, two = plain[pair].forecasts, other[pair].forecasts
        kept = one.rows <= row
        assert np.array_equal(one.rows, two.rows)
        assert one.scale[kept].tobytes() == two.scale[kept].tobytes()
        assert one.location[kept].tobytes() == two.location[kept].tobytes()
        assert not np.array_equal(one.scale[~kept], two.scale[~kept])
        assert np.array_equal(plain[pair].start.below, other[pair].start.below)


def test_each_fold_learns_anew_from_rows_before_its_embargo(histories: dict[str, PairHistory], walked: Walk) -> None:
    candidate = Candidate("garch", "garch")
    history = {"EURUSD": histories["EURUSD"]}
    plain = walked(candidate, history)["EURUSD"].forecasts
    fold = PLAN.folds(histories)[1]
    ends = history["EURUSD"].ends
    trained = int(np.searchsorted(ends, np.datetime64(fold.train_until.replace(tzinfo=None)), side="right"))
    # A monstrous return on its last training row: a validation row of the fold before, which learned nothing from it.
    closes = history["EURUSD"].closes.copy()
    closes[trained - 1 :] *= 1.05
    other = walked(candidate, {"EURUSD": replace(history["EURUSD"], closes=closes)})["EURUSD"].forecasts
    second = plain.rows >= fold.origins(ends, window=WINDOW, horizon=1, part="test")[0]
    far = plain.rows > trained + WINDOW  # its window does not hold that return
    assert (far & ~second).any()
    # The same returns, rounded otherwise.
    alike = np.abs(plain.scale / other.scale - 1).max(axis=1) < 1e-9
    assert alike[far & ~second].all()
    assert not alike[second].any()


def test_rows_are_found_again_in_a_longer_history(histories: dict[str, PairHistory], walked: Walk) -> None:
    whole = histories["EURUSD"]
    tail = replace(
        whole,
        ends=whole.ends[40:],
        trading_dates=whole.trading_dates[40:],
        closes=whole.closes[40:],
        features=whole.features[40:],
    )
    said = walked(Candidate("har", "har"), {"EURUSD": tail})["EURUSD"]
    assert np.array_equal(said.moved(tail, whole).forecasts.rows, said.forecasts.rows + 40)
    with pytest.raises(ValueError, match="EURUSD: a bar that was forecast from is missing"):
        said.moved(tail, whole.until(PLAN.folds(histories)[0].validate_until))
