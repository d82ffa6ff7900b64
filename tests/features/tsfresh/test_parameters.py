"""The table of tsfresh's parameters against tsfresh itself, and what a config that does not fit it is told."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from tsfresh.feature_extraction import feature_calculators
from tsfresh.feature_extraction.settings import ComprehensiveFCParameters

from fx_assets.features.tsfresh.parameters import PARAMETERS, REFUSED, parameter_sets

CALCULATORS = {name: function for name, function in vars(feature_calculators).items() if hasattr(function, "fctype")}


def test_every_calculator_of_tsfresh_is_known() -> None:
    assert set(PARAMETERS) | set(REFUSED) == set(CALCULATORS)
    assert not set(PARAMETERS) & set(REFUSED)


@pytest.mark.parametrize("calculator", sorted(PARAMETERS))
def test_the_parameters_are_those_of_tsfresh(calculator: str) -> None:
    known = PARAMETERS[calculator]
    function = CALCULATORS[calculator]
    if function.fctype == "simple":
        assert list(known) == list(inspect.signature(function).parameters)[1:]
        assert all(parameter.required for parameter in known.values())
        return
    # A combiner takes its parameters as a list: their names stand in its own settings and its code only.
    theirs = {name for params in ComprehensiveFCParameters()[calculator] for name in params}
    assert theirs <= set(known)
    code = inspect.getsource(function)
    assert all(f'"{name}"' in code for name in known)
    assert {name for name, parameter in known.items() if parameter.required} <= theirs


@pytest.mark.parametrize("calculator", sorted(PARAMETERS))
def test_what_tsfresh_itself_asks_for_fits(calculator: str) -> None:
    given = ComprehensiveFCParameters()[calculator]
    if calculator == "query_similarity_count":
        with pytest.raises(ValueError, match="query' is None; give a list of at least three numbers"):
            parameter_sets(calculator, given)
        return
    as_in_yaml = given and [{k: list(v) if isinstance(v, tuple) else v for k, v in item.items()} for item in given]
    defaults = {"autolag": "AIC"} if calculator == "augmented_dickey_fuller" else {}
    assert parameter_sets(calculator, as_in_yaml) == [{**item, **defaults} for item in given or [{}]]


def test_an_empty_list_asks_for_nothing() -> None:
    assert parameter_sets("mean", []) == parameter_sets("quantile", []) == []


@pytest.mark.parametrize(
    ("calculator", "given", "message"),
    [
        ("quantil", [{"q": 0.1}], "unknown calculator 'quantil'. Did you mean 'quantile'?"),
        ("quantile", [{"p": 0.1}], "quantile: unknown parameter 'p'. Known: q."),
        ("cid_ce", [{"normalise": True}], "cid_ce: unknown parameter 'normalise'. Did you mean 'normalize'?"),
        ("quantile", [{"q": 0.1}, {}], "quantile: parameter 'q' is missing in {}; give a number from 0 to 1"),
        ("quantile", [{"q": "0.1"}], "quantile: parameter 'q' is '0.1'; give a number from 0 to 1"),
        ("quantile", [{"q": True}], "quantile: parameter 'q' is True; give a number from 0 to 1"),
        ("quantile", [{"q": float("nan")}], "quantile: parameter 'q' is nan; give a number from 0 to 1"),
        ("c3", [{"lag": 1.0}], "c3: parameter 'lag' is 1.0; give a whole number of 0 or more"),
        ("c3", [{"lag": -1}], "c3: parameter 'lag' is -1; give a whole number of 0 or more"),
        ("number_peaks", [{"n": 0}], "number_peaks: parameter 'n' is 0; give a whole number of 1 or more"),
        ("cid_ce", [{"normalize": 1}], "cid_ce: parameter 'normalize' is 1; give true or false"),
        ("linear_trend", [{"attr": "p"}], "linear_trend: parameter 'attr' is 'p'; give one of pvalue, rvalue, "),
        (
            "cwt_coefficients",
            [{"widths": 2, "coeff": 0, "w": 2}],
            "cwt_coefficients: parameter 'widths' is 2; give a list of positive numbers",
        ),
        ("quantile", None, "quantile: write a list of parameter sets, [{q: ...}], found None"),
        ("quantile", {"q": 0.1}, "quantile: write a list of parameter sets, [{q: ...}], found {'q': 0.1}"),
        ("quantile", [0.1], "quantile: write a list of parameter sets, [{q: ...}], found [0.1]"),
        ("quantile", [{"q": 0.1}, {"q": 0.1}], "quantile: {'q': 0.1} stands twice"),
        ("mean", [{}], "mean: takes no parameters; write null, found [{}]"),
        ("linear_trend_timewise", [{"attr": "slope"}], "linear_trend_timewise goes by times of a clock"),
        ("matrix_profile", [{"threshold": 0.98, "feature": "min"}], "matrix_profile needs the package matrixprofile"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_what_does_not_fit_is_told_by_name(calculator: str, given: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parameter_sets(calculator, given)
    assert str(caught.value).startswith(message)
