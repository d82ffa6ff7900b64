"""What tsfresh's calculators take, so that a config is checked without importing tsfresh.

Written by hand from tsfresh 0.21, `feature_extraction.feature_calculators`; a test holds it to the signatures there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fx_assets.features.kernels.base import Params
from fx_assets.specs.problems import nearest

Json = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it has to be, in words and as a test. `default`: what tsfresh takes where it is left out."""

    words: str
    fits: Callable[[Any], bool]
    required: bool = True
    default: Any = None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(least: int) -> Parameter:
    return Parameter(f"a whole number of {least} or more", lambda value: _is_whole(value) and value >= least)


def _one_of(*words: str) -> Parameter:
    return Parameter(f"one of {', '.join(words)}", lambda value: value in words)


def _optional(parameter: Parameter, default: Any = None) -> Parameter:
    return Parameter(parameter.words, parameter.fits, required=False, default=default)


_NUMBER = Parameter("a number", _is_number)
_NOT_NEGATIVE = Parameter("a number of 0 or more", lambda value: _is_number(value) and value >= 0)
_PART = Parameter("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_FLAG = Parameter("true or false", lambda value: isinstance(value, bool))
# Any function of numpy by tsfresh; which of them the kernel knows, it says itself.
_AGGREGATE = Parameter("the name of an aggregate, as mean", lambda value: isinstance(value, str))
_WIDTHS = Parameter(
    "a list of positive numbers",
    lambda value: isinstance(value, list | tuple) and bool(value) and all(_is_number(w) and w > 0 for w in value),
)
_QUERY = Parameter(
    "a list of at least three numbers",
    lambda value: isinstance(value, list) and len(value) >= 3 and all(_is_number(item) for item in value),
)
_REGRESSION = _one_of("pvalue", "rvalue", "intercept", "slope", "stderr")
_LAG = {"lag": _whole(0)}
_BINS = {"bins": _whole(1)}

_WITHOUT = [
    "abs_energy",
    "absolute_maximum",
    "absolute_sum_of_changes",
    "benford_correlation",
    "count_above_mean",
    "count_below_mean",
    "first_location_of_maximum",
    "first_location_of_minimum",
    "has_duplicate",
    "has_duplicate_max",
    "has_duplicate_min",
    "kurtosis",
    "last_location_of_maximum",
    "last_location_of_minimum",
    "length",
    "longest_strike_above_mean",
    "longest_strike_below_mean",
    "maximum",
    "mean",
    "mean_abs_change",
    "mean_change",
    "mean_second_derivative_central",
    "median",
    "minimum",
    "percentage_of_reoccurring_datapoints_to_all_datapoints",
    "percentage_of_reoccurring_values_to_all_values",
    "ratio_value_number_to_time_series_length",
    "root_mean_square",
    "sample_entropy",
    "skewness",
    "standard_deviation",
    "sum_of_reoccurring_data_points",
    "sum_of_reoccurring_values",
    "sum_values",
    "variance",
    "variance_larger_than_standard_deviation",
    "variation_coefficient",
]

PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    **{calculator: {} for calculator in _WITHOUT},
    "agg_autocorrelation": {"f_agg": _AGGREGATE, "maxlag": _whole(1)},
    "agg_linear_trend": {"attr": _REGRESSION, "chunk_len": _whole(1), "f_agg": _AGGREGATE},
    "approximate_entropy": {"m": _whole(1), "r": _NOT_NEGATIVE},
    "ar_coefficient": {"coeff": _whole(0), "k": _whole(1)},
    "augmented_dickey_fuller": {
        "attr": _one_of("teststat", "pvalue", "usedlag"),
        "autolag": _optional(_one_of("AIC", "BIC", "t-stat"), "AIC"),
    },
    "autocorrelation": _LAG,
    "binned_entropy": {"max_bins": _whole(1)},
    "c3": _LAG,
    "change_quantiles": {"ql": _PART, "qh": _PART, "isabs": _FLAG, "f_agg": _AGGREGATE},
    "cid_ce": {"normalize": _FLAG},
    "count_above": {"t": _NUMBER},
    "count_below": {"t": _NUMBER},
    "cwt_coefficients": {"widths": _WIDTHS, "coeff": _whole(0), "w": _NUMBER},
    "energy_ratio_by_chunks": {"num_segments": _whole(1), "segment_focus": _whole(0)},
    "fft_aggregated": {"aggtype": _one_of("centroid", "variance", "skew", "kurtosis")},
    "fft_coefficient": {"coeff": _whole(0), "attr": _one_of("real", "imag", "abs", "angle")},
    "fourier_entropy": _BINS,
    "friedrich_coefficients": {"coeff": _whole(0), "m": _whole(1), "r": _whole(1)},
    "index_mass_quantile": {"q": _PART},
    "large_standard_deviation": {"r": _NUMBER},
    "lempel_ziv_complexity": _BINS,
    "linear_trend": {"attr": _REGRESSION},
    "max_langevin_fixed_point": {"r": _whole(1), "m": _whole(1)},
    "mean_n_absolute_max": {"number_of_maxima": _whole(1)},
    "number_crossing_m": {"m": _NUMBER},
    "number_cwt_peaks": {"n": _whole(1)},
    "number_peaks": {"n": _whole(1)},
    "partial_autocorrelation": _LAG,
    "permutation_entropy": {"tau": _whole(1), "dimension": _whole(1)},
    "quantile": {"q": _PART},
    "query_similarity_count": {
        "query": _QUERY,
        "threshold": _optional(_NOT_NEGATIVE),
        "normalize": _optional(_FLAG),
    },
    "range_count": {"min": _NUMBER, "max": _NUMBER},
    "ratio_beyond_r_sigma": {"r": _NUMBER},
    "spkt_welch_density": {"coeff": _whole(0)},
    "symmetry_looking": {"r": _NUMBER},
    "time_reversal_asymmetry_statistic": _LAG,
    "value_count": {"value": _NUMBER},
}

# What tsfresh has and no window of bars can give.
REFUSED: Mapping[str, str] = {
    "linear_trend_timewise": "goes by times of a clock, and a window has bars; use linear_trend",
    "matrix_profile": "needs the package matrixprofile, which runs on no Python that we support; leave it out",
}


def parameter_sets(calculator: str, given: Any) -> list[Params]:
    """The parameter sets of a calculator as tsfresh's dictionary has them; one empty set where it takes none.

    `given` is null, or a list of mappings; an empty list asks for nothing. Lists become tuples where tsfresh's column
    names have them so, and a parameter stands in where tsfresh names its default. Raises `ValueError` that names
    calculator and parameter.
    """
    if calculator in REFUSED:
        raise ValueError(f"{calculator} {REFUSED[calculator]}")
    known = PARAMETERS.get(calculator)
    if known is None:
        raise ValueError(f"unknown calculator {calculator!r}.{nearest(calculator, PARAMETERS)}")
    if given == []:
        return []
    if not known:
        if given is not None:
            raise ValueError(f"{calculator}: takes no parameters; write null, found {given!r}")
        return [{}]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        example = ", ".join(f"{name}: ..." for name in known)
        raise ValueError(f"{calculator}: write a list of parameter sets, [{{{example}}}], found {given!r}")
    sets = [_one_set(calculator, known, item) for item in given]
    for index, item in enumerate(sets):
        if item in sets[:index]:
            raise ValueError(f"{calculator}: {given[index]} stands twice")
    return sets


def _one_set(calculator: str, known: Mapping[str, Parameter], given: Json) -> Params:
    for name in given:
        if name not in known:
            raise ValueError(f"{calculator}: unknown parameter {name!r}.{nearest(str(name), known)}")
    found = {}
    for name, parameter in known.items():
        if name not in given:
            if parameter.required:
                raise ValueError(f"{calculator}: parameter {name!r} is missing in {given}; give {parameter.words}")
            if parameter.default is not None:
                found[name] = parameter.default
            continue
        value = given[name]
        if not parameter.fits(value):
            raise ValueError(f"{calculator}: parameter {name!r} is {value!r}; give {parameter.words}")
        found[name] = tuple(value) if parameter is _WIDTHS else value
    return found
