"""tsfresh's presets less what can tell nothing, and its `fc_parameters` put upon them.

Source: tsfresh 0.21, `feature_extraction.settings`; a test holds the efficient preset to the library's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from fx_assets.features.kernels.base import Kernel, Params, Windows, kernels
from fx_assets.features.tsfresh.parameters import PARAMETERS, parameter_sets

Preset = Literal["minimal", "efficient", "none"]
Asked = dict[str, list[Params]]

_MINIMAL = [
    "sum_values",
    "median",
    "mean",
    "length",
    "standard_deviation",
    "variance",
    "root_mean_square",
    "maximum",
    "absolute_maximum",
    "minimum",
]
# tsfresh's marks of those that are too slow for it.
_NOT_EFFICIENT = frozenset({"sample_entropy", "approximate_entropy"})
_TWENTIETHS = [r * 0.05 for r in range(20)]
_DECILES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
_FIFTHS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
_ATTRIBUTES = ["pvalue", "rvalue", "intercept", "slope", "stderr"]
_WIDTHS = (2, 5, 10, 20)


def _each(name: str, values: Sequence[Any]) -> list[Params]:
    return [{name: value} for value in values]


_EFFICIENT: Mapping[str, list[Params]] = {
    **{name: [{}] for name, known in PARAMETERS.items() if not known and name not in _NOT_EFFICIENT},
    "time_reversal_asymmetry_statistic": _each("lag", range(1, 4)),
    "c3": _each("lag", range(1, 4)),
    "cid_ce": _each("normalize", [True, False]),
    "symmetry_looking": _each("r", _TWENTIETHS),
    "large_standard_deviation": _each("r", _TWENTIETHS[1:]),
    "quantile": _each("q", _DECILES),
    "autocorrelation": _each("lag", range(10)),
    "agg_autocorrelation": [{"f_agg": name, "maxlag": 40} for name in ("mean", "median", "var")],
    "partial_autocorrelation": _each("lag", range(10)),
    "number_cwt_peaks": _each("n", [1, 5]),
    "number_peaks": _each("n", [1, 3, 5, 10, 50]),
    "binned_entropy": [{"max_bins": 10}],
    "index_mass_quantile": _each("q", _DECILES),
    "cwt_coefficients": [{"widths": _WIDTHS, "coeff": coeff, "w": w} for coeff in range(15) for w in _WIDTHS],
    "spkt_welch_density": _each("coeff", [2, 5, 8]),
    "ar_coefficient": [{"coeff": coeff, "k": 10} for coeff in range(11)],
    "change_quantiles": [
        {"ql": ql, "qh": qh, "isabs": isabs, "f_agg": f_agg}
        for ql, qh, isabs, f_agg in product(_FIFTHS[:-1], _FIFTHS[1:], [False, True], ["mean", "var"])
        if ql < qh
    ],
    "fft_coefficient": [
        {"coeff": coeff, "attr": attr} for attr, coeff in product(["real", "imag", "abs", "angle"], range(100))
    ],
    "fft_aggregated": _each("aggtype", ["centroid", "variance", "skew", "kurtosis"]),
    "value_count": _each("value", [0, 1, -1]),
    "range_count": [{"min": -1, "max": 1}, {"min": -1e12, "max": 0}, {"min": 0, "max": 1e12}],
    "friedrich_coefficients": [{"coeff": coeff, "m": 3, "r": 30} for coeff in range(4)],
    "max_langevin_fixed_point": [{"m": 3, "r": 30}],
    "linear_trend": _each("attr", _ATTRIBUTES),
    "agg_linear_trend": [
        {"attr": attr, "chunk_len": chunk_len, "f_agg": f_agg}
        for attr, chunk_len, f_agg in product(_ATTRIBUTES[1:], [5, 10, 50], ["max", "min", "mean", "var"])
    ],
    "augmented_dickey_fuller": [{"attr": attr, "autolag": "AIC"} for attr in ("teststat", "pvalue", "usedlag")],
    "number_crossing_m": _each("m", [0, -1, 1]),
    "energy_ratio_by_chunks": [{"num_segments": 10, "segment_focus": focus} for focus in range(10)],
    "ratio_beyond_r_sigma": _each("r", [0.5, 1, 1.5, 2, 2.5, 3, 5, 6, 7, 10]),
    "count_above": [{"t": 0}],
    "count_below": [{"t": 0}],
    "lempel_ziv_complexity": _each("bins", [2, 3, 5, 10, 100]),
    "fourier_entropy": _each("bins", [2, 3, 5, 10, 100]),
    "permutation_entropy": [{"tau": 1, "dimension": dimension} for dimension in range(3, 8)],
    "mean_n_absolute_max": [{"number_of_maxima": 7}],
}


# Measured in multiples of a mean's, rounded; all others cost about that much.
_COSTS: Mapping[str, float] = {
    # By tsfresh itself.
    **dict.fromkeys(
        [
            "approximate_entropy",
            "augmented_dickey_fuller",
            "friedrich_coefficients",
            "max_langevin_fixed_point",
            "number_cwt_peaks",
            "query_similarity_count",
            "sample_entropy",
        ],
        10_000.0,
    ),
    **dict.fromkeys(["benford_correlation"], 50.0),
    **dict.fromkeys(
        [
            "agg_autocorrelation",
            "binned_entropy",
            "fourier_entropy",
            "kurtosis",
            "lempel_ziv_complexity",
            "median",
            "percentage_of_reoccurring_datapoints_to_all_datapoints",
            "percentage_of_reoccurring_values_to_all_values",
            "permutation_entropy",
            "ratio_value_number_to_time_series_length",
            "skewness",
            "spkt_welch_density",
            "sum_of_reoccurring_data_points",
            "sum_of_reoccurring_values",
        ],
        20.0,
    ),
    **dict.fromkeys(
        [
            "ar_coefficient",
            "has_duplicate",
            "has_duplicate_max",
            "has_duplicate_min",
            "longest_strike_above_mean",
            "longest_strike_below_mean",
            "mean_n_absolute_max",
            "number_peaks",
            "time_reversal_asymmetry_statistic",
        ],
        6.0,
    ),
}


def cost(calculator: str) -> float:
    """Of one column, relative to a moving average's."""
    return _COSTS.get(calculator, 1.0)


def idle(calculator: str, params: Params, n: int, *, prices: bool) -> str:
    """Why a column is NaN or one number on every window of `n` values but constant ones; empty where it is not.

    `prices`: whether all values are positive levels.
    """
    match calculator, params:
        case "length", _:
            return "it is the option `window`"
        case "autocorrelation" | "partial_autocorrelation", {"lag": 0}:
            return "1 at lag 0"
        case "fft_coefficient", {"coeff": coeff} if coeff > n // 2:
            return "a window has n // 2 + 1 coefficients"
        case "fft_coefficient", {"attr": "imag", "coeff": coeff} if 2 * coeff in (0, n):
            return "coefficients 0 and n / 2 are real"
        case "number_peaks", {"n": support} if 2 * support >= n:
            return "no value has so many neighbours on both sides"
        case "ar_coefficient", {"k": k} if n < 2 * k + 1:
            return "less rows than coefficients"
        case "agg_linear_trend", {"chunk_len": chunk_len} if chunk_len >= n:
            return "a line through one point"
        case "agg_linear_trend", {"attr": "stderr", "chunk_len": chunk_len} if 2 * chunk_len >= n:
            return "two points lie on their line"
        case "symmetry_looking", {"r": r} if r <= 0:
            return "no distance is less than 0"
        case "symmetry_looking", {"r": r} if r >= 0.5:
            return "mean and median are less than half the range apart"
        case "large_standard_deviation", {"r": r} if r >= 0.5:
            return "a deviation is half the range at most (Popoviciu 1935)"
        case "large_standard_deviation", {"r": r} if 2 * n * r * r < 1:
            return "a deviation is at least the range over the root of 2 n"
        case "ratio_beyond_r_sigma", {"r": r} if r * r >= n - 1:
            return "no value is more than the root of n - 1 deviations away (Samuelson 1968)"
    return _idle_on_prices(calculator, params) if prices else ""


def _idle_on_prices(calculator: str, params: Params) -> str:
    match calculator, params:
        case "count_above" | "count_below", {"t": level} if level <= 0:
            return "every price is above"
        case "number_crossing_m", {"m": level} if level <= 0:
            return "no price crosses it"
        case "value_count", {"value": level} if level <= 0:
            return "no price equals it"
        case "range_count", {"max": upper} if upper <= 0:
            return "no price lies there"
        case "range_count", {"min": lower, "max": upper} if lower <= 0 and upper >= 1e12:
            return "every price lies there"
    return ""


def preset(name: Preset, *, window: int, prices: bool, raw: bool) -> Asked:
    """Calculators and parameter sets of tsfresh's preset without the idle ones; those without a kernel only if `raw`.

    `prices`: whether the values are positive levels.
    """
    if name == "none":
        return {}
    chosen = _EFFICIENT if name == "efficient" else {calculator: _EFFICIENT[calculator] for calculator in _MINIMAL}
    known = kernels()
    found = {
        calculator: [item for item in sets if not idle(calculator, item, window, prices=prices)]
        for calculator, sets in chosen.items()
        if raw or calculator in known
    }
    return {calculator: sets for calculator, sets in found.items() if sets}


def asked(name: Preset, fc_parameters: Mapping[str, Any], *, window: int, prices: bool, raw: bool) -> Asked:
    """What is to be computed: the preset, with each calculator of `fc_parameters` in place of the preset's.

    An empty list takes a calculator out. `fc_parameters` is what `check` has let through.
    """
    found = preset(name, window=window, prices=prices, raw=raw)
    found |= {calculator: parameter_sets(calculator, given) for calculator, given in fc_parameters.items()}
    return {calculator: sets for calculator, sets in found.items() if sets}


def check(fc_parameters: Mapping[str, Any], *, window: int, raw: bool) -> None:
    """Raise `ValueError`, naming calculator and parameter, for what cannot be computed; tsfresh is not imported."""
    known = kernels()
    for calculator, given in fc_parameters.items():
        sets = parameter_sets(calculator, given)
        if not sets:
            continue
        if calculator in known:
            _try(known[calculator], calculator, sets, window)
        elif not raw:
            raise ValueError(
                f"{calculator} has no kernel and takes tsfresh itself, a window at a time; leave it out, or set "
                "`raw: true` (slow, and not for the HTTP server)"
            )


def _try(kernel: Kernel, calculator: str, sets: list[Params], window: int) -> None:
    """Let the kernel say what the table of types cannot: aggregates it does not know, parameters that do not go
    together."""
    probe = Windows(np.cos(np.arange(window, dtype=np.float64) ** 2)[None, :])
    try:
        kernel(probe, sets)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(calculator) else f"{calculator}: {message}") from error
