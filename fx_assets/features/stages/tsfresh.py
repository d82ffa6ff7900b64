"""tsfresh's features of the last `window` bars, under tsfresh's own names and with its values, by kernels.

Source: tsfresh 0.21 (Christ et al. 2018, Neurocomputing 307). `value` in its column names is the input's name here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.kernels.base import CHUNK, Params, column_of, compute, kernels
from fx_assets.features.stages.base import Column, Columns, StageOptions, StatelessStage
from fx_assets.features.tsfresh import raw
from fx_assets.features.tsfresh.settings import Asked, Preset, asked, check, cost
from fx_assets.specs.schema import Frequency

BASIS_POINTS = 1e4
# Under it most of tsfresh's calculators have nothing to work on.
LEAST_WINDOW = 20
DEFAULT_WINDOW = 96

Input = Literal["returns", "close", "log_close"]


def _returns(close: FloatArray) -> FloatArray:
    return np.diff(np.log(close), prepend=np.nan) * BASIS_POINTS


def _log_close(close: FloatArray) -> FloatArray:
    return np.asarray(np.log(close) * BASIS_POINTS)


@dataclass(frozen=True)
class _Source:
    """How an input is made of closes: `before`: rows that it needs before its first value; `prices`: all positive."""

    words: str
    make: Callable[[FloatArray], FloatArray]
    before: int = 0
    prices: bool = False


_SOURCES: dict[Input, _Source] = {
    "returns": _Source("log returns in basis points", _returns, before=1),
    "close": _Source("closes", np.asarray, prices=True),
    "log_close": _Source("logs of the close in basis points", _log_close),
}


class TsfreshOptions(StageOptions):
    """`fc_parameters` is tsfresh's dictionary; what it names stands in place of the preset's, `[]` takes it out.

    `raw`: whether calculators without a kernel may run, by tsfresh itself.
    """

    window: Annotated[int, Field(ge=LEAST_WINDOW, le=2_000)] = DEFAULT_WINDOW
    inputs: Annotated[list[Input], Field(min_length=1)] = Field(default=["returns"])
    preset: Preset = "efficient"
    raw: bool = False
    fc_parameters: Annotated[dict[str, Any], Field(validate_default=True)] = Field(default_factory=dict)

    @field_validator("inputs")
    @classmethod
    def _each_once(cls, value: list[Input]) -> list[Input]:
        if len(set(value)) != len(value):
            raise ValueError("each input may stand once")
        return value

    @field_validator("fc_parameters")
    @classmethod
    def _computable(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        known = info.data
        if {"window", "preset", "raw"} <= known.keys():
            check(value, window=known["window"], raw=known["raw"])
            if known["preset"] == "none" and not any(given != [] for given in value.values()):
                raise ValueError("preset none and no fc_parameters give no feature; name a calculator or a preset")
        return value


class Tsfresh(StatelessStage):
    """Columns `<input>__<calculator>__<parameters>`, NaN where tsfresh gives NaN or infinity."""

    name = "tsfresh"
    priority = 20
    Options = TsfreshOptions

    def lookback(self, options: TsfreshOptions, frequency: Frequency) -> int:
        """The bars of a window before its last, and one more for its first return."""
        del frequency
        return max(_before(options, kind) for kind in options.inputs)

    def columns(self, options: TsfreshOptions) -> list[Column]:
        """By input, in the order of the preset and then of `fc_parameters`."""
        return [
            Column(
                column_of(calculator, params, kind),
                ("close",),
                _about(calculator, params, options.window, kind),
                cost=cost(calculator),
                missing=True,
            )
            for kind in options.inputs
            for calculator, sets in _asked(options, kind).items()
            for params in sets
        ]

    def online(self, options: TsfreshOptions) -> bool:
        """Whether the HTTP server may compute it: only where every calculator has a kernel."""
        known = kernels()
        return all(calculator in known for kind in options.inputs for calculator in _asked(options, kind))

    def _compute(self, frame: Frame, options: Any, first: int) -> Columns:
        result: Columns = {}
        for kind in options.inputs:
            start = max(first, _before(options, kind))
            values = _SOURCES[kind].make(frame.columns["close"])
            result |= _of_input(values, kind, _asked(options, kind), options.window, start)
        return result


def _before(options: TsfreshOptions, kind: Input) -> int:
    return options.window - 1 + _SOURCES[kind].before


def _asked(options: TsfreshOptions, kind: Input) -> Asked:
    prices = _SOURCES[kind].prices
    return asked(options.preset, options.fc_parameters, window=options.window, prices=prices, raw=options.raw)


def _about(calculator: str, params: Params, window: int, kind: Input) -> str:
    words = ", ".join(f"{name} {value}" for name, value in params.items())
    return f"tsfresh's {calculator}{f' ({words})' if words else ''} of the last {window} {_SOURCES[kind].words}"


def _of_input(values: FloatArray, kind: Input, wanted: Asked, window: int, start: int) -> Columns:
    """The columns of one input; rows before `start`, the last of a whole window, are NaN."""
    names = [column_of(calculator, params, kind) for calculator, sets in wanted.items() for params in sets]
    result = {name: np.full(len(values), np.nan) for name in names}
    known = kernels()
    by_kernel = {calculator: sets for calculator, sets in wanted.items() if calculator in known}
    by_tsfresh = {calculator: sets for calculator, sets in wanted.items() if calculator not in known}
    # By chunks here already, so that beside the columns themselves there is never more than one chunk.
    for begin in range(start, len(values), CHUNK):
        end = min(begin + CHUNK, len(values))
        windows = np.lib.stride_tricks.sliding_window_view(values[begin - window + 1 : end], window)
        found = compute(windows, by_kernel)
        if by_tsfresh:
            found |= raw.compute(windows, by_tsfresh)
        for name, column in found.items():
            result[f"{kind}{name.removeprefix('value')}"][begin:end] = np.where(np.isfinite(column), column, np.nan)
    return result
