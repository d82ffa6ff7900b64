"""GARCH, and what it has in common with EGARCH: the fit, its refusals, the notes, the start."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models.arch_models import ArchPredictor
from fx_assets.models.base import FitFailed, InvalidCheckpoint
from fx_assets.models.inputs import FloatArray
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.garch import Garch
from fx_assets.models.volatility import ewma_variance, log_returns
from tests.models.arch_worlds import GARCH, KINDS, UNIT, fitted, fixings, loaded, simulated
from tests.models.simulated import cuts, model_spec, pair_history

each = pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.kind)


def params_of(cls: type[ArchPredictor], horizon: int, **changes: float) -> dict[str, Any]:
    parameters = {**KINDS[cls], **changes}
    extra = cls(model_spec(cls.kind, target="volatility", horizon=horizon))._expected(parameters, np.array([-1.0, 1.0]))
    return {"initial_variance": UNIT, "parameters": parameters, "fit": {}, "refused": "", **extra}


# -- the numbers ------------------------------------------------------------------------------------


def test_two_returns_and_three_horizons_by_hand() -> None:
    params = {"initial_variance": 4e-4, "parameters": {"omega": 1e-5, "alpha": 0.2, "beta": 0.7, "nu": 5.0}}
    predictor = loaded(Garch, params, window=3, horizon=3)
    closes = np.exp([0.0, 0.01, -0.02])
    # 4e-4 -> 1e-5 + .2 x 1e-4 + .7 x 4e-4 = 3.1e-4 -> 1e-5 + .2 x 9e-4 + .7 x 3.1e-4 = 4.07e-4, then by .9 and 1e-5
    ahead = [4.07e-4, 1e-5 + 0.9 * 4.07e-4, 1e-5 + 0.9 * (1e-5 + 0.9 * 4.07e-4)]
    prediction = predictor.predict(closes[None, :, None])
    assert prediction.scale[0] == pytest.approx(np.sqrt(np.cumsum(ahead)), rel=1e-12)
    assert not prediction.location.any()
    assert prediction.notes == ((),)


def by_arch(returns: FloatArray, predictor: Garch, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Conditional variances of the returns, and of the bars after them, as `arch` has them for these parameters."""
    from arch import univariate

    p = predictor.params["parameters"]
    model = univariate.ZeroMean(
        100 * returns, volatility=univariate.GARCH(1, 0, 1), distribution=univariate.StudentsT()
    )
    result = model.fix([1e4 * p["omega"], p["alpha"], p["beta"], p["nu"]])
    forecast = result.forecast(horizon=horizon, reindex=False).variance.to_numpy()[-1]
    return np.asarray(result.conditional_volatility) ** 2 / 1e4, forecast / 1e4


@pytest.mark.parametrize("world", ["simulated", "USDJPY"])
def test_variances_and_forecasts_are_those_of_arch(world: str) -> None:
    returns = simulated(Garch, GARCH, 3000, seed=1)[0] if world == "simulated" else fixings(world)[:3000]
    history = pair_history(returns=returns)
    predictor, params = fitted(Garch, history, window=1200, horizon=10)
    assert params["refused"] == ""
    theirs, ahead = by_arch(returns, predictor, 10)
    # From the same start, all of them; and from any start, once it has died out.
    ours = predictor.variances(returns, params["parameters"], theirs[0])
    assert ours[:-1] == pytest.approx(theirs, rel=1e-6)
    prediction = predictor.predict(history.window(3000, 1200)[None])
    assert prediction.scale[0] == pytest.approx(np.sqrt(np.cumsum(ahead)), rel=1e-6)
    assert prediction.notes == ((),)


def test_it_recovers_the_parameters_of_a_simulated_process() -> None:
    returns, _ = simulated(Garch, GARCH, 20_000, seed=2)
    _, params = fitted(Garch, pair_history(returns=returns), train=0.9)
    found = params["parameters"]
    assert found["alpha"] == pytest.approx(GARCH["alpha"], abs=0.015)
    assert found["beta"] == pytest.approx(GARCH["beta"], abs=0.02)
    assert found["nu"] == pytest.approx(GARCH["nu"], rel=0.1)
    level = found["omega"] / (1 - found["alpha"] - found["beta"])
    assert level == pytest.approx(UNIT, rel=0.2)
    assert params["fit"]["flag"] == 0
    assert params["fit"]["rows"] == int(20_001 * 0.9)


@each
def test_it_forecasts_better_than_a_constant_variance(cls: type[ArchPredictor]) -> None:
    """QLIKE against the squared returns that followed, on rows that the fit has not seen."""
    returns, _ = simulated(cls, KINDS[cls], 6000, seed=3)
    history = pair_history(returns=returns)
    predictor, params = fitted(cls, history, window=200, horizon=1)
    rows = np.arange(3700, 5900, 3)
    prediction = predictor.predict(np.array([history.window(int(row), 200) for row in rows]))
    assert prediction.notes == ((),) * len(rows)
    squares = returns[rows] ** 2  # return i leads from row i to row i + 1
    variance = prediction.scale[:, 0] ** 2
    ours = np.mean(np.log(variance) + squares / variance)
    constant = np.mean(np.log(params["initial_variance"]) + squares / params["initial_variance"])
    assert ours < constant - 0.05


@each
def test_the_scale_of_the_prices_changes_the_fit_in_proportion(cls: type[ArchPredictor]) -> None:
    """A pegged currency a hundred times as calm: in percent, as `arch` would have it, the optimiser never moves."""
    returns, _ = simulated(cls, KINDS[cls], 3000, seed=4)
    plain, calm = (fitted(cls, pair_history(returns=factor * returns))[1] for factor in (1.0, 0.01))
    assert calm["refused"] == ""
    assert calm["fit"]["found"] == pytest.approx(plain["fit"]["found"], rel=1e-2, abs=1e-4)
    assert calm["initial_variance"] == pytest.approx(1e-4 * plain["initial_variance"])


# -- FAULTS 27b -------------------------------------------------------------------------------------


def refused(cls: type[ArchPredictor], returns: FloatArray, reason: str, **changes: Any) -> None:
    """The fit is refused for this reason, and every forecast is the EWMA's and says so."""
    history = pair_history(returns=returns)
    predictor, params = fitted(cls, history, **changes)
    assert reason in params["refused"]
    assert params["parameters"] is None
    window = history.window(len(history) - 1, predictor.spec.window)
    prediction = predictor.predict(window[None])
    note = f"EWMA variance used at all horizons: no {cls.title} fit was accepted"
    assert prediction.notes == ((note,),)
    assert predictor.run({"data": window.tolist()}, "EURUSD").notes == (note,)
    ewma = ewma_variance(log_returns(window[:, 0]), initial=params["initial_variance"])
    assert prediction.scale[0] == pytest.approx(np.sqrt(ewma * np.arange(1, 6)), rel=1e-12)


@each
def test_a_fit_that_does_not_converge_is_refused(cls: type[ArchPredictor], monkeypatch: pytest.MonkeyPatch) -> None:
    """The real optimiser, stopped before it has arrived."""
    from arch.univariate import ZeroMean

    fit = ZeroMean.fit

    def stopped(self: Any, **kwargs: Any) -> Any:
        return fit(self, **{**kwargs, "options": {"maxiter": 1}})

    monkeypatch.setattr(ZeroMean, "fit", stopped)
    refused(cls, simulated(cls, KINDS[cls], 800, seed=5)[0], "did not converge: Iteration limit reached")


def test_an_integrated_fit_is_refused() -> None:
    """The dollar against the yuan, pegged and let go: alpha + beta ends at its bound."""
    refused(Garch, fixings("USDCNY")[:2500], "alpha + beta is 1.00000", train=0.9)


@each
def test_prices_that_hardly_move_are_refused(cls: type[ArchPredictor]) -> None:
    """One monstrous day among closes that stand still."""
    returns = np.zeros(500)
    returns[::50] = 1e-6
    returns[40] = 0.3
    refused(cls, returns, "")
    with pytest.raises(FitFailed, match="never move"):
        fitted(cls, pair_history(returns=np.zeros(500)))


@each
def test_a_fit_far_from_the_ewma_is_refused(cls: type[ArchPredictor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own training rows decide: 5 % of them may leave the range, not more."""
    history = pair_history(returns=simulated(cls, KINDS[cls], 800, seed=6)[0])
    _, params = fitted(cls, history)
    assert params["refused"] == ""
    for share, accepted in ((0.05, True), (0.0501, False)):
        monkeypatch.setattr(cls, "_outside", lambda *_, share=share: share)
        assert (fitted(cls, history)[1]["parameters"] is not None) == accepted
    monkeypatch.undo()
    monkeypatch.setattr("fx_assets.models.volatility.BELIEVABLE", 1.05)
    refused(cls, simulated(cls, KINDS[cls], 800, seed=6)[0], "of its training rows leave [1/10, 10] times the EWMA")


@each
def test_outside_counts_the_rows_after_each_return(cls: type[ArchPredictor]) -> None:
    """The path's first variance is the start, no forecast; what follows the last return is one."""
    predictor = cls(model_spec(cls.kind, target="volatility", horizon=1))
    params = params_of(cls, 1)
    returns = np.array([0.001, -0.002, 0.003])
    assert predictor._outside(returns, [1.0, UNIT, UNIT, UNIT], params) == 0
    assert predictor._outside(returns, [UNIT, UNIT, UNIT, 1.0], params) == pytest.approx(1 / 3)


def constant(cls: type[ArchPredictor], variance: float, horizon: int) -> ArchPredictor:
    """A process that has this variance at each bar, whatever the returns."""
    omega = variance if cls is Garch else float(np.log(variance))
    return loaded(cls, params_of(cls, horizon, omega=omega, alpha=0.0, gamma=0.0, beta=0.0), horizon=horizon)


@each
def test_a_variance_far_from_the_ewma_is_not_believed_and_it_says_so(cls: type[ArchPredictor]) -> None:
    window = pair_history(n=100).window(80, 30)
    ewma = ewma_variance(log_returns(window[:, 0]), initial=UNIT)
    note = f"EWMA variance used at all horizons: the {cls.title} variance left [1/10, 10] times it"
    for factor, believed in ((0.099, False), (0.101, True), (9.9, True), (10.1, False)):
        prediction = constant(cls, factor * ewma, 4).predict(window[None])
        used = factor * ewma if believed else ewma
        assert prediction.scale[0] == pytest.approx(np.sqrt(used * np.arange(1, 5)), rel=1e-12)
        assert prediction.notes == (() if believed else (note,),)


def test_one_horizon_out_of_range_replaces_them_all() -> None:
    """A range that is the model's at some horizons and the EWMA's at the rest could narrow with time."""
    params = params_of(Garch, 4, omega=5 * UNIT, alpha=0.0, beta=0.9)
    window = np.exp([[0.0], [np.sqrt(UNIT)]])  # its EWMA is the start's
    # Variances of 5.9, 10.3, 14.3 and 17.9 times the EWMA's: the mean of two is believed, that of three is not.
    near = loaded(Garch, params, window=2, horizon=2).predict(window[None])
    assert near.notes == ((),)
    assert near.scale[0] == pytest.approx(np.sqrt(UNIT * np.cumsum([5.9, 10.31])))
    far = loaded(Garch, params, window=2, horizon=4).predict(window[None])
    assert far.notes[0]
    assert far.scale[0] == pytest.approx(np.sqrt(UNIT * np.arange(1, 5)))


@each
def test_frozen_quotes_and_a_leap_after_them_give_finite_forecasts(cls: type[ArchPredictor]) -> None:
    predictor = loaded(cls, params_of(cls, 4), horizon=4, window=400)
    frozen = np.ones((400, 1))
    leap = frozen.copy()
    leap[-1] = 2.0
    prediction = predictor.predict(np.array([frozen, leap]))
    assert np.isfinite(prediction.scale).all()
    assert prediction.notes[0]


# -- the checkpoint ---------------------------------------------------------------------------------


@each
def test_rows_after_the_cut_change_nothing_and_bytes_are_equal(cls: type[ArchPredictor]) -> None:
    returns, _ = simulated(cls, KINDS[cls], 900, seed=8)
    spoilt = np.where(np.arange(900) < 600, returns, 50 * returns)
    history, other = pair_history(returns=returns), pair_history(returns=spoilt)
    window = cuts(history)
    predictor = cls(model_spec(cls.kind, target="volatility"))
    first = predictor.fit({"EURUSD": history}, window, seed=1)
    assert json.loads(first[PARAMS])["refused"] == ""
    assert predictor.fit({"EURUSD": history}, window, seed=1) == first
    assert predictor.fit({"EURUSD": other}, window, seed=1) == first


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parameters": "none"}, "must be null or have the numbers omega"),
        ({"parameters": {"omega": 1e-6, "alpha": 0.1, "gamma": 0, "nu": 5}}, "must be null or have the numbers omega"),
        ({"parameters": {"omega": 1e-6, "alpha": 0.1, "gamma": 0, "beta": 1.5, "nu": 5}}, "cannot be used"),
        ({"initial_variance": 0}, "initial_variance must be a number greater than 0"),
    ],
    ids=["text", "missing", "explosive", "start"],
)
def test_unusable_parameters_are_refused_at_load(cls: type[ArchPredictor], change: dict[str, Any], said: str) -> None:
    predictor = cls(model_spec(cls.kind, target="volatility"))
    with pytest.raises(InvalidCheckpoint, match=said):
        predictor.load_model({PARAMS: dump_params({**params_of(cls, 5), **change})}, predictor.identity())


@each
def test_the_fit_leaves_the_warning_filters_alone_and_says_nothing(
    cls: type[ArchPredictor], capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        fitted(cls, pair_history(returns=simulated(cls, KINDS[cls], 600, seed=9)[0]))
        assert list(warnings.filters) == before
    assert capfd.readouterr() == ("", "")


SERVED = """
import json, sys
import numpy as np
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
for kind, files, window in json.loads(sys.stdin.read()):
    spec = ModelSpec(model_id="m", kind=kind, pairs="all", window=30, horizon=5, target="volatility")
    predictor = predictor_class(kind)(spec)
    predictor.load_model({name: text.encode() for name, text in files.items()}, predictor.identity())
    print(predictor.predict(np.array(window)[None]).scale.tobytes().hex())
loaded = [name for name in ("arch", "statsmodels", "scipy", "pandas", "torch", "sklearn") if name in sys.modules]
print(loaded)
"""


def test_a_fresh_process_forecasts_the_same_bits_without_arch(tmp_path: Path) -> None:
    given, expected = [], []
    for cls, true in KINDS.items():
        history = pair_history(returns=simulated(cls, true, 600, seed=10)[0])
        predictor, params = fitted(cls, history)
        window = history.window(550, 30)
        given.append((cls.kind, {PARAMS: dump_params(params).decode()}, window.tolist()))
        expected.append(predictor.predict(window[None]).scale.tobytes().hex())
    done = subprocess.run(
        [sys.executable, "-c", SERVED],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [*expected, "[]"]
