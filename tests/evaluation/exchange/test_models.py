"""Models of the benchmark against figures by hand, and the choice among them."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.evaluation.exchange import closed
from fx_assets.evaluation.exchange.candidates import FAMILY, WEIGHTS, Family
from fx_assets.evaluation.exchange.choice import choose, fits
from fx_assets.evaluation.exchange.model import Fitted, RepeatLast, score, shrunken
from fx_assets.evaluation.exchange.neural import NetworkModel, itransformer
from fx_assets.evaluation.exchange.recipe import Recipe
from fx_assets.evaluation.exchange.split import LOOK_BACK, Split, published
from fx_assets.evaluation.exchange.table import CURRENCIES
from tests.evaluation.exchange.helpers import SMALL, table


@pytest.fixture(scope="module")
def split() -> Split:
    return published(table(900, phi=0.97))


def test_repeat_last_is_scored_over_every_window_currency_and_step(split: Split) -> None:
    last = split.origins("test", 5)
    found = score(RepeatLast().fit(split, 5, 0), split, 5, last)
    errors = np.array([split.z[row + 1 : row + 6] - split.z[row] for row in last])
    assert found.mse == pytest.approx(np.square(errors).mean(), rel=1e-12)
    assert found.mae == pytest.approx(np.abs(errors).mean(), rel=1e-12)
    assert found.per_window == pytest.approx(np.square(errors).mean((1, 2)), rel=1e-12)


def test_reversion_is_least_squares_of_pooled_rows(split: Split) -> None:
    last, step = split.origins("train", 4), 3
    moves = np.concatenate([split.z[last, c] - [split.z[r - 95 : r + 1, c].mean() for r in last] for c in range(8)])
    change = np.concatenate([split.z[last + step, c] - split.z[last, c] for c in range(8)])
    slope = (moves @ change) / (moves @ moves)
    fitted = closed.Regression("reversion", closed.reversion, 0.0).fit(split, 4, 0)
    assert fitted.parameters["slopes"][0, step - 1] == pytest.approx(slope, rel=1e-9)
    row = np.array([500])
    away = split.z[500] - split.z[405:501].mean(0)
    assert fitted.forecast(row)[0, :, step - 1] == pytest.approx(split.z[500] + slope * away, rel=1e-9)


def test_ridge_shrinks_a_slope_on_its_own_by_one_plus_the_penalty(split: Split) -> None:
    free, held = (closed.Regression("r", closed.reversion, p).fit(split, 4, 0).parameters["slopes"] for p in (0.0, 1.0))
    assert held == pytest.approx(free / 2, rel=1e-9)


def test_a_held_regression_says_the_same_for_every_step(split: Split) -> None:
    fitted = closed.Regression("recent", closed.recent, 0.1, held=True).fit(split, 6, 0)
    forecast = fitted.forecast(np.array([300, 400]))
    assert forecast.shape == (2, len(CURRENCIES), 6)
    assert (forecast == forecast[..., :1]).all()


def test_a_balanced_regression_listens_less_to_turbulent_windows(split: Split) -> None:
    last = split.origins("train", 2)
    windows = np.stack([split.z[row - 95 : row + 1].T for row in last])
    variance = np.diff(windows, axis=-1).var(-1)
    weights = (1 / (variance + variance.mean())).ravel()
    moves = (windows[..., -1] - windows.mean(-1)).ravel()
    change = (split.z[last + 2] - split.z[last]).ravel()
    fitted = closed.Regression("r", closed.reversion, 0.0, balanced=True).fit(split, 2, 0)
    slope = (weights * moves * change).sum() / (weights * moves * moves).sum()
    assert fitted.parameters["slopes"][0, 1] == pytest.approx(slope, rel=1e-9)
    plain = closed.Regression("r", closed.reversion, 0.0).fit(split, 2, 0)
    assert abs(plain.parameters["slopes"][0, 1] / slope - 1) > 1e-3


def test_held_means_and_their_opposite(split: Split) -> None:
    row = np.array([500])
    mean = split.z[500 - LOOK_BACK + 1 : 501].mean(0)
    assert closed.Held("m", -1.0).fit(split, 2, 0).forecast(row)[0, :, 1] == pytest.approx(mean)
    opposite = closed.Held("m", 1.0).fit(split, 2, 0).forecast(row)[0, :, 0]
    assert opposite == pytest.approx(2 * split.z[500] - mean)
    month = closed.Held("m", -1.0, 21).fit(split, 1, 0).forecast(row)[0, :, 0]
    assert month == pytest.approx(split.z[480:501].mean(0))


def test_drift_goes_on_as_the_training_rows_went(split: Split) -> None:
    rows = split.rows("train")
    forecast = closed.Drift().fit(split, 3, 0).forecast(np.array([800]))
    drift = np.diff(split.z[:rows], axis=0).mean(0)
    assert forecast[0, :, 2] == pytest.approx(split.z[800] + 3 * drift)


def test_the_recipe_is_half_repeat_last_and_half_a_slope_a_step(split: Split) -> None:
    last = split.origins("train", 2)
    slope = (split.z[last] * split.z[last + 2]).sum() / np.square(split.z[last]).sum()
    forecast = Recipe().fit(split, 2, 0).forecast(np.array([700]))
    assert forecast[0, :, 1] == pytest.approx((split.z[700] + slope * split.z[700]) / 2)


def test_shrunken_moves_repeat_last_by_the_weight(split: Split) -> None:
    members = [closed.Drift().fit(split, 3, 0), closed.Held("m", -1.0).fit(split, 3, 0)]
    row = np.array([500])
    now = split.z[row][:, :, None]
    mean = (members[0].forecast(row) + members[1].forecast(row)) / 2
    assert shrunken(members, 0.25, split, 3).forecast(row) == pytest.approx(now + 0.25 * (mean - now))
    one, other = (shrunken(members, weight, split, 3) for weight in (0.25, 0.5))
    assert one.digest(row) != other.digest(row)


def test_a_digest_sees_one_bit_of_a_parameter_and_of_a_forecast() -> None:
    def fitted(parameter: float, answer: float) -> str:
        return Fitted(lambda last: np.full((len(last), 1, 1), answer), {"p": np.array(parameter)}).digest(np.arange(2))

    assert fitted(1.0, 2.0) == fitted(1.0, 2.0)
    assert len({fitted(1.0, 2.0), fitted(np.nextafter(1.0, 2), 2.0), fitted(1.0, np.nextafter(2.0, 3))}) == 3


def test_a_choice_is_the_ranking_of_the_candidates_own_errors(split: Split) -> None:
    shown: list[str] = []
    found = choose(split, SMALL, (5, 20), seed=0, show=shown.append)
    assert len(shown) == fits(split, SMALL, (5, 20)) == 12
    assert found.tried == 2 * len(SMALL.candidates) == 2 * 3 * len(WEIGHTS)
    assert {figure.candidate for figure in found.ranking} == set(SMALL.candidates)
    assert [figure.ratio for figure in found.ranking] == sorted(figure.ratio for figure in found.ranking)
    # By hand: every fold's errors of one candidate against repeat-last's.
    mean = next(figure for figure in found.ranking if str(figure.candidate) == "mean_of_closed at 0.5")
    ratios, weights = [], []
    for fold in split.folds(20):
        last = fold.origins("test", 20)
        blend = shrunken([model.fit(fold, 20, 0) for model in SMALL.closed], 0.5, fold, 20)
        walk = score(RepeatLast().fit(fold, 20, 0), fold, 20, last).mse
        ratios.append(score(blend, fold, 20, last).mse / walk)
        weights.append(-(-len(last) // 20))
    assert mean.by_horizon[20] == pytest.approx(np.average(ratios, weights=weights), rel=1e-9)
    # Over the horizons a window counts alike: three folds each, with so many that do not overlap.
    short = [-(-len(fold.origins("test", 5)) // 5) for fold in split.folds(5)]
    assert sum(short) > 3 * sum(weights)
    whole = (sum(short) * mean.by_horizon[5] + sum(weights) * mean.by_horizon[20]) / (sum(short) + sum(weights))
    assert mean.ratio == pytest.approx(whole, rel=1e-12)


def test_a_pull_that_is_there_is_chosen_and_beats_repeat_last() -> None:
    strong = published(table(2000, phi=0.9))
    family = Family((closed.Regression("reversion", closed.reversion, 0.0), closed.Held("momentum", 1.0)), ())
    best = choose(strong, family, (10,), seed=0, show=lambda _: None).best
    assert best.candidate.name == "reversion"
    assert best.ratio < 0.8


def test_no_candidate_holds_the_recipe_and_repeat_last_is_none() -> None:
    members = {name for candidate in FAMILY.candidates for name in candidate.members}
    assert Recipe.name not in members
    assert RepeatLast.name not in members
    assert len({str(candidate) for candidate in FAMILY.candidates}) == len(FAMILY.candidates)
    assert {"itransformer", "patchtst", "dlinear", "rlinear", "reversion"} <= members


def test_itransformer_has_the_published_number_of_parameters() -> None:
    for horizon in (96, 720):
        count = sum(weight.numel() for weight in itransformer(horizon).parameters())
        assert count == 211_840 + 129 * horizon


def test_a_network_is_learned_alike_by_seed_and_otherwise_by_another() -> None:
    split = published(table(420))
    model = NetworkModel("itransformer", itransformer, epochs=1)
    last = split.origins("validation", 8)
    one, again, other = (model.fit(split, 8, seed).digest(last) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert model.fit(split, 8, 0).forecast(last).shape == (len(last), 8, 8)
