"""The EGARCH beside the regression: one for all pairs, and the forecast is the geometric mean of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import InvalidCheckpoint, NotLoaded
from fx_assets.models.inputs import PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.egarch import Egarch
from fx_assets.models.predictors.scale import Scale
from fx_assets.models.registry import check_model
from fx_assets.models.scale_beside import chained
from fx_assets.models.volatility import ewma_variance, log_returns
from tests.models import arch_worlds
from tests.models.arch_worlds import EGARCH, UNIT, loaded, simulated
from tests.models.scale.worlds import spec_of, with_params
from tests.models.simulated import cuts, pair_history

WINDOW = pair_history(n=100, features=1).window(80, 30)
COLUMNS = ("close", "feature_0")
BESIDE: dict[str, Any] = {
    "initial_variance": UNIT,
    "parameters": EGARCH,
    "multipliers": [1.0, 0.9, 0.8, 0.7, 0.6],
    "refused": "",
}


def beside(**changes: Any) -> Scale:
    return with_params(spec_of(hyperparameters={"beside": "egarch"}), COLUMNS, **{"beside": BESIDE, **changes})


def histories(n: int = 1_500) -> dict[str, PairHistory]:
    worlds = {}
    for seed, pair in enumerate(("EURUSD", "USDJPY"), 1):
        bare = pair_history(pair, returns=simulated(Egarch, EGARCH, n, seed=seed)[0])
        x = np.random.default_rng(seed).normal(0, 1, (n + 1, 1))
        worlds[pair] = PairHistory(pair, bare.ends, bare.trading_dates, bare.closes, x, ("x",), bare.calendar)
    return worlds


def fitted(worlds: dict[str, PairHistory], **changes: Any) -> dict[str, Any]:
    (first, *_) = worlds.values()
    files = Scale(spec_of(hyperparameters={}, **changes), first.columns).fit(worlds, cuts(first), seed=1)
    params: dict[str, Any] = json.loads(files[PARAMS])
    return params


def test_the_forecast_is_the_geometric_mean_of_both() -> None:
    alone = with_params(spec_of(), COLUMNS).predict(WINDOW[None])
    egarch = loaded(Egarch, BESIDE).predict(WINDOW[None, :, :1])
    both = beside().predict(WINDOW[None])
    assert both.notes == alone.notes == egarch.notes == ((),)
    assert np.abs(np.log(egarch.scale / alone.scale)).min() > 0.01
    assert both.scale == pytest.approx(np.sqrt(alone.scale * egarch.scale), rel=1e-12)
    assert not both.location.any()


def test_where_one_is_refused_the_ewma_stands_in_for_that_one_and_it_says_so() -> None:
    ewma = np.sqrt(ewma_variance(log_returns(WINDOW[:, 0]), initial=UNIT) * np.arange(1, 6))
    alone = with_params(spec_of(), COLUMNS).predict(WINDOW[None])
    refused = {**BESIDE, "parameters": None, "refused": "the fit did not converge"}
    half = beside(beside=refused).predict(WINDOW[None])
    assert half.scale[0] == pytest.approx(np.sqrt(alone.scale[0] * ewma), rel=1e-12)
    of_egarch = "egarch beside: EWMA variance used at all horizons: no EGARCH fit was accepted"
    assert half.notes == ((of_egarch,),)
    fast = with_params(spec_of(hyperparameters={"ewma_alpha": 0.3}), COLUMNS, beside=refused).predict(WINDOW[None])
    faster = ewma_variance(log_returns(WINDOW[:, 0]), initial=UNIT, alpha=0.3) * np.arange(1, 6)
    assert fast.scale[0] == pytest.approx(np.sqrt(alone.scale[0] * np.sqrt(faster)), rel=1e-12)
    none = beside(beside=refused, coefficients=None).predict(WINDOW[None])
    assert none.scale[0] == pytest.approx(ewma, rel=1e-12)
    assert none.notes == (("EWMA variance used at all horizons: no fit of the log scale was accepted", of_egarch),)


def test_of_one_pair_it_is_that_pairs_own() -> None:
    world = {"EURUSD": histories()["EURUSD"]}
    _, own = arch_worlds.fitted(Egarch, world["EURUSD"].bare())
    found = fitted(world)["beside"]
    assert found["refused"] == own["refused"] == ""
    assert found["fit"]["rows"] == own["fit"]["rows"]
    assert found["parameters"] == pytest.approx(own["parameters"], rel=1e-3)
    assert found["multipliers"] == pytest.approx(own["multipliers"], rel=1e-3)


def test_all_pairs_share_it_and_their_order_does_not_matter() -> None:
    worlds = histories(4_000)
    found = fitted(worlds)["beside"]
    assert found == fitted(dict(reversed(worlds.items())))["beside"]
    assert found["fit"]["rows"] == 2 * 2_400
    for name, off in (("alpha", 0.04), ("gamma", 0.03), ("beta", 0.015)):
        assert found["parameters"][name] == pytest.approx(EGARCH[name], abs=off), name
    alone = fitted({"EURUSD": worlds["EURUSD"]})["beside"]
    assert abs(alone["parameters"]["alpha"] - found["parameters"]["alpha"]) > 1e-3


def test_chained_are_the_returns_of_all_pairs_and_nothing_between() -> None:
    worlds = histories(300)
    expected = np.concatenate([log_returns(worlds[pair].closes) for pair in ("EURUSD", "USDJPY")])
    assert log_returns(chained(worlds).closes) == pytest.approx(expected, abs=1e-14)


def test_without_it_nothing_of_it_is_kept_or_asked_for() -> None:
    worlds = histories(400)
    files = Scale(spec_of(), ("close", "x")).fit(worlds, cuts(worlds["EURUSD"]), seed=1)
    assert "beside" not in json.loads(files[PARAMS])
    (problem,) = check_model(spec_of(hyperparameters={"beside": "garch"}))
    assert problem[0] == "hyperparameters.beside"


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (None, "beside must be the parameters of egarch"),
        ({**BESIDE, "multipliers": [1.0]}, "beside multipliers must be a list of 5 numbers"),
        ({**BESIDE, "initial_variance": 0}, "beside initial_variance must be a number greater than 0"),
        ({**BESIDE, "parameters": {**EGARCH, "beta": 1.5}}, "beside parameters cannot be used: beta is 1.5"),
    ],
    ids=["absent", "multipliers", "initial", "explosive"],
)
def test_damaged_parameters_are_named(damaged: Any, message: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        beside(beside=damaged)


def test_not_strict_a_damaged_one_is_said_and_nothing_is_forecast_without_it() -> None:
    predictor = beside()
    damaged = {**predictor.params, "beside": {**BESIDE, "multipliers": None}}
    report = predictor.load_model({PARAMS: dump_params(damaged)}, predictor.identity(), strict=False)
    assert any("beside multipliers" in line for line in report.skipped), report.skipped
    with pytest.raises(NotLoaded):
        predictor.predict(WINDOW[None])


def test_it_predicts_without_what_it_was_fitted_with(tmp_path: Path) -> None:
    predictor = beside()
    stored = tmp_path / "stored.json"
    stored.write_text(
        json.dumps(
            {
                "spec": predictor.spec.model_dump(mode="json"),
                "params": dict(predictor.params),
                "window": WINDOW.tolist(),
            }
        )
    )
    code = f"""
import json, sys
import numpy as np
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.predictors.scale import Scale
from fx_assets.specs.schema import ModelSpec
stored = json.loads(open({str(stored)!r}).read())
predictor = Scale(ModelSpec.model_validate(stored["spec"]), ("close", "feature_0"))
predictor.load_model(MemoryCheckpoint(predictor.identity(), {{"params.json": json.dumps(stored["params"]).encode()}}))
print(predictor.predict(np.array([stored["window"]])).scale[0].tolist())
print([name for name in ("arch", "torch", "scipy", "statsmodels") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    scale, heavy = done.stdout.splitlines()
    assert json.loads(scale) == predictor.predict(WINDOW[None]).scale[0].tolist()
    assert heavy == "[]"
