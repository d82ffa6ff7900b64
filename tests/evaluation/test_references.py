"""References: their numbers against others' software; a fold knows nothing of the others, nor of its own test."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import stats

from fx_assets.evaluation.references import NAMES, Reference, ewma_path, references, student_degrees
from fx_assets.metrics.losses import crps_quantiles, qlike
from fx_assets.models.calibration import DENSE_LEVELS
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.predictors.egarch import Egarch
from fx_assets.models.predictors.garch import Garch
from fx_assets.models.volatility import ewma_variance, log_returns
from fx_assets.timegrid.windows import EvaluationWindow
from tests.models.arch_worlds import EGARCH, GARCH, fixings, simulated
from tests.models.simulated import pair_history

HORIZONS = (1, 5, 20)
EMBARGO = 5


def folds_of(history: PairHistory, first: date = date(2018, 1, 1)) -> list[EvaluationWindow]:
    return EvaluationWindow.walk_forward(
        history.ends, first=first, refit_every="year", validation_years=1, embargo=EMBARGO
    )


@pytest.fixture(scope="module")
def world() -> PairHistory:
    """1,900 days of GARCH with Student t shocks, from 2015 on."""
    return pair_history(returns=simulated(Garch, GARCH, 1_900, seed=3)[0])


@pytest.fixture(scope="module")
def found(world: PairHistory) -> dict[str, Reference]:
    return references(world, folds_of(world), HORIZONS)


def outcome(history: PairHistory, reference: Reference, horizon: int = 1) -> FloatArray:
    return history.outcomes(reference.origins, (horizon,))[:, 0]


def same(one: Reference, other: Reference) -> bool:
    """To the last bit."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("origins", "variance", "degrees"))


# -- the numbers ------------------------------------------------------------------------------------


def test_every_reference_has_every_test_origin_of_every_fold(world: PairHistory, found: dict[str, Reference]) -> None:
    folds = folds_of(world)
    rows = [fold.origins(world.ends, window=1, horizon=1, part="test") for fold in folds]
    assert tuple(found) == NAMES
    for reference in found.values():
        assert np.array_equal(reference.origins, np.concatenate(rows))
        assert np.array_equal(reference.fold, np.repeat(np.arange(len(folds)), [len(part) for part in rows]))
        assert reference.variance.shape == (len(reference.origins), 3)
        assert np.isfinite(reference.variance).all()
        assert (np.diff(reference.variance, axis=1) > 0).all()
        assert reference.notes == ()


def test_constant_and_ewma_by_hand(world: PairHistory, found: dict[str, Reference]) -> None:
    returns = log_returns(world.closes)
    for at in (0, 400, -1):
        row = int(found["constant"].origins[at])
        assert found["constant"].variance[at] == pytest.approx(np.mean(returns[:row] ** 2) * np.array(HORIZONS))
        ewma = ewma_variance(returns[:row], initial=1e-4)  # what it started from has died out
        assert found["ewma"].variance[at] == pytest.approx(ewma * np.array(HORIZONS), rel=1e-10)
    assert np.isinf(found["constant"].degrees).all()
    assert np.isinf(found["ewma"].degrees).all()
    assert np.array_equal(found["ewma_t"].variance, found["ewma"].variance)


@pytest.mark.parametrize(("kind", "name"), [(Garch, "garch_t"), (Egarch, "egarch_t")], ids=["garch", "egarch"])
def test_a_first_variance_is_what_arch_says(kind: type[Garch | Egarch], name: str) -> None:
    """Fitted by `arch` on the rows up to the fold's `validate_until`, and nothing later."""
    from arch import univariate

    parameters = GARCH if kind is Garch else EGARCH
    history = pair_history(returns=simulated(kind, parameters, 1_400, seed=4)[0])
    fold = folds_of(history)[0]
    reference = references(history, [fold], (1, 3), (name,))[name]
    returns = 100 * log_returns(history.until(fold.validate_until).closes)
    process = univariate.GARCH(1, 0, 1) if kind is Garch else univariate.EGARCH(1, 1, 1)
    model = univariate.ZeroMean(returns, volatility=process, distribution=univariate.StudentsT())
    fitted = model.fit(disp="off")
    row = int(reference.origins[0])
    later = univariate.ZeroMean(
        100 * log_returns(history.closes[: row + 1]), volatility=process, distribution=univariate.StudentsT()
    ).fix(fitted.params)
    theirs = later.forecast(horizon=1, reindex=False).variance.to_numpy()[-1, 0] / 1e4
    # In percent and in units of the deviation the optimiser stops at slightly different points.
    assert reference.variance[0, 0] == pytest.approx(theirs, rel=0.01)
    assert reference.degrees[0] == pytest.approx(fitted.params["nu"], rel=0.02)


def test_har_is_least_squares_on_means_of_squares(world: PairHistory, found: dict[str, Reference]) -> None:
    from scipy.optimize import nnls

    fold = folds_of(world)[0]
    squares = log_returns(world.until(fold.validate_until).closes) ** 2
    at = np.arange(22, len(squares))
    x = np.array([[1.0, *(squares[i - lag : i].mean() / squares.mean() for lag in (1, 5, 22))] for i in at])
    weights, _ = nnls(x, squares[at] / squares.mean())
    known = log_returns(world.closes[: int(found["har_t"].origins[0]) + 1]) ** 2
    wanted = weights @ [squares.mean(), *(known[-lag:].mean() for lag in (1, 5, 22))]
    assert found["har_t"].variance[0, 0] == pytest.approx(wanted, rel=1e-9)
    shocks = np.sqrt(squares[at] / (x @ weights * squares.mean()))
    assert found["har_t"].degrees[0] == pytest.approx(student_degrees(shocks), rel=1e-4)


def test_degrees_are_the_likeliest() -> None:
    shocks = stats.t.rvs(5, size=20_000, random_state=7) * np.sqrt(3 / 5)
    degrees = student_degrees(shocks)
    assert degrees == pytest.approx(5, rel=0.1)

    def likelihood(nu: float) -> float:
        return float(stats.t.logpdf(shocks, nu, scale=np.sqrt((nu - 2) / nu)).sum())

    assert likelihood(degrees) >= max(likelihood(degrees * factor) for factor in (0.97, 1.03))
    assert student_degrees(np.random.default_rng(1).normal(size=20_000)) > 50
    assert student_degrees(-shocks) == degrees
    with pytest.raises(ValueError, match="got none"):
        student_degrees(np.array([]))


def test_an_ewma_path_begins_with_its_start_and_ends_after_the_last() -> None:
    returns = np.array([0.01, -0.02])
    # 1e-4 -> .94 x 1e-4 + .06 x 1e-4 -> .94 x 1e-4 + .06 x 4e-4
    assert ewma_path(returns, initial=1e-4) == pytest.approx([1e-4, 1e-4, 1.18e-4])


def test_quantiles_and_crps_are_those_of_the_student_t(world: PairHistory, found: dict[str, Reference]) -> None:
    for name in ("garch_t", "ewma"):
        reference = found[name]
        levels = [0.01, 0.1, 0.5, 0.95]
        t = stats.norm() if name == "ewma" else stats.t(reference.degrees[7])
        scale = np.sqrt(reference.variance[7] / t.var())
        assert reference.quantiles(levels)[7] == pytest.approx(np.outer(scale, t.ppf(levels)), rel=1e-9, abs=1e-15)
        y = outcome(world, reference)
        known = np.isfinite(y)
        dense = reference.crps(y, 1, dense=True)
        grid = reference.quantiles(DENSE_LEVELS)[known, 0]
        assert np.array_equal(dense[known], crps_quantiles(y=y[known], quantiles=grid, levels=DENSE_LEVELS))
        # The closed form is the integral, the grid its sum.
        assert np.mean(reference.crps(y, 1)[known]) == pytest.approx(np.mean(dense[known]), rel=0.01)
        assert not np.array_equal(reference.crps(y, 1)[known], dense[known])


def test_further_ahead_the_grid_is_the_default_and_what_has_not_come_is_missing(
    world: PairHistory, found: dict[str, Reference]
) -> None:
    reference = found["garch_t"]
    y = outcome(world, reference, 20)
    assert np.isnan(y[-19:]).all()
    losses = reference.crps(y, 20)
    assert np.array_equal(np.isnan(losses), np.isnan(y))
    assert np.array_equal(losses, reference.crps(y, 20, dense=True), equal_nan=True)
    known = np.isfinite(y)
    wanted = qlike(variance=reference.variance[known, 2] * 1e4, realised=y[known] ** 2 * 1e4)
    assert reference.qlike(y, 20)[known] == pytest.approx(wanted)
    assert np.isnan(reference.qlike(y, 20)[~known]).all()


def test_a_garch_world_has_volatility_to_find(world: PairHistory, found: dict[str, Reference]) -> None:
    y = outcome(world, found["constant"])
    mean = {name: np.nanmean(reference.qlike(y, 1)) for name, reference in found.items()}
    crps = {name: np.nanmean(reference.crps(y, 1)) for name, reference in found.items()}
    assert mean["garch_t"] < mean["ewma"] - 0.005
    assert mean["garch_t"] < mean["constant"] - 0.02
    assert crps["garch_t"] < min(crps["constant"], crps["ewma"])
    assert found["garch_t"].degrees[-1] == pytest.approx(GARCH["nu"], rel=0.35)


# -- folds ------------------------------------------------------------------------------------------


def test_one_fold_at_a_time_gives_the_same_bits(world: PairHistory, found: dict[str, Reference]) -> None:
    for number, fold in enumerate(folds_of(world)):
        alone = references(world, [fold], HORIZONS, ("constant", "garch_t", "har_t"))
        for name, reference in alone.items():
            own = found[name].fold == number
            whole = found[name]
            part = replace(whole, origins=whole.origins[own], variance=whole.variance[own], degrees=whole.degrees[own])
            assert same(part, reference)


def test_a_longer_history_changes_nothing_that_was_there(world: PairHistory, found: dict[str, Reference]) -> None:
    shorter = world.until(folds_of(world)[-1].test_until)
    shorter = replace(
        shorter,
        ends=shorter.ends[:-90],
        trading_dates=shorter.trading_dates[:-90],
        closes=shorter.closes[:-90],
        features=shorter.features[:-90],
    )
    for name, reference in references(shorter, folds_of(shorter), HORIZONS).items():
        rows = len(reference.origins)
        assert rows == len(found[name].origins) - 90
        assert np.array_equal(reference.variance, found[name].variance[:rows])
        assert np.array_equal(reference.degrees, found[name].degrees[:rows])


def test_what_comes_later_changes_nothing(world: PairHistory, found: dict[str, Reference]) -> None:
    """The planted leak: closes after a row inside the last test are spoilt, all forecasts up to it stay."""
    row = int(found["garch_t"].origins[-200])
    closes = world.closes.copy()
    closes[row + 1 :] *= np.exp(np.random.default_rng(5).normal(0, 0.3, len(closes) - row - 1))
    spoilt = references(replace(world, closes=closes), folds_of(world), HORIZONS)
    for name, reference in found.items():
        kept = reference.origins <= row
        assert np.array_equal(spoilt[name].variance[kept], reference.variance[kept])
        assert np.array_equal(spoilt[name].degrees[kept], reference.degrees[kept])
        if name != "constant":
            assert not np.array_equal(spoilt[name].variance[~kept], reference.variance[~kept])
    # The embargoed rows before the test belong to no fit either.
    fold = folds_of(world)[-1]
    first = int(np.searchsorted(world.ends, np.datetime64(fold.validate_until.replace(tzinfo=None)))) + 1
    closes = world.closes.copy()
    closes[first:] *= np.exp(np.random.default_rng(6).normal(0, 0.3, len(closes) - first))
    refitted = references(replace(world, closes=closes), [fold], HORIZONS, ("garch_t",))["garch_t"]
    assert np.array_equal(refitted.degrees, found["garch_t"].degrees[found["garch_t"].fold == len(folds_of(world)) - 1])


def test_a_refused_fit_is_replaced_by_the_ewma_and_said() -> None:
    """The dollar against the yuan, pegged and let go: GARCH's alpha + beta ends at its bound."""
    history = pair_history(returns=fixings("USDCNY")[:2_700])
    fold = EvaluationWindow.walk_forward(
        history.ends, first=date(2021, 1, 1), refit_every="year", validation_years=1, embargo=EMBARGO
    )[0]
    found = references(history, [fold], HORIZONS, ("ewma_t", "garch_t"))
    assert np.array_equal(found["garch_t"].variance, found["ewma_t"].variance)
    assert np.array_equal(found["garch_t"].degrees, found["ewma_t"].degrees)
    (note,) = found["garch_t"].notes
    assert "EWMA-t at" in note
    assert "no GARCH fit was accepted" in note
    assert "alpha + beta" in note


def test_wrong_arguments_say_what_was_expected(world: PairHistory) -> None:
    folds = folds_of(world)
    with pytest.raises(ValueError, match="'arima' is none of constant, ewma"):
        references(world, folds, HORIZONS, ("arima",))
    with pytest.raises(ValueError, match="0 folds"):
        references(world, [], HORIZONS)
    with pytest.raises(ValueError, match="horizons"):
        references(world, folds, (0, 1))
